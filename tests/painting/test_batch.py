"""`neuralart stylize` on many pictures: folders, patterns, shards, errors, signals, memory."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers import fails, files_below, picture, run_cli, stylize

from neuralart.painting import batch
from neuralart.pictures.reading import PictureFile
from neuralart.pictures.writing import write_image


def test_a_folder_keeps_its_tree(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "notes.txt").write_text("hello")
    (photos / "raw.cr2").write_text("hello")
    (photos / ".hidden.png").write_text("hello")
    result = stylize(run_dir, photos, tmp_path / "out")
    assert files_below(tmp_path / "out") == ["a.png", "sub/b.jpg", "sub/deep/c.png"]
    assert sorted(result.stdout.splitlines()) == sorted(
        str(p) for p in (tmp_path / "out").rglob("*.*")
    )
    assert "no pictures are passed over: 1 .cr2, 1 .txt" in result.stderr
    assert "3 painted (0.0 megapixels) in" in result.stderr.splitlines()[-1]


def test_files_and_patterns_and_formats(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = photos / "a.png", photos / "sub" / "b.jpg"
    stylize(run_dir, one, two, tmp_path / "files")
    assert files_below(tmp_path / "files") == ["a.png", "b.jpg"]
    stylize(run_dir, one, f"{tmp_path}/one/")
    stylize(run_dir, two, tmp_path / "one")
    assert files_below(tmp_path / "one") == ["a.png", "b.jpg"]
    stylize(run_dir, photos / "**" / "*.png", tmp_path / "globbed", "--format", "webp")
    assert files_below(tmp_path / "globbed") == ["a.webp", "sub/deep/c.webp"]
    monkeypatch.chdir(photos)
    stylize(run_dir, "sub", "a.png", "out")
    assert files_below(photos / "out") == ["a.png", "b.jpg", "deep/c.png"]
    stylize(run_dir, ".", "out/again")
    assert "out/again/sub/b.jpg" in files_below(photos)
    assert not [name for name in files_below(photos) if name.startswith("out/again/out/again")]


def test_paintings_below_the_photos_are_not_painted_again(run_dir: Path, photos: Path) -> None:
    for _ in range(2):
        stylize(run_dir, photos, photos / "painted", "--overwrite")
    assert files_below(photos / "painted") == ["a.png", "sub/b.jpg", "sub/deep/c.png"]


def test_existing_paintings_are_kept_skipped_or_replaced(
    run_dir: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("stylize", photos, out, "--model", run_dir)
    assert run_cli(*words).exit_code == 0
    before = {name: (out / name).stat().st_mtime_ns for name in files_below(out)}
    result = run_cli(*words)
    assert result.exit_code == 1 and result.stderr.count("exists; add --overwrite") == 3
    assert result.stderr.splitlines()[-1].startswith(
        "error: 0 painted (0.0 megapixels), 3 failed in"
    )
    (out / "a.png").unlink()
    result = run_cli(*words, "--skip-existing")
    assert result.exit_code == 0 and result.stdout == f"{out / 'a.png'}\n"
    assert "1 painted (0.0 megapixels), 2 there already in" in result.stderr
    assert (out / "sub/b.jpg").stat().st_mtime_ns == before["sub/b.jpg"]
    assert run_cli(*words, "--overwrite").exit_code == 0
    assert (out / "sub/b.jpg").stat().st_mtime_ns != before["sub/b.jpg"]
    fails(run_cli(*words, "--overwrite", "--skip-existing"), 2, "give one of them")


def test_shards_paint_every_photo_once(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    stylize(run_dir, photos, whole)
    parts = []
    for index in (1, 2):
        stylize(run_dir, photos, tmp_path / "parts", "--shard", f"{index}/2")
        parts.append(files_below(tmp_path / "parts"))
    assert [len(part) for part in parts] == [2, 3] and parts[1] == files_below(whole)
    for name in files_below(whole):
        assert (whole / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    result = stylize(run_dir, photos, tmp_path / "none", "--shard", "9/9")
    assert "0 painted" in result.stderr
    for text in ("0/2", "3/2", "2", "a/b", "1/0"):
        fails(run_cli("stylize", photos, whole, "--model", run_dir, "--shard", text), 2, "--shard")


def bad_files(folder: Path) -> set[str]:
    """Make files that are named like pictures and cannot be painted; return their names."""
    folder.mkdir(exist_ok=True)
    write_image(folder / "good.png", picture(0))
    whole = (folder / "good.png").read_bytes()
    (folder / "good.png").unlink()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.webp").write_text("hello")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    with (folder / "zeros.png").open("wb") as file:
        file.truncate(2_000_000_000)
    write_image(folder / "large.png", picture(0, 200, 200))
    return {path.name for path in folder.iterdir()}


def test_a_batch_goes_on_after_errors(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    bad = bad_files(photos / "bad")
    out = tmp_path / "out"
    words = ("stylize", photos, out, "--model", run_dir, "--max-pixels", 0.03)
    result = run_cli(*words)
    assert result.exit_code == 1
    assert files_below(out) == ["a.png", "sub/b.jpg", "sub/deep/c.png"]
    *errors, last = result.stderr.splitlines()
    assert len(errors) == len(bad)
    for name in bad:
        assert sum(f"error: {photos / 'bad' / name}: " in line for line in errors) == 1
    assert last.startswith("error: 3 painted") and f"{len(bad)} failed" in last
    result = run_cli(*words, "--skip-existing", "--on-error", "stop")
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 2
    assert run_cli(*words[:-1], 1, "--skip-existing").exit_code == 1
    assert (out / "bad" / "large.png").exists()


@pytest.mark.parametrize("where", ["read", "paint", "write"])
def test_an_error_that_nobody_foresaw_is_one_line(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    calls: list[object] = []

    def second_fails(function: Any) -> Any:
        def call(*words: Any, **options: Any) -> Any:
            calls.append(words)
            if len(calls) == 2:
                raise LookupError("a codec's own\nwords")
            return function(*words, **options)

        return call

    owner, name = {
        "read": (PictureFile, "read"),
        "paint": (batch.Stylizer, "paint"),
        "write": (batch, "write_picture"),
    }[where]
    monkeypatch.setattr(owner, name, second_fails(getattr(owner, name)))
    result = run_cli("stylize", photos, tmp_path / "out", "--model", run_dir)
    assert result.exit_code == 1 and len(files_below(tmp_path / "out")) == 2
    line, last = result.stderr.splitlines()
    assert line == f"error: {photos / 'sub/b.jpg'}: cannot be painted: LookupError: a codec's own"
    assert "2 painted" in last and "1 failed" in last


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("Traceback (most recent call last):\n  File x\nFailed to allocate CPU Memory"),
    ],
)
def test_too_little_memory_is_said_in_words(
    run_dir: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def paint(stylizer: batch.Stylizer, photo: Any) -> Any:
        raise error

    monkeypatch.setattr(batch.Stylizer, "paint", paint)
    result = run_cli("stylize", photos, tmp_path / "out", "--model", run_dir)
    assert result.stderr.count("cannot be painted: out of memory; end other programs") == 3
    assert "Traceback" not in result.stderr


def test_an_engines_own_error_is_one_line(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def paint(stylizer: batch.Stylizer, photo: Any) -> Any:
        raise stylizer.errors[-1]("Traceback (most recent call last):\n  File x\n\nCheck failed: 7")

    monkeypatch.setattr(batch.Stylizer, "paint", paint)
    words = ("stylize", photos / "a.png", tmp_path / "a.png", "--model", run_dir)
    fails(run_cli(*words), 1, "a.png: cannot be painted: Check failed: 7")


def test_what_another_process_painted_meanwhile_stays(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint, out = batch.Stylizer.paint, tmp_path / "out"

    def while_another_writes(stylizer: batch.Stylizer, photo: Any) -> Any:
        out.mkdir(exist_ok=True)
        (out / "a.png").write_bytes(b"theirs")
        return paint(stylizer, photo)

    monkeypatch.setattr(batch.Stylizer, "paint", while_another_writes)
    result = run_cli("stylize", photos, out, "--model", run_dir)
    assert result.exit_code == 1 and (out / "a.png").read_bytes() == b"theirs"
    assert "a.png: appeared while it was being made; add --overwrite" in result.stderr
    assert str(out / "a.png") not in result.stdout and "2 painted" in result.stderr
    monkeypatch.setattr(batch.Stylizer, "paint", paint)
    stylize(run_dir, photos, out, "--overwrite")
    assert (out / "a.png").read_bytes() != b"theirs"


def test_the_longest_names_are_painted(run_dir: Path, tmp_path: Path) -> None:
    name = "漢" * 83 + "ab.png"  # 255 bytes
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / name, picture(0))
    stylize(run_dir, tmp_path / "in", tmp_path / "out")
    assert files_below(tmp_path / "out") == [name]
    result = run_cli("stylize", tmp_path / "in", tmp_path / "longer", "--format", "tiff",
                     "--model", run_dir)  # fmt: skip
    assert result.exit_code == 1 and "the name is longer than 255 bytes" in result.stderr
    fails(run_cli("stylize", "n" * 300 + ".png", f"{tmp_path}/", "--model", run_dir), 1, "longer")


def test_two_photos_with_the_same_target(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "a.png"):
        write_image(tmp_path / "in" / name, picture(0))
    out = tmp_path / "out"
    result = run_cli("stylize", tmp_path / "in", out, "--format", "png", "--model", run_dir)
    assert result.exit_code == 1 and files_below(out) == ["a.png"]
    assert f"error: {tmp_path / 'in' / 'a.png'}: would be painted to" in result.stderr


def test_no_photo_is_ever_replaced(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    before = {name: (photos / name).read_bytes() for name in files_below(photos)}
    fails(run_cli("stylize", photos, photos, "--model", run_dir), 1, "folder of the photos itself")
    (tmp_path / "link.png").symlink_to(photos / "a.png")
    os.link(photos / "a.png", tmp_path / "hard.png")
    for name in ("link.png", "hard.png"):
        words = ("stylize", photos / "a.png", tmp_path / name, "--model", run_dir)
        fails(run_cli(*words, "--overwrite"), 1, "the photo itself")
    result = run_cli(
        "stylize", photos / "sub", photos / "a.png", photos, "--overwrite", "--model", run_dir
    )
    assert result.exit_code == 1 and "a.png: is the photo itself" in result.stderr
    assert {name: (photos / name).read_bytes() for name in before} == before


def test_wrong_sources_and_targets(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    def wrong(exit_code: int, words: str, *paths: object) -> None:
        fails(run_cli("stylize", *paths, "--model", run_dir), exit_code, words)

    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    wrong(2, "name the photo", photos / "a.png")
    wrong(1, "holds no pictures", tmp_path / "empty", tmp_path / "out")
    wrong(1, "matches no file", photos / "*.gif", tmp_path / "out")
    wrong(1, "is a file; several paintings", photos, tmp_path / "file")
    wrong(1, "is a file, not a folder", photos / "a.png", tmp_path / "file" / "a.png")
    wrong(1, "with / after it", photos / "a.png", tmp_path / "out")
    wrong(
        1,
        "holds at most 16383",
        photos / "a.png",
        tmp_path / "a.webp",
        "--size",
        20000,
        "--max-pixels",
        999,
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file", "in"]


def test_a_photo_that_is_not_readable(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "b.jpg":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    result = run_cli("stylize", photos, tmp_path / "out", "--model", run_dir)
    assert result.exit_code == 1
    assert f"error: {photos / 'sub/b.jpg'}: cannot be read: Permission denied" in result.stderr
    assert files_below(tmp_path / "out") == ["a.png", "sub/deep/c.png"]


def test_a_disk_that_fills_up(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = os.fsync
    calls: list[int] = []

    def full(number: int) -> None:
        calls.append(number)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        synced(number)

    monkeypatch.setattr("os.fsync", full)
    result = run_cli("stylize", photos, tmp_path / "out", "--model", run_dir)
    assert result.exit_code == 1
    assert "cannot be written: No space left on device" in result.stderr
    assert len(files_below(tmp_path / "out")) == 2 and "2 painted" in result.stderr


def test_a_signal_ends_a_batch_after_the_current_photo(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint, handler = batch.Stylizer.paint, signal.getsignal(signal.SIGINT)

    def interrupted(stylizer: batch.Stylizer, photo: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return paint(stylizer, photo)

    monkeypatch.setattr(batch.Stylizer, "paint", interrupted)
    result = run_cli("stylize", photos, tmp_path / "out", "--model", run_dir)
    assert result.exit_code == 130 and files_below(tmp_path / "out") == ["a.png"]
    assert "error: stopped: 1 painted" in result.stderr and "--skip-existing" in result.stderr
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_next_photo_is_read_while_one_is_painted(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first painting waits for the second photo to have been read."""
    second_is_read = threading.Event()
    read, paint = PictureFile.read, batch.Stylizer.paint

    def reading(file: PictureFile) -> Any:
        found = read(file)
        if file.name.endswith("b.jpg"):
            second_is_read.set()
        return found

    def painting(stylizer: batch.Stylizer, photo: Any) -> Any:
        assert second_is_read.wait(20)
        return paint(stylizer, photo)

    monkeypatch.setattr(PictureFile, "read", reading)
    monkeypatch.setattr(batch.Stylizer, "paint", painting)
    stylize(run_dir, photos, tmp_path / "out")


def test_large_photos_are_in_memory_one_by_one(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only one photo fits, the next is read after the last one's painting is written."""
    events: list[str] = []
    read, write = PictureFile.read, batch.write_picture
    monkeypatch.setattr(batch, "PIXELS_IN_HAND", 40 * 48 + 1)
    monkeypatch.setattr(PictureFile, "read", lambda file: (events.append("read"), read(file))[1])
    monkeypatch.setattr(
        batch, "write_picture", lambda *w, **o: (write(*w, **o), events.append("written"))
    )
    stylize(run_dir, photos, tmp_path / "out")
    assert events == ["read", "written"] * 3
