"""The result of an evaluation as plain data: means over photos, and numbers of each photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.loss.objective import Losses, mean_losses
from neuralart.loss.spots import mean_spots
from neuralart.measuring.artefacts import border_error, iterations_to_reach, stripe_power
from neuralart.pictures.editing import centre_crop
from neuralart.pictures.pixels import Image, to_x

CURVE_EVERY = 10  # iterations between the optimiser's mean total losses in the result


@dataclass(frozen=True)
class Measured:
    """What was measured on one photo.

    size              (height, width)
    losses            of the photo and of each stage's output
    optimiser_totals  the optimiser's total losses, at the start and after each iteration
    spots             `spots` of the photo and of each stage's output
    checkerboard      `stripe_power` of the photo and of each stage's output
    border            `border_profiles` of each stage
    pictures          a row of the contact sheet; only of photos that it shows
    """

    file: str
    size: tuple[int, int]
    losses: list[Losses]
    optimiser_totals: list[float]
    spots: list[float]
    checkerboard: list[float]
    border: list[npt.NDArray[np.float64]]
    pictures: list[Image]

    def iterations(self, stage: int) -> float:
        """Iterations in which the optimiser reaches a stage's total loss; stage 0 is the photo."""
        return iterations_to_reach(self.losses[stage]["total"], self.optimiser_totals)


def means(rows: Sequence[Measured], style_image: Image, iterations: int) -> dict[str, Any]:
    """Means over photos: the part of the result that was measured."""
    losses = mean_losses([row.losses for row in rows])
    edge = min(*style_image.shape[:2], *rows[0].size)
    # "painting" is the style image's key in the cards of shipped models, too.
    checkerboard = {"painting": stripe_power(to_x(centre_crop(style_image, edge)))}
    for stage, name in enumerate(losses):
        checkerboard[name] = float(np.mean([row.checkerboard[stage] for row in rows]))
    result = {
        "losses": losses,
        "style_left": {
            name: row["style"] / losses["photo"]["style"] for name, row in losses.items()
        },
        "spots": {
            name: mean_spots([row.spots[stage] for row in rows])
            for stage, name in enumerate(losses)
        },
        "checkerboard": checkerboard,
        "border_error": {
            name: border_error([row.border[stage] for row in rows])
            for stage, name in enumerate(list(losses)[1:])
        },
    }
    if iterations:
        curve = np.mean([row.optimiser_totals for row in rows], axis=0)
        result["iterations"] = {
            name: _finite(float(np.median([row.iterations(stage) for row in rows])))
            for stage, name in enumerate(losses)
        }
        result["iterations_limit"] = iterations
        result["optimiser_totals"] = {
            str(n): float(curve[n]) for n in range(0, iterations + 1, CURVE_EVERY)
        }
    return _rounded(result)


def per_photo(row: Measured, iterations: int) -> dict[str, Any]:
    """One photo's part of the result."""
    names = ["photo", *(f"x{k}" for k in range(1, len(row.losses)))]
    result: dict[str, Any] = {
        "file": row.file,
        "losses": dict(zip(names, row.losses, strict=True)),
        "spots": {name: _finite(row.spots[k]) for k, name in enumerate(names)},
    }
    if iterations:
        result["iterations"] = {name: _finite(row.iterations(k)) for k, name in enumerate(names)}
    return _rounded(result)


def _finite(value: float) -> float | None:
    """None for infinity and NaN, which JSON does not have."""
    return value if np.isfinite(value) else None


def _rounded(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with all floats rounded to five significant digits."""
    return {
        key: _rounded(value)
        if isinstance(value, dict)
        else float(f"{value:.5g}")
        if isinstance(value, float)
        else value
        for key, value in tree.items()
    }
