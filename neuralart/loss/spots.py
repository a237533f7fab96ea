"""Spots: lights and darks of a painting that its photo does not have. Numbers only, no engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuralart.loss.layers import COARSE_PX
from neuralart.pictures.editing import luminance
from neuralart.pictures.pixels import X, means_of_squares, to_image

SURROUNDINGS = 3
"""Edge of a coarse square's surroundings, in coarse squares."""

FLAT_LEVELS = 5.0
"""A photo is flat where its coarse luminance deviates less than this in the surroundings."""


def spots(photo: X, painting: X) -> float:
    """Lights and darks that a painting puts where its photo is flat, in levels.

    c(x) is the luminance of x as means of squares of `COARSE_PX` pixels. m(c) is the mean and s(c)
    the standard deviation of c over the 3x3 squares around each; the outermost are repeated beyond
    the border. The result is

        sqrt(mean((c(painting) - m(c(painting)))^2 where s(c(photo)) < FLAT_LEVELS))

    or NaN for a photo that is flat nowhere, see `mean_spots`. Strokes are finer than a square and
    nearly cancel out. Of neighbourhoods of 3, 5 and 7 squares, this one finds a flat place in most
    photos (19 of 20).

    Shape:  two of (1, 3, H, W), H and W of at least `COARSE_PX`
    """
    wanted, got = _coarse_luminance(photo), _coarse_luminance(painting)
    variance = _around(wanted**2) - _around(wanted) ** 2
    flat = variance < FLAT_LEVELS**2
    deviation = (got - _around(got))[flat]
    return float(np.sqrt(np.mean(deviation**2))) if deviation.size else float("nan")


def mean_spots(values: Sequence[float]) -> float | None:
    """The mean over photos that are flat somewhere; None if none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else None


def _coarse_luminance(x: X) -> npt.NDArray[np.float64]:
    """Means of squares, of the picture as it is written to a file: (rows, columns)."""
    return means_of_squares(luminance(to_image(x))[..., 0], COARSE_PX, np.float64)


def _around(coarse: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of each square's surroundings: (rows, columns) -> the same."""
    padded = np.pad(coarse, SURROUNDINGS // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SURROUNDINGS, SURROUNDINGS))
    means: npt.NDArray[np.float64] = windows.mean(axis=(2, 3))
    return means
