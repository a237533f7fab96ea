"""Paints photos at a chosen stage, strength, size and stroke, in regions, with chosen colours."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from neuralart.chain.choice import load_style
from neuralart.chain.model import Model
from neuralart.chain.specs import RGB, with_grain_of
from neuralart.engine.devices import open_painting_device
from neuralart.errors import ConfigError, ImageError
from neuralart.machine.archive import Arrays
from neuralart.options.paint import StylizeConfig
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.regions import Regions, Weights, colours_share
from neuralart.painting.strokes import OVER_SHARE, coat_sizes, fitting_stroke, underpainting
from neuralart.painting.tiles import PictureBytes, Tiling
from neuralart.pictures.editing import mix, painted_size, resize, resize_picture
from neuralart.pictures.matching import colour_statistics, match_colours
from neuralart.pictures.pixels import Picture, Pixels

Measure = Callable[[PhotoPainter, str, Pixels], Arrays]
"""Gives the statistics on which a painter paints a picture; the words say which of a photo's."""

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
            self._model = _with_grain(self._model, config.grain)
        self._stages = self._model.check_stage(config.stage)
        self._last_stage, self._share = position(config.strength, self._stages)
        self._photo_share = 1 - self._share if self._last_stage == 1 else 0.0
        self._devices = open_painting_device(config.device, config.engine, config.precision)
        self.errors: tuple[type[Exception], ...] = (MemoryError, *self._devices.errors)
        share = self._share if self._last_stage > 1 else 1.0
        self.painter = self._make_painter(self._model, self._last_stage, share)
        self._earlier: dict[int, PhotoPainter] = {}
        self._used = [self.painter]  # the last one used is last

    @functools.cached_property
    def over(self) -> PhotoPainter:
        """What goes over an underpainting, see `strokes`."""
        # Without grain: no place of an underpainting is plain, and x_0's share of it would be seen.
        return self._make_painter(_with_grain(self._model, 0), 1, OVER_SHARE)

    def _make_painter(self, model: Model, stages: int, share: float = 1.0) -> PhotoPainter:
        return PhotoPainter(
            model,
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
            (f"--stroke {config.stroke}", self._sizes(size)[0]),
        ):
            if (height, width) != size and height * width > config.max_pixels * 1e6:
                raise ImageError(f"{name}: {words} makes {width}x{height}, over --max-pixels")
        self._regions.check(name, size)

    def final_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the painting of a photo of that size."""
        return size if self._config.keep_size else painted_size(size, self._config.size)

    def coats(self, photo: Picture, size: tuple[int, int]) -> list[tuple[PhotoPainter, Tiling]]:
        """What paints a photo of (height, width) one after the other, each in its tiles.

        photo  the photo, or a piece of it

        Raises ConfigError if painting would take more memory than allowed.
        """
        sizes = self._sizes(size)
        painters = [self.painter, *(self.over for _ in sizes[1:])]
        pictures = self.picture_bytes(photo, size)
        # The last coat first: it takes the most memory, and has the size that an error should name.
        order = range(len(sizes))[::-1]
        try:
            tilings = [painters[each].tiling(*sizes[each], pictures) for each in order]
        except ConfigError as error:
            if len(sizes) == 1 or not self._has_room_for_one(photo, size):
                raise
            raise ConfigError(f"{error}, or in one coat with --stroke 1") from None
        return list(zip(painters, reversed(tilings), strict=True))

    def _has_room_for_one(self, photo: Picture, size: tuple[int, int]) -> bool:
        """Whether a photo can be painted in one coat."""
        painted = painted_size(size, self._config.size)
        try:
            self.painter.tiling(*painted, self._bytes_of(photo, size, [painted]))
        except ConfigError:
            return False
        return True

    def _sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        size = painted_size(size, self._config.size)
        return coat_sizes(size, self._config.stroke or fitting_stroke(size))

    def picture_bytes(self, photo: Picture, size: tuple[int, int]) -> PictureBytes:
        """Bytes of photo and painting, for a photo of (height, width) or a piece of it."""
        return self._bytes_of(photo, size, self._sizes(size))

    def _bytes_of(
        self, photo: Picture, size: tuple[int, int], sizes: Sequence[tuple[int, int]]
    ) -> PictureBytes:
        *below, last = sizes
        final = self.final_size(size)
        pictures = PictureBytes.of(photo, size, last)
        pixels = (int(last != final) + int(self._regions.chooses)) * math.prod(final)
        if below:  # The last coat is painted on the one below, enlarged.
            pixels += math.prod(last) + 2 * math.prod(below[-1])
        more = pixels * RGB * photo.pixels.itemsize
        more += self._regions.chooses * REGION_BYTES * math.prod(final)
        return replace(pictures, painting=pictures.painting + more)

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
        source, photo = photo, _resized(photo, final)
        if config.strength == 0 or (strengths is not None and not strengths.any()):
            return photo
        self.coats(source, source.size)  # raises before the first is painted
        pictures = self.picture_bytes(source, source.size)
        first = _resized(source, self._sizes(source.size)[0]).pixels
        statistics = measure(self.painter, "photo", first) if measure else None
        paint = partial(self._painting, photo, source, first, pictures, statistics, measure)
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
        source: Picture,
        first: Pixels,
        pictures: PictureBytes,
        statistics: Arrays | None,
        measure: Measure | None,
        painter: PhotoPainter,
    ) -> Pixels:
        """Paint ``source`` coat by coat, and bring the painting to size and colours of ``photo``.

        first       its copy that is painted first
        statistics  of that copy, for all stages
        """
        sizes = self._sizes(source.size)
        self._make_room(painter, sizes[0])
        painting = painter.paint(first, statistics, pictures)
        for below, size in itertools.pairwise(sizes):
            self._make_room(self.over, size)
            copy, larger = (_resized(source, each).pixels for each in (below, size))
            painting = underpainting(painting, copy, larger)
            del copy, larger
            coat = f"coat of {size} on stage {painter.stages}"
            statistics = measure(self.over, coat, painting) if measure else None
            painting = self.over.paint(painting, statistics, pictures)
        if painting.shape != photo.pixels.shape:
            painting = resize(painting, photo.size)
        if self._colours < 1:
            matched = match_colours(painting, photo.alpha, colour_statistics(photo))
            painting = mix(matched, painting, self._colours)
        return painting

    def _make_room(self, painter: PhotoPainter, size: tuple[int, int]) -> None:
        """Let other painters give back what they keep, if one could not paint beside it."""
        others = [used for used in self._used if used is not painter]
        if self._used[-1] is not painter:
            if not painter.has_room(*size, sum(other.kept_bytes for other in others)):
                for other in others:
                    other.release()
            self._used = [*others, painter]

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
                    self._earlier[stage] = self._make_painter(self._model, stage)
                painter = self._earlier[stage]
            yield painter, ((reached - low) / (high - low)).clip(0, 1)


def _with_grain(model: Model, grain: float) -> Model:
    return dataclasses.replace(model, specs=tuple(with_grain_of(model.specs, grain)))


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    return picture if picture.size == size else resize_picture(picture, size)


def position(strength: float, stages: int) -> tuple[int, float]:
    """Stage k of a strength, and its share s in the painting s x_k + (1 - s) x_{k-1}.

    x_0 is the photo, x_n the last stage's output. Strength 0 gives (1, 0.0), strength 1 (n, 1.0).
    """
    reached = strength * stages
    stage = max(1, math.ceil(reached))
    return stage, reached - (stage - 1)
