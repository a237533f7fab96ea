"""Files that are written whole or not at all, and the check before the work."""

from __future__ import annotations

import os
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


def test_what_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Two processes write to one place: the later one is told, and the earlier one's file stays."""
    path = tmp_path / "a.txt"
    with (
        pytest.raises(OutputError, match=r"a\.txt: appeared while it was being made"),
        written_aside(path, overwrite=False) as file,
    ):
        file.write(b"later")
        write_aside(path, b"earlier")
    assert path.read_bytes() == b"earlier"
    with written_aside(tmp_path / "b.txt", overwrite=False) as file:
        file.write(b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    assert (tmp_path / "b.txt").stat().st_nlink == 1


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.txt"
    with written_aside(path, overwrite=False) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(OutputError, match="appeared"), written_aside(path, overwrite=False):
        pass
    assert path.read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 1


def test_the_longest_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("漢" * 83 + "\u00e9.txt")  # 255 bytes
    check_place(path, overwrite=False)
    write_aside(path, b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(OutputError, match="the name is longer than 255 bytes"):
        check_place(tmp_path / ("漢" * 83 + "\u00e9.tiff"), overwrite=False)


def test_a_link_to_nothing_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("nowhere")
    with pytest.raises(OutputError, match="exists; add --overwrite"):
        check_place(tmp_path / "a.txt", overwrite=False)


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
