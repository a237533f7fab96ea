"""Which photo is painted to which file: files, folders, patterns, formats, shards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neuralart.errors import ConfigError, ImageError, OutputError
from neuralart.painting.jobs import (
    STANDARD,
    Job,
    Jobs,
    check_order,
    find_jobs,
    parse_shard,
    same_file,
    shard,
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of files with names of pictures; nothing opens them."""
    folder = tmp_path / "in"
    for name in ("a.png", "sub/b.jpg", "sub/deep/c.gif", "sub/deep/d.PNG", ".hidden/e.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name in (".f.png", "notes.txt", "sub/more.txt", "raw.cr2", "README"):
        (folder / name).touch()
    return folder


def targets(jobs: Jobs, folder: Path) -> list[str]:
    return [job.target.relative_to(folder).as_posix() for job in jobs.jobs]


def test_one_photo_and_one_painting(photos: Path, tmp_path: Path) -> None:
    jobs = find_jobs([str(photos / "a.png")], str(tmp_path / "q.jpg"))
    assert jobs == Jobs([Job(photos / "a.png", tmp_path / "q.jpg")], many=False, into_folder=False)


def test_a_folder_keeps_its_tree(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    jobs = find_jobs([str(photos)], str(out))
    sources = [job.source.relative_to(photos).as_posix() for job in jobs.jobs]
    assert sources == ["a.png", "sub/b.jpg", "sub/deep/c.gif", "sub/deep/d.PNG"]
    assert targets(jobs, out) == ["a.png", "sub/b.jpg", "sub/deep/c.png", "sub/deep/d.PNG"]
    assert jobs.many and jobs.into_folder
    assert jobs.not_pictures == {".cr2": 1, ".txt": 2, "no suffix": 1}


def test_a_folder_of_paintings(photos: Path, tmp_path: Path) -> None:
    """It is one by its slash, because it is there, or because there are several photos."""
    one, two = str(photos / "a.png"), str(photos / "sub" / "b.jpg")
    out = tmp_path / "out"
    assert targets(find_jobs([one], f"{out}/"), out) == ["a.png"]
    assert targets(find_jobs([one, two], str(out)), out) == ["a.png", "b.jpg"]
    out.mkdir()
    jobs = find_jobs([one], str(out))
    assert targets(jobs, out) == ["a.png"] and jobs.into_folder and not jobs.many


def test_the_suffix_of_a_painting(photos: Path, tmp_path: Path) -> None:
    """It is the one that was asked for, or the photo's own, or .png where that cannot be written."""
    out = tmp_path / "out"
    sources = [str(photos / "sub" / "deep" / name) for name in ("c.gif", "d.PNG")]
    assert targets(find_jobs(sources, str(out)), out) == ["c.png", "d.PNG"]
    assert targets(find_jobs(sources, str(out), "webp"), out) == ["c.webp", "d.webp"]


def test_a_pattern_keeps_the_tree_below_its_fixed_folders(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    jobs = find_jobs([str(photos / "**" / "*.[jP]*")], str(out))
    assert targets(jobs, out) == ["sub/b.jpg", "sub/deep/d.PNG"] and jobs.many
    named = photos / "what[1].png"
    named.touch()
    assert targets(find_jobs([str(named)], f"{out}/"), out) == ["what[1].png"]


def test_paintings_among_the_photos_are_no_photos(photos: Path) -> None:
    painted = photos / "sub" / "painted"
    painted.mkdir()
    (painted / "a.png").touch()
    names = targets(find_jobs([str(photos)], str(painted)), painted)
    assert "a.png" in names and not [name for name in names if "painted" in name]


def test_links_to_folders_are_followed_once(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "z.png").touch()
    (other / "back").symlink_to(photos)
    (photos / "linked").symlink_to(other)
    (photos / "again").symlink_to(photos / "sub")
    (photos / "round").symlink_to(photos)
    out = tmp_path / "out"
    names = targets(find_jobs([str(photos)], str(out)), out)
    assert names == [
        "a.png", "sub/b.jpg", "sub/deep/c.png", "sub/deep/d.PNG", "linked/z.png",
    ]  # fmt: skip


def test_a_pipe_in_a_folder_is_passed_over(photos: Path, tmp_path: Path) -> None:
    os.mkfifo(photos / "pipe.png")
    jobs = find_jobs([str(photos)], str(tmp_path / "out"))
    assert "pipe.png" not in targets(jobs, tmp_path / "out")
    assert jobs.not_pictures["pipe or device"] == 1


def test_what_is_there_wins_over_a_pattern(photos: Path, tmp_path: Path) -> None:
    """Files and folders whose names look like patterns, also before a pattern."""
    out = tmp_path / "out"
    for name in ("x1/a.png", "x[1]/b.png", "x[1]/sub/c.png", "y[a].png", "ya.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).touch()
    (photos / "z[a].png").symlink_to("nowhere")
    assert targets(find_jobs([str(photos / "y[a].png")], f"{out}/"), out) == ["y[a].png"]
    assert targets(find_jobs([str(photos / "z[a].png")], f"{out}/"), out) == ["z[a].png"]
    assert targets(find_jobs([str(photos / "x[1]")], str(out)), out) == ["b.png", "sub/c.png"]
    found = find_jobs([str(photos / "x[1]" / "**" / "*.png")], str(out))
    assert targets(found, out) == ["b.png", "sub/c.png"]
    assert targets(find_jobs([str(photos / "[y]a.png")], str(out)), out) == ["ya.png"]


def test_names_that_are_too_long_are_left_to_the_reader(tmp_path: Path) -> None:
    long = "n" * 300 + ".png"
    assert find_jobs([long], f"{tmp_path}/").jobs[0].source == Path(long)
    assert find_jobs(["a.png"], str(tmp_path / long)).jobs[0].target == tmp_path / long


def test_two_photos_with_one_target_clash(photos: Path, tmp_path: Path) -> None:
    first, second = photos / "a.png", photos / "a.jpg"
    second.touch()
    jobs = find_jobs([str(first), str(second)], str(tmp_path / "out"), "png")
    assert [job.clash for job in jobs.jobs] == [None, first]
    jobs = find_jobs([str(first), str(first)], str(tmp_path / "out"))
    assert [job.clash for job in jobs.jobs] == [None, None]


def test_wrong_sources_and_targets(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    one = str(photos / "a.png")
    out = str(tmp_path / "out")
    for sources, target, error, words in (
        ([str(tmp_path / "empty")], out, ImageError, "holds no pictures"),
        ([str(photos / "*.bmp")], out, ImageError, "matches no file"),
        ([str(photos)], str(photos), OutputError, "is the folder of the photos itself"),
        ([str(photos)], str(tmp_path / "file"), OutputError, "is a file; several paintings"),
        (["-", one], out, ConfigError, "- stands for one picture"),
        ([one, one], "-", ConfigError, "- stands for one picture"),
    ):
        with pytest.raises(error, match=words):
            find_jobs(sources, target)


def test_the_last_name_is_no_photo(photos: Path, tmp_path: Path) -> None:
    """Two photos and no painting, or the two in the wrong order, are told apart."""
    first, second = photos / "a.png", photos / "sub" / "b.jpg"
    for source, target, words in (
        (first, second, "b.jpg: exists; add --overwrite.*name a folder after both"),
        (photos / "none.jpg", first, "none.jpg: no such photo, and .*a.png exists; name the photo"),
        (first, first, "is the photo itself"),
    ):
        with pytest.raises(OutputError, match=words):
            check_order(Job(source, target))
    check_order(Job(first, tmp_path / "out.png"))
    check_order(Job(STANDARD, tmp_path / "out.png"))
    for sources in ([str(first), str(second)], [str(photos)]):
        with pytest.raises(OutputError, match="the last name is where the paintings"):
            find_jobs(sources, str(tmp_path / "painted.png"))
        assert find_jobs(sources, f"{tmp_path / 'painted.png'}/").into_folder


def test_links_name_the_same_file(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos / "a.png")
    (tmp_path / "hard").hardlink_to(photos / "a.png")
    assert same_file(tmp_path / "link", tmp_path / "hard")
    assert not same_file(photos / "a.png", photos / "sub" / "b.jpg")
    assert not same_file(tmp_path / "none", tmp_path / "none")


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_shards_have_every_job_once(count: int) -> None:
    jobs = [Job(Path(f"{n}.png"), Path(f"{n}.jpg")) for n in range(10)]
    parts = [shard(jobs, (index, count)) for index in range(1, count + 1)]
    names = [job.source.name for part in parts for job in part]
    assert sorted(names) == sorted(job.source.name for job in jobs)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_in_words() -> None:
    assert parse_shard("2/8") == (2, 8) and parse_shard(None) == (1, 1)
    for text in ("0/2", "3/2", "2", "a/b", "1/0", "-1/2", "1/2/3"):
        with pytest.raises(ConfigError, match="--shard"):
            parse_shard(text)
