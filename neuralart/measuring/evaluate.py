"""``neuralart evaluate``: measure a style on photos.

Each photo's middle square is painted. Measured are the losses after each stage, the iterations in
which Adam on the pixels reaches the same total, and artefacts that the losses hardly show.
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

from neuralart.chain.model import Model, load_model
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.shipped import find_model
from neuralart.engine.devices import open_device
from neuralart.errors import ConfigError, PhotosError
from neuralart.loss.features.store import load_features
from neuralart.loss.objective import Losses, LossWeights, mean_losses
from neuralart.loss.perceptual import Perceptual, stage_losses
from neuralart.machine.files import check_place, write_aside
from neuralart.machine.terminal import bar
from neuralart.measuring.artefacts import (
    border_error,
    border_profiles,
    iterations_to_reach,
    stripe_power,
)
from neuralart.measuring.descent import adam
from neuralart.options.measure import EvaluateConfig
from neuralart.pictures.editing import centre_crop, contact_sheet, resize_shorter_edge
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.pixels import Image, to_image, to_x
from neuralart.pictures.reading import decode_image, read_image
from neuralart.pictures.writing import check_writable, write_image
from neuralart.training.run import RunFolder

SHEET_ROWS = 6

CURVE_EVERY = 10  # iterations between the optimiser's mean total losses in the result


@dataclass(frozen=True)
class Measured:
    """What was measured on one photo.

    losses            of the photo and of each stage's output
    optimiser_totals  the optimiser's total losses, at the start and after each iteration
    checkerboard      `stripe_power` of the photo and of each stage's output
    border            `border_profiles` of each stage
    pictures          a row of the contact sheet
    """

    file: str
    losses: list[Losses]
    optimiser_totals: list[float]
    checkerboard: list[float]
    border: list[npt.NDArray[np.float64]]
    pictures: list[Image]

    def iterations(self, stage: int) -> float:
        """Iterations in which the optimiser reaches a stage's total loss; stage 0 is the photo."""
        return iterations_to_reach(self.losses[stage]["total"], self.optimiser_totals)


def evaluate(source: str, config: EvaluateConfig) -> dict[str, Any]:
    """Measure a style; write and return means over photos, as plain data.

    Raises NeuralArtError if a file cannot be read, or must not be written; then none is written.
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
    style_image = resize_shorter_edge(_style_image(model, config.style, options), scale)
    devices = open_device(config.device)
    weights = LossWeights(config.style_weight, config.content_weight, config.tv_weight)
    features = load_features(config.features)
    perceptual = Perceptual(features, weights, devices, config.content_layer)
    perceptual.set_style(to_x(style_image))
    photos = _photos(config, options)
    available = len(photos.held_out) if config.held_out else photos.count
    count = min(config.photos or available, available)
    squares = photos.squares(config.size, held_out=config.held_out, count=count)
    whole, cut = (ReferencePainter(model.specs, model.params, devices) for _ in range(2))
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
        **_means(rows, style_image, config.iterations),
    }  # fmt: skip
    if config.json is not None:
        per_photo = [_per_photo(row, config.iterations) for row in rows]
        text = json.dumps({**result, "per_photo": per_photo}, indent=2) + "\n"
        write_aside(config.json, text.encode())
    if config.sheet is not None:
        write_image(config.sheet, contact_sheet([row.pictures for row in rows[:SHEET_ROWS]]))
    return result


def _style_image(model: Model, style: Path | None, options: dict[str, Any]) -> Image:
    """The style image: ``style``, the file that training named, or the model's copy.

    Raises ConfigError if there is none of them.
    """
    if style is not None:
        return read_image(style)
    trained_on = Path(options.get("style", ""))
    if trained_on.is_file():
        return read_image(trained_on)
    if model.style_image:
        return decode_image(model.style_image, "the model's style image")
    name = trained_on.name or "a picture"
    raise ConfigError(f"the model does not hold its style image, {name}; name it with --style")


def _photos(config: EvaluateConfig, options: dict[str, Any]) -> Photos:
    """The photos to measure on. With --held-out, they are split as training split them."""
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
    whole: ReferencePainter,
    cut: ReferencePainter,
    config: EvaluateConfig,
) -> Measured:
    x0 = to_x(square)
    statistics = whole.measure(x0)
    xs = whole.paint(x0, statistics)
    losses = stage_losses(perceptual, x0, xs)
    totals, picture = _optimise(perceptual, x0, losses[-1]["total"], config.iterations)
    return Measured(
        file,
        losses,
        totals,
        [stripe_power(to_x(to_image(x))) for x in [x0, *xs]],
        border_profiles(whole, cut, x0, statistics),
        [square, *map(to_image, xs), *([picture] if config.iterations else [])],
    )


def _optimise(
    perceptual: Perceptual, x0: Any, total: float, iterations: int
) -> tuple[list[float], Image]:
    """The optimiser's total losses, and its first picture with at most ``total``, or its last."""
    totals: list[float] = []
    picture = None
    for losses, x in itertools.islice(adam(perceptual, x0), iterations + 1):
        totals.append(losses["total"])
        if picture is None and (totals[-1] <= total or len(totals) == iterations + 1):
            picture = to_image(x)
    assert picture is not None
    return totals, picture


def _means(rows: Sequence[Measured], style_image: Image, iterations: int) -> dict[str, Any]:
    """Means over photos: the part of the result that was measured."""
    losses = mean_losses([row.losses for row in rows])
    edge = min(*style_image.shape[:2], rows[0].pictures[0].shape[0])
    # "painting" is the style image's key in the cards of shipped models, too.
    checkerboard = {"painting": stripe_power(to_x(centre_crop(style_image, edge)))}
    for stage, name in enumerate(losses):
        checkerboard[name] = float(np.mean([row.checkerboard[stage] for row in rows]))
    result = {
        "losses": losses,
        "style_left": {
            name: row["style"] / losses["photo"]["style"] for name, row in losses.items()
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


def _per_photo(row: Measured, iterations: int) -> dict[str, Any]:
    """One photo's part of the result."""
    names = ["photo", *(f"x{k}" for k in range(1, len(row.losses)))]
    result: dict[str, Any] = {"file": row.file, "losses": dict(zip(names, row.losses, strict=True))}
    if iterations:
        result["iterations"] = {name: _finite(row.iterations(k)) for k, name in enumerate(names)}
    return _rounded(result)


def _finite(value: float) -> float | None:
    """None for infinity, which JSON does not have."""
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
