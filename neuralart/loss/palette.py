"""The palette of a style image: the colours of its brush strokes, and how they vary between squares
of one size and of twice that. Numbers only, no engine."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from neuralart.loss.layers import BAND_PX, PALETTE_PX
from neuralart.pictures.pixels import X, means_of_squares

NOISE = 16 / 255
"""Standard deviation, in 0..1 units, that is added to every colour before whitening: colours that
vary less than this count less."""

BAND_NOISE = 4 / 255
"""The same for a band, whose colours vary less."""

Matrix = npt.NDArray[np.float32]


def palette_of(image: X) -> tuple[Matrix, Matrix]:
    """What `neuralart.loss.terms.palette_loss` compares a picture's colours with.

    With c the means of squares of a style image, m their mean and C their covariance, the first
    matrix takes (c, 1) to (y, 1) with y = (C + `NOISE`^2)^(-1/2) (c - m). The second is the mean of
    (y, 1) (y, 1)^T, the Gram matrix.

    Shape:   (1, 3, H, W) in 0..255 units, H and W of at least `PALETTE_PX` -> (4, 4), (4, 4)
    """
    colours = means_of_squares(image[0].astype(np.float64) / 255, PALETTE_PX).reshape(3, -1)
    mean = colours.mean(axis=1)
    scale = _whitening(np.cov(colours, bias=True), NOISE)
    whitening = np.eye(4)
    whitening[:3, :3], whitening[:3, 3] = scale, -scale @ mean
    whitened = whitening @ np.vstack([colours, np.ones(colours.shape[1])])
    gram = whitened @ whitened.T / colours.shape[1]
    return whitening.astype(np.float32), gram.astype(np.float32)


def bands_of(image: X) -> tuple[Matrix, Matrix]:
    """What `neuralart.loss.terms.bands_loss` compares a picture's bands with.

    For each of `BAND_PX`, with C the covariance of the means of its squares around those of squares
    twice as broad: W = (C + `BAND_NOISE`^2)^(-1/2), and W C W, one below the other.

    Shape:   (1, 3, H, W) in 0..255 units, H and W of at least 32 -> (15, 3), (15, 3)
    """
    widest = 2 * BAND_PX[-1]
    height, width = (size // widest * widest for size in image.shape[2:])
    whole = image[0, :, :height, :width].astype(np.float64) / 255
    grams = []
    for edge_px in (*BAND_PX, widest):
        colours = means_of_squares(whole, edge_px).reshape(3, -1)
        grams.append(colours @ colours.T / colours.shape[1])
    covariances = [fine - coarse for fine, coarse in itertools.pairwise(grams)]
    whitenings = [_whitening(covariance, BAND_NOISE) for covariance in covariances]
    whitened = [w @ c @ w.T for w, c in zip(whitenings, covariances, strict=True)]
    return np.vstack(whitenings).astype(np.float32), np.vstack(whitened).astype(np.float32)


def _whitening(covariance: npt.NDArray[np.float64], noise: float) -> npt.NDArray[np.float64]:
    """(C + noise^2)^(-1/2)"""
    variances, axes = np.linalg.eigh(covariance + noise**2 * np.eye(len(covariance)))
    scale: npt.NDArray[np.float64] = (axes / np.sqrt(variances)) @ axes.T
    return scale
