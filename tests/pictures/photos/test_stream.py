"""The stream of training photos: seeded, resumable, without the photos held out."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from helpers import picture

from neuralart.errors import PhotosError
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.writing import write_image


def first(photos: Photos, count: int, position: int = 0) -> list[tuple[int, np.ndarray]]:
    """The first ``count`` items of the stream from a step on."""
    stream = photos.stream(position)
    try:
        return list(itertools.islice(stream, count))
    finally:
        stream.close()


def test_the_stream_depends_on_the_seed_and_resumes_at_any_step(photo_dir: Path) -> None:
    straight = first(Photos(photo_dir, 32, seed=3, holdout=2), 40)
    position = straight[16][0]
    resumed = first(Photos(photo_dir, 32, seed=3, holdout=2), 23, position)
    assert [p for p, _ in resumed] == [p for p, _ in straight[17:]]
    for (_, a), (_, b) in zip(resumed, straight[17:], strict=True):
        np.testing.assert_array_equal(a, b)
    other = first(Photos(photo_dir, 32, seed=4, holdout=2), 1)
    assert not np.array_equal(other[0][1], straight[0][1])


def test_every_photo_comes_once_an_epoch(tmp_path: Path) -> None:
    for value in range(6):
        write_image(tmp_path / f"{value}.png", np.full((40, 40, 3), value * 40, np.uint8))
    stream = first(Photos(tmp_path, 32, seed=0, holdout=0), 12)
    greens = [round(float(x[0, 1].mean() + 116.779)) for _, x in stream]
    assert sorted(greens[:6]) == sorted(greens[6:]) == [0, 40, 80, 120, 160, 200]
    assert greens[:6] != greens[6:]


def test_held_out_photos_are_not_learned_on(tmp_path: Path) -> None:
    for value in range(10):
        write_image(tmp_path / f"{value}.png", np.full((40, 40, 3), value * 20, np.uint8))
    photos = Photos(tmp_path, 32, seed=0, holdout=20)
    kept = {int(square.mean()) for square in photos.held_out}
    learned = {round(float(x[0, 1].mean() + 116.779)) for _, x in first(photos, 30)}
    assert len(kept) == 2 and len(learned) == 8 and not kept & learned


def test_a_file_that_cannot_be_used_is_listed_and_passed_over(
    photo_dir: Path, tmp_path: Path
) -> None:
    photos = Photos(photo_dir, 32, seed=0, holdout=2)
    (tmp_path / "skipped.txt").write_text("of-an-earlier-session.jpg: the file is empty\n")
    photos.write_skipped(tmp_path / "skipped.txt")
    squares = [x for _, x in first(photos, 40)]
    rows = (tmp_path / "skipped.txt").read_text().splitlines()
    assert [row.split(":")[0] for row in rows] == [
        "cut.jpg", "notes.txt", "of-an-earlier-session.jpg", "small.png",
    ]  # fmt: skip
    assert "too small: 9x9" in rows[3]
    for a, b in itertools.pairwise(squares):
        assert not np.array_equal(a, b)


def test_x0_has_the_size_of_the_crop(photo_dir: Path) -> None:
    for _, x in first(Photos(photo_dir, 48, seed=0, holdout=0), 14):
        assert x.shape == (1, 3, 48, 48) and x.dtype == np.float32


def test_a_folder_without_usable_photos_is_refused(tmp_path: Path) -> None:
    def fails(folder: Path, words: str) -> None:
        with pytest.raises(PhotosError, match=words):
            Photos(folder, 32, seed=0, holdout=2)

    fails(tmp_path / "none", "no such folder")
    fails(tmp_path, "holds no pictures")
    (tmp_path / "a.txt").write_text("a")
    fails(tmp_path / "a.txt", "is not a folder")
    fails(tmp_path, "holds no pictures")
    (tmp_path / "b.jpg").write_bytes(b"")
    write_image(tmp_path / "c.png", picture(0, 8, 8))
    fails(tmp_path, "none of its files can be learned on")


def test_photos_that_vanish_stop_the_stream(tmp_path: Path) -> None:
    for seed in range(4):
        write_image(tmp_path / f"{seed}.png", picture(seed))
    photos = Photos(tmp_path, 32, seed=0, holdout=0)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(PhotosError, match="cannot be read any more"):
        first(photos, 1)


def test_a_batch_has_a_shard_for_each_place(tmp_path: Path) -> None:
    for value in range(6):
        write_image(tmp_path / f"{value}.png", np.full((40, 40, 3), value * 40, np.uint8))
    photos = Photos(tmp_path, 32, seed=0, holdout=0, batch=2)

    def greens(places: list[int], steps: int) -> list[list[int]]:
        with contextlib.closing(photos.stream(0, places)) as stream:
            xs = [x for _, x in itertools.islice(stream, steps)]
        return [[round(float(one[1].mean() + 116.779)) for one in x] for x in xs]

    both = greens([0, 1], 6)
    for place, shard in ((0, [0, 80, 160]), (1, [40, 120, 200])):
        alone = [row[0] for row in greens([place], 6)]
        assert alone == [row[place] for row in both]
        assert sorted(alone[:3]) == sorted(alone[3:]) == shard
    with pytest.raises(PhotosError, match="some place"):
        Photos(tmp_path, 32, seed=0, holdout=0, batch=7)


def test_a_photo_that_cannot_be_used_is_replaced_by_another_of_its_shard(tmp_path: Path) -> None:
    for value in range(4):
        write_image(tmp_path / f"{value}.png", picture(value))
    photos = Photos(tmp_path, 32, seed=0, holdout=0, batch=2)
    (tmp_path / "1.png").write_bytes(b"gone")
    with contextlib.closing(photos.stream(0)) as stream:
        assert [step for step, _ in itertools.islice(stream, 6)] == [1, 2, 3, 4, 5, 6]
        (tmp_path / "3.png").write_bytes(b"gone")
        with pytest.raises(PhotosError, match="cannot be read any more"):
            list(itertools.islice(stream, 100))
