"""The numbers of evaluate, on pictures whose numbers are known."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from neuralart.engine import mx
from neuralart.features import Features
from neuralart.frame import Frame
from neuralart.images import to_x
from neuralart.measure import (
    border_error,
    border_profiles,
    checkerboard,
    iterations_to_reach,
    mean_losses,
    psnr,
)
from neuralart.model import load_model
from neuralart.modules import painter as painter_module
from neuralart.modules.perceptual import LossWeights, Perceptual
from neuralart.pixels import adam


def grid(size: int, rows: float, columns: float) -> np.ndarray:
    """(1, 3, size, size): stripes of 2 pixels with these amplitudes on a slope."""
    y, x = np.mgrid[0:size, 0:size]
    plane = y + x / 2 + rows * (-1.0) ** y + columns * (-1.0) ** x
    return np.repeat(plane[None, None], 3, axis=1).astype(np.float32)


def test_checkerboard_is_the_power_of_stripes_of_two_pixels() -> None:
    assert checkerboard(grid(64, 0, 0)) < 1e-3
    assert checkerboard(grid(64, 3, 0)) == pytest.approx(2 / 3 * 9, rel=0.01)
    assert checkerboard(grid(65, 0, 2)) == pytest.approx(2 / 3 * 4, rel=0.01)
    assert checkerboard(grid(64, 3, 2)) == pytest.approx(2 / 3 * 13, rel=0.01)
    wide = np.zeros((1, 3, 64, 64), np.float32)
    wide[:, :, 2::4] = wide[:, :, 3::4] = 5
    assert checkerboard(wide) < 0.1


def test_checkerboard_of_noise_is_its_share_of_the_frequencies() -> None:
    noise = np.random.default_rng(0).normal(0, 10, (1, 3, 128, 128)).astype(np.float32)
    assert checkerboard(noise) == pytest.approx(100 * (128 + 128 - 1) / 128**2, rel=0.15)


def test_iterations_to_reach() -> None:
    totals = [60.0, 20.0, 9.0, 10.0, 8.0]
    assert iterations_to_reach(60.0, totals) == 0
    assert iterations_to_reach(9.5, totals) == 2
    assert iterations_to_reach(8.0, totals) == 4
    assert iterations_to_reach(7.9, totals) == math.inf


def test_means_over_photos() -> None:
    rows = [[{"total": 4.0}, {"total": 1.0}], [{"total": 8.0}, {"total": 2.0}]]
    assert mean_losses(rows) == {"photo": {"total": 6.0}, "x1": {"total": 1.5}}


def test_a_painter_without_a_frame_leaves_a_border(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(run_dir)
    photos = [to_x(picture(seed, 128, 128)) for seed in range(3)]

    def errors() -> list[float]:
        whole, cut = model.painter(mx.cpu()), model.painter(mx.cpu())
        profiles = [border_profiles(whole, cut, x0, whole.measure(x0)) for x0 in photos]
        return [border_error(stage) for stage in zip(*profiles, strict=True)]

    framed = errors()
    monkeypatch.setattr(painter_module, "PAINTING_FRAME", Frame.even(0))
    bare = errors()
    assert len(framed) == len(bare) == 2
    assert all(0 <= a < b for a, b in zip(framed, bare, strict=True)), (framed, bare)


def test_adam_is_kingma_and_bas(tiny_features: Features) -> None:
    loss = Perceptual(tiny_features, LossWeights(), mx.cpu())
    loss.set_style(to_x(picture(1, 32, 32)))
    x0 = to_x(picture(0, 32, 32))
    loss.set_content(x0)
    steps = list(itertools.islice(adam(loss, x0, rate=2.0), 12))
    np.testing.assert_array_equal(steps[0][1], x0)
    # Bias correction makes the first step the rate in every pixel, downhill.
    _, d_x = loss.score(x0)
    moved = steps[1][1] - x0
    sure = abs(d_x) > 1e-3 * abs(d_x).max()
    np.testing.assert_allclose(moved[sure], -2 * np.sign(d_x[sure]), rtol=1e-3)
    assert steps[-1][0]["total"] < 0.7 * steps[0][0]["total"]


def test_decibels_between_pictures() -> None:
    picture_, other = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert psnr(picture_, picture_) == float("inf")
    assert psnr(picture_, other) == psnr(other, picture_) == pytest.approx(0)
    assert psnr(picture_ + 1, picture_) == pytest.approx(48.13, abs=0.01)
