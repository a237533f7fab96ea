"""The names, shapes and initial values of a chain's parameters. Needs no MXNet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from neuralart.chain.specs import RGB, Generator, Layer, prefix, with_grain_of
from neuralart.errors import ConfigError
from neuralart.machine.archive import Arrays
from neuralart.machine.seeds import Purpose, random_numbers

Shape = tuple[int, ...]


def is_row(name: str) -> bool:
    """Whether a parameter is a norm's scale or shift, of which every style has its own."""
    return name.endswith(("_norm_gamma", "_norm_beta"))


def outputs_first(weight: npt.NDArray[np.float32], layer: Layer) -> npt.NDArray[np.float32]:
    """A view of a layer's weights as (filters, inputs, kernel, kernel), or the other way round."""
    return weight if layer.op == "conv" else weight.swapaxes(0, 1)


def array_shapes(specs: Sequence[Generator], styles: int | None = None) -> dict[str, Shape]:
    """The shapes of a chain's parameters by name, in the order of the graph's arguments.

    Scales and shifts are (styles, C), or (C,) with ``styles`` None: of a chain in one style.
    """
    shapes: dict[str, Shape] = {}
    for k, spec in enumerate(specs):
        for name, shape in _parameter_shapes(spec, k).items():
            shapes[name] = (styles, *shape) if is_row(name) and styles is not None else shape
    return shapes


def _parameter_shapes(spec: Generator, stage: int) -> dict[str, Shape]:
    """The shapes of a stage's parameters in one style."""
    shapes: dict[str, Shape] = {}
    for layer, inputs in _with_inputs(spec):
        name = f"{prefix(stage)}{layer.name}"
        channels = (layer.filters, inputs) if layer.op == "conv" else (inputs, layer.filters)
        shapes[f"{name}_weight"] = (*channels, layer.kernel, layer.kernel)
        if layer.has_bias:
            shapes[f"{name}_bias"] = (layer.filters,)
        if layer.norm:
            shapes[f"{name}_norm_gamma"] = shapes[f"{name}_norm_beta"] = (layer.channels,)
    if spec.learn_residual:
        shapes[f"{prefix(stage)}residual"] = (1, 1, 1, 1)
    return shapes


def _with_inputs(spec: Generator) -> Iterator[tuple[Layer, int]]:
    """Every layer and the number of channels of its input."""
    inputs = RGB
    for layer in spec.layers:
        yield layer, inputs
        inputs = layer.channels


def unshare(params: Arrays, stages: int) -> Arrays:
    """Repeat a chain's shared parameters under the names of every stage.

    Even with shared weights the statistics differ between stages, so painting treats every chain
    as one without sharing.
    """
    first = prefix(0)
    return {
        prefix(k) + name.removeprefix(first): array
        for k in range(stages)
        for name, array in params.items()
        if name.startswith(first)
    }


def initial_params(
    specs: Sequence[Generator], seed: int, *, styles: int = 1, share_weights: bool = False
) -> Arrays:
    """Draw random weights (He et al. 2015) for a new chain; a seed gives the same on every machine.

    The last layer's weights are a tenth of that: a new stage mixes its input with grey. Scales and
    shifts have a row for each style.
    Raises ConfigError if stages of different specifications are to share weights.
    """
    if share_weights and len(set(with_grain_of(specs, 0.0))) > 1:
        raise ConfigError(
            "--share-weights: all stages must be of one kind, as in --chain deconv,deconv"
        )
    params: Arrays = {}
    for k, spec in enumerate(specs[:1] if share_weights else specs):
        rng = random_numbers(seed, Purpose.WEIGHTS, k)
        layers = {f"{prefix(k)}{layer.name}_weight": layer for layer in spec.layers}
        for name, shape in _parameter_shapes(spec, k).items():
            layer = layers.get(name)
            if layer is not None:
                scale = 0.1 if layer is spec.layers[-1] else 1.0
                params[name] = _initial_weight(layer, shape, scale, rng)
            elif name == f"{prefix(k)}residual":
                logit = np.log(spec.residual / (1 - spec.residual))
                params[name] = np.full(shape, logit, np.float32)
            else:
                shape = (styles, *shape) if is_row(name) else shape
                params[name] = np.full(shape, 1.0 if name.endswith("_gamma") else 0.0, np.float32)
    return params


def _initial_weight(
    layer: Layer, shape: Shape, scale: float, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    if layer.op == "deconv" and layer.stride > 1:
        # Bilinear enlargement of randomly mixed channels. A random kernel would start with a
        # checkerboard, to which the losses hardly react, so that it would stay (Odena et al. 2016).
        inputs, outputs = shape[:2]
        kernel = _bilinear(layer.kernel, layer.stride)
        mix = rng.standard_normal((inputs, outputs), dtype=np.float32) * np.float32(
            np.sqrt(2 / inputs)
        )
        mix[:, layer.channels :] = 0
        return scale * mix[:, :, None, None] * kernel
    inputs = shape[1] if layer.op == "conv" else shape[0]
    deviation = np.float32(scale * np.sqrt(2 / (inputs * layer.kernel**2)))
    weights: npt.NDArray[np.float32] = deviation * rng.standard_normal(shape, dtype=np.float32)
    outputs_first(weights, layer)[layer.channels :] = 0
    return weights


def _bilinear(kernel: int, stride: int) -> npt.NDArray[np.float32]:
    """The weights (kernel, kernel) of bilinear interpolation that enlarges by ``stride``."""
    centre = (kernel - 1) / 2
    profile = np.clip(1 - np.abs(np.arange(kernel) - centre) / stride, 0, None)
    profile *= stride / profile.sum()
    weights: npt.NDArray[np.float32] = np.outer(profile, profile).astype(np.float32)
    return weights
