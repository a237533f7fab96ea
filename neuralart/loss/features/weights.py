"""Converts a file's arrays to our names of VGG-19's weights, and finds the pixels that they expect.

Our names are

``input_weight``, ``input_bias``               1x1 convolution from x to the pixels of the training
``convB_I_weight``, ``convB_I_bias``           convolution I of block B
``head_reluB_1_weight``, ``head_reluB_1_bias`` head of a style layer, where it has one
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.errors import WeightsError
from neuralart.loss.layers import STYLE_LAYERS, VggSpec, conv_names, deepest
from neuralart.machine.archive import Shapes
from neuralart.machine.words import short
from neuralart.pictures.pixels import PIXEL_MEAN

Array = npt.NDArray[np.float32]

Weights = dict[str, Array]

CONVS = tuple(conv_names(deepest(STYLE_LAYERS)))
"""(block, ``B_I``) of the thirteen convolutions in use, conv1_1 to conv5_1."""

PARTS = ("weight", "bias")

HEADS = {layer: f"head{layer.removeprefix('relu')}" for layer in STYLE_LAYERS}

# The numbers of the thirteen convolutions in torchvision and Gluon, which count activations and
# poolings too.
_FEATURES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)

_SHOWN = 4

FULL_WIDTHS = (64, 128, 256, 512, 512)
"""The channels of VGG-19's five blocks."""

LARGEST = 512 * 512 * 3 * 3
"""The numbers of VGG-19's largest convolution. Larger arrays are never read."""


@dataclass(frozen=True)
class TrainedPixels:
    """The pixels that a net was trained on: ``scale @ RGB + shift`` for RGB in 0..255.

    ``words`` describe them.
    Shape:  scale (3, 3), shift (3,)
    """

    words: str
    scale: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]

    def input(self) -> Weights:
        """The ``input`` convolution, which computes these pixels from x = RGB - `PIXEL_MEAN`."""
        return {
            "input_weight": self.scale[:, :, None, None].astype(np.float32),
            "input_bias": (self.scale @ PIXEL_MEAN.astype(np.float64) + self.shift).astype(
                np.float32
            ),
        }


def unit_rgb(words: str, matrix: npt.NDArray[Any], bias: npt.NDArray[Any]) -> TrainedPixels:
    """A convention that is given for RGB in 0..1: ``matrix @ RGB + bias``."""
    return TrainedPixels(words, matrix.astype(np.float64) / 255, bias.astype(np.float64))


_IMAGENET_MEAN, _IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

_CAFFE_MEAN = np.array([123.68, 116.779, 103.939], np.float32).astype(np.float64)

PIXELS = {
    "imagenet": unit_rgb(
        "RGB in 0..1, minus 0.485, 0.456, 0.406, over 0.229, 0.224, 0.225",
        np.diag(1 / _IMAGENET_STD),
        -_IMAGENET_MEAN / _IMAGENET_STD,
    ),
    "rgb": TrainedPixels("RGB in 0..255, minus 123.68, 116.779, 103.939", np.eye(3), -_CAFFE_MEAN),
    "bgr": TrainedPixels(
        "BGR in 0..255, minus 103.939, 116.779, 123.68", np.eye(3)[::-1], -_CAFFE_MEAN[::-1]
    ),
}
"""Pixel conventions by the names that ``--pixels`` takes."""


@dataclass(frozen=True)
class Family:
    """Files that name their arrays in the same way, and how their nets must be run.

    source, licence   in words
    pixels            a name in `PIXELS`
    pooling           ``max`` or ``avg``
    name              (convolution's number, block, ``B_I``, part) -> the file's name of an array
    ignored           pattern of the names of other arrays that such a file may have
    hwio              whether kernels are (height, width, inputs, outputs), as in TensorFlow
    """

    source: str
    licence: str
    pixels: str
    pooling: str
    name: Callable[[int, int, str, str], str]
    ignored: str
    hwio: bool = False


_VGG_LICENCE = "CC BY 4.0, as K. Simonyan and A. Zisserman released VGG-19"

FAMILIES = (
    Family(
        "VGG-19 by torchvision's or Gluon's names",
        "BSD-3-Clause if torchvision's, Apache-2.0 if MXNet's",
        "imagenet",
        "max",
        lambda n, block, name, part: f"features.{_FEATURES[n]}.{part}",
        r"features\.(30|32|34|37|39)\.|classifier\.|output\.|pre_logits\.|head\.",
    ),
    Family(
        "VGG-19 by Gluon's older names",
        "Apache-2.0 if MXNet's",
        "imagenet",
        "max",
        lambda n, block, name, part: f"vgg0_conv{n}_{part}",
        r"vgg0_(conv1[345]|dense\d)_",
    ),
    Family(
        "VGG-19 by Caffe's names, as in dmlc/web-data",
        _VGG_LICENCE,
        "rgb",
        "avg",
        lambda n, block, name, part: f"conv{name}_{part}",
        r"conv5_[234]_|fc[678]_",
    ),
    Family(
        "VGG-19 by Keras' names",
        _VGG_LICENCE,
        "bgr",
        "max",
        lambda n, block, name, part: (
            f"block{block}_conv{name[-1]}_{'kernel' if part == 'weight' else part}"
        ),
        r"block5_conv[234]_|fc[12]_|predictions_|dense",
        hwio=True,
    ),
)


@dataclass(frozen=True)
class Net:
    """A VGG-19 found in a file."""

    spec: VggSpec
    weights: Weights
    source: str
    licence: str
    pixels: str


def recognise(path: Path, arrays: Mapping[str, npt.NDArray[Any]], pixels: str | None = None) -> Net:
    """Recognise the VGG-19 in a file's arrays.

    ``pixels`` is a name in `PIXELS`; by default the family of names decides it.
    Raises WeightsError that names the arrays that are missing, unknown, not numbers, or of a wrong
    shape.
    """
    if "input_weight" in arrays:
        return _distilled(path, arrays)
    # Gluon numbers the nets that a process makes.
    arrays = {re.sub(r"^vgg\d+_", "vgg0_", name): array for name, array in arrays.items()}
    wanted = {
        family: {
            family.name(n, block, name, part): f"conv{name}_{part}"
            for n, (block, name) in enumerate(CONVS)
            for part in PARTS
        }
        for family in FAMILIES
    }
    family = max(FAMILIES, key=lambda family: len(wanted[family].keys() & arrays.keys()))
    if not wanted[family].keys() & arrays.keys():
        raise WeightsError(f"{path}: none of its {len(arrays)} arrays is VGG-19's: {_some(arrays)}")
    ours = wanted[family]
    check_names(path, arrays, ours, family.ignored)
    shapes = {name: _shape(arrays[theirs], family.hwio) for theirs, name in ours.items()}
    theirs_of = {name: theirs for theirs, name in ours.items()}
    widths = check_convs(path, shapes, lambda name: theirs_of[name])
    weights = {}
    for theirs, name in ours.items():
        array = arrays[theirs]
        if family.hwio and array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        weights[name] = float32(array)
    convention = PIXELS[pixels or family.pixels]
    spec = VggSpec(widths, padding="zero", pooling=family.pooling)
    weights |= convention.input()
    return Net(spec, weights, family.source, family.licence, convention.words)


def _distilled(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> Net:
    """A distilled VGG-19: an ``input`` for RGB in 0..1, reflection padding, max pooling.

    Its heads ``headB_1`` are 1x1 convolutions to the channels of the full VGG-19; `fold_head` makes
    them smaller.
    """
    heads = HEADS if any(f"{head}_weight" in arrays for head in HEADS.values()) else {}
    layers = ["input", *(f"conv{name}" for _, name in CONVS), *heads.values()]
    check_names(path, arrays, {f"{layer}_{part}" for layer in layers for part in PARTS})
    widths = check_convs(path, {name: array.shape for name, array in arrays.items()})
    convs = {
        name: float32(arrays[name]) for name in (f"conv{c}_{p}" for _, c in CONVS for p in PARTS)
    }
    if arrays["input_weight"].shape != (3, 3, 1, 1) or arrays["input_bias"].shape != (3,):
        raise WeightsError(f"{path}: input_weight is not a 1x1 convolution of 3 channels")
    words = "RGB in 0..1"
    pixels = unit_rgb(words, arrays["input_weight"][:, :, 0, 0], arrays["input_bias"])
    weights = {**pixels.input(), **convs}
    folded = [0] * len(STYLE_LAYERS)
    for i, (layer, head) in enumerate(heads.items()):
        matrix, bias = float32(arrays[f"{head}_weight"]), float32(arrays[f"{head}_bias"])
        if matrix.shape[1:] != (widths[i], 1, 1) or bias.shape != matrix.shape[:1]:
            raise WeightsError(f"{path}: {head}_weight is {matrix.shape}: not a head of {layer}")
        weight, shift = fold_head(matrix[:, :, 0, 0], bias)
        weights[f"head_{layer}_weight"], weights[f"head_{layer}_bias"] = weight, shift
        folded[i] = len(shift)
    spec = VggSpec(widths, "reflect", "max", tuple(folded))
    return Net(spec, weights, "a distilled VGG-19", "unknown", words)


def _shape(array: npt.NDArray[Any], hwio: bool) -> tuple[int, ...]:
    shape = array.shape
    return (shape[3], shape[2], *shape[:2]) if hwio and len(shape) == 4 else shape


def fold_head(matrix: Array, bias: Array) -> tuple[Array, Array]:
    """A smaller 1x1 convolution that keeps a linear head's distances between Gram matrices.

    Let h = A f + b and M = [A b]. The distance between two Gram matrices of h is that between two
    of L [f; 1] for every L with L^T L = M^T M, since |M X M^T| depends on M^T M only. L is the
    symmetric square root of M^T M; it has C + 1 rows instead of the head's 64 to 512.

    Shape:  (head, C), (head,) -> weight (C + 1, C, 1, 1), bias (C + 1,)
    """
    full = np.concatenate([matrix, bias[:, None]], axis=1).astype(np.float64)
    values, vectors = np.linalg.eigh(full.T @ full)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root[:, :-1, None, None].astype(np.float32), root[:, -1].astype(np.float32)


def check_names(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], wanted: Iterable[str], ignored: str = "$."
) -> None:
    """Raise WeightsError unless the arrays have the wanted names and finite floating-point values.

    Other arrays are allowed where the beginning of their name matches the pattern ``ignored``; the
    default matches none.
    """
    names = set(wanted)
    check_known(path, arrays, names, ignored)
    # Their numbers were not read.
    _refuse(path, "larger than any of VGG-19's", {k for k in names if arrays[k].size > LARGEST})
    _refuse(path, "not finite numbers", {k for k in names if not _is_finite(arrays[k])})


def check_known(path: Path, found: Iterable[str], wanted: Set[str], ignored: str = "$.") -> None:
    """Raise WeightsError unless the names are the wanted ones, see `check_names`."""
    names = set(found)
    _refuse(path, "missing", wanted - names)
    _refuse(path, "unknown", {k for k in names - wanted if not re.match(ignored, k)})


def _refuse(path: Path, problem: str, names: Set[str]) -> None:
    if names:
        raise WeightsError(f"{path}: {len(names)} arrays {problem}: {_some(names)}")


def check_convs(path: Path, shapes: Shapes, theirs: Callable[[str], str] = str) -> tuple[int, ...]:
    """Check the shapes of the convolutions, and return the widths of the five blocks.

    None is wider than VGG-19's. ``theirs`` gives the file's name of an array by ours, for messages.
    Raises WeightsError unless the shapes are a VGG-19's.
    """
    widths: dict[int, int] = {}
    channels = 3
    for block, name in CONVS:
        weight = shapes[f"conv{name}_weight"]
        width = widths.setdefault(block, min(weight[0] if weight else 0, FULL_WIDTHS[block - 1]))
        for part, expected in (("weight", (width, channels, 3, 3)), ("bias", (width,))):
            shape = shapes[f"conv{name}_{part}"]
            if shape != expected:
                raise WeightsError(
                    f"{path}: {theirs(f'conv{name}_{part}')} is {shape}, not {expected}: "
                    "not a VGG-19"
                )
        channels = width
    return tuple(widths.values())


def float32(array: npt.NDArray[Any]) -> Array:
    """The array as contiguous float32."""
    return np.ascontiguousarray(array, dtype=np.float32)


def _some(names: Iterable[str]) -> str:
    first = [short(name, 80) for name in sorted(names)]
    return ", ".join(first[:_SHOWN]) + (", ..." if len(first) > _SHOWN else "")


def _is_finite(array: npt.NDArray[Any]) -> bool:
    # As float32: a float64 out of its range becomes infinite.
    if not np.issubdtype(array.dtype, np.floating):
        return False
    with np.errstate(over="ignore"):
        return bool(np.isfinite(array.astype(np.float32, copy=False)).all())
