"""A chain's receptive field, and the sizes and frames that its strides need."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from neuralart.chain.specs import Generator, Layer
from neuralart.pictures.frame import FRAME_PX, FRAME_REACH_PX, WIDE_FRAME_PX, Frame

# Norm statistics of a larger picture are measured on a copy shrunk to about this many pixels: its
# scale is closer to that of the training photos.
MEASURED_PIXELS = 200_000

# Photos with up to this many pixels are measured whole, so that one pass measures and paints them.
# At 512x512 that takes two thirds of the time of measuring a copy and painting.
WHOLE_PIXELS = 320_000


def round_up(pixels: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is at least ``pixels``."""
    return -(-pixels // multiple) * multiple


def _layer_needs(layer: Layer, low: int, high: int) -> tuple[int, int]:
    """The first and last input pixel that a layer needs for its outputs low .. high."""
    kernel_reach = layer.dilate * (layer.kernel - 1)
    if layer.resize > 1:
        low, high = low - layer.padding, high + layer.padding
        return low // layer.resize, high // layer.resize
    if layer.op == "conv":
        low, high = low * layer.stride - layer.padding, high * layer.stride - layer.padding
        return low, high + kernel_reach
    low, high = low + layer.crop + layer.padding, high + layer.crop + layer.padding + layer.blur
    return -((kernel_reach - low) // layer.stride), high // layer.stride


def _generator_needs(spec: Generator, low: int, high: int) -> tuple[int, int]:
    """The first and last input pixel that a generator needs for its outputs low .. high."""
    needs = low, high
    skips: dict[str, tuple[int, int]] = {}
    for layer in reversed(spec.layers):
        for name in (layer.name, layer.add):
            if name in skips:
                needs = min(needs[0], skips[name][0]), max(needs[1], skips[name][1])
        if layer.add:
            skips[layer.add] = needs
        needs = _layer_needs(layer, *needs)
    return min(needs[0], low), max(needs[1], high)


def size_multiple(specs: Sequence[Generator]) -> int:
    """The least common multiple of the generators' strides.

    Tiles start at multiples of it, and their heights and widths are multiples of it.
    """
    return math.lcm(*(spec.multiple for spec in specs))


def receptive_margins(specs: Sequence[Generator]) -> tuple[int, int]:
    """Input pixels that a tile needs (before, after) its output, in multiples of `size_multiple`.

    Source:   Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural
              networks".
    Differs:  follows the first and the last pixel through the layers instead of one size, since a
              transposed convolution's receptive field differs between its two sides.
    """
    return _margins(tuple(specs))


@functools.lru_cache  # a small photo asks twenty times
def _margins(specs: tuple[Generator, ...]) -> tuple[int, int]:
    multiple = size_multiple(specs)
    low, high = 0, multiple - 1
    for spec in reversed(specs):
        low, high = _generator_needs(spec, low, high)
    return round_up(-low, multiple), round_up(high - multiple + 1, multiple)


def painting_frame_px(specs: Sequence[Generator]) -> int:
    """`FRAME_PX`, or `WIDE_FRAME_PX` for a large receptive field, rounded up to `size_multiple`.

    The strides then sample the same pixels of the photo as without a frame.
    """
    is_wide = max(receptive_margins(specs)) > FRAME_REACH_PX
    return round_up(WIDE_FRAME_PX if is_wide else FRAME_PX, size_multiple(specs))


def framed_size(size: int, specs: Sequence[Generator]) -> int:
    """The length of an edge with its frame, rounded up to `size_multiple`.

    The rounding makes the frame at the bottom and right thicker.
    """
    return round_up(size + 2 * painting_frame_px(specs), size_multiple(specs))


def painting_frame(height: int, width: int, specs: Sequence[Generator]) -> Frame:
    """The frame in which a picture is painted and measured, by `stylize` and all exports alike.

    `painting_frame_px` at each edge, and at the bottom and right what makes the height and width
    multiples of `size_multiple`.
    """
    px = painting_frame_px(specs)
    bottom, right = (framed_size(size, specs) - size - px for size in (height, width))
    return Frame(px, bottom, px, right)


def copy_size(height: int, width: int, specs: Sequence[Generator]) -> tuple[int, int]:
    """The (height, width) of the copy that a large picture's norm statistics are measured on.

    It is the picture's own up to `MEASURED_PIXELS`; else about that many pixels, in multiples of
    `size_multiple`.
    """
    scale = (MEASURED_PIXELS / (height * width)) ** 0.5
    if scale >= 1:
        return height, width
    multiple = size_multiple(specs)
    return round_up(round(height * scale), multiple), round_up(round(width * scale), multiple)
