"""`stylize --stroke` through the real command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import fails, files_below, picture, run_cli, stylize
from video_files import SIZE, look, make_video

from neuralart.pictures.editing import resize
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile, read_image
from neuralart.pictures.writing import write_image, write_picture


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", picture(3, 49, 65))
    return tmp_path / "photo.png"


@pytest.mark.parametrize(("stroke", "size"), [(0.5, (98, 130)), (2, (24, 32)), (1.3, (38, 50))])
def test_the_photo_is_painted_at_another_size_and_brought_back(
    run_dir: Path, photo: Path, tmp_path: Path, stroke: float, size: tuple[int, int]
) -> None:
    stylize(run_dir, photo, tmp_path / "out.png", "--stroke", stroke)
    write_image(tmp_path / "resized.png", resize(read_image(photo), size))
    stylize(run_dir, tmp_path / "resized.png", tmp_path / "painted.png")
    expected = resize(read_image(tmp_path / "painted.png"), (49, 65))
    np.testing.assert_array_equal(read_image(tmp_path / "out.png"), expected)
    assert run_cli("plan", photo, "--stroke", stroke, "--model", run_dir).exit_code == 0


def test_stroke_1_changes_nothing(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    stylize(run_dir, photo, tmp_path / "plain.png")
    stylize(run_dir, photo, tmp_path / "one.png", "--stroke", 1)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_strokes_with_sizes_depth_and_alpha(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    stylize(run_dir, photo, tmp_path / "small.png", "--size", 32, "--stroke", 2)
    assert read_image(tmp_path / "small.png").shape == (24, 32, 3)
    options = ("--size", 32, "--keep-size", "--stroke", 2)
    stylize(run_dir, photo, tmp_path / "kept.png", *options)
    assert read_image(tmp_path / "kept.png").shape == (49, 65, 3)
    alpha = picture(5, 49, 65)[..., 0].astype(np.uint16) * 257
    deep = read_image(photo).astype(np.uint16) * 257
    write_picture(tmp_path / "deep.tiff", Picture(deep, alpha))
    stylize(run_dir, tmp_path / "deep.tiff", tmp_path / "out.tiff", "--stroke", 0.7)
    painting = PictureFile(tmp_path / "out.tiff").read()
    assert painting.pixels.dtype == np.uint16 and painting.size == (49, 65)
    np.testing.assert_array_equal(painting.alpha, alpha)
    write_image(tmp_path / "dot.png", picture(1, 1, 1))
    stylize(run_dir, tmp_path / "dot.png", tmp_path / "dot-out.png", "--stroke", 2)
    assert read_image(tmp_path / "dot-out.png").shape == (1, 1, 3)


def test_strokes_of_a_video(run_dir: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4")
    stylize(run_dir, clip, tmp_path / "out.mkv", "--stroke", 1.5)
    found = look(tmp_path / "out.mkv")
    assert len(found.frames) == 6 and found.frames[0].shape == (*SIZE, 3)


def test_wrong_strokes(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    words = ("stylize", photo, tmp_path / "out.png", "--model", run_dir)
    for wrong in (0, 0.49, 2.1, -1, "nan", "wide"):
        fails(run_cli(*words, "--stroke", wrong), 2, "--stroke")
    megapixels = 49 * 65 / 1e6
    message = "photo.png: --stroke 0.5 makes 130x98, over --max-pixels"
    fails(run_cli(*words, "--stroke", 0.5, "--max-pixels", megapixels), 1, message)
    words = ("plan", photo, "--model", run_dir)
    fails(run_cli(*words, "--stroke", 0.5, "--max-pixels", megapixels), 1, message)
    assert files_below(tmp_path) == ["photo.png"]
