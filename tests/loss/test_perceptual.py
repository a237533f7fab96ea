"""The perceptual loss of several styles, photos and scales."""

from __future__ import annotations

import numpy as np
import pytest

from neuralart.engine.devices import open_device
from neuralart.loss.features.store import Features
from neuralart.loss.layers import STYLE_LAYERS
from neuralart.loss.objective import LossWeights
from neuralart.loss.perceptual import Perceptual

TWO_SCALES = LossWeights(content=2, layout=1, tv=0, two_scales=True)


def picture(seed: int, edge: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 50, (1, 3, edge, edge)).astype(np.float32)


def halved(x: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels."""
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4


def scored(loss: Perceptual, x: np.ndarray, style: int = 0) -> dict[str, float]:
    loss.set_content(picture(2, x.shape[2]))
    return loss.score(x, style)[0]


def test_two_scales_are_the_picture_and_its_half(tiny_features: Features) -> None:
    both = Perceptual(tiny_features, TWO_SCALES, open_device("cpu"))
    both.set_style(picture(1), picture(3, 32))
    losses = scored(both, picture(4))
    one = Perceptual(tiny_features, LossWeights(), open_device("cpu"))
    for scale, style, x in (
        ("style", picture(1), picture(4)),
        ("half", picture(3, 32), halved(picture(4))),
    ):
        one.set_style(style)
        alone = scored(one, x)
        assert losses[scale] == pytest.approx(alone["style"], rel=1e-4)
        for layer in STYLE_LAYERS:
            want = alone[f"style_{layer}"]
            assert losses[f"{scale}_{layer}"] == pytest.approx(want, rel=1e-4)
    mean = (losses["style"] + losses["half"]) / 2
    assert losses["total"] == pytest.approx(mean + losses["content"] + losses["layout"], rel=1e-6)


def test_distances_are_the_terms_at_weight_1(tiny_features: Features) -> None:
    loss = Perceptual(tiny_features, TWO_SCALES, open_device("cpu"))
    loss.set_styles([(picture(1), picture(3, 32)), (picture(5), picture(6, 32))], 1.0)
    distances = loss.style_distances(picture(4))
    assert distances.shape == (2, 10)
    for style, row in enumerate(distances):
        losses = scored(loss, picture(4), style)
        want = [losses[term] for term in TWO_SCALES.style_terms]
        np.testing.assert_allclose(row, want, rtol=1e-4)


def test_each_photo_has_a_style_of_its_own(tiny_features: Features) -> None:
    """A batch of photos in several styles scores as each photo does alone in its style."""
    styles = [(picture(1), picture(3, 32)), (picture(5), picture(6, 32))]
    layers = [np.linspace(1, 2, 10), np.linspace(5, 3, 10)]
    batch = Perceptual(tiny_features, TWO_SCALES, open_device("cpu"))
    batch.set_styles(styles, layers)
    contents, pictures = ([picture(k + n) for k in range(3)] for n in (10, 20))
    device = batch.devices.first()
    batch.set_contents(device.put(np.concatenate(contents)))
    rows, d_x = batch.score_batch(device.put(np.concatenate(pictures)), [1, 0, 1])
    rows, d_x = device.get(rows), device.get(d_x)
    for k, style in enumerate([1, 0, 1]):
        alone = Perceptual(tiny_features, TWO_SCALES, open_device("cpu"))
        alone.set_style(*styles[style], layer_weights=layers[style])
        alone.set_content(contents[k])
        losses, gradient = alone.score(pictures[k])
        np.testing.assert_allclose(rows[k], [losses[t] for t in TWO_SCALES.terms], rtol=1e-4)
        np.testing.assert_allclose(d_x[k], gradient[0], rtol=1e-3, atol=1e-4 * abs(gradient).max())


def test_odd_edges_are_halved_without_their_last_row(tiny_features: Features) -> None:
    loss = Perceptual(tiny_features, TWO_SCALES, open_device("cpu"))
    loss.set_style(picture(1), picture(3, 32), layer_weights=1.0)
    x = picture(4, 65)
    losses = scored(loss, x)
    want = [losses[term] for term in TWO_SCALES.style_terms]
    np.testing.assert_allclose(loss.style_distances(x)[0], want, rtol=1e-4)
