"""Losses against numbers known by hand, and their gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuralart.engine.devices import open_device
from neuralart.engine.door import mx
from neuralart.loss.features.store import Features
from neuralart.loss.layers import STYLE_LAYERS
from neuralart.loss.objective import LossWeights
from neuralart.loss.perceptual import Perceptual
from neuralart.loss.terms import (
    checkerboard,
    coarse,
    content_loss,
    gram,
    layout_loss,
    pyramid,
    style_loss,
    total_variation,
)

a, b = mx.sym.Variable("a"), mx.sym.Variable("b")


def value(symbol: Any, **arrays: Any) -> np.ndarray:
    inputs = {name: mx.nd.array(np.asarray(array, np.float32)) for name, array in arrays.items()}
    result: np.ndarray = symbol.bind(mx.cpu(), inputs).forward()[0].asnumpy()
    return result


def test_gram_by_hand() -> None:
    # Two channels of two pixels: (1, 2) and (3, 4); products over 2 pixels.
    got = value(gram(a), a=[[[[1, 2]], [[3, 4]]]])
    np.testing.assert_allclose(got, [[2.5, 5.5], [5.5, 12.5]])


def test_style_loss_by_hand() -> None:
    assert value(style_loss(a, b), a=[[1, 0], [0, 1]], b=[[1, 2], [0, 2]]) == pytest.approx(5 / 9)


def test_content_loss_by_hand() -> None:
    # Target (1, 3) varies by 1 + 1 around its mean; the difference is (2, 0).
    assert value(content_loss(a, b), a=[[[[3, 3]]]], b=[[[[1, 3]]]]) == pytest.approx(2.0)


def test_content_loss_of_a_flat_photo_is_finite() -> None:
    assert np.isfinite(value(content_loss(a, b), a=[[[[2, 2]]]], b=[[[[2, 2]]]])).all()


def test_total_variation_by_hand() -> None:
    # 2x2 pixels, one channel: vertical steps 51, 0; horizontal steps 0, -51; means of (step/255)^2.
    got = value(total_variation(a), a=[[[[0, 0], [51, 0]]]])
    assert got == pytest.approx((0.2**2 / 2) + (0.2**2 / 2))


@pytest.mark.parametrize("size", [(6, 8), (7, 9)])
def test_checkerboard_by_hand(size: tuple[int, int]) -> None:
    rows, columns = np.indices(size)
    slope = 5.0 * rows + 7.0 * columns
    for stripes in ((-1) ** columns, (-1) ** rows):
        got = value(checkerboard(a), a=[[slope + 51 * stripes] * 3])
        assert got == pytest.approx(0.2**2, rel=1e-5)
    both = value(checkerboard(a), a=[[51.0 * (-1) ** (rows + columns)] * 3])
    assert both == pytest.approx(2 * 0.2**2, rel=1e-5)
    assert value(checkerboard(a), a=[[slope] * 3]) == pytest.approx(0, abs=1e-12)


def test_coarse_by_hand() -> None:
    # Two squares of 16x16 and a row and columns beyond them, which are left out.
    x = np.zeros((1, 3, 17, 40))
    x[:, 0, :16, :16] = 10  # red
    x[:, 1, :8, 16:32] = 40  # green in half of the square
    x[:, 2, :16, 16:32] = 30  # blue
    x[:, :, 16] = x[:, :, :, 32:] = 99
    luminance = np.array([2.99, 0.587 * 20 + 0.114 * 30])
    yellow_blue = np.array([-5.0, 30 - 10])
    want = np.stack([luminance - luminance.mean(), yellow_blue - yellow_blue.mean()])
    np.testing.assert_allclose(value(coarse(pyramid(a)), a=x)[0, :, 0], want, rtol=1e-5)


def test_layout_loss_by_hand() -> None:
    # Variances of 100 and 900 in levels squared: flat places count 1/2, others 9/10.
    target = np.array([[[[10, -10]], [[30, -30]]]])
    assert value(layout_loss(a, b), a=target, b=target) == pytest.approx(0, abs=1e-3)
    assert value(layout_loss(a, b), a=3 * target, b=target) == pytest.approx(0, abs=1e-3)
    turned = value(layout_loss(a, b), a=-2 * target, b=target)
    assert turned == pytest.approx((2 / 2 + 2 * 9 / 10) / 2, rel=1e-3)
    # Nothing at all has no correlation, and spots on a flat photo are free.
    assert value(layout_loss(a, b), a=0 * target, b=target) == pytest.approx((0.5 + 0.9) / 2)
    assert value(layout_loss(a, b), a=target, b=0 * target) == pytest.approx(0)


def test_layout_loss_of_a_correlation() -> None:
    # Covariance 50 of variances 100 and 100.
    layout, target = np.array([[[[10, -10, 10, -10]]]]), np.array([[[[10, -10, 0, 0]]]])
    got = value(layout_loss(a, b), a=layout, b=np.sqrt(2) * target)
    correlation = 50 * np.sqrt(2) / np.sqrt(100 * 100 + 1)
    assert got == pytest.approx((1 - correlation) / 2, rel=1e-5)


def picture(seed: int, edge: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 50, (1, 3, edge, edge)).astype(np.float32)


def smooth(seed: int) -> np.ndarray:
    """Noise that has a layout, too: (1, 3, 64, 64)."""
    return picture(seed, 64) + picture(seed + 100, 4).repeat(16, axis=2).repeat(16, axis=3)


@pytest.fixture
def perceptual(tiny_features: Features) -> Perceptual:
    loss = Perceptual(tiny_features, LossWeights(content=2.0, tv=5.0), open_device("cpu"))
    loss.set_style(picture(1), layer_weights=3.0)
    loss.set_content(picture(2))
    return loss


def test_the_targets_themselves_score_zero(tiny_features: Features) -> None:
    loss = Perceptual(tiny_features, LossWeights(tv=0), open_device("cpu"))
    loss.set_style(picture(1))
    loss.set_content(picture(1))
    losses, d_x = loss.score(picture(1))
    assert losses["total"] == pytest.approx(0, abs=1e-9)
    assert abs(d_x).max() < 1e-8


def test_losses_add_up(perceptual: Perceptual) -> None:
    losses, _ = perceptual.score(picture(3))
    styles = sum(losses[f"style_{layer}"] for layer in STYLE_LAYERS)
    assert losses["style"] == pytest.approx(styles, rel=1e-6)
    assert losses["total"] == pytest.approx(styles + losses["content"] + losses["tv"], rel=1e-6)


def test_weights_scale_losses(tiny_features: Features) -> None:
    scores = []
    for style, weights in ((1, LossWeights(1, 1, 1, 1, 1)), (10, LossWeights(20, 30, 40, 50, 60))):
        loss = Perceptual(tiny_features, weights, open_device("cpu"))
        loss.set_style(picture(1), layer_weights=style)
        loss.set_content(picture(2))
        scores.append(loss.score(picture(3))[0])
    factors = {
        "style": 10,
        "content": 20,
        "layout": 30,
        "tv": 40,
        "checkerboard": 50,
        "palette": 60,
    }
    for name, factor in factors.items():
        assert scores[1][name] == pytest.approx(factor * scores[0][name], rel=1e-5)


@pytest.mark.parametrize(
    "only", ["style", "half", "content", "layout", "tv", "checkerboard", "palette", "all"]
)
def test_the_gradient_is_that_of_finite_differences(tiny_features: Features, only: str) -> None:
    weights = {"content": 2.0, "layout": 6.0, "tv": 5.0, "checkerboard": 500.0, "palette": 5.0}
    if only != "all":
        weights = {name: 4.0 * (name == only) for name in weights}
    scales = {"style": (3, 0), "half": (0, 3), "all": (3, 3)}.get(only, (0, 0))
    loss = Perceptual(tiny_features, LossWeights(**weights, two_scales=True), open_device("cpu"))
    loss.set_style(picture(1, 64), picture(2, 32), layer_weights=[np.repeat(scales, 5)])
    loss.set_content(smooth(2))
    x = smooth(3)
    d_x = loss.score(x)[1]
    for seed in range(3):
        # Ways that go up, so that the difference is large against float32's rounding of the loss.
        way = d_x * np.random.default_rng(seed).uniform(0, 2, x.shape).astype(np.float32)
        way *= 0.05 / abs(way).max()
        up, down = (loss.score(x + sign * way)[0]["total"] for sign in (1, -1))
        assert (d_x * way).sum() == pytest.approx((up - down) / 2, rel=0.02)


def test_the_picture_may_change_size(perceptual: Perceptual) -> None:
    before = perceptual.score(picture(3))[0]
    perceptual.set_content(picture(2, 48))
    assert perceptual.score(picture(3, 48))[1].shape == (1, 3, 48, 48)
    perceptual.set_content(picture(2))
    assert perceptual.score(picture(3))[0] == before
