"""A tiny VGG-19 in the forms that other libraries write, without those libraries, and a VGG in numpy."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from neuralart.loss.layers import conv_names

Arrays = Mapping[str, np.ndarray]

ALL_CONVS = [name for _, name in conv_names("relu5_4")]

# Where torchvision and Gluon have the sixteen convolutions.
FEATURES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


def tiny_vgg(seed: int = 3, widths: tuple[int, ...] = (4, 5, 6, 7, 8)) -> dict[str, np.ndarray]:
    """All sixteen convolutions by our names, float32, OIHW."""
    rng = np.random.default_rng(seed)
    arrays, channels = {}, 3
    for name in ALL_CONVS:
        out = widths[int(name[0]) - 1]
        scale = np.sqrt(2 / (9 * channels))
        arrays[f"conv{name}_weight"] = rng.normal(0, scale, (out, channels, 3, 3)).astype("f4")
        arrays[f"conv{name}_bias"] = rng.normal(0, 0.1, out).astype("f4")
        channels = out
    return arrays


def numpy_vgg(
    arrays: Arrays, pixels: np.ndarray, until: str, *, padding: str, pooling: str
) -> np.ndarray:
    """The activation of a layer by numpy alone: (3, H, W) of what the net expects -> (C, h, w)."""
    out, pooled = pixels, 1
    for block, name in conv_names(until):
        if block != pooled:
            c, h, w = out.shape
            windows = out[:, : h // 2 * 2, : w // 2 * 2].reshape(c, h // 2, 2, w // 2, 2)
            out = windows.max((2, 4)) if pooling == "max" else windows.mean((2, 4))
            pooled = block
        mode = "reflect" if padding == "reflect" else "constant"
        padded = np.pad(out, ((0, 0), (1, 1), (1, 1)), mode=mode)
        views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        out = np.einsum("oikl,ihwkl->ohw", arrays[f"conv{name}_weight"], views, optimize=True)
        out = np.maximum(out + arrays[f"conv{name}_bias"][:, None, None], 0)
    return out


def renamed(arrays: Arrays, name: Callable[[int, str, str], str]) -> dict[str, np.ndarray]:
    """The convolutions by names of (number, ``B_I``, part)."""
    return {
        name(n, conv, part): arrays[f"conv{conv}_{part}"]
        for n, conv in enumerate(ALL_CONVS)
        for part in ("weight", "bias")
    }


def torch_names(arrays: Arrays) -> dict[str, np.ndarray]:
    """As torchvision and today's Gluon name them, with a layer of the classifier."""
    named = renamed(arrays, lambda n, conv, part: f"features.{FEATURES[n]}.{part}")
    return {**named, "classifier.0.weight": np.zeros((2, 8), np.float32)}


def gluon_names(arrays: Arrays) -> dict[str, np.ndarray]:
    named = renamed(arrays, lambda n, conv, part: f"vgg3_conv{n}_{part}")
    return {**named, "vgg3_dense0_bias": np.zeros(2, np.float32)}


def caffe_names(arrays: Arrays) -> dict[str, np.ndarray]:
    named = renamed(arrays, lambda n, conv, part: f"conv{conv}_{part}")
    return {**named, "fc6_bias": np.zeros(2, np.float32)}


def op(value: object) -> bytes:
    """The opcodes of a plain value (pickle protocol 2); bytes are opcodes already."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    assert isinstance(value, (tuple, list))
    items = b"(" + b"".join(map(op, value))
    return items + b"t" if isinstance(value, tuple) else b"]" + items + b"e"


EMPTY_DICT = b"ccollections\nOrderedDict\n)R"


def torch_tensor(
    key: str, array: np.ndarray, *, old: bool = False, kind: str = "FloatStorage"
) -> bytes:
    """The opcodes of a tensor that has a storage for itself; ``old`` as in 2017."""
    steps = tuple(step // array.itemsize for step in array.strides)
    view = (b"N",) if old else ()
    storage = op(("storage", f"ctorch\n{kind}\n".encode(), key, "cpu", array.size, *view)) + b"Q"
    if old:
        return b"ctorch._utils\n_rebuild_tensor\n" + op((storage, 0, array.shape, steps)) + b"R"
    arguments = (storage, 0, array.shape, steps, False, EMPTY_DICT)
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + op(arguments) + b"R"


def state_dict(tensors: Mapping[str, bytes]) -> bytes:
    items = b"".join(op(name) + opcodes for name, opcodes in tensors.items())
    return b"\x80\x02" + EMPTY_DICT + b"(" + items + b"u."


def write_torch_zip(path: Path, arrays: Arrays, extra: Mapping[str, bytes] | None = None) -> None:
    """A ``.pth`` as torch 1.6 and newer write it; ``extra`` are further entries as opcodes."""
    tensors = {name: torch_tensor(str(i), a) for i, (name, a) in enumerate(arrays.items())}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/data.pkl", state_dict({**tensors, **(extra or {})}))
        archive.writestr("tiny/byteorder", "little")
        for i, array in enumerate(arrays.values()):
            archive.writestr(f"tiny/data/{i}", array.tobytes("A"))
        archive.writestr("tiny/version", "3\n")


def write_torch_legacy(path: Path, arrays: Arrays) -> None:
    """A ``.pth`` as torch wrote it in 2017, when torchvision's VGG-19 was made."""
    keys = [str(94000 + i) for i in range(len(arrays))]
    tensors = {
        name: torch_tensor(key, array, old=True)
        for key, (name, array) in zip(keys, arrays.items(), strict=True)
    }
    magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    system = b"\x80\x02}(" + op("little_endian") + op(True) + b"u."
    storages = b"".join(struct.pack("<q", a.size) + a.tobytes("A") for a in arrays.values())
    pickles = [magic, b"\x80\x02" + op(1001) + b".", system, state_dict(tensors)]
    path.write_bytes(b"".join(pickles) + b"\x80\x02" + op(keys) + b"." + storages)


def write_safetensors(path: Path, arrays: Arrays, kind: str = "F32") -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, array in arrays.items():
        if kind == "BF16":
            data = (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        else:
            data = array.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[kind]).tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def write_params(path: Path, arrays: Arrays, generation: int) -> None:
    """An MXNet ``.params`` with shapes as of 2015 (0), 2017 (1) or since 1.0 (2)."""
    out = io.BytesIO()
    out.write(struct.pack("<QQQ", 0x112, 0, len(arrays)))
    for array in arrays.values():
        if generation == 0:
            out.write(struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape))
        else:
            out.write(struct.pack("<I", 0xF993FAC7 + generation))
            out.write(struct.pack("<i", 0) if generation == 2 else b"")
            out.write(struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape))
        out.write(struct.pack("<iii", 1, 0, 0) + array.astype("<f4").tobytes())
    out.write(struct.pack("<Q", len(arrays)))
    for name in arrays:
        out.write(struct.pack("<Q", len(name)) + name.encode())
    path.write_bytes(out.getvalue())


def write_h5(path: Path, arrays: Arrays, form: str) -> None:
    """Keras' weights: ``weights`` of Keras 2, ``model`` with the optimiser, or ``notop`` of Keras 1."""
    import h5py

    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if form == "model" else file
        for conv in ALL_CONVS:
            layer = f"block{conv[0]}_conv{conv[-1]}"
            kernel = arrays[f"conv{conv}_weight"].transpose(2, 3, 1, 0)
            bias = arrays[f"conv{conv}_bias"]
            if form == "notop":
                root[f"{layer}/{layer}_W_1:0"], root[f"{layer}/{layer}_b_1:0"] = kernel, bias
            else:
                root[f"{layer}/{layer}/kernel:0"], root[f"{layer}/{layer}/bias:0"] = kernel, bias
        root.create_group("block1_pool")
        root["predictions/predictions/kernel:0"] = np.zeros((2, 3), np.float32)
        if form == "model":
            file["optimizer_weights/Adam/m/block1_conv1/kernel:0"] = np.zeros(3, np.float32)
