"""Archives of arrays: written, read back, and refused when damaged."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from neuralart.errors import ModelError
from neuralart.machine.archive import read_archive, write_archive

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b/c": np.float32([np.pi])}


def test_an_archive_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"n": 1}, ARRAYS, {"pic.png": b"png"})
    header, arrays, blobs = read_archive(tmp_path / "a.zip", ModelError, "a model")
    assert header == {"n": 1} and blobs == {"pic.png": b"png"} and arrays.keys() == ARRAYS.keys()
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
            read_archive(path, ModelError, "a model")


def test_an_archive_with_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
        archive.write(tmp_path / "evil.npy", "evil.npy")
    with pytest.raises(ModelError, match="damaged"):
        read_archive(path, ModelError, "a model")
