"""What a generator is made of, as data: layers, residual, and the built-in kinds.

A specification is what ``configs/*.toml`` writes, what a model stores, and what
`neuralart.symbols.generator` turns into a graph. It holds no weights and needs no MXNet.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuralart.errors import ConfigError

OPERATIONS = ("conv", "deconv")
ACTIVATIONS = ("none", "relu", "leaky", "tanh")

CONTENT_LAYER = "relu4_2"
"""The layer of VGG-19 whose features are the content: that of the 2016 example."""

CONTENT_LAYERS = (CONTENT_LAYER, "conv4_2")
"""Those that training can keep: after the ReLU, and before it."""

# The picture's own channels: every generator reads and makes RGB.
RGB = 3

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of the pixels in a block of 2x2, in the order in which they are channels."""


@dataclass(frozen=True)
class Layer:
    """One convolution or deconvolution with what follows it: crop, norm, activation, skip.

    A ``deconv`` is cropped to the size that the picture had before the convolution of the same
    stride that it undoes, so that any picture size goes through.
    """

    op: str
    channels: int
    kernel: int
    stride: int = 1
    dilate: int = 1
    pad: int | None = None
    """Zeros at each edge; by default ``conv`` keeps the size and ``deconv`` multiplies it by its stride."""
    blur: bool = False
    """Mean of 2x2 pixels after the operation: takes the grid out that a deconvolution's stride leaves
    (Sugawara et al. 2018). A ``deconv`` of kernel 3 and stride 2 with it makes exactly twice the size."""
    resize: int = 1
    """With 2, a ``conv`` sees its input enlarged to twice the size, each pixel repeated: no stride, and so no
    grid (Odena et al. 2016). Computed at the small size, with each pixel's four in channels (Shi et al. 2016)."""
    crop: int = 0
    """Rows and columns that a ``deconv`` loses at the top and the left before it is cropped to size."""
    bias: bool | None = None
    """By default where no norm follows: a norm removes what a bias adds."""
    norm: bool = True
    """Instance normalisation with learned scale and shift."""
    act: str = "leaky"
    add: str = ""
    """Name of an earlier layer whose output is added after the activation (a skip)."""
    name: str = ""
    """By default the operation and its number: conv0, conv1, deconv0, ..."""

    @property
    def padding(self) -> int:
        if self.pad is not None:
            return self.pad
        if self.op == "conv":
            return self.dilate * (self.kernel - 1) // 2
        return (self.kernel - self.blur - self.stride) // 2

    @property
    def enlarges(self) -> int:
        """How many times as high and wide its output is."""
        return self.stride if self.op == "deconv" else self.resize

    @property
    def small_kernel(self) -> int:
        """Of a ``conv`` as it is computed; with ``resize``, on pixels that are not repeated.

        Of the first (phase 0) or second (1) of two equal large pixels, tap t falls on the small
        kernel's tap (t + phase) // 2.
        """
        return self.kernel // 2 + 1 if self.resize > 1 else self.kernel

    @property
    def lacking(self) -> int:
        """Pixels of an edge by which a ``conv``'s kernel is wider than its padding makes good; with 0 a stride
        of 1 keeps the size, and a larger one makes its part of it, rounded up."""
        return self.dilate * (self.kernel - 1) - 2 * self.padding

    @property
    def missing(self) -> int:
        """Zeros at the end with which a strided ``conv`` makes its part of any edge, rounded up, and of a
        multiple of its stride the same as without: even kernels need one."""
        return self.lacking if self.op == "conv" and 0 < self.lacking < self.stride else 0

    @property
    def is_exact(self) -> bool:
        """Whether it makes exactly `enlarges` times the size, with nothing to crop."""
        if self.op == "conv":
            return True
        return self.kernel - self.blur - 2 * self.padding == self.stride and self.crop == 0

    @property
    def has_bias(self) -> bool:
        return not self.norm if self.bias is None else self.bias


@dataclass(frozen=True)
class Generator:
    """A generator: ``x_next = a * x + (1 - a) * paint(x)``, where the layers make ``paint``.

    The last layer has 3 channels and ``tanh``; paint is 128 tanh + 128, less the mean. ``residual``
    is the weight a, 0..1; with ``learn_residual`` it is where learning starts.
    """

    name: str
    layers: tuple[Layer, ...]
    residual: float = 0.6
    learn_residual: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain data, defaults left out; `generator_from_dict` reads it."""
        return {
            "name": self.name,
            "residual": self.residual,
            "learn_residual": self.learn_residual,
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
        """Heights and widths that are multiples of this go through without cropping."""
        return math.prod(layer.stride for layer in self.layers if layer.op == "conv")

    def multiply_adds(self) -> float:
        """Multiply-adds for each pixel of a large picture."""
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
            raise ConfigError(f"{where}: unknown key {key!r}; known are {', '.join(fields)}")
        kind = _KINDS[str(fields[key].type)]
        if type(value) is not kind:  # True is an int, too
            raise ConfigError(f"{where}: {key} = {value!r} is not of type {kind.__name__}")
    layer = Layer(**data)
    if layer.op not in OPERATIONS:
        raise ConfigError(f"{where}: op = {layer.op!r}; use one of {', '.join(OPERATIONS)}")
    if layer.act not in ACTIVATIONS:
        raise ConfigError(f"{where}: act = {layer.act!r}; use one of {', '.join(ACTIVATIONS)}")
    if min(layer.channels, layer.kernel, layer.stride, layer.dilate) < 1:
        raise ConfigError(f"{where}: channels, kernel, stride and dilate are at least 1")
    if layer.padding < 0 or layer.crop < 0:
        raise ConfigError(f"{where}: pad and crop are at least 0")
    if layer.resize not in (1, 2):
        raise ConfigError(f"{where}: resize = {layer.resize}; use 1 or 2")
    plain = (layer.op, layer.stride, layer.dilate, layer.pad) == ("conv", 1, 1, None)
    if layer.resize > 1 and not (plain and layer.kernel % 4 == 1):
        raise ConfigError(
            f"{where}: resize is for a conv of kernel 1, 5 or 9 without stride, dilate and pad"
        )
    return layer


def generator_from_dict(name: str, data: Any) -> Generator:
    """A checked specification from a TOML table or a model's header.

    Raises ConfigError naming the generator, the layer and the key that is wrong.
    """
    where = f"generator {name!r}"
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: is not a table with layers")
    unknown = set(data) - {"name", "layers", "residual", "learn_residual"}
    if unknown:
        raise ConfigError(f"{where}: unknown key {sorted(unknown)[0]!r}")
    rows = data.get("layers")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ConfigError(f"{where}: layers is missing or empty")
    residual, learn = data.get("residual", 0.6), data.get("learn_residual", True)
    if not isinstance(residual, (int, float)) or not 0 <= residual < 1:
        raise ConfigError(f"{where}: residual = {residual!r} is not in 0 <= a < 1")
    if not isinstance(learn, bool) or (learn and residual == 0):
        raise ConfigError(f"{where}: learn_residual is true or false, and true needs residual > 0")
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
        if scale % layer.enlarges:
            raise ConfigError(
                f"{place}: a {layer.op} of {'stride' if layer.op == 'deconv' else 'resize'} "
                f"{layer.enlarges} makes it larger than the photo"
            )
        scale //= layer.enlarges
        if layer.add and sizes.get(layer.add) != (scale, layer.channels):
            raise ConfigError(
                f"{place}: add = {layer.add!r} is not an earlier layer of the same size and channels"
            )
        sizes[layer.name] = (scale, layer.channels)
        layers.append(layer)
    if scale != 1 or layers[-1].channels != RGB or layers[-1].act != "tanh":
        raise ConfigError(
            f"{where}: the last layer must be as large as the photo, of 3 channels, tanh"
        )
    return Generator(name, tuple(layers), float(residual), learn)


def _built_in() -> dict[str, Generator]:
    """All work at reduced resolution, where reach is cheap. ``conv`` and ``deconv`` end with convolutions at full
    resolution; the fast ones have no layer there and no dilation, and channels by the 16, which oneDNN computes
    in. They paint nearly twice as fast and leave more of the style to be desired (docs/experiments.md, section 6)."""

    def conv(channels: int, kernel: int = 3, **more: Any) -> dict[str, Any]:
        return {"op": "conv", "channels": channels, "kernel": kernel, **more}

    def up(channels: int, **more: Any) -> dict[str, Any]:
        size = {"kernel": 3, "stride": 2, "blur": True}
        return {"op": "deconv", "channels": channels, **size, **more}

    def block(channels: int, on: str, name: str = "") -> list[dict[str, Any]]:
        """Two convolutions with a skip (He et al. 2015)."""
        return [conv(channels), conv(channels, act="none", add=on, name=name)]

    half = conv(32, 5, stride=2, name="half")
    finish = [conv(16), conv(RGB, norm=False, act="tanh")]
    paint = conv(RGB, 5, resize=2, norm=False, act="tanh", name="paint")
    kinds = {
        "conv": [
            conv(32, 5, stride=2),
            *(conv(32, dilate=2), conv(32, dilate=4), conv(32, dilate=8), conv(32)),
            *(up(16), *finish),
        ],
        # An hourglass down to an eighth with two residual blocks there, and skips on the way up.
        "deconv": [
            *(half, conv(64, stride=2, name="quarter"), conv(80, stride=2, name="eighth")),
            *block(80, "eighth", "block1"),
            *block(80, "block1", "block2"),
            *(up(64, add="quarter"), up(32, add="half"), up(16), *finish),
        ],
        "conv-fast": [
            *(half, conv(64, stride=2, name="quarter")),
            *block(64, "quarter"),
            *(up(32, add="half"), conv(32), paint),
        ],
        "deconv-fast": [
            *(half, conv(48, stride=2, name="quarter"), conv(64, stride=2, name="eighth")),
            *block(64, "eighth"),
            *(up(48, add="quarter"), up(32, add="half"), paint),
        ],
    }
    return {
        name: generator_from_dict(name, {"layers": layers, "residual": 0.4})
        for name, layers in kinds.items()
    }


GENERATORS: dict[str, Generator] = _built_in()
"""The built-in kinds by name; a config file's ``[generators.NAME]`` adds others."""
