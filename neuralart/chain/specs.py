"""Specifications of generators: their layers and residual weight, as data.

``configs/*.toml`` writes specifications, a model stores them, and `neuralart.chain.graph` makes
graphs of them. They hold no weights and need no MXNet.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuralart.errors import ConfigError
from neuralart.machine.words import short

OPERATIONS = ("conv", "deconv")

ACTIVATIONS = ("none", "relu", "leaky", "tanh")

# Channels of a picture: every generator reads and makes RGB.
RGB = 3

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""(row, column) of each pixel in a block of 2x2, in the order of their channels."""

# MXNet's default for LeakyReLU; the 2016 generators used it.
LEAKY_SLOPE = 0.25

# A layer computes at least this many filters. oneDNN has no fast kernel for 3 output channels: a
# 16 -> 3 convolution took 45 of a step's 107 ms. The graph slices the surplus channels away; their
# weights stay zero.

LANES = 16

# Added to the variance, which is about 1..100; PyTorch's InstanceNorm uses the same value.
NORM_EPSILON = 1e-5


# Files from outside may ask for anything. No generator of use comes near.
MOST_LAYERS = 1000

MOST_WEIGHTS = 100_000_000
"""The most weights of a generator, and parameters of a chain in a file; ours have a million."""

_LARGEST = {
    "channels": 4096, "kernel": 255, "stride": 64, "dilate": 256, "pad": 4096, "crop": 4096,
}  # fmt: skip

LARGEST_MULTIPLE = 256
"""The largest product of a generator's strides."""

DEFAULT_GRAIN, LARGEST_GRAIN = 6.0, 64.0
"""Of a chain's photos: standard deviations in levels of 255. With 12, small things suffer."""

# The smallest edge of the squares that chains learn on.
_SMALLEST_PX = 32


@dataclass(frozen=True)
class Layer:
    """One convolution or deconvolution, followed by a crop, norm, activation and skip connection.

    Each ``deconv`` undoes the stride of an earlier ``conv``. Its output is cropped to the size of
    that convolution's input, so that pictures of any size can be painted.
    """

    op: str
    channels: int
    kernel: int
    stride: int = 1
    dilate: int = 1
    pad: int | None = None
    """Zero padding at each edge. By default a ``conv`` keeps the size, and a ``deconv`` multiplies
    it by its stride."""
    blur: bool = False
    """Average 2x2 pixels after the operation. This removes the checkerboard that a deconvolution's
    stride leaves (Sugawara et al. 2018). A blurred ``deconv`` of kernel 3 and stride 2 exactly
    doubles the size."""
    resize: int = 1
    """With 2, a ``conv`` runs on its input enlarged to twice the size by repeating pixels. It has
    no stride and so leaves no checkerboard (Odena et al. 2016). It is computed at the small size,
    with the four pixels of a 2x2 block as channels (Shi et al. 2016)."""
    crop: int = 0
    """Rows and columns to cut off a ``deconv``'s output at the top and left, before the crop to
    size."""
    bias: bool | None = None
    """By default only layers without a norm have a bias, since a norm cancels it."""
    norm: bool = True
    """Instance normalisation with a learned scale and shift."""
    act: str = "leaky"
    add: str = ""
    """Name of an earlier layer whose output is added after the activation (a skip connection)."""
    name: str = ""
    """By default the operation and a number: conv0, conv1, deconv0, ..."""

    @property
    def padding(self) -> int:
        """Zeros at each edge: `pad` or its default."""
        if self.pad is not None:
            return self.pad
        if self.op == "conv":
            return self.dilate * (self.kernel - 1) // 2
        return (self.kernel - self.blur - self.stride) // 2

    @property
    def enlarges(self) -> int:
        """The factor by which the layer enlarges height and width."""
        return self.stride if self.op == "deconv" else self.resize

    @property
    def small_kernel(self) -> int:
        """The kernel size with which a ``conv`` is computed; with ``resize``, at the small size.

        For output pixels of phase p (0 or 1, along an axis), tap t of the kernel falls on tap
        (t + p) // 2 of the small kernel.
        """
        return self.kernel // 2 + 1 if self.resize > 1 else self.kernel

    @property
    def shrinkage(self) -> int:
        """Pixels by which a ``conv`` of stride 1 makes an edge shorter.

        It is dilate * (kernel - 1) - 2 * padding. With 0, a stride s makes ceil(edge / s).
        """
        return self.dilate * (self.kernel - 1) - 2 * self.padding

    @property
    def is_exact(self) -> bool:
        """Whether the output is exactly `enlarges` times as large, so that it needs no crop."""
        if self.op == "conv":
            return True
        return self.kernel - self.blur - 2 * self.padding == self.stride and self.crop == 0

    def output_px(self, edge_px: int) -> int:
        """The height or width that a map of ``edge_px`` gets, before the crop to size."""
        reach = self.dilate * (self.kernel - 1) + 1 - 2 * self.padding
        if self.resize > 1:
            return self.resize * edge_px
        if self.op == "conv":
            return (edge_px - reach) // self.stride + 1 - self.blur
        return (edge_px - 1) * self.stride + reach - self.blur - self.crop

    @property
    def has_bias(self) -> bool:
        """`bias` or its default."""
        return not self.norm if self.bias is None else self.bias

    @property
    def filters(self) -> int:
        """Number of filters in the weights: the first ``channels`` are used, the others are 0."""
        return self.channels if self.resize > 1 else max(self.channels, LANES)


@dataclass(frozen=True)
class Generator:
    """A generator: ``x_next = a * x + (1 - a) * paint(x)``, where the layers compute ``paint``.

    The last layer has 3 channels and ``tanh``; ``paint`` is 128 tanh + 128 - mean. ``residual``
    is the weight a, 0 <= a < 1; with ``learn_residual`` it is only a's initial value. A chain's
    photo gets the ``grain`` of its first generator (`neuralart.pictures.grain`); those of the
    others are not used.
    """

    name: str
    layers: tuple[Layer, ...]
    residual: float = 0.6
    learn_residual: bool = True
    grain: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain data without defaults, for `generator_from_dict`."""
        return {
            "name": self.name,
            "residual": self.residual,
            "learn_residual": self.learn_residual,
            **({"grain": self.grain} if self.grain else {}),
            "layers": [
                {
                    field.name: getattr(layer, field.name)
                    for field in dataclasses.fields(layer)
                    if getattr(layer, field.name) != field.default
                }
                for layer in self.layers
            ],
        }

    @property
    def multiple(self) -> int:
        """The product of the strides. Heights and widths that are multiples of it need no crop."""
        return math.prod(layer.stride for layer in self.layers if layer.op == "conv")

    def weights(self) -> int:
        """The number of weights of all layers, without biases and norms."""
        channels = (RGB, *(layer.channels for layer in self.layers))
        return sum(
            layer.kernel**2 * inputs * layer.filters
            for layer, inputs in zip(self.layers, channels, strict=False)
        )

    def multiply_adds(self) -> float:
        """Multiply-adds per pixel of a large picture."""
        total, channels, pixels = 0.0, RGB, 1.0
        for layer in self.layers:
            if layer.op == "conv":
                pixels /= layer.stride**2
            outputs = layer.channels * layer.resize**2
            total += layer.small_kernel**2 * channels * outputs * pixels
            pixels *= layer.enlarges**2
            channels = layer.channels
        return total


_KINDS: dict[str, type] = {
    "str": str,
    "int": int,
    "bool": bool,
    "int | None": int,
    "bool | None": bool,
}


def _layer_from_dict(where: str, data: Any) -> Layer:
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{where}: a layer is a table like {{ op = 'conv', channels = 16, kernel = 3 }}"
        )
    fields = {field.name: field for field in dataclasses.fields(Layer)}
    for key in ("op", "channels", "kernel"):
        if key not in data:
            raise ConfigError(f"{where}: {key} is missing")
    for key, value in data.items():
        if key not in fields:
            known = ", ".join(fields)
            raise ConfigError(f"{where}: unknown key {short(repr(key))}; known are {known}")
        kind = _KINDS[str(fields[key].type)]
        if type(value) is not kind:  # True is an int, too
            shown = short(repr(value)) if isinstance(value, str) else short(value)
            raise ConfigError(f"{where}: {key} = {shown} is not of type {kind.__name__}")
        most = _LARGEST.get(key)
        if most is not None and typing.cast(int, value) > most:
            raise ConfigError(f"{where}: {key} = {short(value)} is more than {most}, the most")
    layer = Layer(**data)
    if layer.op not in OPERATIONS:
        raise ConfigError(
            f"{where}: op = {short(repr(layer.op))}; use one of {', '.join(OPERATIONS)}"
        )
    if layer.act not in ACTIVATIONS:
        raise ConfigError(
            f"{where}: act = {short(repr(layer.act))}; use one of {', '.join(ACTIVATIONS)}"
        )
    if min(layer.channels, layer.kernel, layer.stride, layer.dilate) < 1:
        raise ConfigError(f"{where}: channels, kernel, stride and dilate are at least 1")
    if layer.name and not re.fullmatch("[A-Za-z][A-Za-z0-9_]{,63}", layer.name):
        raise ConfigError(
            f"{where}: name = {short(repr(layer.name))}; use up to 64 letters, digits and _"
        )
    if layer.padding < 0 or layer.crop < 0:
        raise ConfigError(f"{where}: pad and crop are at least 0")
    if layer.resize not in (1, 2):
        raise ConfigError(f"{where}: resize = {short(layer.resize)}; use 1 or 2")
    plain = (layer.op, layer.stride, layer.dilate, layer.pad) == ("conv", 1, 1, None)
    if layer.resize > 1 and not (plain and layer.kernel % 4 == 1):
        raise ConfigError(
            f"{where}: resize is for a conv of kernel 1, 5 or 9 without stride, dilate and pad"
        )
    return layer


def generator_from_dict(name: str, data: Any) -> Generator:
    """Read and check a specification from a TOML table or a model's header.

    Raises ConfigError that names the generator, the layer and the wrong key.
    """
    where = f"generator {short(repr(name))}"
    if not isinstance(name, str) or not isinstance(data, Mapping):
        raise ConfigError(f"{where}: is not a table with layers")
    unknown = set(data) - {"name", "layers", "residual", "learn_residual", "grain"}
    if unknown:
        raise ConfigError(f"{where}: unknown key {short(repr(sorted(map(str, unknown))[0]))}")
    rows = data.get("layers")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ConfigError(f"{where}: layers is missing or empty")
    if len(rows) > MOST_LAYERS:
        raise ConfigError(f"{where}: has {len(rows):,} layers, over {MOST_LAYERS:,}")
    residual, learn = data.get("residual", 0.6), data.get("learn_residual", True)
    if not isinstance(residual, (int, float)) or not 0 <= residual < 1:
        raise ConfigError(f"{where}: residual = {short(repr(residual))} is not in 0 <= a < 1")
    if not isinstance(learn, bool) or (learn and residual == 0):
        raise ConfigError(f"{where}: learn_residual is true or false, and true needs residual > 0")
    grain = data.get("grain", 0.0)
    if not isinstance(grain, (int, float)) or not 0 <= grain <= LARGEST_GRAIN:
        raise ConfigError(f"{where}: grain = {short(repr(grain))} is not in 0 .. {LARGEST_GRAIN:g}")
    counts = dict.fromkeys(OPERATIONS, 0)
    layers: list[Layer] = []
    sizes: dict[str, tuple[int, int]] = {}
    scale = 1
    for number, row in enumerate(rows):
        place = f"{where}, layer {number}"
        layer = _layer_from_dict(place, row)
        layer = dataclasses.replace(layer, name=layer.name or f"{layer.op}{counts[layer.op]}")
        counts[layer.op] += 1
        if layer.name in sizes:
            raise ConfigError(f"{place}: the name {layer.name!r} is taken")
        if layer.op == "conv":
            scale *= layer.stride
        if scale > LARGEST_MULTIPLE:
            raise ConfigError(
                f"{place}: the strides make the map over {LARGEST_MULTIPLE} times smaller"
            )
        if scale % layer.enlarges:
            raise ConfigError(
                f"{place}: a {layer.op} of {'stride' if layer.op == 'deconv' else 'resize'} "
                f"{layer.enlarges} makes it larger than the photo"
            )
        scale //= layer.enlarges
        if layer.add and sizes.get(layer.add) != (scale, layer.channels):
            raise ConfigError(
                f"{place}: add = {short(repr(layer.add))} is not an earlier layer of the same size and "
                "channels"
            )
        sizes[layer.name] = (scale, layer.channels)
        layers.append(layer)
    if scale != 1 or layers[-1].channels != RGB or layers[-1].act != "tanh":
        raise ConfigError(
            f"{where}: the last layer must be as large as the photo, of 3 channels, tanh"
        )
    generator = Generator(name, tuple(layers), float(residual), learn, float(grain))
    if generator.weights() > MOST_WEIGHTS:
        raise ConfigError(f"{where}: has {generator.weights():,} weights, over {MOST_WEIGHTS:,}")
    _check_sizes(where, generator)
    return generator


def _check_sizes(where: str, spec: Generator) -> None:
    """Raise ConfigError unless pictures keep their size, and layers that are added have one size.

    The sizes of all maps grow evenly with the picture's, so that two pictures show everything.
    """
    least = spec.multiple * math.ceil(_SMALLEST_PX / spec.multiple)
    for picture in (least, least + spec.multiple):
        edge, before, made = picture, [picture], dict[str, int]()
        for number, layer in enumerate(spec.layers):
            if layer.op == "conv" and layer.stride > 1:
                before.append(edge)
            like = before.pop() if layer.enlarges > 1 and before else None
            had, edge = edge, layer.output_px(edge)
            small = edge < 1
            if layer.enlarges > 1 and not layer.is_exact:
                small = like is None or edge < like
                edge = edge if like is None or small else like
            if small or (layer.add and made[layer.add] != edge):
                why = f"its output has {edge} pixels an edge, too few or not those of {layer.add!r}"
                why = f"makes {max(edge, 0)} of {had} pixels" if small else why
                raise ConfigError(
                    f"{where}, layer {number}: {why}, where the photo has {picture}; "
                    f"choose another kernel or pad{_even(spec)}"
                )
            made[layer.name] = edge
        if edge != picture:
            raise ConfigError(
                f"{where}: makes {edge} of {picture} pixels, where it must keep the size; "
                f"choose another kernel or pad{_even(spec)}"
            )


def _even(spec: Generator) -> str:
    """What to look at first: a convolution that makes the map smaller by a pixel."""
    found = (
        number
        for number, layer in enumerate(spec.layers)
        if layer.op == "conv" and layer.stride == 1 and layer.output_px(_SMALLEST_PX) % 2
    )
    first = next(found, None)
    return "" if first is None else f", first an odd kernel in layer {first}"


def prefix(stage: int) -> str:
    """The prefix of a stage's parameter names: ``g0_``, ``g1_``, ..."""

    return f"g{stage}_"


def with_grain_of(specs: Sequence[Generator], grain: float) -> list[Generator]:
    """The chain with this grain on its photos."""
    return [dataclasses.replace(specs[0], grain=grain), *specs[1:]]


def norm_names(specs: Sequence[Generator]) -> list[str]:
    """The names of a chain's norms in order: ``g0_conv0_norm`` and so on."""
    return [
        f"{prefix(k)}{layer.name}_norm"
        for k, spec in enumerate(specs)
        for layer in spec.layers
        if layer.norm
    ]
