"""The four generators of 2016: their specifications, and the names of their parameters.

Source:  mxnet, example/neural-style/end_to_end, 2016: ``gen_v4`` (g0 and g3) and ``gen_v3`` (g1 and
         g2).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from neuralart.chain.params import array_shapes
from neuralart.chain.specs import RGB, Generator, Layer, generator_from_dict, prefix
from neuralart.machine.archive import Arrays, Shapes

BATCH_NORM_EPSILON = 1e-3
"""MXNet's default, which the example used."""

_NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_var")


def _conv(channels: int, kernel: int, **more: Any) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": kernel, **more}


def _up(channels: int, add: str) -> dict[str, Any]:
    size = {"kernel": 7, "stride": 2, "pad": 2, "crop": 1}
    return {"op": "deconv", "channels": channels, **size, "add": add}


_CONVOLUTIONS = [
    *(_conv(48, 5), _conv(32, 5), _conv(64, 3), _conv(32, 5), _conv(48, 5)),
    *(_conv(32, 5, bias=False), _conv(RGB, 3, bias=False, act="tanh")),
]

_HOURGLASS = [
    *(_conv(64, 5, stride=2, name="half"), _conv(48, 3)),
    *(_conv(128, 5, stride=2, name="quarter"), _conv(96, 3)),
    *(_conv(256, 5, stride=2, name="eighth"), _conv(192, 3)),
    *(_up(128, "quarter"), _conv(160, 3), _up(64, "half"), _conv(96, 3)),
    {"op": "deconv", "channels": RGB, "kernel": 8, "stride": 2, "pad": 3, "act": "tanh"},
]


def _published(name: str, layers: list[dict[str, Any]]) -> Generator:
    """A generator as it was published: convolutions have a bias beside their norm."""
    rows = [{"bias": row["op"] == "conv", **row} for row in layers]
    return generator_from_dict(name, {"layers": rows, "residual": 0.6, "learn_residual": False})


PUBLISHED = (
    _published("2016-conv", _CONVOLUTIONS),
    _published("2016-deconv", _HOURGLASS),
    _published("2016-deconv", _HOURGLASS),
    _published("2016-conv", _CONVOLUTIONS),
)
"""The generators with their norms, in the order of the chain."""


def _without_norms(spec: Generator) -> Generator:
    layers = (dataclasses.replace(layer, norm=False, bias=None) for layer in spec.layers)
    return dataclasses.replace(spec, layers=tuple(layers))


SPECS = tuple(_without_norms(spec) for spec in PUBLISHED)
"""The generators of the imported model: their norms are folded into weights and biases."""


def layer_names() -> list[list[tuple[Layer, str, str]]]:
    """The layers of each generator, with the published names of the operator and of its norm.

    Layers had no names of their own. MXNet counted them in the order of construction, through all
    generators: ``convolution0``, ``batchnorm0``, ``convolution1``, ...
    """
    counts = {"conv": 0, "deconv": 0}
    norms = 0
    generators = []
    for spec in PUBLISHED:
        names = []
        for layer in spec.layers:
            names.append((layer, f"{layer.op}olution{counts[layer.op]}", f"batchnorm{norms}"))
            counts[layer.op] += 1
            norms += 1
        generators.append(names)
    return generators


def published_shapes() -> list[Shapes]:
    """The shapes of each generator's published arrays by name."""
    ours = array_shapes(PUBLISHED)
    generators = []
    for stage, layers in enumerate(layer_names()):
        shapes: Shapes = {}
        for layer, operator, norm in layers:
            weight = list(ours[f"{prefix(stage)}{layer.name}_weight"])
            weight[0 if layer.op == "conv" else 1] = layer.channels  # ours has surplus filters
            shapes[f"{operator}_weight"] = tuple(weight)
            if layer.has_bias:
                shapes[f"{operator}_bias"] = (layer.channels,)
            shapes |= {f"{norm}_{part}": (layer.channels,) for part in _NORM_PARTS}
        generators.append(shapes)
    return generators


def folded_params(arrays: Arrays) -> Arrays:
    """The parameters of `SPECS` from the published arrays of all generators.

    A norm painted with its moving averages, so it is a scale and a shift of each channel:
    s = gamma / sqrt(moving_var + epsilon), weight' = s weight, bias' = beta + s (bias - mean).
    """
    params: Arrays = {}
    for stage, layers in enumerate(layer_names()):
        for layer, operator, norm in layers:
            gamma, beta, mean, variance = (
                arrays[f"{norm}_{part}"].astype(np.float64) for part in _NORM_PARTS
            )
            scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
            bias = arrays[f"{operator}_bias"] if layer.has_bias else 0.0
            weight = arrays[f"{operator}_weight"].astype(np.float64)
            axis = 0 if layer.op == "conv" else 1
            weight = weight * scale.reshape([-1 if i == axis else 1 for i in range(4)])
            surplus = layer.filters - layer.channels
            name = f"{prefix(stage)}{layer.name}"
            widths = [(0, surplus if i == axis else 0) for i in range(4)]
            params[f"{name}_weight"] = np.pad(weight, widths).astype(np.float32)
            shift = np.pad(beta + scale * (bias - mean), (0, surplus))
            params[f"{name}_bias"] = shift.astype(np.float32)
    return params
