"""``neuralart evaluate``: how good a style is, in numbers, on photos.

For every photo's middle square: the losses after each stage, and how many iterations of Adam on the
pixels themselves reach the same total. Artefacts that the losses hardly see have numbers of their own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart import engine
from neuralart.checkpoint import RunFolder
from neuralart.config import EvaluateConfig
from neuralart.encode import check_writable
from neuralart.errors import ConfigError, PhotosError
from neuralart.features import load_features
from neuralart.files import check_place, write_aside
from neuralart.images import (
    Image,
    centre_crop,
    contact_sheet,
    decode_image,
    read_image,
    resize_shorter_edge,
    to_image,
    to_x,
    write_image,
)
from neuralart.measure import (
    border_error,
    border_profiles,
    checkerboard,
    iterations_to_reach,
    mean_losses,
    stage_losses,
)
from neuralart.model import Model, load_model
from neuralart.modules.painter import Painter
from neuralart.modules.perceptual import Losses, LossWeights, Perceptual
from neuralart.photos import Photos
from neuralart.pixels import adam
from neuralart.progress import bar
from neuralart.shipped import find_model

SHEET_ROWS = 6
CURVE_EVERY = 10  # iterations between the optimiser's mean totals in the result


@dataclass(frozen=True)
class Measured:
    """One photo: losses of the photo and each stage, the optimiser's total at the start and after each
    iteration, artefacts of the photo and each stage, and a row of the contact sheet."""

    file: str
    losses: list[Losses]
    optimiser: list[float]
    checkerboard: list[float]
    border: list[npt.NDArray[np.float64]]
    pictures: list[Image]

    def iterations(self, stage: int) -> float:
        return iterations_to_reach(self.losses[stage]["total"], self.optimiser)


def evaluate(source: str, config: EvaluateConfig) -> dict[str, Any]:
    """Measure a style and return, and write, the result: means over photos, as plain data.

    Raises NeuralArtError if something cannot be read, or must not be written; then nothing is.
    """
    if config.json is not None:
        check_place(config.json, config.overwrite)
    if config.sheet is not None:
        check_writable(config.sheet, config.overwrite)
    found = find_model(source)
    model = load_model(found)
    record = (RunFolder(found).read_record() or {}) if found.is_dir() else {}
    options = {**model.card.get("options", {}), **record.get("options", {})}
    scale = config.style_scale or int(options.get("style_scale", config.size))
    painting = resize_shorter_edge(_painting(model, config.style, options), scale)
    context = engine.device(config.device)
    weights = LossWeights(config.style_weight, config.content_weight, config.tv_weight)
    features = load_features(config.features)
    perceptual = Perceptual(features, weights, context, config.content_layer)
    perceptual.set_style(to_x(painting))
    photos = _photos(config, options)
    there = len(photos.held_out) if config.held_out else photos.count
    count = min(config.photos or there, there)
    squares = photos.squares(config.size, held_out=config.held_out, count=count)
    whole, cut = model.painter(context), model.painter(context)
    rows = [
        _measure(name, square, perceptual, whole, cut, config)
        for name, square in bar(squares, count, "photo")
    ]
    if not rows:
        raise PhotosError(f"--data {config.data}: none of its files can be measured on")
    result = {
        "photos": len(rows),
        "edge_px": config.size,
        "features": {"name": features.name, "sha256": features.sha256},
        "content_layer": config.content_layer,
        "weights": {
            "style": config.style_weight, "content": config.content_weight, "tv": config.tv_weight
        },
        "style_scale": scale,
        **_means(rows, painting, config.iterations),
    }  # fmt: skip
    if config.json is not None:
        per_photo = [_photo(row, config.iterations) for row in rows]
        text = json.dumps({**result, "per_photo": per_photo}, indent=2) + "\n"
        write_aside(config.json, text.encode())
    if config.sheet is not None:
        write_image(config.sheet, contact_sheet([row.pictures for row in rows[:SHEET_ROWS]]))
    return result


def _painting(model: Model, style: Path | None, options: dict[str, Any]) -> Image:
    if style is not None:
        return read_image(style)
    named = Path(options.get("style", ""))
    if named.is_file():
        return read_image(named)
    if model.painting:
        return decode_image(model.painting, "the model's painting")
    raise ConfigError(
        f"the model does not hold its painting, {named.name or 'a picture'}; name it with --style"
    )


def _photos(config: EvaluateConfig, options: dict[str, Any]) -> Photos:
    """The photos to measure on; with --held-out, split as training split them."""
    if not config.held_out:
        return Photos(config.data, config.size, seed=0, holdout=0)
    crop, seed, holdout = (int(options.get(key, 0)) for key in ("crop", "seed", "holdout"))
    photos = Photos(config.data, crop or config.size, seed, holdout)
    if not photos.held_out:
        raise PhotosError(
            f"--data {config.data}: training kept no photo out; leave --held-out away"
        )
    return photos


def _measure(
    file: str,
    square: Image,
    perceptual: Perceptual,
    whole: Painter,
    cut: Painter,
    config: EvaluateConfig,
) -> Measured:
    x0 = to_x(square)
    statistics = whole.measure(x0)
    xs = whole.paint(x0, statistics)
    losses = stage_losses(perceptual, x0, xs)
    optimiser, picture = _optimise(perceptual, x0, losses[-1]["total"], config.iterations)
    return Measured(
        file,
        losses,
        optimiser,
        [checkerboard(to_x(to_image(x))) for x in [x0, *xs]],
        border_profiles(whole, cut, x0, statistics),
        [square, *map(to_image, xs), *([picture] if config.iterations else [])],
    )


def _optimise(
    perceptual: Perceptual, x0: Any, total: float, iterations: int
) -> tuple[list[float], Image]:
    """The optimiser's totals, and its picture where it reaches ``total``, or else the last."""
    totals: list[float] = []
    picture = None
    for losses, x in itertools.islice(adam(perceptual, x0), iterations + 1):
        totals.append(losses["total"])
        if picture is None and (totals[-1] <= total or len(totals) == iterations + 1):
            picture = to_image(x)
    assert picture is not None
    return totals, picture


def _means(rows: Sequence[Measured], painting: Image, iterations: int) -> dict[str, Any]:
    losses = mean_losses([row.losses for row in rows])
    edge = min(*painting.shape[:2], rows[0].pictures[0].shape[0])
    grain = {"painting": checkerboard(to_x(centre_crop(painting, edge)))}
    for stage, name in enumerate(losses):
        grain[name] = float(np.mean([row.checkerboard[stage] for row in rows]))
    result = {
        "losses": losses,
        "style_left": {name: row["style"] / losses["photo"]["style"] for name, row in losses.items()},
        "checkerboard": grain,
        "border_error": {
            name: border_error([row.border[stage] for row in rows])
            for stage, name in enumerate(list(losses)[1:])
        },
    }  # fmt: skip
    if iterations:
        curve = np.mean([row.optimiser for row in rows], axis=0)
        result["iterations"] = {
            name: _finite(float(np.median([row.iterations(stage) for row in rows])))
            for stage, name in enumerate(losses)
        }
        result["iterations_limit"] = iterations
        result["optimiser_totals"] = {
            str(n): float(curve[n]) for n in range(0, iterations + 1, CURVE_EVERY)
        }
    return _rounded(result)


def _photo(row: Measured, iterations: int) -> dict[str, Any]:
    names = ["photo", *(f"x{k}" for k in range(1, len(row.losses)))]
    result: dict[str, Any] = {"file": row.file, "losses": dict(zip(names, row.losses, strict=True))}
    if iterations:
        result["iterations"] = {name: _finite(row.iterations(k)) for k, name in enumerate(names)}
    return _rounded(result)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _rounded(tree: dict[str, Any]) -> dict[str, Any]:
    """Floats to five digits, at any depth."""
    return {
        key: _rounded(value)
        if isinstance(value, dict)
        else float(f"{value:.5g}")
        if isinstance(value, float)
        else value
        for key, value in tree.items()
    }
