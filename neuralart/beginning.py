"""What a training begins with: the weights of its chain, and what each style layer counts."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from neuralart.config import DEFAULT_MODEL, RANDOM_START, TrainConfig
from neuralart.errors import ConfigError
from neuralart.features import Features
from neuralart.files import Arrays
from neuralart.images import Image, X, to_x
from neuralart.model import load_model
from neuralart.modules.chain import initial_params
from neuralart.modules.perceptual import LossWeights, Perceptual
from neuralart.modules.step import TINY_LOSS
from neuralart.shipped import find_model, shipped
from neuralart.specs import Generator
from neuralart.symbols.vgg import STYLE_LAYERS

PHOTO_STYLE = 70.0  # what the photos' own distance to a painting counts in the balanced loss
BALANCED_ON = 16  # photos


def with_start(config: TrainConfig) -> TrainConfig:
    """With the shipped style to begin with, where none was named: the default one, or another of the same chain.

    A new style learns sooner from any trained one than from random weights (docs/experiments.md, section 5).
    """
    if config.start is not None:
        return config
    specs = config.specs()
    styles = sorted(shipped(), key=lambda name: name != DEFAULT_MODEL)
    same = (name for name in styles if _alike(load_model(find_model(name)).specs, specs))
    start = RANDOM_START if config.share_weights else next(same, RANDOM_START)
    return dataclasses.replace(config, start=start)


def first_params(config: TrainConfig, specs: Sequence[Generator]) -> tuple[Arrays, str]:
    """Random weights, or those of --start and their checksum.

    Raises ConfigError if the generators of --start are others.
    """
    if config.start in (None, RANDOM_START):
        return initial_params(specs, config.seed, share_weights=config.share_weights), ""
    model = load_model(find_model(config.start))
    weights = b"".join(model.params[name].tobytes() for name in sorted(model.params))
    if config.share_weights or not _alike(model.specs, specs):
        raise ConfigError(
            f"--start {config.start}: its generators are not the ones to train "
            f"({config.chain}{', shared' if config.share_weights else ''}); use --start {RANDOM_START}"
        )
    return dict(model.params), hashlib.sha256(weights).hexdigest()


def _alike(some: Sequence[Generator], others: Sequence[Generator]) -> bool:
    """Whether the weights of one chain fit the other, whatever its generators are called."""
    return [spec.layers for spec in some] == [spec.layers for spec in others]


def balanced_weights(
    features: Features, style_x: X, squares: Sequence[Image], context: Any
) -> tuple[float, ...]:
    """Weights with which each style layer is as far from the painting as the others, on photos.

    Relative distances differ: those of `relu5_1` to a dark painting are five times those of `relu3_1`.
    """
    loss = Perceptual(features, LossWeights(1, 0, 0), context)
    loss.set_style(style_x)
    rows = []
    for square in squares[:BALANCED_ON]:
        x0 = to_x(square)
        loss.set_content(x0)
        losses, _ = loss.score(x0)
        rows.append([losses[f"style_{layer}"] for layer in STYLE_LAYERS])
    share = PHOTO_STYLE / len(STYLE_LAYERS)
    return tuple(round(share / max(d, TINY_LOSS), 3) for d in np.median(rows, axis=0).tolist())
