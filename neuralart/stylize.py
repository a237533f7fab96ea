"""``neuralart stylize``: paint a photo with a trained style, at the photo's own size."""

from __future__ import annotations

from pathlib import Path

from neuralart import engine
from neuralart.config import StylizeConfig
from neuralart.errors import OutputError
from neuralart.images import (
    Image,
    check_writable,
    read_image,
    resize,
    to_image,
    to_x,
    write_image,
)
from neuralart.model import Model, load_model
from neuralart.modules.painter import Painter
from neuralart.shipped import find_model

# Statistics of a larger picture are measured on it shrunk to this many pixels.
MEASURED_PIXELS = 1_500_000


def measured_size(height: int, width: int) -> tuple[int, int]:
    """The size at which the statistics of a picture are measured."""
    scale = min(1.0, (MEASURED_PIXELS / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def paint(painter: Painter, image: Image) -> Image:
    """The painting of a photo: statistics first, then the picture on them.

    Shape:  (H, W, 3) uint8 RGB -> the same, for any H and W of at least 1
    """
    size = measured_size(*image.shape[:2])
    x = to_x(image)
    statistics = painter.measure(x if size == image.shape[:2] else to_x(resize(image, size)))
    return to_image(painter.paint(x, statistics)[-1])


def stylize(source: Path, target: Path, config: StylizeConfig) -> Path:
    """Paint one file into another and return its path.

    Raises NeuralArtError if source or model cannot be read, the stage does not exist, or target must
    not or cannot be written; then nothing is.
    """
    check_writable(target, config.overwrite)
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputError(f"{target}: is the photo itself; name another file")
    model: Model = load_model(find_model(config.model))
    stages = model.check_stage(config.stage)
    image = read_image(source)
    write_image(target, paint(model.painter(engine.device(config.device), stages), image))
    return target
