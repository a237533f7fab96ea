"""The loss as numbers: its terms by name, what each counts, and means over photos. No engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.loss.layers import STYLE_LAYERS

Losses = dict[str, float]
"""The losses of one picture: each term times its weight, and their sums.

``style`` and ``half`` are the sums over the style layers at the picture's size and at half of it;
``total`` is the loss itself, with the mean of the two.
"""

TINY_LOSS = 1e-6
"""Added to a loss before its logarithm: a photo may be the style image itself."""

PHOTO_STYLE = 70.0
"""The style loss of the photos themselves, with the weights that `balanced_weights` gives."""

KEPT = "content", "layout"
"""The terms that keep what the photo shows."""

UNIFORM = 20.0
"""The weight of every style layer where it is not set from the style: in measuring."""


@dataclass(frozen=True)
class LossWeights:
    """The weight of each term but the style's in the total loss, and the sizes of the style.

    two_scales  whether the style counts at half the picture's size too: large shapes, bold strokes
    """

    content: float = 2.0
    layout: float = 0.0
    tv: float = 5.0
    checkerboard: float = 0.0
    palette: float = 0.0
    two_scales: bool = False

    @property
    def style_terms(self) -> tuple[str, ...]:
        """The style layers at the picture's size, then at half of it."""
        scales = ("style", "half")[: self.style_sizes]
        return tuple(f"{scale}_{layer}" for scale in scales for layer in STYLE_LAYERS)

    @property
    def style_sizes(self) -> int:
        """In how many sizes of a picture the style counts; the total has their mean."""
        return 2 if self.two_scales else 1

    @property
    def terms(self) -> tuple[str, ...]:
        """All terms, in the order in which a graph puts its losses out."""
        return (*self.style_terms, *self.others())

    @property
    def keeps_layout(self) -> bool:
        """Whether the loss looks at the photo's layout."""
        return bool(self.layout or self.palette)

    def others(self) -> dict[str, float]:
        """The weights of content and total variation, and of the other terms that have one."""
        weights = {"content": self.content, "tv": self.tv}
        more = {
            "layout": self.layout,
            "palette": self.palette,
            "checkerboard": self.checkerboard,
        }
        return weights | {name: weight for name, weight in more.items() if weight}


def named(terms: Sequence[str], values: npt.NDArray[Any]) -> Losses:
    """The losses by name, with their sums; values are in the order of the terms."""
    losses = {name: float(value) for name, value in zip(terms, values, strict=True)}
    sums = {
        scale: sum(v for k, v in losses.items() if k.startswith(f"{scale}_"))
        for scale in ("style", "half")
    }
    others = sum(v for k, v in losses.items() if not k.startswith(("style_", "half_")))
    if any(name.startswith("half_") for name in losses):
        return losses | sums | {"total": (sums["style"] + sums["half"]) / 2 + others}
    return losses | {"style": sums["style"], "total": sums["style"] + others}


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

    ``distances`` has for each photo the style loss of every layer at weight 1, at one size. They
    differ: those of ``relu5_1`` to a dark style image are five times those of ``relu3_1``.
    """
    share = PHOTO_STYLE / len(STYLE_LAYERS)
    medians = np.median(distances, axis=0).tolist()
    return tuple(round(share / max(distance, TINY_LOSS), 3) for distance in medians)
