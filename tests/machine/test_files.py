"""Files that are written whole or not at all, and the check before the work."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from helpers import files_below

from neuralart.errors import OutputError
from neuralart.machine import files
from neuralart.machine.files import check_place, write_aside, written_aside, written_together


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


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_the_permissions_of_what_is_replaced_stay(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_aside(path, b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == mode


def test_no_link_is_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link in the file's place is replaced; one planted under the name aside is refused."""
    other, path = tmp_path / "other", tmp_path / "a.txt"
    other.write_bytes(b"mine")
    path.symlink_to("other")
    write_aside(path, b"new")
    assert not path.is_symlink() and other.read_bytes() == b"mine"
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "0")
    (tmp_path / ".0.part").symlink_to("other")
    with pytest.raises(OutputError, match=r"a\.txt: cannot be written: File exists"):
        write_aside(path, b"newer")
    assert other.read_bytes() == b"mine" and path.read_bytes() == b"new"


def test_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_bytes(b"old")

    def write(*, overwrite: bool = True, fails: bool = False) -> None:
        with written_together(overwrite=overwrite) as together:
            for path in (one, two):
                together.open(path).write(b"new " + path.name.encode())
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(fails=True)
    with pytest.raises(OutputError, match="one: appeared"):
        write(overwrite=False)
    one.unlink()
    with pytest.raises(OutputError, match="two: appeared"):
        write(overwrite=False)
    assert files_below(tmp_path) == ["two"] and two.read_bytes() == b"old"
    write()
    assert (one.read_bytes(), two.read_bytes()) == (b"new one", b"new two")
    for path in (one, two):
        path.unlink()
    write(overwrite=False)
    assert files_below(tmp_path) == ["one", "two"]


def test_a_kill_between_two_renamings_leaves_no_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "index"):
        (tmp_path / name).write_bytes(b"old")
    replaced: list[Path] = []

    def killed(path: Path, target: Path) -> None:
        replaced.append(target)
        if len(replaced) == 2:
            raise SystemExit
        os.replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(SystemExit), written_together() as together:
        together.open(tmp_path / "data").write(b"new")
        together.open(tmp_path / "index").write(b"new")
    assert files_below(tmp_path) == ["data"] and (tmp_path / "data").read_bytes() == b"new"


def test_a_system_without_permissions_and_limits_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has neither call."""
    for name in ("fchmod", "pathconf"):
        monkeypatch.delattr(os, name)
    path = tmp_path / "file"
    for data in (b"one", b"two"):
        check_place(path, overwrite=True)
        write_aside(path, data)
        assert path.read_bytes() == data
