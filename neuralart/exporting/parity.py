"""Compares an export's paintings with the chain's, in 0..255 units.

With several styles, every style and one mixture of two is compared. The chain's paintings of a
shipped photo are stored with the export, so that it can be compared again without the model.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuralart.chain.reference import ReferencePainter
from neuralart.engine.devices import open_painting_device
from neuralart.errors import ImageError, PhotosError
from neuralart.exporting.subject import Subject
from neuralart.machine.archive import Arrays
from neuralart.machine.files import DATA
from neuralart.pictures.editing import resize_shorter_edge
from neuralart.pictures.formats import READABLE
from neuralart.pictures.grain import with_grain
from neuralart.pictures.pixels import PIXEL_MEAN, Image, X
from neuralart.pictures.reading import read_image

PHOTOS = DATA / "photos"
"""The shipped photos, for comparison and calibration."""

COMPARED_PHOTO = "chelsea.jpg"

# (height, width) of the two pictures to compare on if the export takes any size; one is odd.
COMPARED_SIZES = ((96, 128), (75, 53))

# The weights of the first and the second style in the mixture to compare.
COMPARED_WEIGHTS = 0.7, 0.3

# How many photos of a folder calibrate int8, and the shorter edge that they are resized to.
CALIBRATED_PHOTOS, CALIBRATED_PX = 16, 144

# Stored paintings have steps of 1/256 of a level, and at most about this many pixels.
KEPT_LEVELS = 256

KEPT_POINTS = 15_000

MOST_KEPT = 1_000_000_000
"""Numbers in all stored pictures and paintings: two pictures of the largest --static have 400
million."""


@dataclass(frozen=True)
class Case:
    """A picture to paint, and the weights of the styles to paint it in.

    picture  (1, 3, H, W) RGB 0..255
    mixture  (1, styles) with a sum of 1; None for a chain of one style
    grain    of the chain, see `neuralart.pictures.grain`
    """

    picture: X
    mixture: X | None = None
    grain: float = 0.0

    def with_grain(self) -> Case:
        """The picture as a file needs it that adds no grain itself."""
        return Case(with_grain(self.picture, self.grain), self.mixture)


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
    """Two pictures cut from a shipped photo: of `COMPARED_SIZES`, or both of ``size``.

    size    (height, width); one larger than the photo repeats it
    Shape:  (1, 3, H, W) RGB 0..255
    """
    photo = read_image(PHOTOS / COMPARED_PHOTO)
    if size is None:
        return [extended_photo(photo, *each) for each in COMPARED_SIZES]
    return [extended_photo(photo, *size), extended_photo(photo[::-1, ::-1], *size)]


def compared_cases(subject: Subject) -> list[Case]:
    """What to compare an export on.

    A chain of one style paints both `compared_pictures`. Of several styles each paints one picture,
    and a mixture of the first two the other.
    """
    larger, smaller = compared_pictures(subject.size)
    if subject.styles == 1:
        return every_style(subject, [larger, smaller])
    mixed = np.zeros((1, subject.styles), np.float32)
    mixed[0, :2] = COMPARED_WEIGHTS
    grain = subject.specs[0].grain
    return [*every_style(subject, [smaller]), Case(larger, mixed, grain)]


def every_style(subject: Subject, pictures: Sequence[X]) -> list[Case]:
    """Cases in which every style and every picture occurs at least once."""
    grain = subject.specs[0].grain
    if subject.styles == 1:
        return [Case(picture, None, grain) for picture in pictures]
    alone = np.eye(subject.styles, dtype=np.float32)[:, None]
    return [
        Case(pictures[i % len(pictures)], alone[i % subject.styles], grain)
        for i in range(max(subject.styles, len(pictures)))
    ]


def calibration_photos(folder: Path | None) -> list[Image]:
    """Up to `CALIBRATED_PHOTOS` of a folder, resized; without a folder, the shipped ones.

    Raises PhotosError if the folder has no readable photo.
    """
    if folder is None:
        return [read_image(p) for p in sorted(PHOTOS.glob("*.jpg")) if p.name != COMPARED_PHOTO]
    try:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in READABLE and p.is_file())
    except OSError as error:
        raise PhotosError(f"--calibrate {folder}: {error.strerror or error}") from None
    photos = []
    for path in paths:
        with contextlib.suppress(ImageError):  # the other photos will do
            photos.append(resize_shorter_edge(read_image(path), CALIBRATED_PX))
        if len(photos) == CALIBRATED_PHOTOS:
            break
    if not photos:
        raise PhotosError(
            f"--calibrate {folder}: no photo in it that can be read; name a folder of photos"
        )
    return photos


def as_picture(photo: Image) -> X:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 in 0..255."""
    return photo.transpose(2, 0, 1)[None].astype(np.float32)


def extended_photo(photo: Image, height: int, width: int) -> X:
    """The upper left part of a photo, which is repeated if it is too small.

    Shape:  (H, W, 3) uint8 -> (1, 3, height, width) float32 in 0..255
    """
    rows, columns = (
        (0, max(0, size - had)) for size, had in zip((height, width), photo.shape, strict=False)
    )
    return as_picture(np.pad(photo, (rows, columns, (0, 0)), mode="wrap")[:height, :width])


def chain_paintings(subject: Subject, cases: Sequence[Case]) -> list[list[X]]:
    """The outputs of the chain's stages, for every case.

    Shape:  (1, 3, H, W) RGB 0..255 -> the same
    """
    device = open_painting_device("cpu")
    painters: dict[str | None, ReferencePainter] = {}
    mean = PIXEL_MEAN[None, :, None, None]
    paintings = []
    for case in cases:
        choice = _choice(subject, case)
        if choice not in painters:
            params = subject.chain.model(choice).params
            painters[choice] = ReferencePainter(subject.specs, params, device)
        painter, x = painters[choice], case.picture - mean
        outputs = painter.paint(x, painter.measure(x))
        paintings.append([(out + mean).clip(0, 255) for out in outputs])
    return paintings


def _choice(subject: Subject, case: Case) -> str | None:
    """The mixture of a case in the words that `StyledChain.model` takes."""
    if case.mixture is None:
        return None
    pairs = zip(subject.chain.names, case.mixture[0], strict=True)
    return ",".join(f"{name}={weight}" for name, weight in pairs if weight)


def keep(cases: Sequence[Case], paintings: Sequence[X]) -> Arrays:
    """Pack cases and paintings into small arrays, which `kept` unpacks.

    A picture that is the same as in the case before is packed once.
    """
    arrays: Arrays = {}
    before: X | None = None
    for i, (case, painting) in enumerate(zip(cases, paintings, strict=True)):
        if case.picture is not before:
            before = case.picture
            arrays[f"picture{i}"] = case.picture.astype(np.uint8)[0].transpose(1, 2, 0)
        if case.mixture is not None:
            arrays[f"mixture{i}"] = case.mixture
        if case.grain:
            arrays[f"grain{i}"] = np.array([case.grain], np.float32)
        arrays[f"painting{i}"] = np.rint(on_grid(painting) * KEPT_LEVELS).astype(np.uint16)
    return arrays


# The kind of numbers and the number of axes of what `keep` makes, by the beginning of the name.
_FORMS = {
    "picture": (np.uint8, 3),
    "mixture": (np.float32, 2),
    "grain": (np.float32, 1),
    "painting": (np.uint16, 4),
}


def kept(arrays: Arrays) -> tuple[list[Case], list[X]]:
    """Unpack what `keep` packed: the cases, and their paintings as `on_grid` makes them.

    Raises KeyError if an array is missing, ValueError if one has another form.
    """
    for name, array in arrays.items():
        kind, axes = next((v for k, v in _FORMS.items() if name.startswith(k)), (None, 0))
        if array.dtype != kind or array.ndim != axes or not array.size:
            raise ValueError(f"{name} is no picture")
    numbers = range(sum(name.startswith("painting") for name in arrays))
    cases: list[Case] = []
    for i in numbers:
        first = i == 0 or f"picture{i}" in arrays
        picture = as_picture(arrays[f"picture{i}"]) if first else cases[-1].picture
        grain = float(arrays[f"grain{i}"][0]) if f"grain{i}" in arrays else 0.0
        cases.append(Case(picture, arrays.get(f"mixture{i}"), grain))
    return cases, [arrays[f"painting{i}"].astype(np.float32) / KEPT_LEVELS for i in numbers]


def on_grid(painting: X) -> X:
    """Thin a painting out: keep every n-th row and column.

    n is the smallest whole number with H W / n^2 <= `KEPT_POINTS`, so 1 for a small painting.

    Shape:  (1, 3, H, W) -> (1, 3, ceil(H / n), ceil(W / n))
    """
    height, width = painting.shape[2:]
    step = math.ceil(math.sqrt(height * width / KEPT_POINTS))
    return painting[:, :, ::step, ::step]
