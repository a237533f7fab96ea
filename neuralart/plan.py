"""``neuralart plan``: what painting a picture will take, before it is painted.

Memory is reckoned from the chain's layers and the windows (see `tiles`); time is measured on a piece of
the picture, with the same model and threads, and scaled by the multiply-adds; that of getting memory, by the bytes.
"""

from __future__ import annotations

import functools
import io
import math
import mmap
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from neuralart.config import StylizeConfig
from neuralart.dials import painted_size
from neuralart.encode import encode_picture
from neuralart.errors import ConfigError
from neuralart.images import resize, rounded
from neuralart.painting import Painting
from neuralart.pictures import Picture, PictureFile, Pixels
from neuralart.stylize import Dials
from neuralart.tiles import BASE_BYTES, Plan

T = TypeVar("T")

# Edge of the piece that is painted to take the time; larger ones are a little slower for each pixel.
SAMPLE_PX = 704

# Of new memory, at most so much is got to take the time.
PROBED_BYTES = 1_000_000_000

# Of a decoder for each pixel, beside the pixels: Pillow's own picture has four.
CODEC_SAMPLES = 4


@dataclass(frozen=True)
class Estimate:
    """What painting one picture takes.

    size     (height, width) of the photo, upright
    plan     its windows
    memory   resident bytes of the process at its peak
    start    seconds until the model is loaded
    seconds  from there until the painting is written
    """

    size: tuple[int, int]
    plan: Plan
    memory: int
    start: float
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for people."""
        (height, width), (down, across) = self.size, self.plan.tile
        windows = len(self.plan.rows) * len(self.plan.columns)
        tile = "the whole at once" if windows == 1 else f"{across}x{down}, {windows} of them"
        photo = f"{width}x{height}, {height * width / 1e6:.1f} megapixels"
        if (self.plan.height, self.plan.width) != self.size:
            photo += f", painted at {self.plan.width}x{self.plan.height}"
        return [
            ("photo", photo),
            ("tile", tile),
            ("memory", f"{self.memory / 1e6:,.0f} MB at the peak"),
            ("time", f"{self.seconds:.1f} s, and {self.start:.1f} s to start"),
        ]


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _seconds_since_start() -> float:
    """Since this process began, imports included; 0 where the system does not say (proc(5), stat 22)."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError):
        return 0.0


def _made_up(height: int, width: int) -> Pixels:
    """Waves with noise, which compress about as well as a photo."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.stack([rows / 9, columns / 7, (rows + columns) / 5], axis=-1)
    return rounded(127 + 80 * np.sin(waves) + rng.normal(0, 6, waves.shape), np.uint8)


def _piece(pixels: Pixels) -> Pixels:
    """The middle of a picture, `SAMPLE_PX` or less an edge."""
    top, left = ((edge - min(edge, SAMPLE_PX)) // 2 for edge in pixels.shape[:2])
    return pixels[top : top + SAMPLE_PX, left : left + SAMPLE_PX].copy()


@dataclass(frozen=True)
class _Photo:
    """What is known of a photo before it is painted; ``piece`` is of its middle."""

    size: tuple[int, int]
    piece: Picture
    suffix: str
    reading: float


def _photo(word: str, max_pixels: float) -> _Photo:
    """Of a file, or of any photo of a size. Raises ImageError or ConfigError."""
    given = re.fullmatch(r"(\d+)[xX](\d+)", word)
    if not given or Path(word).exists():
        file = PictureFile(Path(word), max_pixels=max_pixels)
        suffix = file.suffix
        photo, reading = _timed(file.read)
        alpha = None if photo.alpha is None else _piece(photo.alpha)
        return _Photo(photo.size, Picture(_piece(photo.pixels), alpha), suffix, reading)
    width, height = int(given[1]), int(given[2])
    if not 1 <= width * height <= max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels (--max-pixels)"
        raise ConfigError(f"{word}: a photo has from 1x1 pixel to {limit}")
    piece = Picture(_made_up(min(height, SAMPLE_PX), min(width, SAMPLE_PX)))
    buffer = io.BytesIO()
    encode_picture(buffer, piece, ".jpg")
    _, reading = _timed(PictureFile(buffer.getvalue(), word).read)
    return _Photo((height, width), piece, ".jpg", reading * height * width / math.prod(piece.size))


def _memory(photo: _Photo, plan: Plan) -> int:
    """Bytes at the peak: of reading, or of painting."""
    sample = photo.piece.pixels.itemsize
    channels = 3 if photo.piece.alpha is None else 4
    whole, painted = math.prod(photo.size), plan.height * plan.width
    small = painted if photo.size != (plan.height, plan.width) else 0
    reading = whole * sample * (channels + CODEC_SAMPLES)
    painting = whole * sample * channels + (painted + small) * sample * 3
    return max(BASE_BYTES + reading, plan.working_memory + painting)


def _seconds(photo: _Photo, plan: Plan, painting: Painting, suffix: str, quality: int) -> float:
    """From reading to writing, with the statistics as they will be taken and a piece of the painting."""
    height, width = plan.height, plan.width
    measured = _made_up(*painting.measured_size(height, width))
    pixels = photo.piece.pixels
    if painting.paints_at_once(plan):
        painted, at_once = _timed(lambda: painting.paint(measured))
        return photo.reading + at_once + _writing(painted, photo, suffix, quality)
    statistics, measuring = _timed(lambda: painting.measure(measured))
    if pixels.shape[0] > height or pixels.shape[1] > width:
        pixels = resize(pixels, (min(pixels.shape[0], height), min(pixels.shape[1], width)))
    paint = functools.partial(painting.paint, pixels, statistics)
    _, first = _timed(paint)
    painted, again = _timed(paint)
    small = painting.plan(*pixels.shape[:2])
    windows = plan.multiply_adds / small.multiply_adds
    memory = _getting_memory(plan.working_memory - small.working_memory)
    grows = height * width / math.prod(painted.shape[:2])
    writing = grows * _writing(painted, photo, suffix, quality)
    return photo.reading + measuring + (first - again) + windows * again + memory + writing


def _getting_memory(size: int) -> float:
    """Seconds for so many bytes that the system has not given yet: on a virtual machine up to 2 a gigabyte."""
    if size <= 0:
        return 0.0
    probed = min(size, PROBED_BYTES)
    with mmap.mmap(-1, probed) as memory:

        def touch() -> None:
            for page in range(0, probed, mmap.PAGESIZE):
                memory[page] = 1

        _, seconds = _timed(touch)
    return seconds * size / probed


def _writing(painted: Pixels, photo: _Photo, suffix: str, quality: int) -> float:
    """Seconds that the painting of the photo's piece takes to be encoded."""
    alpha = photo.piece.alpha if painted.shape == photo.piece.pixels.shape else None
    return _timed(lambda: encode_picture(io.BytesIO(), Picture(painted, alpha), suffix, quality))[1]


def estimate(word: str, config: StylizeConfig) -> Estimate:
    """What ``neuralart stylize`` will take for a photo, or for any of a size written as 4000x3000.

    Raises NeuralArtError if the photo or the model cannot be read, or it cannot be painted in the memory.
    """
    painting = Dials(config).painting
    start = _seconds_since_start()
    photo = _photo(word, config.max_pixels * 1e6)
    plan = painting.plan(*painted_size(photo.size, config.size))
    suffix = f".{config.format}" if config.format else photo.suffix
    seconds = _seconds(photo, plan, painting, suffix, config.quality)
    return Estimate(photo.size, plan, _memory(photo, plan), start, seconds)
