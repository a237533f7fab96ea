"""The palette of a style image: the colours of its brush strokes. Numbers only, no engine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuralart.loss.layers import PALETTE_PX
from neuralart.pictures.pixels import X, means_of_squares

NOISE = 16 / 255
"""Standard deviation, in 0..1 units, that is added to every colour before whitening: colours that
vary less than this count less."""

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
    variances, axes = np.linalg.eigh(np.cov(colours, bias=True) + NOISE**2 * np.eye(3))
    scale = (axes / np.sqrt(variances)) @ axes.T
    whitening = np.eye(4)
    whitening[:3, :3], whitening[:3, 3] = scale, -scale @ mean
    whitened = whitening @ np.vstack([colours, np.ones(colours.shape[1])])
    gram = whitened @ whitened.T / colours.shape[1]
    return whitening.astype(np.float32), gram.astype(np.float32)
