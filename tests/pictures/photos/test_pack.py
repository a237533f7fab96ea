"""Packing photos into a RecordIO file, and training on it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import fails, run_cli

from neuralart.engine.door import mx
from neuralart.errors import PhotosError
from neuralart.pictures.photos import pack as packing
from neuralart.pictures.photos.records import MAGIC, RecordFile, picture_of, record
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.reading import decode_image


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, photo_dir: Path) -> Path:
    """The photos of `photo_dir`, packed by two processes."""
    out = tmp_path_factory.mktemp("packed") / "photos.rec"
    result = run_cli("pack", photo_dir, out, "--edge", 38, "--processes", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    lines = result.stderr.splitlines()
    assert lines[0].startswith("skipped cut.jpg: ")
    assert lines[1:] == ["skipped notes.txt: no picture's suffix", "13 photos, 2 files skipped"]
    assert sorted(p.name for p in out.parent.iterdir()) == ["photos.idx", "photos.lst", out.name]
    return out


class InThisProcess(ThreadPoolExecutor):
    """A pool of threads in place of processes, each of which takes a second to start."""

    def __init__(self, workers: int, **_: object) -> None:
        super().__init__(workers)


def test_mxnet_reads_what_was_packed(packed: Path) -> None:
    rows = [row.split("\t") for row in packed.with_suffix(".lst").read_text().splitlines()]
    names = {int(key): name for key, _, name in rows}
    assert len(names) == 13 and "more/3.jpg" in names.values() and "cut.jpg" not in names.values()
    reader = mx.recordio.MXIndexedRecordIO(str(packed.with_suffix(".idx")), str(packed), "r")
    assert reader.keys == list(names)
    for key in reader.keys:
        header, data = mx.recordio.unpack(reader.read_idx(key))
        assert header.id == key
        height, width = decode_image(data, names[key]).shape[:2]
        assert min(height, width) == (9 if names[key] == "small.png" else min(38, height, width))
    images = mx.io.ImageRecordIter(path_imgrec=str(packed), data_shape=(3, 32, 32), batch_size=1)
    assert sum(1 for _ in images) == 13


def test_a_packing_that_was_stopped_ends_with_the_same_bytes(
    packed: Path, photo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates = itertools.count()

    def stop(count: int) -> None:
        if next(updates) == 1:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def stopping(total: int, done: int, unit: str) -> Iterator[SimpleNamespace]:
        assert (total, done) == (14, 0) if next(updates) == 0 else done > 0
        yield SimpleNamespace(update=stop)

    monkeypatch.setattr(packing, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(packing, "CHUNK", 4)
    monkeypatch.setattr(packing, "counting", stopping)
    out = tmp_path / "photos.rec"
    command = ["pack", photo_dir, out, "--edge", 38, "--processes", 1]
    result = run_cli(*command)
    assert result.exit_code == 130 and "goes on" in result.stderr and not out.exists()
    assert run_cli(*command).exit_code == 0
    for suffix in (".rec", ".idx", ".lst"):
        assert out.with_suffix(suffix).read_bytes() == packed.with_suffix(suffix).read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def test_wrong_input_is_refused(
    photo_dir: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "ProcessPoolExecutor", InThisProcess)
    out = tmp_path / "photos.rec"
    fails(run_cli("pack", tmp_path / "none", out), 1, "no such folder")
    fails(run_cli("pack", photo_dir, tmp_path / "photos"), 1, ".rec")
    fails(run_cli("pack", photo_dir, packed), 1, "--overwrite")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_text("hello")
    result = run_cli("pack", tmp_path / "bad", out)
    assert result.exit_code == 1 and "a.jpg: " in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_the_stream_of_records_resumes_at_any_step(packed: Path) -> None:
    def first(step: int, count: int) -> list[np.ndarray]:
        stream = Photos(packed, 32, seed=3, holdout=2, batch=2).stream(step)
        with contextlib.closing(stream):
            return [x for _, x in itertools.islice(stream, count)]

    straight, resumed = first(0, 20), first(12, 8)
    assert straight[0].shape == (2, 3, 32, 32)
    np.testing.assert_array_equal(straight[12:], resumed)


def test_training_on_records(train_arguments: list[object], packed: Path, tmp_path: Path) -> None:
    arguments = list(train_arguments)
    arguments[arguments.index("--data") + 1] = packed
    assert run_cli(*arguments, "--out", tmp_path / "run").exit_code == 0
    skipped = (tmp_path / "run" / "skipped.txt").read_text()
    assert skipped.startswith("record ") and "too small: 9x9" in skipped


def copied(packed: Path, folder: Path) -> Path:
    """A copy that a test may damage."""
    for suffix in (".rec", ".idx"):
        shutil.copy(packed.with_suffix(suffix), folder)
    return folder / packed.name


def test_a_damaged_or_incomplete_file_of_records_is_refused(packed: Path, tmp_path: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(PhotosError, match=words):
            Photos(path, 32, seed=0, holdout=2)

    path = copied(packed, tmp_path)
    whole, index = path.read_bytes(), path.with_suffix(".idx").read_text()
    for length in (len(whole) - 8, len(whole) // 2, 0):
        path.write_bytes(whole[:length])
        refused("shorter than its index")
    path.write_bytes(whole)
    for text, words in (("", "no pictures"), ("hello\n", "no index"), (None, "no photos.idx")):
        path.with_suffix(".idx").unlink()
        if text is not None:
            path.with_suffix(".idx").write_text(text)
        refused(words)
    path.with_suffix(".idx").write_text(index)
    path.unlink()
    refused("no photos.rec")


def by_mxnet(path: Path, pictures: list[bytes]) -> None:
    writer = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, picture in enumerate(pictures):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, 0.0, key, 0), picture))
    writer.close()


def test_records_are_mxnets_bytes(tmp_path: Path) -> None:
    """Also where a picture holds the magic number: at each offset, several times, at the ends."""
    pictures = [b"a", b"ab", b"abc", b"abcd"]
    pictures += [bytes(n) + MAGIC + b"x" * m for n in range(9) for m in range(5)]
    pictures += [MAGIC * 3, MAGIC[:3] + MAGIC, b"abcd" + MAGIC + b"ab" + MAGIC + b"cd" + MAGIC * 2]
    path = tmp_path / "a.rec"
    by_mxnet(path, pictures)
    assert b"".join(record(key, data) for key, data in enumerate(pictures)) == path.read_bytes()
    file = RecordFile(path, path.with_suffix(".idx"))
    assert [file.read(key) for key in file.keys] == pictures


def test_a_record_with_labels_or_an_odd_flag(tmp_path: Path) -> None:
    """A flag of n says that n labels come before the picture."""
    header = mx.recordio.IRHeader(0, [1.0, 2.0, 3.0], 5, 0)
    assert picture_of(mx.recordio.pack(header, b"picture")) == b"picture"
    for flag in (2, 3, 2**31, 2**32 - 1):
        assert picture_of(struct.pack("<IfQQ", flag, 0, 0, 0) + b"picture") is None
    assert picture_of(b"short") is None
    assert picture_of(struct.pack("<IfQQ", 1, 0, 0, 0) + b"picture") == b"ure"


def test_a_damaged_record_is_skipped_and_listed(packed: Path, tmp_path: Path) -> None:
    path = copied(packed, tmp_path)
    offset = int(path.with_suffix(".idx").read_text().split()[5])
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = b"oops"
    path.write_bytes(data)
    photos = Photos(path, 32, seed=0, holdout=0)
    with contextlib.closing(photos.stream(0)) as stream:
        squares = [x for _, x in itertools.islice(stream, 30)]
    assert len(squares) == 30
    assert "the record is damaged or cut short" in photos.skipped.values()


@pytest.mark.parametrize("damage", ["plan", "deep plan", "no records", "cut records", "chunk"])
def test_a_stopped_packing_that_is_damaged_is_packed_again(
    packed: Path,
    photo_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    monkeypatch.setattr(packing, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(packing, "CHUNK", 4)
    monkeypatch.setattr(packing, "_join", interrupt)
    out = tmp_path / "photos.rec"
    command = ["pack", photo_dir, out, "--edge", 38, "--processes", 1]
    assert run_cli(*command).exit_code == 130
    monkeypatch.undo()
    monkeypatch.setattr(packing, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(packing, "CHUNK", 4)
    parts = tmp_path / ".photos.rec.parts"
    first = parts / "chunk-000000004.json"
    if damage == "plan":
        (parts / "plan.json").write_bytes(b'{"photos"\xff')
    elif damage == "deep plan":
        (parts / "plan.json").write_bytes(b"[" * 100_000)
    elif damage == "no records":
        first.with_suffix(".rec").unlink()
    elif damage == "cut records":
        first.with_suffix(".rec").write_bytes(b"half")
    else:
        first.write_text('{"size": 3}')
    result = run_cli(*command)
    assert result.exit_code == 0, result.output
    for suffix in (".rec", ".idx", ".lst"):
        assert out.with_suffix(suffix).read_bytes() == packed.with_suffix(suffix).read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_names_with_tabs_and_lines_stay_in_their_row(
    photo_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "ProcessPoolExecutor", InThisProcess)
    (tmp_path / "in").mkdir()
    names = ["a\tb.png", "c\nd.png", "e\x1b[31mf.png", os.fsdecode(b"g\xffh.png")]
    for name in names:
        shutil.copy(photo_dir / "0.png", tmp_path / "in" / name)
    (tmp_path / "in" / "i\n\x1b[2J.txt").write_text("no picture")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    result = run_cli("pack", tmp_path / "in", tmp_path / "out.rec")
    assert result.exit_code == 0, result.output
    assert "skipped i\\n\\x1b[2J.txt: no picture's suffix" in result.stderr
    assert "skipped pipe.png: a pipe or a device" in result.stderr
    assert "\x1b" not in result.stderr
    rows = (tmp_path / "out.lst").read_text().split("\n")
    assert [row.split("\t")[2] for row in rows[:-1]] == [
        "a\\tb.png", "c\\nd.png", "e\\x1b[31mf.png", "g\\xffh.png",
    ]  # fmt: skip
