"""How much more content and layout count beside a style that is learned with ease.

Paintings are not equally hard. With the same weights, and after the same time, some lack an eighth
of their style, and others a twentieth: those cover photos until skies have lumps and streets have
no windows (docs/experiments.md). So where the pictures of a style lack less of it than they may,
content and layout count more, until the pictures lack that much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuralart.loss.objective import PHOTO_STYLE, TINY_LOSS
from neuralart.machine.archive import Arrays

MOST = 4.0
"""How many times their weight content and layout count at most."""

GAIN = 0.04
"""How much a step changes the factor, by the logarithms.

What is left of a style goes about with the root of the factor, so that this follows in some 40
steps, which averages over photos: what they lack differs by half. With much more it would swing:
the chain itself needs some 40 steps to follow the factor.
"""

NAME = "balance"
"""The array of a checkpoint."""


def first_balance(styles: int) -> Arrays:
    """What a training begins with: factors of 1."""
    return {NAME: np.ones(styles, np.float32)}


class Balance:
    """Factors of content and layout, one for each style, that follow what pictures lack of it.

    They are float32, as checkpoints are: a run that is resumed goes on with the same bits.
    """

    def __init__(self, params: Arrays, style_left: float) -> None:
        """``style_left``: what may be left of the style loss that photos have, 0 .. 1."""
        self._factors: npt.NDArray[np.float32] = params[NAME].astype(np.float32)
        self._wanted = style_left * PHOTO_STYLE

    @property
    def factors(self) -> npt.NDArray[np.float32]:
        """What content and layout count more, 1 .. `MOST`, (styles,)."""
        return self._factors

    def by_name(self, styles: Sequence[str]) -> dict[str, float]:
        """The factors as plain numbers, for records."""
        return {
            name: round(float(each), 3) for name, each in zip(styles, self._factors, strict=True)
        }

    def params(self) -> Arrays:
        """The array that `Balance` takes to go on from here."""
        return {NAME: self._factors.copy()}

    def update(self, losses: Sequence[float], styles: Sequence[int]) -> None:
        """Follow a step.

        losses  for each style, the sum of the style loss over the step's photos
        styles  the style of each photo of the step
        """
        photos = np.bincount(styles, minlength=len(losses))
        for style in np.flatnonzero(photos):
            left = losses[style] / photos[style]
            change = (self._wanted / max(left, TINY_LOSS)) ** GAIN
            self._factors[style] = np.clip(self._factors[style] * change, 1.0, MOST)
