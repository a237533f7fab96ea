"""``neuralart evaluate``: measure styles on photos.

Each photo is painted, whole or its middle square. Measured are the losses after each stage, the
iterations in which Adam on the pixels reaches the same total, and artefacts that the losses hardly
show.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuralart.chain.choice import load_choice
from neuralart.chain.model import Model, Style, StyledChain
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.shipped import find_model
from neuralart.engine.contract import Devices
from neuralart.engine.devices import open_device
from neuralart.errors import ConfigError, PhotosError
from neuralart.loss.features.store import Features, load_features
from neuralart.loss.objective import LossWeights
from neuralart.loss.perceptual import Perceptual, stage_losses
from neuralart.loss.spots import spots
from neuralart.machine.files import check_place, write_aside
from neuralart.measuring.artefacts import border_profiles, stripe_power
from neuralart.measuring.descent import adam
from neuralart.measuring.results import Measured, means, per_photo
from neuralart.measuring.work import Work
from neuralart.options.measure import EvaluateConfig
from neuralart.pictures.editing import (
    contact_sheet,
    painted_size,
    resize,
    resize_shorter_edge,
    two_scales,
)
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.pixels import Image, X, to_image, to_x
from neuralart.pictures.reading import decode_image, read_image
from neuralart.pictures.writing import check_writable, write_image
from neuralart.training.run import RunFolder

SQUARE_PX = 256  # the default edge of middle squares

# VGG pools four times at half a picture's size, too, and padding by reflection needs 2 pixels then.
SMALLEST_PX = 64

SHEET_ROWS = 6  # at most, or one for each style


def evaluate(source: str, config: EvaluateConfig) -> dict[str, Any]:
    """Measure a style; write and return means over photos, as plain data.

    With --every-style, ``styles`` has such data of each style by its name.
    Raises NeuralArtError if a file cannot be read, or must not be written; then none is written.
    """
    if config.json is not None:
        check_place(config.json, config.overwrite)
    if config.sheet is not None:
        check_writable(config.sheet, config.overwrite)
    chain, choice = load_choice(source, config.style)
    styles = _styles(chain, choice, config)
    found = find_model(source)
    record = (RunFolder(found).read_record() or {}) if found.is_dir() else {}
    options = [_options(style, record.get("options", {})) for style in styles]
    images = [
        _style_image(style, config.style_image, own)
        for style, own in zip(styles, options, strict=True)
    ]
    devices, features = open_device(config.device), load_features(config.features)
    photos = _photos(config, options[0])
    results, sheet = {}, []
    work = Work(len(styles) * _count(photos, config), config.iterations)
    for style, own, image in zip(styles, options, images, strict=True):
        trained_at = max(SMALLEST_PX, int(own.get("style_scale", SQUARE_PX)))
        scale = config.style_scale or trained_at
        judge = _Judge(features, devices, resize_shorter_edge(image, scale), scale, config)
        shown = max(1, SHEET_ROWS // len(styles)) if config.sheet else 0
        model = chain.model(style.name)
        rows = _measure_all(photos, judge, model, devices, config, shown, work)
        results[style.name] = {"style": style.name, **_result(rows, judge, config)}
        sheet += [row.pictures for row in rows[:shown]]
        if config.json is not None:
            results[style.name]["per_photo"] = [per_photo(row, config.iterations) for row in rows]
    work.close()
    result = {"styles": results} if config.every_style else results[styles[0].name]
    if config.json is not None:
        write_aside(config.json, (json.dumps(result, indent=2) + "\n").encode())
    if config.sheet is not None:
        write_image(config.sheet, _contact_sheet(sheet))
    return result


def _styles(chain: StyledChain, choice: str | None, config: EvaluateConfig) -> list[Style]:
    """The styles to measure. Raises ConfigError for an unknown one, a mixture, contradictions."""
    if config.every_style:
        for option in ("style", "style_image"):
            if getattr(config, option) is not None:
                name = option.replace("_", "-")
                raise ConfigError(f"--{name}: names one style; leave it or --every-style away")
        return list(chain.styles)
    if not np.count_nonzero(mixture := chain.mixture(choice)) == 1:
        raise ConfigError(
            f"--style {choice}: is a mixture, which has no style image; name one style"
        )
    return [chain.styles[int(mixture.argmax())]]


def _options(style: Style, recorded: dict[str, Any]) -> dict[str, Any]:
    """The options of a style's training: its card's, or the run's if the run trained it."""
    options: dict[str, Any] = style.card.get("options", {})
    names = _as_list(recorded.get("style", []))
    if isinstance(recorded.get("style"), str) or style.name in {Path(name).stem for name in names}:
        return {**options, **recorded}
    return options


def _as_list(value: str | list[str]) -> list[str]:
    """The style images in options: a list, or one file in models of one style."""
    return [value] if isinstance(value, str) else value


def _style_image(style: Style, given: Path | None, options: dict[str, Any]) -> Image:
    """The style image: the file ``given``, the one that training named, or the model's copy.

    Raises ConfigError if there is none of them.
    """
    if given is not None:
        return read_image(given)
    files = [Path(name) for name in _as_list(options.get("style", []))]
    trained_on = next((file for file in files if len(files) == 1 or file.stem == style.name), None)
    if trained_on is not None and trained_on.is_file():
        return read_image(trained_on)
    if style.style_image:
        return decode_image(style.style_image, "the model's style image")
    name = trained_on.name if trained_on else style.name
    raise ConfigError(
        f"the model does not hold its style image, {name}; name it with --style-image"
    )


def _photos(config: EvaluateConfig, options: dict[str, Any]) -> Photos:
    """The photos to measure on. With --held-out, they are split as training split them."""
    smallest = 2 * SMALLEST_PX if config.whole else config.size or SQUARE_PX
    if not config.held_out:
        return Photos(config.data, smallest, seed=0, holdout=0)
    crop, seed, holdout = (int(options.get(key, 0)) for key in ("crop", "seed", "holdout"))
    photos = Photos(config.data, crop or smallest, seed, holdout)
    if not photos.held_out:
        raise PhotosError(
            f"--data {config.data}: training kept no photo out; leave --held-out away"
        )
    return photos


def _pictures(photos: Photos, config: EvaluateConfig) -> Iterator[tuple[str, Image]]:
    """Yield (name, what is painted): middle squares, or whole photos."""
    count = _count(photos, config)
    if not config.whole:
        edge = config.size or SQUARE_PX
        yield from photos.squares(edge, held_out=config.held_out, count=count)
        return
    for name, photo in photos.whole(held_out=config.held_out, count=count):
        height, width = photo.shape[:2]
        if config.size and max(height, width) > config.size:
            photo = resize(photo, painted_size((height, width), config.size))
        yield name, photo


def _count(photos: Photos, config: EvaluateConfig) -> int:
    """How many photos are measured on, unless some cannot be read or are too small."""
    available = len(photos.held_out) if config.held_out else photos.count
    return min(config.photos or available, available)


class _Judge:
    """The loss in one style. It keeps the graphs of one picture size at a time."""

    def __init__(
        self,
        features: Features,
        devices: Devices,
        style_image: Image,
        style_scale: int,
        config: EvaluateConfig,
    ) -> None:
        self.features = features
        self.style_image = style_image
        self.style_scale = style_scale
        self._devices = devices
        self._config = config
        self._size: tuple[int, ...] = ()
        self._perceptual: Perceptual | None = None

    def at_size_of(self, x: X) -> Perceptual:
        """The loss, with the style set."""
        if self._perceptual is None or x.shape != self._size:
            self._perceptual, self._size = self._new(), x.shape
        return self._perceptual

    def _new(self) -> Perceptual:
        config = self._config
        weights = LossWeights(
            config.content_weight,
            config.layout_weight,
            config.tv_weight,
            palette=config.palette_weight,
            two_scales=not config.one_scale,
        )
        images = two_scales(self.style_image, self.style_scale)
        perceptual = Perceptual(self.features, weights, self._devices, config.content_layer)
        perceptual.set_style(
            *images[: 1 if config.one_scale else 2], layer_weights=config.style_weight
        )
        return perceptual


def _measure_all(
    photos: Photos,
    judge: _Judge,
    model: Model,
    devices: Devices,
    config: EvaluateConfig,
    shown: int,
    work: Work,
) -> list[Measured]:
    """Measure a style on every photo, and keep the pictures of the first ``shown`` of them."""
    whole, cut = (ReferencePainter(model.specs, model.params, devices) for _ in range(2))
    rows: list[Measured] = []
    for name, picture in _pictures(photos, config):
        if min(picture.shape[:2]) < SMALLEST_PX:
            work.passed_over()
            continue
        row = _measure(name, picture, judge, whole, cut, config.iterations, work)
        rows.append(row if len(rows) < shown else dataclasses.replace(row, pictures=[]))
    if not rows:
        raise PhotosError(
            f"--data {config.data}: none of its files can be measured on; name photos of "
            f"{SMALLEST_PX} pixels or more"
        )
    return rows


def _measure(
    file: str,
    photo: Image,
    judge: _Judge,
    whole: ReferencePainter,
    cut: ReferencePainter,
    iterations: int,
    work: Work,
) -> Measured:
    x0 = to_x(photo)
    perceptual = judge.at_size_of(x0)
    work.begin(perceptual, x0)
    statistics = whole.measure(x0)
    xs = whole.paint(x0, statistics)
    losses = stage_losses(perceptual, x0, xs)
    work.painted()
    totals, picture = _optimise(perceptual, x0, losses[-1]["total"], iterations, work)
    return Measured(
        file,
        (photo.shape[0], photo.shape[1]),
        losses,
        totals,
        [spots(x0, x) for x in [x0, *xs]],
        [stripe_power(to_x(to_image(x))) for x in [x0, *xs]],
        border_profiles(whole, cut, x0, statistics),
        [photo, *map(to_image, xs), *([picture] if iterations else [])],
    )


def _optimise(
    perceptual: Perceptual, x0: X, total: float, iterations: int, work: Work
) -> tuple[list[float], Image]:
    """The optimiser's total losses, and its first picture with at most ``total``, or its last."""
    totals: list[float] = []
    picture = None
    for losses, x in itertools.islice(adam(perceptual, x0), iterations + 1):
        totals.append(losses["total"])
        if len(totals) > 1:
            work.iterated()
        if picture is None and (totals[-1] <= total or len(totals) == iterations + 1):
            picture = to_image(x)
    assert picture is not None
    return totals, picture


def _result(rows: Sequence[Measured], judge: _Judge, config: EvaluateConfig) -> dict[str, Any]:
    """What was measured, and how."""
    weights = {
        "style": config.style_weight,
        "content": config.content_weight,
        "layout": config.layout_weight,
        "palette": config.palette_weight,
        "tv": config.tv_weight,
    }
    return {
        "photos": len(rows),
        "whole": config.whole,
        "edge_px": max(max(row.size) for row in rows),
        "features": {"name": judge.features.name, "sha256": judge.features.sha256},
        "content_layer": config.content_layer,
        "weights": weights,
        "style_scale": judge.style_scale,
        **means(rows, judge.style_image, config.iterations),
    }


def _contact_sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """Lay out pictures of several sizes, each at the top left of a place for the largest."""
    height, width = (max(row[0].shape[axis] for row in rows) for axis in (0, 1))

    def placed(image: Image) -> Image:
        place = np.full((height, width, 3), 255, np.uint8)
        place[: image.shape[0], : image.shape[1]] = image
        return place

    return contact_sheet([[placed(image) for image in row] for row in rows])
