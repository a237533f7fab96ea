"""Painting by optimising the pixels themselves (Gatys et al. 2016): the baseline that a chain is measured by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neuralart.images import X
from neuralart.modules.perceptual import Perceptual

ADAM_RATE = 0.02 * 255
"""Of Adam, in 0..255 units."""

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-12


def adam(
    perceptual: Perceptual, x: X, rate: float = ADAM_RATE
) -> Iterator[tuple[dict[str, float], X]]:
    """Losses and picture at the start, then after every iteration, without end.

    Shape:   x (1, 3, H, W) -> the same; style and content are set already
    Source:  Kingma and Ba 2014, on the pixels.
    """
    mean = np.zeros_like(x)
    square = np.zeros_like(x)
    step = 0
    while True:
        losses, d_x = perceptual.score(x)
        yield losses, x
        step += 1
        mean = _BETA1 * mean + (1 - _BETA1) * d_x
        square = _BETA2 * square + (1 - _BETA2) * d_x**2
        deviation = np.sqrt(square / (1 - _BETA2**step)) + _EPSILON
        x = (x - rate * mean / (1 - _BETA1**step) / deviation).astype(np.float32)
