"""The palette loss against numbers known by hand; its gradient is in test_terms.py."""

from __future__ import annotations

import numpy as np
import pytest

from neuralart.engine.devices import open_device
from neuralart.engine.door import mx
from neuralart.loss.features.store import Features
from neuralart.loss.objective import LossWeights
from neuralart.loss.palette import BAND_NOISE, NOISE, bands_of, palette_of
from neuralart.loss.perceptual import Perceptual
from neuralart.loss.terms import bands_loss, colours, contrast, gram, palette_loss, pyramid


def patches(seed: int) -> np.ndarray:
    """Squares of 16 pixels in colours of their own: (1, 3, 64, 64)."""
    random = np.random.default_rng(seed).normal(0, 50, (1, 3, 4, 4)).astype(np.float32)
    return random.repeat(16, axis=2).repeat(16, axis=3)


def test_a_palette_is_its_own(tiny_features: Features) -> None:
    loss = Perceptual(tiny_features, LossWeights(0, tv=0, palette=1), open_device("cpu"))
    style = patches(1)
    loss.set_style(style, layer_weights=0)
    loss.set_content(patches(2))
    own = loss.score(style)[0]["palette"]
    # The same colours at other places are the same palette, others are not.
    turned = loss.score(style[:, :, ::-1, ::-1].copy())[0]["palette"]
    assert own == pytest.approx(0, abs=1e-6) and turned == pytest.approx(0, abs=1e-6)
    assert loss.score(style[:, ::-1].copy())[0]["palette"] > 0.1
    assert loss.score(style + 60)[0]["palette"] > 0.1
    # A flat photo asks nothing.
    loss.set_content(np.full_like(style, 40))
    assert loss.score(style + 60)[0]["palette"] == 0


def test_palette_loss_by_hand() -> None:
    # Colours (10, 0, 0) and (-10, 0, 0) levels, whitening that divides by 5 levels, a contrast of
    # 300 levels squared, which counts 3/4. The Gram matrix has 4 for red where 1 is wanted.
    x = np.zeros((1, 3, 8, 16))
    x[0, 0] = np.where(np.arange(16) < 8, 10, -10)
    layout = np.array([[[[np.sqrt(300), -np.sqrt(300)]], [[50, -50]]]])
    whitening = np.diag([51, 51, 51, 1])
    a, b, c, d = map(mx.sym.Variable, "abcd")
    graph = palette_loss(gram(colours(pyramid(a))), b, c) * contrast(d)
    arrays = {"a": x, "b": whitening, "c": np.eye(4), "d": layout}
    inputs = {name: mx.nd.array(np.asarray(each, np.float32)) for name, each in arrays.items()}
    assert graph.bind(mx.cpu(), inputs).forward()[0].asnumpy() == pytest.approx(
        3 / 4 * (3**2 + 1 + 1) / 4, rel=1e-5
    )


def test_a_palette_whitens_its_image() -> None:
    # Squares that vary by 85 levels in red, by none in blue; 85 / 255 = 1/3.
    x = np.zeros((1, 3, 16, 32), np.float32)
    x[0, 0] = 100 + 85 * np.where(np.arange(32) < 16, 1, -1)
    x[0, 2] = 51
    whitening, gram_of_it = palette_of(x)
    red = 1 / np.sqrt(1 / 9 + NOISE**2)
    np.testing.assert_allclose(np.diag(whitening), [red, 1 / NOISE, 1 / NOISE, 1], rtol=1e-5)
    np.testing.assert_allclose(whitening[:3, 3], [-red * 100 / 255, 0, -0.2 / NOISE], rtol=1e-5)
    np.testing.assert_allclose(gram_of_it, np.diag([red**2 / 9, 0, 0, 1]), atol=1e-5)


def test_bands_by_hand() -> None:
    # Stripes of one pixel, 51 levels up and down in red, are in the finest band alone: 1/25.
    x = np.zeros((1, 3, 32, 64), np.float32)
    x[0, 0] = 51 * np.where(np.arange(64) % 2, 1, -1)
    a, b, c = map(mx.sym.Variable, "abc")
    graph = bands_loss([gram(each) for each in pyramid(a).values()], b, c)
    whitenings, targets = np.tile(np.eye(3) * 10, (5, 1)), np.tile(np.eye(3), (5, 1))
    inputs = {
        name: mx.nd.array(np.asarray(each, np.float32))
        for name, each in {"a": x, "b": whitenings, "c": targets}.items()
    }
    # 100 / 25 in red where 1 is wanted; nothing in all others.
    assert graph.bind(mx.cpu(), inputs).forward()[0].asnumpy() == pytest.approx(
        ((4 - 1) ** 2 + 1 + 1) / 3 + 4 * 1, rel=1e-5
    )


def test_bands_whiten_their_image() -> None:
    # Squares of 4 pixels that vary by 85 levels in green within squares of 8: the third band.
    x = np.zeros((1, 3, 32, 70), np.float32)
    x[0, 1] = 100 + 85 * np.where(np.arange(70) // 4 % 2, 1, -1)
    whitenings, targets = bands_of(x)
    green = 1 / 9 / (1 / 9 + BAND_NOISE**2)
    wanted = np.zeros((5, 3, 3))
    wanted[2, 1, 1] = green
    np.testing.assert_allclose(targets.reshape(5, 3, 3), wanted, atol=1e-6)
    np.testing.assert_allclose(whitenings[:3], np.eye(3) / BAND_NOISE, rtol=1e-5, atol=1e-4)
