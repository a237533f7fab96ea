"""The perceptual loss of several styles, photos and scales."""

from __future__ import annotations

import numpy as np
import pytest

from neuralart.engine.devices import open_device
from neuralart.loss.features.store import Features
from neuralart.loss.layers import STYLE_LAYERS
from neuralart.loss.objective import KEPT, LossWeights
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


def test_content_and_layout_may_count_more_in_the_gradient(tiny_features: Features) -> None:
    """A factor is as good as higher weights, and the losses stay those of the given weights."""
    style, photos, pictures = (
        (picture(1), picture(3, 32)),
        np.concatenate([picture(4), picture(5)]),
        np.concatenate([picture(6), picture(7)]),
    )
    found = []
    for factor in (1.0, 3.0):
        weights = LossWeights(content=6 / factor, layout=3 / factor, palette=3, two_scales=True)
        loss = Perceptual(tiny_features, weights, open_device("cpu"))
        loss.set_styles([style, style], 1.0)
        loss.keep = np.array([factor, factor], np.float32)
        loss.set_contents(loss.devices.put(photos))
        rows, d_x = loss.score_batch(loss.devices.put(pictures), [0, 1], log_weight=1.0)
        found.append([loss.devices.get(each).copy() for each in (rows, d_x)])
    (rows, d_x), (low_rows, same_d_x) = found
    np.testing.assert_allclose(same_d_x, d_x, rtol=1e-4, atol=1e-6 * abs(d_x).max())
    kept = [term in KEPT for term in weights.terms]
    np.testing.assert_allclose(low_rows, np.where(kept, rows / 3, rows), rtol=1e-5)


def test_each_style_has_a_factor_of_its_own(tiny_features: Features) -> None:
    loss = Perceptual(tiny_features, TWO_SCALES, open_device("cpu"))
    loss.set_styles([(picture(1), picture(3, 32))] * 2)
    loss.set_content(picture(2))
    before, more = loss.score(picture(4), 1)
    loss.keep = np.array([4, 1], np.float32)
    np.testing.assert_array_equal(loss.score(picture(4), 1)[1], more)
    after, changed = loss.score(picture(4), 0)
    assert after == before and abs(changed - more).max() > 0.01 * abs(more).max()


def test_odd_edges_are_halved_without_their_last_row(tiny_features: Features) -> None:
    loss = Perceptual(tiny_features, TWO_SCALES, open_device("cpu"))
    loss.set_style(picture(1), picture(3, 32), layer_weights=1.0)
    x = picture(4, 65)
    losses = scored(loss, x)
    want = [losses[term] for term in TWO_SCALES.style_terms]
    np.testing.assert_allclose(loss.style_distances(x)[0], want, rtol=1e-4)
