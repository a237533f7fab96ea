"""VGG weights: read from a file, checked by name and shape, brought to our pixel convention.

Weights are arrays by the names of `neuralart.symbols.vgg`: ``input_weight`` and ``input_bias`` (the 1x1
convolution from x to what the net was trained on), ``convB_I_weight`` and ``convB_I_bias``, and for each
style layer with a head ``head_reluB_1_weight`` and ``head_reluB_1_bias``.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.errors import WeightsError
from neuralart.images import PIXEL_MEAN
from neuralart.symbols.vgg import STYLE_LAYERS, VggSpec, conv_names, deepest

Array = npt.NDArray[np.float32]

# A quarter of VGG-19's channels: random features need no more, and cost a tenth.
RANDOM_WIDTHS = (16, 32, 64, 128, 128)


@dataclass(frozen=True)
class Features:
    """A VGG with its weights, ready to measure pictures.

    ``source`` says in words where the weights come from; ``sha256`` is that of the file, or of the
    arrays where there is none.
    """

    name: str
    source: str
    sha256: str
    spec: VggSpec
    weights: dict[str, Array]


def load_features(name: str) -> Features:
    """The features called ``random``, or those in a file.

    Raises WeightsError naming the file and the arrays that are wrong.
    """
    if name == "random":
        return random_features()
    return read_features(Path(name))


def random_features(seed: int = 0, widths: tuple[int, ...] = RANDOM_WIDTHS) -> Features:
    """A VGG with random weights (He et al. 2015), the same for a seed on every machine.

    Random features know textures and no objects: good enough to try the tool, not to judge it.
    """
    rng = np.random.default_rng(seed)
    weights = _from_rgb_0_to_1(np.eye(3, dtype=np.float32) * 2, np.full(3, -1, np.float32))
    channels = 3
    for block, name in conv_names(STYLE_LAYERS[-1]):
        out = widths[block - 1]
        scale = np.sqrt(2 / (9 * channels))
        weights[f"conv{name}_weight"] = np.float32(scale) * rng.standard_normal(
            (out, channels, 3, 3), dtype=np.float32
        )
        weights[f"conv{name}_bias"] = np.zeros(out, np.float32)
        channels = out
    digest = hashlib.sha256(b"".join(weights[key].tobytes() for key in sorted(weights)))
    spec = VggSpec(widths, padding="reflect", pooling="avg")
    return Features("random", f"random weights of seed {seed}", digest.hexdigest(), spec, weights)


def read_features(path: Path) -> Features:
    """The distilled VGG-19 of a ``.npz`` file whose input is RGB in 0..1 (reflection padding, max pooling).

    The heads, 1x1 convolutions to the channels of the full VGG-19, are folded (see `fold_head`).
    Raises WeightsError if the file is missing, damaged, or not such a net.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"--features {path}: cannot be read: {error.strerror}") from None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            arrays = {
                name.removesuffix(".npy"): np.lib.format.read_array(file.open(name))  # type: ignore[no-untyped-call]
                for name in file.namelist()
            }
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        raise WeightsError(
            f"--features {path}: damaged, or not an .npz file of VGG weights"
        ) from None
    heads = {layer: f"head{layer.removeprefix('relu')}" for layer in STYLE_LAYERS}
    has_heads = any(f"{head}_weight" in arrays for head in heads.values())
    convs = [f"conv{name}" for _, name in conv_names(deepest(STYLE_LAYERS))]
    _check(path, arrays, ["input", *convs, *(heads.values() if has_heads else ())])
    weights = _from_rgb_0_to_1(arrays["input_weight"][:, :, 0, 0], arrays["input_bias"])
    widths: dict[int, int] = {}
    channels = 3
    for block, name in conv_names(deepest(STYLE_LAYERS)):
        weight = arrays[f"conv{name}_weight"]
        widths.setdefault(block, weight.shape[0])
        expected = (widths[block], channels, 3, 3)
        if weight.shape != expected or arrays[f"conv{name}_bias"].shape != expected[:1]:
            raise WeightsError(
                f"--features {path}: conv{name}_weight is {weight.shape}, not {expected}: not a VGG-19"
            )
        channels = widths[block]
        for part in ("weight", "bias"):
            weights[f"conv{name}_{part}"] = arrays[f"conv{name}_{part}"].astype(np.float32)
    folded = [0] * len(STYLE_LAYERS)
    for i, (layer, head) in enumerate(heads.items() if has_heads else ()):
        matrix, bias = arrays[f"{head}_weight"], arrays[f"{head}_bias"]
        if matrix.shape[1:] != (widths[i + 1], 1, 1) or bias.shape != matrix.shape[:1]:
            raise WeightsError(
                f"--features {path}: {head}_weight is {matrix.shape}: not a head of {layer}"
            )
        weight, shift = fold_head(matrix[:, :, 0, 0], bias)
        weights[f"head_{layer}_weight"], weights[f"head_{layer}_bias"] = weight, shift
        folded[i] = len(shift)
    spec = VggSpec(tuple(widths[b] for b in sorted(widths)), "reflect", "max", tuple(folded))
    sha256 = hashlib.sha256(data).hexdigest()
    return Features(path.name, f"the file {path.name}", sha256, spec, weights)


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


def _from_rgb_0_to_1(matrix: Array, bias: Array) -> dict[str, Array]:
    """The ``input`` convolution for x, from one for RGB in 0..1: RGB = (x + mean) / 255."""
    per_unit = matrix.astype(np.float64) / 255
    return {
        "input_weight": per_unit[:, :, None, None].astype(np.float32),
        "input_bias": (per_unit @ PIXEL_MEAN + bias).astype(np.float32),
    }


def _check(path: Path, arrays: Mapping[str, npt.NDArray[Any]], layers: list[str]) -> None:
    """Raise WeightsError unless the arrays are those of the layers, of numbers, and finite."""
    wanted = {f"{layer}_{part}" for layer in layers for part in ("weight", "bias")}
    for problem, names in (
        ("missing", wanted - arrays.keys()),
        ("unknown", arrays.keys() - wanted),
        ("not finite numbers", {k for k in wanted & arrays.keys() if not _is_finite(arrays[k])}),
    ):
        if names:
            shown = ", ".join(sorted(names)[:4]) + (", ..." if len(names) > 4 else "")
            raise WeightsError(f"--features {path}: {len(names)} arrays {problem}: {shown}")
    if arrays["input_weight"].shape != (3, 3, 1, 1) or arrays["input_bias"].shape != (3,):
        raise WeightsError(
            f"--features {path}: input_weight is not a 1x1 convolution of 3 channels"
        )


def _is_finite(array: npt.NDArray[Any]) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating)) and bool(np.isfinite(array).all())
