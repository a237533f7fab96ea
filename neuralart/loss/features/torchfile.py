"""Reads torch's ``.pth`` files without torch and without running the code that they may carry.

A ``.pth`` contains pickles, and a pickle is a program. The unpickler here knows the few names that
a state_dict needs and makes only tuples, dicts and strings of them. It refuses any other name
without importing it.

There are two layouts:

torch 1.6 and later   a zip of ``data.pkl`` and one file for each storage
before                pickles of magic number, protocol, system, state_dict and storage keys; then
                      the raw storages
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuralart.machine.archive import Arrays

MAGIC = 0x1950A86A20F9469CFC6C

PROTOCOL = 1001

_MOST_PICKLE = 4_000_000  # bytes; that of VGG-19 has 6,000

BFLOAT16 = "bfloat16"

_STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16, "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2",
    "CharStorage": "|i1", "ByteStorage": "|u1", "BoolStorage": "|b1",
}  # fmt: skip


class CarriesCode(Exception):
    """The pickle names something that no state_dict needs."""


class _Storage(NamedTuple):
    """A tensor's part of a storage.

    kind     numpy's name of the number type, or `BFLOAT16`
    key      the storage's name in the file
    total    numbers in the storage
    start    index of the first number of the part
    length   numbers in the part
    """

    kind: str
    key: str
    total: int
    start: int
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


# In Python, though that is slower: the one in C allocates what a pickle asks for as its memo.
class _Unpickler(pickle._Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        # Files of 2017 were written by Python 2.
        super().__init__(file, encoding="utf-8")

    def find_class(self, module: str, name: str) -> Any:
        # A new function for each call: a pickle may set attributes of the object that it gets.
        if (module, name) in (
            ("torch._utils", "_rebuild_tensor"),
            ("torch._utils", "_rebuild_tensor_v2"),
        ):
            return lambda *args: _Tensor(*args[:4])
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *args: tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch", "Size"):
            return tuple
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise CarriesCode(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        tag, kind, key, _, total, *view = pid
        if tag != "storage" or kind not in _STORAGES.values():
            raise ValueError("not a storage")
        start, count = view[0][1:] if view and view[0] is not None else (0, total)
        return _Storage(kind, str(key), total, start, count)


def read_torch_zip(data: bytes) -> Arrays:
    """Read the tensors of a ``.pth`` file of torch 1.6 or later.

    Raises CarriesCode; a damaged file raises any of the errors in `formats._BROKEN`.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        if archive.getinfo(pickled).file_size > _MOST_PICKLE:
            raise ValueError("a pickle that is too long")
        with archive.open(pickled) as member:
            state = _Unpickler(io.BytesIO(member.read(_MOST_PICKLE))).load()

        def storage(key: str, kind: str, total: int) -> npt.NDArray[Any]:
            info = archive.getinfo(f"{root}data/{key}")
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError("a storage that is compressed")
            return numbers(archive.read(info), kind, total)

        return _arrays(state, storage)


def read_torch_legacy(data: bytes) -> Arrays:
    """Read the tensors of a ``.pth`` file of torch before 1.6; raises as `read_torch_zip` does."""
    file = io.BytesIO(data)
    if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != PROTOCOL:
        raise ValueError("not torch's magic number")
    _Unpickler(file).load()  # the system that wrote it
    state = _Unpickler(file).load()
    keys = [str(key) for key in _Unpickler(file).load()]
    totals = {t.storage.key: (t.storage.kind, t.storage.total) for t in _tensors(state).values()}
    found: dict[str, npt.NDArray[Any]] = {}
    for key in keys:
        kind, total = totals[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != total:
            raise ValueError("a storage of another length")
        found[key] = numbers(data, kind, total, file.tell())
        file.seek(total * item_size(kind), io.SEEK_CUR)
    return _arrays(state, lambda key, kind, total: found[key])


def item_size(kind: str) -> int:
    """Bytes in one number of a numpy dtype or of `BFLOAT16`."""
    return 2 if kind == BFLOAT16 else np.dtype(kind).itemsize


def numbers(data: bytes, kind: str, count: int, offset: int = 0) -> npt.NDArray[Any]:
    """Decode ``count`` numbers from bytes, shape (count,).

    bfloat16 becomes float32: it is a float32's upper half.
    Raises ValueError if the bytes hold fewer numbers.
    """
    if not 0 <= count * item_size(kind) <= len(data) - offset:
        raise ValueError("cut short")
    if kind != BFLOAT16:
        return np.frombuffer(data, kind, count, offset)
    upper = np.frombuffer(data, "<u2", count, offset)
    return (upper.astype(np.uint32) << 16).view(np.float32)


def _tensors(state: Any) -> dict[str, _Tensor]:
    if not isinstance(state, dict):
        raise TypeError("not a state_dict")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise TypeError(f"{name} is not a tensor")
        if not isinstance(tensor.storage, _Storage):
            raise TypeError(f"{name} has no storage")
    return state


def _arrays(state: Any, storage: Callable[[str, str, int], npt.NDArray[Any]]) -> Arrays:
    """The tensors as numpy views of their storages, which they may share."""
    arrays: Arrays = {}
    loaded: dict[str, npt.NDArray[Any]] = {}
    for name, tensor in _tensors(state).items():
        kind, key, total, start, count = tensor.storage
        if key not in loaded:
            loaded[key] = storage(key, kind, total)
        flat = loaded[key][start : start + count]
        size, stride = tuple(tensor.size), tuple(tensor.stride)
        inside = len(size) == len(stride) and all(n >= 0 for n in (tensor.offset, *size, *stride))
        last = tensor.offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if not inside or np.prod(size, dtype=object) > len(flat) or last >= len(flat):
            raise ValueError(f"{name} reaches beyond its storage")
        steps = [step * flat.itemsize for step in stride]
        arrays[name] = np.lib.stride_tricks.as_strided(
            flat[tensor.offset :], size, steps, writeable=False
        )
    return arrays
