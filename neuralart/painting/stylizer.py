"""Paints photos at a chosen stage, strength, size and stroke, in regions, with chosen colours."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from neuralart.chain.choice import load_style
from neuralart.chain.model import Model
from neuralart.chain.specs import with_grain_of
from neuralart.engine.devices import open_painting_device
from neuralart.errors import ConfigError, ImageError
from neuralart.machine.archive import Arrays
from neuralart.options.paint import StylizeConfig
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.regions import Regions, Weights, colours_share
from neuralart.painting.tiles import PictureBytes
from neuralart.pictures.editing import mix, painted_size, resize, resize_picture
from neuralart.pictures.matching import colour_statistics, match_colours
from neuralart.pictures.pixels import Picture, Pixels

Measure = Callable[[Pixels], Arrays]

# For each pixel, if regions have strengths of their own: the strengths and the shares of a stage.
REGION_BYTES = 2 * 4


class Stylizer:
    """Paints photos with a model as the options say.

    A strength below the first stage's mixes that stage's painting with the photo, after both have
    their final size. So with --keep-size the photo's part keeps its detail, and strength 0 is the
    photo itself.
    """

    def __init__(self, config: StylizeConfig, model: Model | None = None) -> None:
        """Read the mask, and the model in its style or mixture unless it is given.

        Raises NeuralArtError if one cannot be read, or the model has no such style or stage.
        """
        self._config = config
        self._colours = colours_share(config.colors)
        if config.colors is not None and config.preserve_colors:
            raise ConfigError(
                "--colors and --preserve-colors are two ways to choose colours; give one of them"
            )
        self._regions = Regions(config)
        self._model = model or load_style(config.model, config.style)
        if config.grain is not None:
            specs = tuple(with_grain_of(self._model.specs, config.grain))
            self._model = dataclasses.replace(self._model, specs=specs)
        self._stages = self._model.check_stage(config.stage)
        self._last_stage, self._share = position(config.strength, self._stages)
        self._photo_share = 1 - self._share if self._last_stage == 1 else 0.0
        self._devices = open_painting_device(config.device, config.engine, config.precision)
        self.errors: tuple[type[Exception], ...] = (MemoryError, *self._devices.errors)
        self.painter = self._make_painter(
            self._last_stage, self._share if self._last_stage > 1 else 1.0
        )
        self._earlier: dict[int, PhotoPainter] = {}
        self._last_painter = self.painter

    def _make_painter(self, stages: int, share: float = 1.0) -> PhotoPainter:
        return PhotoPainter(
            self._model,
            self._devices,
            stages,
            share=share,
            tile=self._config.tile,
            max_memory=self._config.max_memory,
            precision=self._config.precision,
        )

    @property
    def keeps_faces(self) -> bool:
        return self._regions.counts_faces

    @property
    def faces(self) -> int:
        """The faces that were found in the last photo."""
        return self._regions.faces

    def faces_report(self) -> str:
        """How many faces were found in the last photo, for people."""
        count = self.faces
        if not count:
            return "no face found"
        strength = f"painted with strength {min(self._regions.kept, self._config.strength):g}"
        return f"{count} {'face' if count == 1 else 'faces'} found, {strength}"

    def check(self, name: str, size: tuple[int, int]) -> None:
        """Raise ImageError if a photo of (height, width) would be too large, or fits no mask."""
        config = self._config
        for words, (height, width) in (
            (f"--size {config.size}", painted_size(size, config.size)),
            (f"--stroke {config.stroke:g}", self.painted_size(size)),
        ):
            if (height, width) != size and height * width > config.max_pixels * 1e6:
                raise ImageError(f"{name}: {words} makes {width}x{height}, over --max-pixels")
        self._regions.check(name, size)

    def final_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the painting of a photo of that size."""
        return size if self._config.keep_size else painted_size(size, self._config.size)

    def painted_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) at which a photo of that size goes through the chain.

        Strokes have a size in pixels: at half the size, they are twice as broad in the painting.
        """
        height, width = painted_size(size, self._config.size)
        stroke = self._config.stroke
        return max(1, round(height / stroke)), max(1, round(width / stroke))

    def picture_bytes(self, photo: Picture, size: tuple[int, int]) -> PictureBytes:
        """Bytes of photo and painting, for a photo of (height, width) or a piece of it."""
        painted, final = self.painted_size(size), self.final_size(size)
        pictures = PictureBytes.of(photo, size, painted)
        layers = int(painted != final) + int(self._regions.chooses)
        more = layers * 3 * photo.pixels.itemsize + self._regions.chooses * REGION_BYTES
        return replace(pictures, painting=pictures.painting + more * math.prod(final))

    def paint(
        self,
        photo: Picture,
        measure: Measure | None = None,
        steady: Callable[[Weights], Weights] | None = None,
    ) -> Picture:
        """The painting, with the photo's alpha, profile and EXIF.

        measure  gives the statistics to paint on; by default they are the photo's own
        steady   smooths the weights of faces, see `Regions.strengths`

        Raises ConfigError if painting would take more memory than allowed, ImageError if the mask
        does not fit.
        """
        config = self._config
        final = self.final_size(photo.size)
        strengths = self._regions.strengths(photo, final, steady)
        painted = self.painted_size(photo.size)
        pictures = self.picture_bytes(photo, photo.size)
        small = _resized(photo, painted).pixels
        photo = _resized(photo, final)
        if config.strength == 0 or (strengths is not None and not strengths.any()):
            return photo
        paint = partial(self._painting, photo, small, measure(small) if measure else None, pictures)
        if strengths is None:
            painting = paint(self.painter)
            if self._photo_share or config.preserve_colors:
                share = 1 - self._photo_share
                painting = mix(photo.pixels, painting, share, config.preserve_colors)
            return replace(photo, pixels=painting)
        painting = photo.pixels
        for painter, shares in self._shares(strengths):
            painting = mix(painting, paint(painter), shares)
        if config.preserve_colors:
            painting = mix(photo.pixels, painting, 1, preserve_colors=True)
        return replace(photo, pixels=painting)

    def _painting(
        self,
        photo: Picture,
        small: Pixels,
        statistics: Arrays | None,
        pictures: PictureBytes,
        painter: PhotoPainter,
    ) -> Pixels:
        """Paint ``small``, and bring the painting to the size and the colours of ``photo``."""
        if self._last_painter is not painter:
            self._last_painter.release()  # two painters must not hold memory at once
            self._last_painter = painter
        painting = painter.paint(small, statistics, pictures)
        if painting.shape != photo.pixels.shape:
            painting = resize(painting, photo.size)
        if self._colours < 1:
            matched = match_colours(painting, photo.alpha, colour_statistics(photo))
            painting = mix(matched, painting, self._colours)
        return painting

    def _shares(self, strengths: Weights) -> Iterator[tuple[PhotoPainter, Weights]]:
        """Yield the painter of each stage that is visible somewhere, and its share at each pixel.

        Each painting is laid over those before it: a pixel of a strength between (k - 1) / n and
        k / n mixes stage k with stage k - 1. Stages that would be hidden are left out.
        """
        reached = strengths * self._stages
        highest = self._config.strength * self._stages
        for stage in range(1, self._last_stage + 1):
            low, is_last = stage - 1, stage == self._last_stage
            high = highest if is_last and stage > 1 else stage
            above = highest if stage + 1 == self._last_stage else stage + 1
            is_seen = reached > low if is_last else (reached > low) & (reached < above - 1e-5)
            if not is_seen.any():
                continue
            if is_last:
                painter = self.painter
            else:
                if stage not in self._earlier:
                    self._earlier[stage] = self._make_painter(stage)
                painter = self._earlier[stage]
            yield painter, ((reached - low) / (high - low)).clip(0, 1)


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    return picture if picture.size == size else resize_picture(picture, size)


def position(strength: float, stages: int) -> tuple[int, float]:
    """Stage k of a strength, and its share s in the painting s x_k + (1 - s) x_{k-1}.

    x_0 is the photo, x_n the last stage's output. Strength 0 gives (1, 0.0), strength 1 (n, 1.0).
    """
    reached = strength * stages
    stage = max(1, math.ceil(reached))
    return stage, reached - (stage - 1)
