"""The terms of the loss by name, their sums, and means over photos."""

from __future__ import annotations

import numpy as np
import pytest

from neuralart.loss.layers import STYLE_LAYERS
from neuralart.loss.objective import LossWeights, balanced_weights, mean_losses, named


def test_terms_are_in_one_order() -> None:
    layers = tuple(f"style_{layer}" for layer in STYLE_LAYERS)
    assert LossWeights().terms == (*layers, "content", "tv")
    weights = LossWeights(content=1, layout=2, tv=0, checkerboard=4, palette=3, two_scales=True)
    halves = tuple(f"half_{layer}" for layer in STYLE_LAYERS)
    assert weights.terms == (*layers, *halves, "content", "tv", "layout", "palette", "checkerboard")
    assert list(weights.others().values()) == [1, 0, 2, 3, 4]


def test_the_total_has_the_mean_of_both_scales() -> None:
    terms = LossWeights(layout=1, two_scales=True).terms
    losses = named(terms, np.arange(1.0, len(terms) + 1))
    assert losses["style_relu1_1"] == 1 and losses["half_relu1_1"] == 6 and losses["layout"] == 13
    assert (losses["style"], losses["half"]) == (15, 40)
    assert losses["total"] == (15 + 40) / 2 + 11 + 12 + 13
    one = named(LossWeights().terms, np.arange(1.0, 8))
    assert one["total"] == 15 + 6 + 7 and "half" not in one


def test_means_over_photos() -> None:
    rows = [[{"total": 4.0}, {"total": 1.0}], [{"total": 8.0}, {"total": 2.0}]]
    assert mean_losses(rows) == {"photo": {"total": 6.0}, "x1": {"total": 1.5}}


def test_a_layer_that_is_the_same_already_has_a_finite_weight() -> None:
    assert np.isfinite(balanced_weights([[0.0] * len(STYLE_LAYERS)])).all()


def test_balanced_layers_count_the_same() -> None:
    distances = [[1, 2, 4, 0.5, 7], [1, 2, 8, 0.5, 9], [3, 2, 6, 0.1, 8]]
    weights = balanced_weights(distances)
    assert np.multiply(weights, [1, 2, 6, 0.5, 8]) == pytest.approx([14] * 5, rel=1e-3)
