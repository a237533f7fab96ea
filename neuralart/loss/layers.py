"""The layers of VGG-19 (Simonyan and Zisserman 2014, configuration E), and those in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neuralart.errors import WeightsError

CONTENT_LAYER = "relu4_2"
"""The layer whose features define the content, as in the 2016 example."""

CONTENT_LAYERS = (CONTENT_LAYER, "conv4_2")
"""The content layers to choose from: after the ReLU, and before it."""

# Number of convolutions in each block; a 2x2 pooling of stride 2 separates the blocks.
BLOCKS = (2, 2, 4, 4, 4)

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""Gatys et al. 2016, section 2.2; the 2016 example too."""


PADDINGS = ("zero", "reflect", "deep")
"""How VGG-19s are padded. ``deep`` is by reflection in blocks 3 to 5, whose maps are small: there
zeros spoil a large part of a map, and a separate padding costs little."""

COARSE_PX = 16
"""The edge of the squares whose means are a picture's layout."""

PALETTE_PX = 8
"""The edge of the squares whose means are a picture's palette: as broad as a brush stroke, so that
coloured fringes of edges do not count."""

BAND_PX = (1, 2, 4, 8, 16)
"""The finer edge of each of a picture's bands: how means of squares of 1, 2, 4, 8 and 16 pixels
differ from those of squares twice as broad."""


@dataclass(frozen=True)
class VggSpec:
    """The variant of VGG-19 that a set of weights belongs to.

    widths    channels of the five blocks; the full VGG-19 has (64, 128, 256, 512, 512)
    padding   one of `PADDINGS`, one pixel before every 3x3 convolution
    pooling   ``max`` or ``avg``
    heads     channels of the 1x1 convolution on each style layer, in `STYLE_LAYERS` order; 0: none
    """

    widths: tuple[int, ...]
    padding: str
    pooling: str
    heads: tuple[int, ...] = (0, 0, 0, 0, 0)

    def reflects(self, block: int) -> bool:
        """Whether the convolutions of a block (1 to 5) have padding by reflection."""
        return self.padding == "reflect" or (self.padding == "deep" and block >= 3)


def conv_names(until: str) -> Iterator[tuple[int, str]]:
    """Yield (block, ``B_I``) of every convolution up to that of the layer ``until``.

    ``until`` is a name like ``relu4_2`` or ``conv4_2``.
    Raises WeightsError if VGG-19 has no such layer.
    """
    last = until.removeprefix("relu").removeprefix("conv")
    for block, convs in enumerate(BLOCKS, start=1):
        for i in range(1, convs + 1):
            yield block, f"{block}_{i}"
            if f"{block}_{i}" == last:
                return
    raise WeightsError(f"{until}: no layer of VGG-19")


def deepest(taps: Sequence[str]) -> str:
    """The last of these layers in the net."""
    return max(taps, key=lambda tap: tap.removeprefix("relu").removeprefix("conv"))
