"""What the paintings of a chain are worth, in numbers: losses, iterations of the optimiser, artefacts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuralart.files import Arrays
from neuralart.images import X
from neuralart.modules.painter import Painter
from neuralart.modules.perceptual import Losses, Perceptual
from neuralart.pictures import Pixels

BORDER_PX = 16
"""How far from the end of a picture marks are looked for."""


def stage_losses(perceptual: Perceptual, x0: X, xs: Sequence[X]) -> list[Losses]:
    """The losses of the photo itself and after each stage, against the style that was set."""
    perceptual.set_content(x0)
    return [perceptual.score(x)[0] for x in [x0, *xs]]


def mean_losses(rows: Sequence[Sequence[Losses]]) -> dict[str, Losses]:
    """Means over photos: ``photo``, ``x1`` ... of rows that `stage_losses` made."""
    names = ["photo", *(f"x{k + 1}" for k in range(len(rows[0]) - 1))]
    return {
        name: {key: round(float(np.mean([one[key] for one in column])), 4) for key in column[0]}
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def iterations_to_reach(total: float, totals: Sequence[float]) -> float:
    """After how many iterations the optimiser's total is no higher; infinite if it never is.

    ``totals`` has the start and then the total after each iteration.
    """
    return next((float(n) for n, value in enumerate(totals) if value <= total), float("inf"))


def checkerboard(x: X) -> float:
    """Power of the finest stripes, of 2 pixels, in either direction: what strided layers leave.

    Shape:  (1, 3, H, W) -> mean square of the Nyquist rows and columns of the spectrum, in 0..255
            units squared, over the channels; H and W of at least 2, an odd last row or column left out.
            Stripes of amplitude a give 2/3 a^2, white noise its share of the frequencies.
    """
    height, width = (size // 2 * 2 for size in x.shape[2:])
    even = x[0, :, :height, :width].astype(np.float64)
    # The ends of a row differ; without a window that step leaks into every frequency.
    window = np.outer(np.hanning(height + 1)[:-1], np.hanning(width + 1)[:-1])
    even = (even - even.mean(axis=(1, 2), keepdims=True)) * window
    power = np.abs(np.fft.fft2(even)) ** 2 / (height * width * (window**2).sum())
    rows, columns = power[:, height // 2, :], power[:, :, width // 2]
    corner = power[:, height // 2, width // 2]
    return float((rows.sum(axis=1) + columns.sum(axis=1) - corner).mean())


def psnr(picture: Pixels, reference: Pixels) -> float:
    """Peak signal to noise ratio in decibels, of pictures of 8 bits: infinite where they are equal."""
    error = np.mean(np.square(picture.astype(np.float64) - reference))
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def border_profiles(
    whole: Painter, cut: Painter, x0: X, statistics: Arrays
) -> list[npt.NDArray[np.float64]]:
    """What the end of a picture does to its painting, after each stage, in 0..255 units.

    The photo's middle is painted by itself and as a part of the whole, on the same statistics: away
    from the border the two are equal. What differs is averaged along each side.

    Shape:  x0 (1, 3, H, W), H and W at least 64 -> (4 sides, 3, pixels from the border); ``whole`` and
            ``cut`` are painters of the same chain
    """
    inset = tuple(slice(size // 64 * 8, size - size // 64 * 8) for size in x0.shape[2:])
    middle = (slice(None), slice(None), *inset)
    pairs = zip(
        whole.paint(x0, statistics),
        cut.paint(np.ascontiguousarray(x0[middle]), statistics),
        strict=True,
    )
    return [_sides(part - x[middle]) for x, part in pairs]


def _sides(difference: X) -> npt.NDArray[np.float64]:
    depth = min(BORDER_PX, min(difference.shape[2:]) // 2)
    profiles: list[npt.NDArray[np.float64]] = []
    for picture in (difference[0], difference[0].transpose(0, 2, 1)):
        lines = picture.mean(axis=2, dtype=np.float64)  # (3, rows)
        profiles += [lines[:, :depth], lines[:, ::-1][:, :depth]]
    return np.stack(profiles)


def border_error(profiles: Sequence[npt.NDArray[np.float64]]) -> float:
    """How strong the marks along the border are, of one stage over photos, in 0..255 units.

    A line or a frame is the same on every side of every photo; strokes that turned out otherwise are
    not. So: the mean over sides and photos, its chance part taken off, as a root mean square over
    channels and the outer `BORDER_PX` pixels.
    """
    sides = np.concatenate(profiles)
    chance = sides.var(axis=0, ddof=1) / len(sides)
    return float(np.sqrt(max(0.0, np.mean(sides.mean(axis=0) ** 2 - chance))))
