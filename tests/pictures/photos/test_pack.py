"""Packing photos into a RecordIO file, and training on it."""

from __future__ import annotations

import contextlib
import itertools
import shutil
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
