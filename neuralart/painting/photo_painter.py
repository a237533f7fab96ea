"""Paints whole photos: small ones in one pass, others on measured statistics, in tiles."""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial

from neuralart.chain.model import Model
from neuralart.chain.reference import Task
from neuralart.engine.contract import Devices
from neuralart.errors import ConfigError
from neuralart.machine.archive import Arrays
from neuralart.machine.files import DATA
from neuralart.machine.memory import address_space_left, free_memory, parse_memory
from neuralart.painting.folded.folding import with_fixed_residuals
from neuralart.painting.folded.one_pass import MeasuringPainter, measuring_painter
from neuralart.painting.folded.painter import FoldedPainter
from neuralart.painting.kept import KeptGraphs
from neuralart.painting.tiles import (
    BASE_BYTES,
    BFLOAT16_BYTES,
    FLOAT_BYTES,
    NO_PICTURES,
    PLANNED_SHARE,
    PictureBytes,
    Tiling,
    best_tiling,
    fixed_bytes,
    measured_size,
    measuring_bytes,
    peak_bytes,
)
from neuralart.pictures.editing import resize
from neuralart.pictures.pixels import Pixels
from neuralart.pictures.reading import decode_image

# int8 takes its ranges from a copy of the style image with this many pixels. All photos share them,
# so a painting does not depend on the other photos of a batch. Paintings come as near to float32 as
# with ranges of each photo's own (docs/benchmarks.md).
CALIBRATED_PIXELS = 30_000

# Takes the place of the style image where a model has none: a style file has no picture. Paintings
# then come as near to float32, within 2 dB.
STAND_IN = DATA / "photos" / "coffee.jpg"

# Share of the free memory that painting takes by default.
SHARE_OF_MEMORY = 0.5

# The most memory that painting takes by default. Getting the memory for a whole photo at once takes
# a virtual machine longer than computing the tiles' overlaps (docs/benchmarks.md).
DEFAULT_BYTES = 2_000_000_000

# It takes no more than this where the overlaps of smaller tiles cost at most so many times the
# computing: then it is as fast. A chain that reads far around each pixel has larger overlaps.
THRIFTY_BYTES, MOST_COMPUTING = 1_000_000_000, 1.1

# The most tilings that are kept for sizes that come again: finding one takes a millisecond.
MOST_TILINGS = 16

# Addresses that the engine's threads take and never use, where ``ulimit -v`` counts them: measured
# with MXNet, as the growth of a process by its first painting over 1.1 times what it had in memory.
THREADS_ADDRESSES = 270_000_000


def memory_limit(max_memory: str | None) -> int:
    """Bytes that painting may take.

    They are --max-memory, which holds photo and painting, too. By default they are half of the free
    ones, at most `DEFAULT_BYTES` (see also `THRIFTY_BYTES`), beside photo and painting.
    With ``ulimit -v``, no more than it leaves.

    Raises ConfigError if ``max_memory`` is not an amount of memory.
    """
    free, left = free_memory(), address_space_left()
    limits = [DEFAULT_BYTES]
    if max_memory is not None:
        limits = [parse_memory(max_memory, "--max-memory")]
    elif free is not None:
        limits.append(int(SHARE_OF_MEMORY * free))
    if left is not None:
        limits.append(int((left - THREADS_ADDRESSES) / 1.1))
    return max(0, min(limits))


class PhotoPainter:
    """Paints any number of photos with one model, always with the same stages and precision."""

    def __init__(
        self,
        model: Model,
        devices: Devices,
        stages: int,
        *,
        share: float = 1.0,
        tile: int | None = None,
        max_memory: str | None = None,
        precision: str = "float32",
    ) -> None:
        """Prepare the first ``stages`` stages of a model.

        share       the last stage's share of the painting; the rest is the stage before it
        tile        largest edge of a tile, see `best_tiling`
        max_memory  as in ``1GB``; by default see `memory_limit`
        precision   ``float32``, ``bfloat16`` or ``int8``

        Raises ConfigError for a wrong ``max_memory``, or if the chain or the device cannot compute
        with the ``precision``.
        """
        self.stages = stages
        self._specs = model.specs[:stages]
        mixed = self._specs
        if share < 1:
            mixed = with_fixed_residuals(self._specs, model.params, share)
        self._folded_bytes = 0.0  # what the folded painter keeps
        self._folded = FoldedPainter(
            self._specs, model.params, devices, share=share, precision=precision
        )
        self._graphs = KeptGraphs(
            mixed, partial(measuring_painter, mixed, model.params, devices, self._folded.dtype)
        )
        self._number_bytes = BFLOAT16_BYTES if precision == "bfloat16" else FLOAT_BYTES
        self._tile = tile
        self._limit, self._limits_all = memory_limit(max_memory), max_memory is not None
        self._tilings: dict[tuple[int, int, PictureBytes], Tiling] = {}
        if precision == "int8":
            self._calibrate(model)

    def _calibrate(self, model: Model) -> None:
        """Find the ranges of int8 on the model's style image, or on `STAND_IN`."""
        data = model.style_image or model.thumbnail or STAND_IN.read_bytes()
        image = decode_image(data, "the model's style image")
        height, width = image.shape[:2]
        scale = min(1.0, (CALIBRATED_PIXELS / (height * width)) ** 0.5)
        small = resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))
        self._folded.calibrate(small, self.measure(small))

    def tiling(self, height: int, width: int, pictures: PictureBytes = NO_PICTURES) -> Tiling:
        """The tiling of a photo of this size.

        pictures  photo and painting: a limit that the user gave holds them, too

        Raises ConfigError if even the smallest tile, or the --tile, needs too much memory.
        """
        key = height, width, pictures
        if key not in self._tilings:
            if len(self._tilings) == MOST_TILINGS:
                self._tilings.clear()
            self._tilings[key] = self._new_tiling(*key)
        return self._tilings[key]

    def _new_tiling(self, height: int, width: int, pictures: PictureBytes) -> Tiling:
        def within(limit: int) -> Tiling:
            return best_tiling(
                height,
                width,
                self._specs,
                max_memory=limit,
                tile=self._tile,
                number_bytes=self._number_bytes,
                pictures=pictures if self._limits_all else NO_PICTURES,
            )

        tiling = within(self._limit)
        if not self._limits_all and self._limit > THRIFTY_BYTES:
            with suppress(ConfigError):  # where so little does not suffice
                thrifty = within(THRIFTY_BYTES)
                if thrifty.multiply_adds <= MOST_COMPUTING * tiling.multiply_adds:
                    tiling = thrifty
        needed = math.ceil(peak_bytes(tiling, pictures) / 1e6)
        if self._limits_all and needed > self._limit / 1e6:
            raise ConfigError(
                f"--tile {self._tile}: takes {needed} MB, over --max-memory; "
                "take smaller tiles, or leave --tile away"
            )
        return tiling

    def paints_at_once(self, tiling: Tiling) -> bool:
        """Whether a photo can be painted on its own statistics in one pass.

        For that, the photo must be measured at its own size and be one tile. With int8 the pass is
        in float32, which is faster than measuring in float32 and then painting.
        """
        height, width = tiling.height, tiling.width
        is_one_tile = len(tiling.rows) * len(tiling.columns) == 1
        return is_one_tile and self.measured_size(height, width) == (height, width)

    def measured_size(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) at which the statistics of a photo of this size are measured."""
        return measured_size(height, width, self._specs, self._limit)

    def _graph(self, task: Task, height: int, width: int) -> MeasuringPainter:
        """The painter that measures, or paints in one pass, a photo of this size."""
        room = PLANNED_SHARE * (self._limit - BASE_BYTES)
        if self._folded_bytes + measuring_bytes(height, width, self._specs) > room:
            self._release_folded()
        return self._graphs.at(task, height, width, room - self._folded_bytes)

    def _release_folded(self) -> None:
        self._folded.release()
        self._folded_bytes = 0.0

    def measure(self, photo: Pixels) -> Arrays:
        """Measure the norm statistics of a photo, on a small copy if it is large.

        Shape:  (H, W, 3) RGB, uint8 or uint16 -> arrays by name
        """
        height, width = photo.shape[:2]
        size = self.measured_size(height, width)
        small = photo if size == (height, width) else resize(photo, size)
        return self._graph("measure", *size).measure(small)

    @property
    def kept_bytes(self) -> float:
        """Bytes that are kept from one photo to the next."""
        return self._folded_bytes + self._graphs.bytes

    def has_room(self, height: int, width: int, kept: float) -> bool:
        """Whether a photo of this size can be painted while other painters keep that many bytes.

        Never with a limit that the user gave: others then give back what they keep.
        Raises ConfigError as `tiling`.
        """
        needed = self.tiling(height, width).working_memory + kept
        return not kept or (needed <= self._limit and not self._limits_all)

    def release(self) -> None:
        """Give back the memory that is kept from one photo to the next."""
        self._graphs.release()
        self._release_folded()

    def paint(
        self,
        photo: Pixels,
        statistics: Arrays | None = None,
        pictures: PictureBytes = NO_PICTURES,
    ) -> Pixels:
        """Paint a photo, on its own statistics unless others are given.

        statistics  must not be changed later: paintings on the same arrays share a bound graph
        pictures    see `tiling`

        Shape:  (H, W, 3) RGB, uint8 or uint16 -> the same
        Raises ConfigError if it would take more memory than allowed.
        """
        height, width = photo.shape[:2]
        tiling = self.tiling(height, width, pictures)
        if statistics is None:
            if self.paints_at_once(tiling):
                return self._graph("paint at once", height, width).paint_at_once(photo)
            statistics = self.measure(photo)
        if len(tiling.rows) * len(tiling.columns) > 1:
            self._graphs.release()
        self._folded_bytes = tiling.working_memory - fixed_bytes(
            height, width, self._specs, self._limit
        )
        taken = BASE_BYTES + self._folded_bytes + (pictures.painting if self._limits_all else 0)
        self._graphs.fit(PLANNED_SHARE * (self._limit - taken))
        return self._folded.paint(photo, statistics, tiling)
