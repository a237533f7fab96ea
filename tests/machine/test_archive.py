"""Archives of arrays: written, read back, and refused when damaged."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neuralart.errors import ModelError
from neuralart.machine.archive import Arrays, open_archive, write_archive

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b/c": np.float32([np.pi])}


def read(path: Path) -> Arrays:
    with open_archive(path, ModelError, "a model") as archive:
        return archive.arrays()


def test_an_archive_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"n": 1}, ARRAYS, {"pic.png": b"png"})
    with open_archive(tmp_path / "a.zip", ModelError, "a model") as archive:
        arrays = archive.arrays()
        assert archive.header == {"n": 1} and archive.blob("pic.png") == b"png"
    assert arrays.keys() == ARRAYS.keys() and archive.shapes == {"a": (2, 3), "b/c": (1,)}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_archive(tmp_path / name, {"n": 1}, ARRAYS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, {"n": 1}, {"a": np.random.default_rng(0).normal(size=500)})
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0xFF
    for bad in (b"", data[:50], data[:-10], bytes(flipped), b"[]"):
        path.write_bytes(bad)
        with pytest.raises(ModelError, match=r"a\.zip: damaged, or not a model"):
            read(path)


def test_an_archive_with_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
        archive.write(tmp_path / "evil.npy", "evil.npy")
    with pytest.raises(ModelError, match="damaged"):
        read(path)


def bomb(path: Path, said: int, expanded: int) -> None:
    """An archive with zeros that say to be ``said`` numbers and are ``expanded``."""
    npy = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        npy, {"descr": "<f4", "fortran_order": False, "shape": (said,)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("a.npy", npy.getvalue() + bytes(4 * expanded))


def test_the_shape_of_an_array_is_known_before_it_is_read(tmp_path: Path) -> None:
    bomb(tmp_path / "a.zip", 10**12, 0)
    with open_archive(tmp_path / "a.zip", ModelError, "a model") as archive:
        assert archive.shapes == {"a": (10**12,)}
    with pytest.raises(ModelError, match="damaged"):
        read(tmp_path / "a.zip")


def test_no_more_is_expanded_than_an_array_says(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    bomb(path, 1000, 30_000_000)
    tracemalloc.start()
    try:
        for lies in (False, True):
            if lies:  # zip's own length, too
                data = path.read_bytes()
                long, short = (struct.pack("<I", 4 * n + 128) for n in (30_000_000, 1000))
                assert data.count(long) == 2
                path.write_bytes(data.replace(long, short))
            with pytest.raises(ModelError, match="damaged"):
                read(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_header_or_blob_that_is_too_long_or_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for header in (b"[" * 100_000 + b"]" * 100_000, b" " * 5_000_000 + b"{}"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("header.json", header)
        with pytest.raises(ModelError, match="damaged"):
            read(path)
    write_archive(path, {}, {}, {"pic.png": bytes(65_000_000)})
    with (
        pytest.raises(ModelError, match="damaged"),
        open_archive(path, ModelError, "a model") as found,
    ):
        found.blob("pic.png")


def test_a_compression_that_may_take_any_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("header.json", "{}")
    with pytest.raises(ModelError, match="damaged"):
        read(path)
