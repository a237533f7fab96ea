"""Paints photos at a chosen stage, strength and size, and with a choice of colours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from neuralart.chain.choice import load_style
from neuralart.engine.devices import open_device
from neuralart.machine.archive import Arrays
from neuralart.options.paint import StylizeConfig
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.pictures.editing import mix, painted_size, resize, resize_picture
from neuralart.pictures.pixels import Picture, Pixels


class Stylizer:
    """Paints photos with a model as the options say.

    A strength below the first stage's mixes that stage's painting with the photo, after both have
    their final size. So with --keep-size the photo's part keeps its detail, and strength 0 is the
    photo itself.
    """

    def __init__(self, config: StylizeConfig) -> None:
        """Read the model in its style or mixture.

        Raises NeuralArtError if it cannot be read, or has no such style or stage.
        """
        model = load_style(config.model, config.style)
        stages = model.check_stage(config.stage)
        self._config = config
        stage, self._share = position(config.strength, stages)
        self._photo_share = 1 - self._share if stage == 1 else 0.0
        devices = open_device(config.device)
        self.errors: tuple[type[Exception], ...] = (MemoryError, *devices.errors)
        self.painter = PhotoPainter(
            model,
            devices,
            stage,
            share=self._share if stage > 1 else 1.0,
            tile=config.tile,
            max_memory=config.max_memory,
            precision=config.precision,
        )

    def paint(self, photo: Picture, measure: Callable[[Pixels], Arrays] | None = None) -> Picture:
        """The painting, with the photo's alpha, profile and EXIF.

        ``measure`` gives the statistics to paint on; by default they are the photo's own.
        """
        config = self._config
        full = photo.size
        size = painted_size(full, config.size)
        small = photo if size == full else resize_picture(photo, size)
        if not config.keep_size:
            photo = small
        if config.strength == 0:
            return photo
        pixels = small.pixels
        painting = self.painter.paint(pixels, measure(pixels) if measure else None)
        if painting.shape != photo.pixels.shape:
            painting = resize(painting, full)
        if self._photo_share or config.preserve_colors:
            painting = mix(photo.pixels, painting, 1 - self._photo_share, config.preserve_colors)
        return replace(photo, pixels=painting)


def position(strength: float, stages: int) -> tuple[int, float]:
    """Stage k of a strength, and its share s in the painting s x_k + (1 - s) x_{k-1}.

    x_0 is the photo, x_n the last stage's output. Strength 0 gives (1, 0.0), strength 1 (n, 1.0).
    """
    reached = strength * stages
    stage = max(1, math.ceil(reached))
    return stage, reached - (stage - 1)
