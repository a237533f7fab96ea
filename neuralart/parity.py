"""How near an export paints to the chain it was made of, in 0..255 units.

The chain's paintings of a shipped photo stay with the export, so that anyone can compare again without
MXNet or the model.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuralart.engine import mx
from neuralart.errors import ImageError, PhotosError
from neuralart.files import Arrays
from neuralart.images import PIXEL_MEAN, Image, X, read_image, resize_shorter_edge
from neuralart.model import Model
from neuralart.pictures import READABLE
from neuralart.specs import Generator

PHOTOS = Path(__file__).parent / "data" / "photos"
"""Photos that ship, for comparison and calibration."""

COMPARED_PHOTO = "chelsea.jpg"

# (height, width) of the two pictures it is compared on, where its size is free; one of them odd.
COMPARED_SIZES = ((96, 128), (75, 53))

# Of a folder of photos to calibrate on, this many, at the shipped ones' shorter edge.
CALIBRATED_PHOTOS, CALIBRATED_PX = 16, 144

# Paintings are kept in steps of 1/256 of a level, and of a large one only so many points.
KEPT_LEVELS = 256
KEPT_POINTS = 15_000


@dataclass(frozen=True)
class Style:
    """What is exported: the first ``stages`` of a model, under a name that is good for a file.

    statistics  ``picture`` or ``average``, which the norms use
    size        (height, width) of the only picture that it shall take, or None for any
    calibrate   photos whose ranges of values 8 bits are laid over
    """

    name: str
    model: Model
    stages: int
    statistics: str
    size: tuple[int, int] | None
    calibrate: Sequence[Image] = ()

    @property
    def specs(self) -> Sequence[Generator]:
        return self.model.specs[: self.stages]

    @property
    def metadata(self) -> dict[str, str]:
        """What a file says about itself."""
        return {
            "style": self.name,
            "title": self.title,
            "licence": str(self.model.card.get("licence", "")),
            "card": json.dumps(self.model.card),
            "stages": str(self.stages),
            "statistics": self.statistics,
            "pixels": "RGB 0..255, (N, 3, H, W)",
        }

    @property
    def title(self) -> str:
        words = self.name.replace("-", " ").replace("_", " ").capitalize()
        return str(self.model.card.get("title", words))


@dataclass(frozen=True)
class Difference:
    """Largest and mean of the absolute differences, over all pixels and colours."""

    largest: float
    mean: float

    @classmethod
    def between(cls, ours: Sequence[X], theirs: Sequence[X]) -> Difference:
        apart = np.concatenate([abs(a - b).ravel() for a, b in zip(ours, theirs, strict=True)])
        return cls(float(apart.max()), float(apart.mean(dtype=np.float64)))

    def within(self, limit: Difference) -> bool:
        return self.largest <= limit.largest and self.mean <= limit.mean  # a NaN is not

    def __str__(self) -> str:
        return f"at most {self.largest:.2g}, {self.mean:.2g} on average"


def compared_pictures(size: tuple[int, int] | None) -> list[X]:
    """Two pictures: of `COMPARED_SIZES`, or both of ``size`` (height, width); a larger one repeats the
    photo.

    Shape:  (1, 3, H, W) RGB 0..255
    """
    photo = read_image(PHOTOS / COMPARED_PHOTO)
    if size is None:
        return [extended_photo(photo, *each) for each in COMPARED_SIZES]
    return [extended_photo(photo, *size), extended_photo(photo[::-1, ::-1], *size)]


def calibration_photos(folder: Path | None) -> list[Image]:
    """Up to `CALIBRATED_PHOTOS` of a folder, as large as the shipped ones, which it is without a folder.

    Raises PhotosError if the folder has none.
    """
    if folder is None:
        return [read_image(p) for p in sorted(PHOTOS.glob("*.jpg")) if p.name != COMPARED_PHOTO]
    try:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in READABLE)
    except OSError as error:
        raise PhotosError(f"--calibrate {folder}: {error.strerror or error}") from None
    photos = []
    for path in paths:
        with contextlib.suppress(ImageError):  # one of many; the rest will do
            photos.append(resize_shorter_edge(read_image(path), CALIBRATED_PX))
        if len(photos) == CALIBRATED_PHOTOS:
            break
    if not photos:
        raise PhotosError(f"--calibrate {folder}: no photo in it that can be read")
    return photos


def as_picture(photo: Image) -> X:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in 0..255."""
    return photo.transpose(2, 0, 1)[None].astype(np.float32)


def extended_photo(photo: Image, height: int, width: int) -> X:
    """The upper left of a photo, repeated where it is smaller."""
    rows, columns = (
        (0, max(0, size - had)) for size, had in zip((height, width), photo.shape, strict=False)
    )
    return as_picture(np.pad(photo, (rows, columns, (0, 0)), mode="wrap")[:height, :width])


def chain_paintings(style: Style, pictures: Sequence[X]) -> list[list[X]]:
    """What the chain in MXNet makes of every picture: the outputs of its stages.

    Shape:  (1, 3, H, W) RGB 0..255 -> the same
    """
    painter = style.model.painter(mx.cpu(), style.stages)
    mean = PIXEL_MEAN[None, :, None, None]
    paintings = []
    for picture in pictures:
        x = picture - mean
        average = style.statistics == "average"
        used: Arrays = style.model.statistics if average else painter.measure(x)
        paintings.append([(out + mean).clip(0, 255) for out in painter.paint(x, used)])
    return paintings


def keep(pictures: Sequence[X], paintings: Sequence[X]) -> Arrays:
    """Pictures and paintings as small arrays, which `kept` reads back."""
    arrays: Arrays = {}
    for i, (picture, painting) in enumerate(zip(pictures, paintings, strict=True)):
        arrays[f"picture{i}"] = picture.astype(np.uint8)[0].transpose(1, 2, 0)
        arrays[f"painting{i}"] = np.rint(on_grid(painting) * KEPT_LEVELS).astype(np.uint16)
    return arrays


def kept(arrays: Arrays) -> tuple[list[X], list[X]]:
    """The pictures, and their paintings' points `on_grid`.

    Raises KeyError if one is missing.
    """
    numbers = range(len(arrays) // 2)
    pictures = [as_picture(arrays[f"picture{i}"]) for i in numbers]
    return pictures, [arrays[f"painting{i}"].astype(np.float32) / KEPT_LEVELS for i in numbers]


def on_grid(painting: X) -> X:
    """Every point of a small painting, so many of a large one: (1, 3, H, W) -> (1, 3, h, w)."""
    height, width = painting.shape[2:]
    step = math.ceil(math.sqrt(height * width / KEPT_POINTS))
    return painting[:, :, ::step, ::step]
