"""``neuralart plan``: the memory and time that painting a picture will take.

Memory is computed from the chain's layers and the tiles (see `tiles`). Time is measured on a piece
of the picture, with the same model and threads: painting it is scaled by the multiply-adds, and
getting memory from the system by the bytes.
"""

from __future__ import annotations

import functools
import io
import math
import mmap
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from neuralart.errors import ConfigError
from neuralart.machine.clock import since_start
from neuralart.options.paint import StylizeConfig
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.strokes import underpainting
from neuralart.painting.stylizer import Stylizer
from neuralart.painting.tiles import Tiling, peak_bytes
from neuralart.pictures.editing import resize
from neuralart.pictures.pixels import Picture, Pixels, rounded
from neuralart.pictures.reading import PictureFile
from neuralart.pictures.writing import encode_picture

T = TypeVar("T")

# Edge of the piece that is timed; a larger one takes a little longer for each pixel.
SAMPLE_PX = 704

# At most this much memory is got from the system to time it.
PROBED_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Estimate:
    """What painting one picture takes.

    size     (height, width) of the photo, upright
    tilings  the tiles of each coat, from the smallest
    memory   peak of the process's resident bytes
    start    seconds until the model is loaded
    seconds  from there until the painting is written
    """

    size: tuple[int, int]
    tilings: list[Tiling]
    memory: int
    start: float
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for people."""
        *below, tiling = self.tilings
        (height, width), (down, across) = self.size, tiling.tile
        count = len(tiling.rows) * len(tiling.columns)
        tile = "the whole at once" if count == 1 else f"{across}x{down}, {count} of them"
        photo = f"{width}x{height}, {height * width / 1e6:.1f} megapixels"
        sizes = [f"{each.width}x{each.height}" for each in self.tilings]
        if below or (tiling.height, tiling.width) != self.size:
            photo += f", painted at {', then '.join(sizes)}"
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


def _made_up(height: int, width: int) -> Pixels:
    """A picture of waves with noise, which compresses about as well as a photo."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.stack([rows / 9, columns / 7, (rows + columns) / 5], axis=-1)
    return rounded(127 + 80 * np.sin(waves) + rng.normal(0, 6, waves.shape), np.uint8)


def _middle(pixels: Pixels) -> Pixels:
    """The middle of a picture, with edges of at most `SAMPLE_PX`."""
    top, left = ((edge - min(edge, SAMPLE_PX)) // 2 for edge in pixels.shape[:2])
    return pixels[top : top + SAMPLE_PX, left : left + SAMPLE_PX].copy()


@dataclass(frozen=True)
class _Photo:
    """What the estimate needs to know of a photo.

    size     (height, width), upright
    piece    its middle
    suffix   of its format
    reading  seconds that reading the whole photo takes
    """

    size: tuple[int, int]
    piece: Picture
    suffix: str
    reading: float


def _photo(word: str, max_pixels: float) -> _Photo:
    """The photo in a file, or a made-up one where ``word`` is WIDTHxHEIGHT.

    Raises ImageError or ConfigError.
    """
    given = re.fullmatch(r"(\d+)[xX](\d+)", word)
    if not given or Path(word).exists():
        file = PictureFile(Path(word), max_pixels=max_pixels)
        suffix = file.suffix
        photo, reading = _timed(file.read)
        alpha = None if photo.alpha is None else _middle(photo.alpha)
        return _Photo(photo.size, Picture(_middle(photo.pixels), alpha), suffix, reading)
    width, height = int(given[1]), int(given[2])
    if not 1 <= width * height <= max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels (--max-pixels)"
        raise ConfigError(f"{word}: a photo has from 1x1 pixel to {limit}")
    piece = Picture(_made_up(min(height, SAMPLE_PX), min(width, SAMPLE_PX)))
    buffer = io.BytesIO()
    encode_picture(buffer, piece, ".jpg")
    _, reading = _timed(PictureFile(buffer.getvalue(), word).read)
    return _Photo((height, width), piece, ".jpg", reading * height * width / math.prod(piece.size))


def _coat_seconds(pixels: Pixels, tiling: Tiling, painter: PhotoPainter) -> tuple[Pixels, float]:
    """A painting of a piece, and the seconds of a whole coat.

    The statistics are timed in full, painting on the piece.
    """
    height, width = tiling.height, tiling.width
    measured = _made_up(*painter.measured_size(height, width))
    if painter.paints_at_once(tiling):
        return _timed(lambda: painter.paint(measured))
    statistics, measuring = _timed(lambda: painter.measure(measured))
    if pixels.shape[0] > height or pixels.shape[1] > width:
        pixels = resize(pixels, (min(pixels.shape[0], height), min(pixels.shape[1], width)))
    paint = functools.partial(painter.paint, pixels, statistics)
    _, first = _timed(paint)
    painted, again = _timed(paint)
    small = painter.tiling(pixels.shape[0], pixels.shape[1])
    painting = again * tiling.multiply_adds / small.multiply_adds
    memory = _getting_memory(tiling.working_memory - small.working_memory)
    return painted, measuring + (first - again) + painting + memory


def _seconds(
    photo: _Photo, coats: Sequence[tuple[PhotoPainter, Tiling]], suffix: str, quality: int
) -> float:
    """Seconds from reading to writing."""
    seconds, painted = photo.reading, photo.piece.pixels
    for number, (painter, tiling) in enumerate(coats):
        if number:
            seconds += _enlarging(painted, tiling)
        painted, coat = _coat_seconds(photo.piece.pixels, tiling, painter)
        seconds += coat
    last = coats[-1][1]
    pixels_ratio = last.height * last.width / math.prod(painted.shape[:2])
    return seconds + pixels_ratio * _writing(painted, photo, suffix, quality)


def _enlarging(below: Pixels, tiling: Tiling) -> float:
    """Seconds to make the underpainting of a coat, from those of a piece."""
    larger = resize(below, (2 * below.shape[0], 2 * below.shape[1]))
    _, seconds = _timed(lambda: underpainting(below, below, larger))
    return seconds * tiling.height * tiling.width / math.prod(larger.shape[:2])


def _getting_memory(size: int) -> float:
    """Seconds to get ``size`` bytes from the system; on a virtual machine, up to 2 s a gigabyte."""
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
    """Seconds to encode the painting of the photo's piece."""
    alpha = photo.piece.alpha if painted.shape == photo.piece.pixels.shape else None
    return _timed(lambda: encode_picture(io.BytesIO(), Picture(painted, alpha), suffix, quality))[1]


def estimate(word: str, config: StylizeConfig) -> Estimate:
    """What ``neuralart stylize`` will take for a photo, or for any of a size such as 4000x3000.

    Raises NeuralArtError if photo or model cannot be read, or the memory does not suffice to paint.
    """
    stylizer = Stylizer(config)
    start = since_start()
    photo = _photo(word, config.max_pixels * 1e6)
    stylizer.check(word, photo.size)
    pictures = stylizer.picture_bytes(photo.piece, photo.size)
    coats = stylizer.coats(photo.piece, photo.size)
    suffix = f".{config.format}" if config.format else photo.suffix
    seconds = _seconds(photo, coats, suffix, config.quality)
    tilings = [tiling for _, tiling in coats]
    memory = max(peak_bytes(tiling, pictures) for tiling in tilings)
    return Estimate(photo.size, tilings, memory, start, seconds)
