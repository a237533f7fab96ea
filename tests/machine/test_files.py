"""Files that are written whole or not at all, and the check before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuralart.errors import OutputError
from neuralart.machine.files import check_place, write_aside, written_aside


def test_a_failure_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_aside(path, b"old")
    with pytest.raises(ZeroDivisionError), written_aside(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("path", ["none/a.txt", "folder", "file/a.txt"])
def test_a_place_that_cannot_be_written(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write_aside(tmp_path / path, b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("folder", {}, "is a folder; name a file in it"),
        ("file", {}, "exists; add --overwrite"),
        ("none/a.txt", {}, "none: no such folder; make it first"),
        ("file/a.txt", {}, "file: is a file, not a folder"),
        ("file/a/b.txt", {"make_folders": True}, "file: is a file, not a folder"),
        ("file", {"overwrite": True}, ""),
        ("none/a.txt", {"make_folders": True}, ""),
        ("a.txt", {}, ""),
    ],
)
def test_a_place_is_checked_before_the_work(
    tmp_path: Path, path: str, options: dict[str, bool], words: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    options = {"overwrite": False, **options}
    if words:
        with pytest.raises(OutputError, match=words):
            check_place(tmp_path / path, **options)
    else:
        check_place(tmp_path / path, **options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
