"""How a picture is cut into windows that are painted one by one and fit in memory. Needs no MXNet.

With frozen statistics every layer is local: what a pixel becomes depends on the pixels in the chain's
reach and on nothing else. So windows that overlap by that reach, and start where every stride falls on
the same pixels as in the whole picture, make the same painting.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neuralart.errors import ConfigError
from neuralart.frame import FRAME_PX
from neuralart.specs import RGB, Generator, Layer

# Statistics of a larger picture are measured on it shrunk to about this many pixels, which is nearer to the
# scale of the photos that a style learns on than the picture itself.
MEASURED_PIXELS = 200_000

# What Python, MXNet, OpenCV, a model and oneDNN's kernels hold beside what is painted.
BASE_BYTES = 300_000_000

# Of a window's pixel as blocks of float32: what the engine gives to the graph and gets from it, and the graph's own.
COPIES_BYTES = 64

FLOAT_BYTES, BFLOAT16_BYTES = 4, 2

# Of a limit of memory, this much is planned with; at 100 megapixels the whole process came to 11% more than planned.
PLANNED_SHARE = 0.85


def _up(pixels: int, multiple: int) -> int:
    return -(-pixels // multiple) * multiple


def _layer_needs(layer: Layer, low: int, high: int) -> tuple[int, int]:
    """The first and last input pixel that a layer's outputs low .. high are made of."""
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
    """The first and last input pixel that a generator's outputs low .. high are made of."""
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


def chain_multiple(specs: Sequence[Generator]) -> int:
    """Windows start at multiples of this, and are multiples of it high and wide."""
    return math.lcm(*(spec.multiple for spec in specs))


def chain_reach(specs: Sequence[Generator]) -> tuple[int, int]:
    """Pixels that a window needs before and after those it makes, in multiples of `chain_multiple`.

    Source:   Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural networks".
    Differs:  the first and the last pixel are followed through the layers, and not a size, since the
              reach of a transposed convolution is another at either side.
    """
    multiple = chain_multiple(specs)
    low, high = 0, multiple - 1
    for spec in reversed(specs):
        low, high = _generator_needs(spec, low, high)
    return _up(-low, multiple), _up(high - multiple + 1, multiple)


def frame_px(specs: Sequence[Generator]) -> int:
    """`FRAME_PX`, or a little more, so that strides fall on the photo's own even pixels."""
    return _up(FRAME_PX, chain_multiple(specs))


def framed_size(size: int, specs: Sequence[Generator]) -> int:
    """An edge with its frame, which is up to a multiple thicker at the bottom and at the right."""
    return _up(size + 2 * frame_px(specs), chain_multiple(specs))


def measured_size(height: int, width: int, specs: Sequence[Generator]) -> tuple[int, int]:
    """The size at which the statistics of a picture are measured; shrunk, it needs no crops."""
    scale = (MEASURED_PIXELS / (height * width)) ** 0.5
    if scale >= 1:
        return height, width
    multiple = chain_multiple(specs)
    return _up(round(height * scale), multiple), _up(round(width * scale), multiple)


def _widest(specs: Sequence[Generator]) -> float:
    """Numbers for each pixel of the picture that the widest layer reads and makes."""
    most = 0.0
    for spec in specs:
        scale, read = 1.0, float(RGB)
        for layer in spec.layers:
            scale *= layer.enlarges**2 / (layer.stride**2 if layer.op == "conv" else 1)
            made = layer.channels * scale
            most, read = max(most, read + made), made
    return most


def pixel_bytes(specs: Sequence[Generator], number_bytes: int = FLOAT_BYTES) -> float:
    """Bytes of working memory for each pixel of a window: what the widest layer reads and makes, which oneDNN holds in
    an order of its own, too. docs/benchmarks.md has what `plan` says of it beside what painting takes."""
    return 2 * _widest(specs) * number_bytes + COPIES_BYTES


def fixed_bytes(height: int, width: int, specs: Sequence[Generator]) -> float:
    """Bytes of working memory that no window changes: programs, model, and what measuring the statistics took, where
    nothing is fused: up to twice what a window's pixel needs."""
    small = measured_size(height, width, specs)
    area = framed_size(small[0], specs) * framed_size(small[1], specs)
    return BASE_BYTES + 4 * _widest(specs) * FLOAT_BYTES * area


@dataclass(frozen=True)
class Window:
    """A piece of one axis: pixels ``start .. stop`` of the framed picture make ``first .. last`` of the photo's.

    ``skip`` is how many of what it makes come before ``first`` and are cut off.
    """

    start: int
    stop: int
    skip: int
    first: int
    last: int

    @property
    def made(self) -> slice:
        """Where the painting's pixels are in what the window makes."""
        return slice(self.skip, self.skip + self.last - self.first)

    @property
    def target(self) -> slice:
        """Where they belong in the painting."""
        return slice(self.first, self.last)


@dataclass(frozen=True)
class Plan:
    """The windows of a picture, and what it takes to paint them.

    rows, columns   the windows of each axis, all of one size
    frame           pixels of reflection around the picture
    overlap         pixels before and after its own that a window inside the picture has
    working_memory  resident bytes of the process at its peak, predicted, without photo and painting
    multiply_adds   all of them, those of overlaps and frame too
    """

    height: int
    width: int
    rows: tuple[Window, ...]
    columns: tuple[Window, ...]
    frame: int
    overlap: tuple[int, int]
    working_memory: int
    multiply_adds: float

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of every window."""
        return self.rows[0].stop - self.rows[0].start, self.columns[0].stop - self.columns[0].start

    @property
    def memory(self) -> int:
        """`working_memory`, and photo and painting as 8-bit RGB."""
        return self.working_memory + 2 * RGB * self.height * self.width

    def windows(self) -> Iterator[tuple[Window, Window]]:
        """Rows and columns of every window, from the top left on."""
        for rows in self.rows:
            for columns in self.columns:
                yield rows, columns


@dataclass(frozen=True)
class _Axis:
    """One edge of a framed picture, to be cut into windows."""

    size: int
    frame: int
    framed: int
    multiple: int
    overlap: tuple[int, int]

    @property
    def most(self) -> int:
        """The largest number of windows that makes sense."""
        return max(1, (self.framed - sum(self.overlap)) // self.multiple)

    def edge(self, count: int) -> int:
        """The length of ``count`` windows that cover the axis."""
        overlaps = (count - 1) * sum(self.overlap)
        return min(self.framed, _up(-(-(self.framed + overlaps) // count), self.multiple))

    def count(self, edge: int) -> int:
        """How many windows of at most this length cover the axis."""
        if edge >= self.framed:
            return 1
        steps = edge // self.multiple * self.multiple - sum(self.overlap)
        return -(-(self.framed - sum(self.overlap)) // steps)

    def windows(self, count: int) -> tuple[Window, ...]:
        before, after = self.overlap
        edge = self.edge(count)
        windows = []
        first, end = self.frame, self.frame + self.size
        while first < end:
            start = min(max(0, first - before), self.framed - edge)
            stop = start + edge
            last = end if stop == self.framed else min(end, stop - after)
            windows.append(
                Window(start, stop, first - start, first - self.frame, last - self.frame)
            )
            first = last
        return tuple(windows)


def plan_tiles(
    height: int,
    width: int,
    specs: Sequence[Generator],
    *,
    max_memory: int | None = None,
    tile: int | None = None,
    number_bytes: int = FLOAT_BYTES,
) -> Plan:
    """The windows that paint a picture with the least computing in ``max_memory`` bytes.

    max_memory    resident bytes of the process, without photo and painting; None for no limit
    tile          the largest height and width of a window, overlaps included, instead of a limit of memory;
                  0 for the whole picture at once
    number_bytes  of each number that is painted with

    Raises ConfigError if not even the smallest window fits.
    """
    multiple, overlap, frame = chain_multiple(specs), chain_reach(specs), frame_px(specs)
    down, across = (
        _Axis(size, frame, framed_size(size, specs), multiple, overlap) for size in (height, width)
    )
    smallest = sum(overlap) + multiple
    counts = 1, 1
    fixed, each = fixed_bytes(height, width, specs), pixel_bytes(specs, number_bytes)
    if tile and tile < smallest:
        raise ConfigError(f"--tile {tile}: this style needs windows of {smallest} pixels or more")
    if tile:
        counts = down.count(tile), across.count(tile)
    elif tile is None and max_memory is not None:
        room = (PLANNED_SHARE * max_memory - fixed) / each
        fitting = _least_computing(down, across, room, smallest)
        if fitting is None:
            least = (fixed + smallest**2 * each) / PLANNED_SHARE
            raise ConfigError(
                f"--max-memory: this style needs {math.ceil(least / 1e6)} MB or more beside the picture"
            )
        counts = fitting
    area = down.edge(counts[0]) * across.edge(counts[1])
    rows, columns = down.windows(counts[0]), across.windows(counts[1])
    return Plan(
        height,
        width,
        rows,
        columns,
        frame,
        overlap,
        working_memory=round(fixed + area * each),
        multiply_adds=area * len(rows) * len(columns) * sum(s.multiply_adds() for s in specs),
    )


def _least_computing(
    down: _Axis, across: _Axis, room: float, smallest: int
) -> tuple[int, int] | None:
    """How many windows of at most ``room`` pixels, down and across, have the fewest pixels in all."""
    best: tuple[int, int] | None = None
    least = math.inf
    for rows in range(1, down.most + 1):
        height = down.edge(rows)
        widest = int(room / height)
        if widest < min(smallest, across.framed):
            continue
        columns = across.count(widest)
        pixels = rows * height * columns * across.edge(columns)
        if pixels < least:
            best, least = (rows, columns), pixels
    return best
