"""Measures of paintings: matching iterations of the optimiser, stripes, marks at borders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuralart.chain.reference import ReferencePainter
from neuralart.machine.archive import Arrays
from neuralart.pictures.pixels import Pixels, X

BORDER_PX = 16
"""Width of the strip along a picture's border in which marks are looked for."""


def iterations_to_reach(total: float, totals: Sequence[float]) -> float:
    """The number of iterations after which the optimiser's total loss is at most ``total``.

    ``totals`` are the losses at the start and after each iteration. Infinite if none is so low.
    """
    return next((float(n) for n, value in enumerate(totals) if value <= total), float("inf"))


def stripe_power(x: X) -> float:
    """Power of the finest stripes, with a period of 2 pixels: the artefact of strided layers.

    It is the power in the spectrum's Nyquist row and column, in 0..255 units squared, averaged over
    the channels. Stripes of amplitude a give 2/3 a^2, white noise gives its share of frequencies.

    Shape:  (1, 3, H, W) with H and W of at least 2; an odd last row or column is left out
    """
    height, width = (size // 2 * 2 for size in x.shape[2:])
    even = x[0, :, :height, :width].astype(np.float64)
    # A row's two ends differ. Without a window, this step leaks into every frequency.
    window = np.outer(np.hanning(height + 1)[:-1], np.hanning(width + 1)[:-1])
    even = (even - even.mean(axis=(1, 2), keepdims=True)) * window
    power = np.abs(np.fft.fft2(even)) ** 2 / (height * width * (window**2).sum())
    rows, columns = power[:, height // 2, :], power[:, :, width // 2]
    corner = power[:, height // 2, width // 2]
    return float((rows.sum(axis=1) + columns.sum(axis=1) - corner).mean())


def psnr(picture: Pixels, reference: Pixels) -> float:
    """Peak signal-to-noise ratio of 8-bit pictures in decibels; infinite if they are equal."""
    error = np.mean(np.square(picture.astype(np.float64) - reference))
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def border_profiles(
    whole: ReferencePainter, cut: ReferencePainter, x0: X, statistics: Arrays
) -> list[npt.NDArray[np.float64]]:
    """How a picture's border changes the painting beside it, after each stage, in 0..255 units.

    The photo's middle is painted by itself and as a part of the photo, on the same statistics. Away
    from the border, the two are equal. Their difference is averaged along each side.

    whole, cut  painters of the same chain, one for each size

    Shape:  x0 (1, 3, H, W), H and W at least 64 -> n of (4 sides, 3, pixels from the border)
    """
    inset = tuple(slice(size // 64 * 8, size - size // 64 * 8) for size in x0.shape[2:])
    middle = (slice(None), slice(None), *inset)
    pairs = zip(
        whole.paint(x0, statistics),
        cut.paint(np.ascontiguousarray(x0[middle]), statistics, (inset[0].start, inset[1].start)),
        strict=True,
    )
    return [_sides(part - x[middle]) for x, part in pairs]


def _sides(difference: X) -> npt.NDArray[np.float64]:
    """Means along each side: (1, 3, H, W) -> (4 sides, 3, pixels from the border)."""
    depth = min(BORDER_PX, min(difference.shape[2:]) // 2)
    profiles: list[npt.NDArray[np.float64]] = []
    for picture in (difference[0], difference[0].transpose(0, 2, 1)):
        lines = picture.mean(axis=2, dtype=np.float64)  # (3, rows)
        profiles += [lines[:, :depth], lines[:, ::-1][:, :depth]]
    return np.stack(profiles)


def border_error(profiles: Sequence[npt.NDArray[np.float64]]) -> float:
    """The strength of one stage's marks along the border, in 0..255 units.

    profiles  of one stage and several photos, see `border_profiles`

    A mark that the chain makes, such as a line, is the same on every side of every photo. Strokes
    that merely came out differently are not, so the mean m over sides and photos nearly cancels
    them. The result is sqrt(mean(m^2 - v)) over channels and the `BORDER_PX` outer pixels, where v
    is the variance of m by chance.
    """
    sides = np.concatenate(profiles)
    chance = sides.var(axis=0, ddof=1) / len(sides)
    return float(np.sqrt(max(0.0, np.mean(sides.mean(axis=0) ** 2 - chance))))
