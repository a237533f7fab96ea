"""Graphs of generators and chains. Names of layers begin with their stage's prefix: g0_conv1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neuralart.chain.specs import (
    LANES,
    LEAKY_SLOPE,
    NORM_EPSILON,
    PHASES,
    RGB,
    Generator,
    Layer,
    prefix,
)
from neuralart.engine.symbols import sym
from neuralart.pictures.pixels import PIXEL_MEAN


@dataclass
class Norms:
    """How instance normalisation is computed, and whether its statistics are kept.

    operator  ``batch``: BatchNorm. On one photo with its own statistics, it *is* instance
              normalisation, at a tenth of InstanceNorm's cost on a CPU. On statistics that were set
              as moving_mean and moving_var, it makes every layer local.
              ``instance``: InstanceNorm. It is slower, but any MXNet program can run such a graph.
    collect   whether (mean, 1/standard deviation) of every norm goes to `statistics` by its name
    """

    operator: str = "batch"
    collect: bool = False
    statistics: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def __call__(self, out: Any, name: str, channels: int) -> Any:
        if self.operator == "instance":
            return sym.InstanceNorm(out, eps=NORM_EPSILON, name=name)
        norm = sym.BatchNorm(
            out, eps=NORM_EPSILON, fix_gamma=False, output_mean_var=self.collect, name=name
        )
        if not self.collect:
            return norm
        self.statistics[name] = (norm[1], norm[2])
        return norm[0]


@dataclass
class StyledNorms:
    """Conditional instance normalisation, for training: each style has its own scales and shifts.

    A norm's parameters are (styles, C); ``style`` (photos, styles) chooses the rows, one for each
    photo, which is normalised by its own statistics.

    Source:  Dumoulin et al. 2017, "A Learned Representation For Artistic Style".
    Hazard:  N photos as one of N x C channels would be one BatchNorm, but its backward writes past
             its memory (MXNet 1.9.1).
    """

    operator: ClassVar = "batch"
    style: Any
    styles: int
    photos: int

    def __call__(self, out: Any, name: str, channels: int) -> Any:
        tables = [
            sym.Variable(f"{name}_{part}", shape=(self.styles, channels))
            for part in ("gamma", "beta")
        ]
        if self.photos == 1:
            return self._normalised(out, self.style, tables, name)
        pairs = zip(
            sym.split(out, num_outputs=self.photos, axis=0),
            sym.split(self.style, num_outputs=self.photos, axis=0),
            strict=True,
        )
        parts = [
            self._normalised(part, row, tables, f"{name}_of{number}")
            for number, (part, row) in enumerate(pairs)
        ]
        return sym.concat(*parts, dim=0)

    @staticmethod
    def _normalised(out: Any, style: Any, tables: Sequence[Any], name: str) -> Any:
        scale, shift = (sym.reshape(sym.dot(style, each), shape=(-1,)) for each in tables)
        return sym.BatchNorm(out, scale, shift, eps=NORM_EPSILON, fix_gamma=False, name=name)


def _interleaved(out: Any, channels: int) -> Any:
    """``depth_to_space`` of 2x2, by transpositions.

    It takes a seventh of that operator's time on a CPU, forward and backward (MXNet 1.9.1).

    Shape:   (N, 4 channels, H, W) -> (N, channels, 2H, 2W)
    """

    def shaped(out: Any, *shape: int) -> Any:
        """Reshape by MXNet's codes: 0 keeps an axis, -3 merges two, and -4 splits one into two of
        the sizes that follow, where -1 is inferred."""
        return sym.reshape(out, shape=shape)

    out = shaped(shaped(out, 0, -4, 2, -1, 0, 0), -3, -4, 2, channels, 0, 0)
    columns = sym.transpose(shaped(out, 0, 0, -3, 0), axes=(0, 2, 3, 1))
    rows = shaped(shaped(columns, 0, 0, -3), -4, -1, 2, 0, 0)
    rows = sym.transpose(rows, axes=(0, 2, 1, 3))
    return shaped(shaped(rows, 0, -3, 0), 0, -4, channels, -1, 0)


def _resize_convolution(out: Any, layer: Layer, inputs: int, name: str, *, exported: bool) -> Any:
    """A convolution of the map enlarged to twice its size, computed at the small size.

    ``exported`` makes pixels of its channels by one operator, which ONNX has too.

    Shape:   (N, inputs, H, W) -> (N, channels, 2H, 2W)
    Hazard:  the graph computes the small kernel from the weights. The gradient of a ``concat`` in
             that part would leak memory at every step (MXNet 1.9.1).
    """
    small = layer.small_kernel
    shape = (layer.channels, inputs, layer.kernel, layer.kernel)
    weight = sym.Variable(f"{name}_weight", shape=shape, dtype=np.float32)
    kernels = []
    for row, column in PHASES:
        kernel = weight
        for phase in (column, row):  # along the last axis, then along the one before
            taps = sym.floor((sym.arange(layer.kernel) + phase) / 2)
            sums = sym.dot(kernel, sym.one_hot(taps, depth=small))
            kernel = sym.transpose(sums, axes=(0, 1, 3, 2))
        kernels.append(kernel)
    used = layer.channels * len(PHASES)
    filters = used + -used % LANES
    lanes = sym.one_hot(sym.arange(filters), depth=used)  # surplus filters are zero
    flat = sym.dot(lanes, sym.reshape(sym.stack(*kernels, axis=0), shape=(used, -1)))
    params = [sym.reshape(flat, shape=(filters, inputs, small, small))]
    if layer.has_bias:
        bias = sym.Variable(f"{name}_bias", shape=(layer.channels,), dtype=np.float32)
        params.append(sym.dot(lanes, sym.tile(bias, reps=len(PHASES))))
    out = sym.Convolution(
        out,
        *params,
        num_filter=filters,
        kernel=(small, small),
        pad=(small // 2, small // 2),
        no_bias=not layer.has_bias,
        name=name,
    )
    out = sym.slice_axis(out, axis=1, begin=0, end=used)
    if exported:
        return sym.depth_to_space(out, block_size=2, name=f"{name}_pixels")
    return _interleaved(out, layer.channels)


def _layer(
    out: Any,
    layer: Layer,
    inputs: int,
    prefix: str,
    cropped_like: Any | None,
    norms: Norms | StyledNorms,
) -> Any:
    """A layer on a map of ``inputs`` channels, cropped to the size of ``cropped_like`` if given."""
    name = f"{prefix}{layer.name}"
    filters = layer.channels if layer.resize > 1 else max(layer.channels, LANES)
    square = {
        "num_filter": filters,
        "kernel": (layer.kernel, layer.kernel),
        "stride": (layer.stride, layer.stride),
        "dilate": (layer.dilate, layer.dilate),
        "pad": (layer.padding, layer.padding),
        "no_bias": not layer.has_bias,
        "name": name,
    }
    if layer.resize > 1:
        exported = norms.operator == "instance"
        out = _resize_convolution(out, layer, inputs, name, exported=exported)
    elif layer.op == "conv":
        out = sym.Convolution(out, **square)
    else:
        out = sym.Deconvolution(out, **square)
        for axis in (2, 3) if layer.crop else ():
            out = sym.slice_axis(out, axis=axis, begin=layer.crop, end=None)
    if layer.blur:
        out = sym.Pooling(out, kernel=(2, 2), stride=(1, 1), pool_type="avg", name=f"{name}_blur")
    if cropped_like is not None:
        out = sym.slice_like(out, cropped_like, axes=(2, 3))
    if layer.channels < filters:
        out = sym.slice_axis(out, axis=1, begin=0, end=layer.channels)
    if layer.norm:
        out = norms(out, f"{name}_norm", layer.channels)
    if layer.act == "leaky":
        return sym.LeakyReLU(out, act_type="leaky", slope=LEAKY_SLOPE, name=f"{name}_leaky")
    if layer.act != "none":
        return sym.Activation(out, act_type=layer.act, name=f"{name}_{layer.act}")
    return out


def framed(x: Any, frame_px: int, multiple: int) -> Any:
    """Add a frame of the picture's reflection, as `painting_frame` has it.

    Shape:  (N, C, H, W) -> (N, C, H', W'): the frame, the picture, and at the bottom and right the
            frame or what makes H' and W' multiples; H and W more than frame + multiple - 1
    """
    wide = frame_px + multiple - 1
    x = sym.Pad(
        x, mode="reflect", pad_width=(0, 0, 0, 0, frame_px, wide, frame_px, wide), name="frame"
    )
    if multiple == 1:
        return x
    # One channel whose size is that of ``x``, rounded down to the multiple.
    edge = (multiple, multiple)
    like = sym.slice_axis(x, axis=1, begin=0, end=1)
    like = sym.Pooling(like, kernel=edge, stride=edge, pool_type="avg", name="frame_blocks")
    like = sym.Deconvolution(
        like, sym.full((1, 1, *edge), 1.0), num_filter=1, kernel=edge, stride=edge,
        no_bias=True, name=FRAME_SIZE,
    )  # fmt: skip
    return sym.slice_like(x, like, axes=(2, 3))


FRAME_SIZE = "frame_size"
"""The name of a layer in `framed` of whose output only the size is used."""


def unframed(out: Any, x: Any, frame_px: int) -> Any:
    """The part of a framed picture where ``x`` was."""
    for axis in (2, 3):
        out = sym.slice_axis(out, axis=axis, begin=frame_px, end=None)
    return sym.slice_like(out, x, axes=(2, 3))


def per_channel(values: npt.NDArray[np.float32]) -> Any:
    """A constant of shape (1, C, 1, 1), part of the graph and not a parameter."""
    return sym.concat(*(sym.full((1, 1, 1, 1), float(value)) for value in values), dim=1)


def _mixed(x: Any, tanh: Any, weight: Any | float, *, learns: bool) -> Any:
    """``weight * x + (1 - weight) * paint``, where paint is ``128 tanh + 128 - mean``.

    MXNet 1.9.1 computes the gradient of a broadcast one number at a time, which took 7 of the 76 ms
    of a stage at 256x256. ``learns`` saves 5 of them, by a product of matrices and a constant of
    the picture's size.
    """
    offset = per_channel(128 - PIXEL_MEAN)
    if not learns:
        paint = sym.broadcast_add(tanh * 128, offset)
    else:
        paint = tanh * 128 + sym.BlockGrad(sym.broadcast_like(offset, tanh))
    if isinstance(weight, float):
        return x * weight + paint * (1 - weight)
    difference = x - paint
    if not learns:
        return paint + sym.broadcast_mul(difference, weight)
    flat = sym.dot(sym.reshape(weight, shape=(1, 1)), sym.reshape(difference, shape=(1, -1)))
    return paint + sym.reshape_like(flat, paint)


def generator(
    x: Any,
    spec: Generator,
    prefix: str,
    norms: Norms | StyledNorms | None = None,
    *,
    learns: bool = False,
) -> Any:
    """One stage of the chain: ``a * x + (1 - a) * (128 tanh(y) + 128 - mean)``.

    learns  compute the same with operators whose gradients are fast

    Shape:   (N, 3, H, W) -> the same, RGB minus mean in 0..255 units; H and W are multiples of
             ``spec.multiple``
    Source:  dmlc/mxnet, example/neural-style/end_to_end, 2016: a = 0.6 fixed.
    Differs: a may be learned. It is the sigmoid of ``{prefix}residual`` and so stays in 0..1.
    """
    norms = norms or Norms()
    out, channels = x, RGB
    before = [out]
    made: dict[str, Any] = {}
    for layer in spec.layers:
        if layer.op == "conv" and layer.stride > 1:
            before.append(out)
        like = before.pop() if layer.enlarges > 1 and before else None
        cropped_like = None if layer.is_exact else like
        out = _layer(out, layer, channels, prefix, cropped_like, norms)
        channels = layer.channels
        if layer.add:
            out = out + made[layer.add]
        made[layer.name] = out
    weight: Any | float = spec.residual
    if spec.learn_residual:
        residual = sym.Variable(f"{prefix}residual", shape=(1, 1, 1, 1))
        weight = sym.sigmoid(residual)
    return _mixed(x, out, weight, learns=learns)


def training_graph(spec: Generator, prefix: str, styles: int = 1, photos: int = 1) -> Any:
    """One stage with scales and shifts for each style, by operators whose gradients are fast.

    Shape:  x (photos, 3, H, W); style (photos, styles), a one-hot row for each photo -> the shape
            of x; H and W are multiples of ``spec.multiple``
    """
    norms = StyledNorms(sym.Variable("style"), styles, photos)
    return generator(sym.Variable("x"), spec, prefix, norms, learns=True)


def painting_graph(specs: Sequence[Generator]) -> Any:
    """All stages, on the statistics that are set as the norms' ``moving_mean`` and ``moving_var``.

    Shape:  x (1, 3, H, W) -> x1 .. xn of the same
    """
    return sym.Group(compose(sym.Variable("x"), specs, Norms()))


def measuring_graph(specs: Sequence[Generator]) -> Any:
    """The statistics of every norm on the picture itself.

    Shape:  x (1, 3, H, W) -> mean (C,) and 1/standard deviation (C,) of each of `norm_names`
    """
    norms = Norms(collect=True)
    compose(sym.Variable("x"), specs, norms)
    return sym.Group([out for pair in norms.statistics.values() for out in pair])


def single_pass_graph(specs: Sequence[Generator]) -> Any:
    """The last stage's output on the picture's own statistics, as in `measuring_graph`.

    Shape:  x (1, 3, H, W) -> xn, the same
    """
    return compose(sym.Variable("x"), specs, Norms(collect=True))[-1]


def compose(x: Any, specs: Sequence[Generator], norms: Norms) -> list[Any]:
    """Connect the stages, each to the output of the one before. Returns their outputs x1 .. xn.

    Shape:  (N, 3, H, W) -> n of the same
    """
    outputs = []
    for k, spec in enumerate(specs):
        x = generator(x, spec, prefix(k), norms)
        outputs.append(x)
    return outputs
