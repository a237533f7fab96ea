"""Reads the weight files of several libraries into arrays by name.

The first bytes tell the format; the file's name does not matter. Only Keras' format needs a library
(h5py). No code in a file is ever run.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.errors import WeightsError
from neuralart.loss.features.torchfile import (
    BFLOAT16,
    CarriesCode,
    item_size,
    numbers,
    read_torch_legacy,
    read_torch_zip,
)
from neuralart.loss.features.weights import LARGEST
from neuralart.machine.archive import Arrays, ZipOfArrays
from neuralart.machine.installation import install_command
from neuralart.machine.words import short

# VGG-19's sixteen convolutions have 20 million, its last dense layer 4 million.
_MOST_NUMBERS = 40_000_000

KNOWN = "torch .pth, .safetensors, MXNet .params, Keras .h5 or .npz"

# What the readers raise for damaged bytes; zipfile raises RuntimeError for an encrypted member.
_BROKEN = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    StopIteration, TypeError, ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


def read_arrays(path: Path, data: bytes) -> Arrays:
    """Read the arrays of a file, by their names in it.

    Raises WeightsError if the file is damaged, cut short, carries code, or has an unknown format.
    """
    for kind, is_kind, read in (
        ("torch .pth", data[:4] == b"PK\3\4" and b"data.pkl" in data[:200], read_torch_zip),
        (".npz", data[:2] == b"PK", _read_npz),
        ("Keras .h5", data[:8] == b"\x89HDF\r\n\x1a\n", _read_h5),
        ("MXNet .params", data[:8] == struct.pack("<Q", _LIST), read_params),
        ("torch .pth", data[:1] == b"\x80", read_torch_legacy),
        (".safetensors", data[8:9] == b"{", _read_safetensors),
    ):
        if not is_kind:
            continue
        try:
            return read(data)
        except CarriesCode as error:
            raise WeightsError(
                f"{path}: carries code ({short(error, 80)}), which is never run: refused; "
                "a state_dict of tensors carries none"
            ) from None
        except _BROKEN:
            raise WeightsError(f"{path}: damaged or cut short: not a whole {kind} file") from None
    raise WeightsError(f"{path}: not a file of VGG weights, which are {KNOWN}; or damaged")


def _read_npz(data: bytes) -> Arrays:
    """Read numpy's archive of ``.npy`` files; an array of pickled objects raises ValueError.

    Arrays over `LARGEST` are not read, see `_unread`.
    """
    with contextlib.closing(ZipOfArrays(io.BytesIO(data))) as file:
        sizes = {name: math.prod(shape) for name, shape in file.shapes.items()}
        _check_total(sizes.values())
        return {
            name: file.array(name) if sizes[name] <= LARGEST else _unread(file.shapes[name])
            for name in file.shapes
        }


def _unread(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """In place of an array that is larger than any of use: a zero with that shape.

    The dense layers of VGG-19 are such arrays.
    """
    return np.broadcast_to(np.float32(0), shape)


def _check_total(sizes: Iterable[int]) -> None:
    """Raise ValueError if arrays that are read have more numbers together than a VGG-19."""
    if sum(size for size in sizes if size <= LARGEST) > _MOST_NUMBERS:
        raise ValueError("more numbers than VGG-19 has")


_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": BFLOAT16, "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def _read_safetensors(data: bytes) -> Arrays:
    """Read safetensors: the length of a JSON header, the header, the numbers.

    Source:  github.com/huggingface/safetensors
    """
    (length,) = struct.unpack_from("<Q", data)
    if length > len(data) - 8:
        raise ValueError("cut short")
    header = json.loads(data[8 : 8 + length])
    body = 8 + length
    arrays: Arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind, (begin, end) = _SAFETENSORS[entry["dtype"]], entry["data_offsets"]
        shape = tuple(entry["shape"])
        count = int(np.prod(shape, dtype=object))
        if begin < 0 or end - begin != count * item_size(kind):
            raise ValueError(f"{name} is of another length than its shape")
        arrays[name] = numbers(data, kind, count, body + begin).reshape(shape)
    return arrays


_LIST = 0x112

_MAGIC_V1, _MAGIC_V2, _MAGIC_V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA

_MXNET = {
    0: "<f4",
    1: "<f8",
    2: "<f2",
    3: "|u1",
    4: "<i4",
    5: "|i1",
    6: "<i8",
    7: "|b1",
    12: BFLOAT16,
}


def read_params(data: bytes) -> Arrays:
    """Read what ``mx.nd.save`` writes, in all three versions of its format.

    Source:  mxnet, src/ndarray/ndarray.cc
    Hazard:  ``mx.nd.load`` is not used: with one wrong bit in a shape it fills the memory.
    """
    at = 0

    def take(layout: str) -> tuple[Any, ...]:
        nonlocal at
        values = struct.unpack_from("<" + layout, data, at)
        at += struct.calcsize("<" + layout)
        return values

    magic, _, count = take("QQQ")
    if magic != _LIST:
        raise ValueError("not a list of arrays")
    found = []
    for _ in range(count):
        (magic,) = take("I")
        if magic in (_MAGIC_V2, _MAGIC_V3):
            (storage,) = take("i")
            if storage != 0:
                raise ValueError("a sparse array")
        has_magic = magic in (_MAGIC_V1, _MAGIC_V2, _MAGIC_V3)
        # The first version has the number of axes in place of a magic number.
        (axes,) = take("i") if has_magic else (magic,)
        if axes < 1:
            raise ValueError("an array without a shape")
        shape = take(f"{axes}{'q' if has_magic else 'I'}")
        _, _, flag = take("iii")
        total = int(np.prod(shape, dtype=object))
        found.append(numbers(data, _MXNET[flag], total, at).reshape(shape))
        at += total * item_size(_MXNET[flag])
    (named,) = take("Q")
    if named != count:
        raise ValueError("arrays without names")
    arrays: Arrays = {}
    for array in found:
        (length,) = take("Q")
        (name,) = take(f"{length}s")
        arrays[name.decode().removeprefix("arg:")] = array
    return arrays


_KERAS = re.compile(r"(?P<layer>[^/]+)/(?:.*/)?(?:\w+_)?(?P<part>kernel|W|bias|b)(?:_1)?(?::0)?")


def _read_h5(data: bytes) -> Arrays:
    """Read Keras' weights or whole model, with names like ``layer_kernel`` and ``layer_bias``.

    Keras 1 wrote ``block1_conv1/block1_conv1_W_1:0``, Keras 2
    ``block1_conv1/block1_conv1/kernel:0``.
    """
    try:
        import h5py
    except ImportError:
        raise WeightsError(
            f"Keras' .h5 files need h5py; {install_command('keras')}; the other formats need nothing"
        ) from None
    arrays: Arrays = {}
    sizes: list[int] = []

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        match = _KERAS.fullmatch(name)
        if match:
            part = "kernel" if match["part"] in ("kernel", "W") else "bias"
            name = f"{match['layer']}_{part}"
        if item.external or item.is_virtual:
            raise ValueError("numbers in another file")
        sizes.append(item.size)
        _check_total(sizes)
        arrays[name] = item[()] if item.size <= LARGEST else _unread(item.shape)

    with h5py.File(io.BytesIO(data), "r") as file:
        # A whole model also has its optimiser's arrays, in another group.
        link = file.get("model_weights", getlink=True)
        if not (link is None or isinstance(link, h5py.HardLink)):
            raise ValueError("a link to another file")
        file.get("model_weights", file).visititems(visit)
    return arrays
