"""How a picture is cut into overlapping tiles, so that painting it fits in memory. Needs no MXNet.

With frozen statistics every layer is local: an output pixel depends only on the input pixels in its
receptive field. Tiles that overlap by the receptive field's margins, and start at multiples of the
chain's total stride, therefore make the same painting as the whole picture.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neuralart.chain import receptive_field
from neuralart.chain.receptive_field import (
    framed_size,
    painting_frame_px,
    receptive_margins,
    round_up,
    size_multiple,
)
from neuralart.chain.specs import RGB, Generator
from neuralart.errors import ConfigError
from neuralart.pictures.pixels import Picture

# Memory of Python, MXNet, OpenCV, a model and oneDNN's kernels, for a picture of any size.
BASE_BYTES = 300_000_000

# For each pixel of a tile: the graph's input and output in float32 blocks, the graph's copies, and
# the tile and its grain.
COPIES_BYTES = 80

FLOAT_BYTES, BFLOAT16_BYTES = 4, 2

# Samples for each pixel that a decoder holds beside the result: Pillow's own picture has four.
CODEC_SAMPLES = 4

# Share of the memory limit above `BASE_BYTES` to plan with: at 100 megapixels the process took 11%
# more than planned, which is 18% of what tiles take.
PLANNED_SHARE = 0.85


@functools.lru_cache
def _widest_layer(specs: tuple[Generator, ...]) -> float:
    """Numbers in the widest layer's input and output, for each pixel of the picture."""
    most = 0.0
    for spec in specs:
        scale, read = 1.0, float(RGB)
        for layer in spec.layers:
            scale *= layer.enlarges**2 / (layer.stride**2 if layer.op == "conv" else 1)
            made = layer.channels * scale
            most, read = max(most, read + made), made
    return most


def pixel_bytes(specs: Sequence[Generator], number_bytes: int = FLOAT_BYTES) -> float:
    """Bytes of working memory for each pixel of a tile.

    The widest layer's input and output count twice: oneDNN also holds them in an order of its own.
    docs/benchmarks.md compares the prediction with what painting takes.
    """
    return 2 * _widest_layer(tuple(specs)) * number_bytes + COPIES_BYTES


def measuring_bytes(height: int, width: int, specs: Sequence[Generator]) -> float:
    """Bytes of the graph that measures, or paints in one pass, a picture of this size.

    Nothing is fused in that graph, so one of its pixels takes up to twice the memory of a tile's
    pixel.
    """
    area = framed_size(height, specs) * framed_size(width, specs)
    return 4 * _widest_layer(tuple(specs)) * FLOAT_BYTES * area


def measured_size(
    height: int, width: int, specs: Sequence[Generator], max_memory: int | None = None
) -> tuple[int, int]:
    """The (height, width) at which `stylize` measures the statistics of a photo.

    It is the photo's own up to `WHOLE_PIXELS`, if the graph takes at most half of the memory for
    painting. Otherwise it is that of a copy, see `copy_size`.
    """
    if height * width <= receptive_field.WHOLE_PIXELS:
        needed = 2 * measuring_bytes(height, width, specs)
        if max_memory is None or needed <= max_memory - BASE_BYTES:
            return height, width
    return receptive_field.copy_size(height, width, specs)


def fixed_bytes(
    height: int, width: int, specs: Sequence[Generator], max_memory: int | None = None
) -> float:
    """Bytes of working memory that do not depend on the tiles.

    They hold the programs, the model, and the graph that measured the statistics.
    """
    return BASE_BYTES + measuring_bytes(*measured_size(height, width, specs, max_memory), specs)


@dataclass(frozen=True)
class PictureBytes:
    """Bytes of photo and painting.

    reading   while the photo is read
    painting  while it is painted
    """

    reading: int = 0
    painting: int = 0

    @classmethod
    def of(cls, photo: Picture, size: tuple[int, int], painted: tuple[int, int]) -> PictureBytes:
        """The bytes for a photo of a (height, width) that is painted at another or the same.

        ``photo`` has the samples of the photo, or is a piece of it.
        """
        sample, channels = photo.pixels.itemsize, RGB + (photo.alpha is not None)
        whole, made = math.prod(size), math.prod(painted)
        small = made if painted != size else 0
        return cls(
            whole * sample * (channels + CODEC_SAMPLES),
            whole * sample * channels + (made + small) * sample * RGB,
        )


NO_PICTURES = PictureBytes()


@dataclass(frozen=True)
class Span:
    """A tile along one axis. Stops are exclusive.

    start, stop  the pixels of the framed picture that the tile covers
    skip         the pixels at the beginning of the tile's output that are cut off
    first, last  the pixels of the painting that it makes
    """

    start: int
    stop: int
    skip: int
    first: int
    last: int

    @property
    def made(self) -> slice:
        """Where the painting's pixels are in the tile's output."""
        return slice(self.skip, self.skip + self.last - self.first)

    @property
    def target(self) -> slice:
        """Where those pixels belong in the painting."""
        return slice(self.first, self.last)


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut into tiles, and what painting it takes.

    height, width   of the picture
    rows, columns   the tiles along each axis, all of one size
    frame           pixels of reflection around the picture
    overlap         pixels that a tile inside the picture has before and after those that it makes
    working_memory  predicted peak of the process's resident bytes, without photo and painting
    multiply_adds   of all tiles, overlaps and frame included
    """

    height: int
    width: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    frame: int
    overlap: tuple[int, int]
    working_memory: int
    multiply_adds: float

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of every tile, overlaps included."""
        return self.rows[0].stop - self.rows[0].start, self.columns[0].stop - self.columns[0].start

    def tiles(self) -> Iterator[tuple[Span, Span]]:
        """Each tile's rows and columns, line by line from the top left."""
        return itertools.product(self.rows, self.columns)


def peak_bytes(tiling: Tiling, pictures: PictureBytes) -> int:
    """Resident bytes of the process while it reads or while it paints, whichever is more."""
    return max(BASE_BYTES + pictures.reading, tiling.working_memory + pictures.painting)


@dataclass(frozen=True)
class _Axis:
    """One axis of a framed picture, to be cut into tiles."""

    size: int
    frame: int
    framed: int
    multiple: int
    overlap: tuple[int, int]

    @property
    def max_count(self) -> int:
        """The largest number of tiles that makes sense: each makes at least `multiple` pixels."""
        return max(1, (self.framed - sum(self.overlap)) // self.multiple)

    def edge(self, count: int) -> int:
        """The length of each tile where ``count`` of them cover the axis."""
        overlaps = (count - 1) * sum(self.overlap)
        return min(self.framed, round_up(-(-(self.framed + overlaps) // count), self.multiple))

    def count(self, edge: int) -> int:
        """The number of tiles of at most this length that cover the axis."""
        if edge >= self.framed:
            return 1
        steps = edge // self.multiple * self.multiple - sum(self.overlap)
        return -(-(self.framed - sum(self.overlap)) // steps)

    def spans(self, count: int) -> tuple[Span, ...]:
        """The axis in ``count`` tiles."""
        before, after = self.overlap
        edge = self.edge(count)
        spans = []
        first, end = self.frame, self.frame + self.size
        while first < end:
            start = min(max(0, first - before), self.framed - edge)
            stop = start + edge
            last = end if stop == self.framed else min(end, stop - after)
            spans.append(Span(start, stop, first - start, first - self.frame, last - self.frame))
            first = last
        return tuple(spans)


def best_tiling(
    height: int,
    width: int,
    specs: Sequence[Generator],
    *,
    max_memory: int | None = None,
    tile: int | None = None,
    number_bytes: int = FLOAT_BYTES,
    pictures: PictureBytes = NO_PICTURES,
) -> Tiling:
    """The tiling of a picture that takes the least computing within a limit.

    max_memory    limit of the process's resident bytes; None for none
    tile          largest height and width of a tile, overlaps included, instead of ``max_memory``;
                  0 for the whole picture at once
    number_bytes  bytes of each number that the graph computes with
    pictures      photo and painting, if they count towards ``max_memory``

    Raises ConfigError if the photo alone needs too much, or if not even the smallest tile fits.
    """
    multiple, overlap, frame = (
        size_multiple(specs),
        receptive_margins(specs),
        painting_frame_px(specs),
    )
    down, across = (
        _Axis(size, frame, framed_size(size, specs), multiple, overlap) for size in (height, width)
    )
    smallest = sum(overlap) + multiple
    counts = 1, 1
    fixed, each = fixed_bytes(height, width, specs, max_memory), pixel_bytes(specs, number_bytes)
    if tile and tile < smallest:
        raise ConfigError(
            f"--tile {tile}: this style needs tiles of {smallest} pixels or more; "
            "raise it, or leave it away"
        )
    if tile:
        counts = down.count(tile), across.count(tile)
    elif tile is None and max_memory is not None:
        spare = PLANNED_SHARE * (max_memory - pictures.painting - BASE_BYTES)
        room = (spare + BASE_BYTES - fixed) / each
        fitting = _least_computing(down, across, room, smallest)
        if fitting is None or BASE_BYTES + pictures.reading > max_memory:
            tiles = (fixed - BASE_BYTES + smallest**2 * each) / PLANNED_SHARE
            least = BASE_BYTES + max(pictures.reading, tiles + pictures.painting)
            raise ConfigError(
                f"--max-memory: this style needs {math.ceil(least / 1e6)} MB or more for "
                f"{width}x{height} pixels; allow more, or paint at a smaller --size"
            )
        counts = fitting
    area = down.edge(counts[0]) * across.edge(counts[1])
    rows, columns = down.spans(counts[0]), across.spans(counts[1])
    return Tiling(
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
    """The numbers of tiles down and across that have the fewest pixels in all.

    A tile has at most ``room`` pixels. Returns None if even the smallest tile has more.
    """
    best: tuple[int, int] | None = None
    least = math.inf
    for rows in range(1, down.max_count + 1):
        height = down.edge(rows)
        widest = int(room / height)
        if widest < min(smallest, across.framed):
            continue
        columns = across.count(widest)
        pixels = rows * height * columns * across.edge(columns)
        if pixels < least:
            best, least = (rows, columns), pixels
    return best
