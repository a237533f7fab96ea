"""Arrays of a file -> the weights of our VGG: whose names they bear, and which pixels they expect.

Ours are ``input_weight`` and ``input_bias`` (the 1x1 convolution from x to what the net was trained on),
``convB_I_weight`` and ``convB_I_bias``, and for each style layer with a head ``head_reluB_1_weight`` and
``head_reluB_1_bias``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.errors import WeightsError
from neuralart.images import PIXEL_MEAN
from neuralart.symbols.vgg import STYLE_LAYERS, VggSpec, conv_names, deepest

Array = npt.NDArray[np.float32]
Weights = dict[str, Array]

CONVS = tuple(conv_names(deepest(STYLE_LAYERS)))
"""(block, ``B_I``) of the thirteen convolutions that are used, conv1_1 to conv5_1."""

PARTS = ("weight", "bias")
HEADS = {layer: f"head{layer.removeprefix('relu')}" for layer in STYLE_LAYERS}

# Where torchvision and Gluon count the thirteen convolutions among activations and poolings.
_FEATURES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)

_SHOWN = 4


@dataclass(frozen=True)
class Pixels:
    """What a net was trained on: ``scale @ RGB + shift`` for RGB in 0..255; ``words`` say it.

    Shape:  scale (3, 3), shift (3,)
    """

    words: str
    scale: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]

    def input(self) -> Weights:
        """The ``input`` convolution: the same for x, which is RGB minus `PIXEL_MEAN`."""
        return {
            "input_weight": self.scale[:, :, None, None].astype(np.float32),
            "input_bias": (self.scale @ PIXEL_MEAN.astype(np.float64) + self.shift).astype(
                np.float32
            ),
        }


def unit_rgb(words: str, matrix: npt.NDArray[Any], bias: npt.NDArray[Any]) -> Pixels:
    """A convention stated for RGB in 0..1."""
    return Pixels(words, matrix.astype(np.float64) / 255, bias.astype(np.float64))


_IMAGENET_MEAN, _IMAGENET_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939], np.float32).astype(np.float64)

PIXELS = {
    "imagenet": unit_rgb(
        "RGB in 0..1, minus 0.485, 0.456, 0.406, over 0.229, 0.224, 0.225",
        np.diag(1 / _IMAGENET_STD),
        -_IMAGENET_MEAN / _IMAGENET_STD,
    ),
    "rgb": Pixels("RGB in 0..255, minus 123.68, 116.779, 103.939", np.eye(3), -_CAFFE_MEAN),
    "bgr": Pixels(
        "BGR in 0..255, minus 103.939, 116.779, 123.68", np.eye(3)[::-1], -_CAFFE_MEAN[::-1]
    ),
}
"""Conventions by the names that ``--pixels`` takes."""


@dataclass(frozen=True)
class Family:
    """Files that name their arrays alike, and how the nets in them are run.

    ``name`` gives the file's name of an array from the convolution's number, its block and ``B_I``, and
    the part; ``ignored`` are names that such a file may have besides.
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
    """A VGG found in a file."""

    spec: VggSpec
    weights: Weights
    source: str
    licence: str
    pixels: str


def recognise(path: Path, arrays: Mapping[str, npt.NDArray[Any]], pixels: str | None = None) -> Net:
    """The VGG that a file's arrays are.

    ``pixels`` is a name in `PIXELS`, for weights that bear names of another family than their own.
    Raises WeightsError naming arrays that are missing, unknown, not numbers, or of a wrong shape.
    """
    if "input_weight" in arrays:
        return _distilled(path, arrays)
    # Gluon numbers the nets that one process makes.
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
    weights = {}
    for theirs, name in ours.items():
        array = arrays[theirs]
        if family.hwio and array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        weights[name] = float32(array)
    theirs_of = {name: theirs for theirs, name in ours.items()}
    widths = check_convs(path, weights, lambda name: theirs_of[name])
    convention = PIXELS[pixels or family.pixels]
    spec = VggSpec(widths, padding="zero", pooling=family.pooling)
    weights |= convention.input()
    return Net(spec, weights, family.source, family.licence, convention.words)


def _distilled(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> Net:
    """A distilled VGG-19: an ``input`` for RGB in 0..1, reflection padding, max pooling.

    The heads ``headB_1``, 1x1 convolutions to the channels of the full VGG-19, are folded (`fold_head`).
    """
    heads = HEADS if any(f"{head}_weight" in arrays for head in HEADS.values()) else {}
    layers = ["input", *(f"conv{name}" for _, name in CONVS), *heads.values()]
    check_names(path, arrays, {f"{layer}_{part}" for layer in layers for part in PARTS})
    convs = {
        name: float32(arrays[name]) for name in (f"conv{c}_{p}" for _, c in CONVS for p in PARTS)
    }
    widths = check_convs(path, convs)
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


def fold_head(matrix: Array, bias: Array) -> tuple[Array, Array]:
    """The small 1x1 convolution that has the Gram distances of a large linear head.

    For h = A f + b, the distance of two Grams of h is that of two Grams of L [f; 1] whenever
    L^T L = [A b]^T [A b], for |M X M^T| depends on M^T M alone. L is the symmetric root, of
    channels + 1 rows instead of the head's 64 to 512.

    Shape:  (head, C), (head,) -> weight (C + 1, C, 1, 1), bias (C + 1,)
    """
    full = np.concatenate([matrix, bias[:, None]], axis=1).astype(np.float64)
    values, vectors = np.linalg.eigh(full.T @ full)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root[:, :-1, None, None].astype(np.float32), root[:, -1].astype(np.float32)


def check_names(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], wanted: Iterable[str], ignored: str = "$."
) -> None:
    """Raise WeightsError unless the arrays are the wanted ones, of numbers, and finite.

    Names that begin as the pattern ``ignored`` says may be there or not, whatever they hold.
    """
    names = set(wanted)
    for problem, wrong in (
        ("missing", names - arrays.keys()),
        ("unknown", {k for k in arrays.keys() - names if not re.match(ignored, k)}),
        ("not finite numbers", {k for k in names & arrays.keys() if not _is_finite(arrays[k])}),
    ):
        if wrong:
            raise WeightsError(f"{path}: {len(wrong)} arrays {problem}: {_some(wrong)}")


def check_convs(
    path: Path, weights: Mapping[str, Array], theirs: Callable[[str], str] = str
) -> tuple[int, ...]:
    """The widths of the five blocks. Raises WeightsError unless the convolutions are a VGG-19's.

    ``theirs`` gives the file's name of an array of ours.
    """
    widths: dict[int, int] = {}
    channels = 3
    for block, name in CONVS:
        weight, bias = weights[f"conv{name}_weight"], weights[f"conv{name}_bias"]
        width = widths.setdefault(block, weight.shape[0] if weight.ndim else 0)
        for part, array, expected in (
            ("weight", weight, (width, channels, 3, 3)),
            ("bias", bias, (width,)),
        ):
            if array.shape != expected:
                raise WeightsError(
                    f"{path}: {theirs(f'conv{name}_{part}')} is {array.shape}, not {expected}: "
                    "not a VGG-19"
                )
        channels = width
    return tuple(widths.values())


def float32(array: npt.NDArray[Any]) -> Array:
    """The array as it is bound: float32, in one piece."""
    return np.ascontiguousarray(array, dtype=np.float32)


def _some(names: Iterable[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:_SHOWN]) + (", ..." if len(first) > _SHOWN else "")


def _is_finite(array: npt.NDArray[Any]) -> bool:
    # Finite as float32, which a float64 beyond its range is not.
    if not np.issubdtype(array.dtype, np.floating):
        return False
    with np.errstate(over="ignore"):
        return bool(np.isfinite(array.astype(np.float32, copy=False)).all())
