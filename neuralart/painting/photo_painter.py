"""From a photo to its painting: statistics from a small copy, then windows that fit in memory."""

from __future__ import annotations

from neuralart.chain.model import Model
from neuralart.chain.receptive_field import measured_size
from neuralart.chain.reference import ReferencePainter
from neuralart.engine.contract import Devices
from neuralart.machine.archive import Arrays
from neuralart.machine.memory import free_memory, parse_memory
from neuralart.painting.folded.painter import FoldedPainter
from neuralart.painting.tiles import BFLOAT16_BYTES, FLOAT_BYTES, Tiling, best_tiling
from neuralart.pictures.editing import resize
from neuralart.pictures.frame import PAINTING_FRAME
from neuralart.pictures.pixels import Pixels, to_pixels, to_x
from neuralart.pictures.reading import decode_image

# The ranges of 8 bits are found on so much of the style's own painting: one picture for all photos, of which none is
# then painted otherwise than in other company. They came out as near to float32 as on ranges of each photo's own.
CALIBRATED_PIXELS = 30_000

# Of the memory that is free, this much is taken for painting unless --max-memory says otherwise.
SHARE_OF_MEMORY = 0.5

# And no more than this: of 12 megapixels it makes windows whose overlaps cost the fast chain 6% more computing and the
# default one 21%, and getting the memory for the whole at once took a virtual machine longer (docs/benchmarks.md).
DEFAULT_BYTES = 2_000_000_000


def memory_limit(max_memory: str | None) -> int:
    """Bytes for painting: of --max-memory, or half of what is free and `DEFAULT_BYTES` at most. Raises ConfigError."""
    if max_memory is not None:
        return parse_memory(max_memory, "--max-memory")
    free = free_memory()
    return DEFAULT_BYTES if free is None else min(DEFAULT_BYTES, int(SHARE_OF_MEMORY * free))


class PhotoPainter:
    """A model with everything said that decides how it paints, ready for any number of photos."""

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
        """With ``share`` under 1 the last of the stages counts that much and the one before it the rest.

        Raises ConfigError for a wrong ``max_memory``, or a ``precision`` that the chain or device has not.
        """
        self._specs = model.specs[:stages]
        self._painter = ReferencePainter(self._specs, model.params, devices)
        self._mixes = share < 1
        self._folded = FoldedPainter(
            self._specs, model.params, devices, share=share, precision=precision
        )
        self._number_bytes = BFLOAT16_BYTES if precision == "bfloat16" else FLOAT_BYTES
        self._tile = tile
        self._limit = memory_limit(max_memory)
        if precision == "int8":
            self._calibrate(model)

    def _calibrate(self, model: Model) -> None:
        painting = decode_image(model.style_image or model.thumbnail, "the model's painting")
        height, width = painting.shape[:2]
        scale = min(1.0, (CALIBRATED_PIXELS / (height * width)) ** 0.5)
        small = resize(painting, (max(1, round(height * scale)), max(1, round(width * scale))))
        self._folded.calibrate(small, self._painter.measure(to_x(small)))

    def tiling(self, height: int, width: int) -> Tiling:
        """The windows of a photo of this size. Raises ConfigError if the smallest needs too much memory."""
        return best_tiling(
            height,
            width,
            self._specs,
            max_memory=self._limit,
            tile=self._tile,
            number_bytes=self._number_bytes,
        )

    def paints_at_once(self, plan: Tiling) -> bool:
        """Whether a photo on its own statistics takes one pass: it is measured as it is, and as the one window. That
        one is in float32 whatever the precision: no other is faster than measuring and painting.
        Of edges that are no multiples of the strides, a window has more frame than what is measured."""
        height, width = plan.height, plan.width
        whole = plan.tile == PAINTING_FRAME.size(height, width)
        small = self.measured_size(height, width) == (height, width)
        return whole and small and not self._mixes

    def measured_size(self, height: int, width: int) -> tuple[int, int]:
        """At which the statistics of a photo of this size are measured."""
        return measured_size(height, width, self._specs)

    def measure(self, photo: Pixels) -> Arrays:
        """The statistics of a photo, of a small copy if it is large.

        Shape:  (H, W, 3) RGB, uint8 or uint16 -> arrays by name
        """
        height, width = photo.shape[:2]
        size = self.measured_size(height, width)
        return self._painter.measure(
            to_x(photo if size == (height, width) else resize(photo, size))
        )

    def paint(self, photo: Pixels, statistics: Arrays | None = None) -> Pixels:
        """The painting of a photo, on its own statistics unless others are given.

        Shape:  (H, W, 3) RGB, uint8 or uint16 -> the same
        Raises ConfigError if it takes more memory than there may be.
        """
        height, width = photo.shape[:2]
        plan = self.tiling(height, width)
        if statistics is None:
            if self.paints_at_once(plan):
                return to_pixels(self._painter.paint_at_once(to_x(photo)), photo.dtype)
            statistics = self.measure(photo)
        if len(plan.rows) * len(plan.columns) > 1:
            self._painter.release()
        return self._folded.paint(photo, statistics, plan)
