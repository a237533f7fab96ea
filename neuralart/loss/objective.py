"""The loss as numbers: its terms by name, what each counts, and means over photos. No engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.loss.layers import STYLE_LAYERS

Losses = dict[str, float]
"""The losses of one picture: each term times its weight, ``style`` (all layers) and ``total``."""

TINY_LOSS = 1e-6
"""Added to a loss before its logarithm: a photo may be the style image itself."""

PHOTO_STYLE = 70.0
"""The style loss of the photos themselves, with the weights that `balanced_weights` gives."""


@dataclass(frozen=True)
class LossWeights:
    """The weight of each term in the total loss.

    ``style`` is one weight for all layers, or one for each of `STYLE_LAYERS`.
    """

    style: float | tuple[float, ...] = 20.0
    content: float = 2.0
    tv: float = 5.0
    checkerboard: float = 0.0

    def of_layers(self) -> dict[str, float]:
        """The weight of every style layer by name."""
        one_each = self.style if isinstance(self.style, tuple) else [self.style] * len(STYLE_LAYERS)
        return dict(zip(STYLE_LAYERS, one_each, strict=True))

    def terms(self) -> dict[str, float]:
        """The weight of every term by name, in the order in which a graph puts its losses out."""
        styles = {f"style_{layer}": weight for layer, weight in self.of_layers().items()}
        terms = {**styles, "content": self.content, "tv": self.tv}
        if self.checkerboard:
            terms["checkerboard"] = self.checkerboard
        return terms


def named(terms: Sequence[str], values: npt.NDArray[Any]) -> Losses:
    """The losses by name, with ``style`` and ``total``; values are in the order of the terms."""
    losses = {name: float(value) for name, value in zip(terms, values, strict=True)}
    losses["style"] = sum(losses[f"style_{layer}"] for layer in STYLE_LAYERS)
    losses["total"] = float(np.sum(values))
    return losses


def mean_losses(rows: Sequence[Sequence[Losses]]) -> dict[str, Losses]:
    """Means over photos: ``photo``, ``x1`` and so on.

    ``rows`` has for each photo the losses of the photo and after each stage.
    """
    names = ["photo", *(f"x{k + 1}" for k in range(len(rows[0]) - 1))]
    return {
        name: {key: round(float(np.mean([one[key] for one in column])), 4) for key in column[0]}
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def balanced_weights(distances: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Weights with which every style layer counts the same for photos, and all `PHOTO_STYLE`.

    ``distances`` has for each photo the style loss of every layer at weight 1. They differ:
    those of ``relu5_1`` to a dark style image are five times those of ``relu3_1``.
    """
    share = PHOTO_STYLE / len(STYLE_LAYERS)
    medians = np.median(distances, axis=0).tolist()
    return tuple(round(share / max(distance, TINY_LOSS), 3) for distance in medians)
