"""The measures of evaluate, on pictures with known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import picture, random_model

from neuralart.chain import reference
from neuralart.chain.kinds import GENERATORS
from neuralart.chain.reference import ReferencePainter
from neuralart.engine.devices import open_device
from neuralart.measuring.artefacts import (
    border_error,
    border_profiles,
    iterations_to_reach,
    psnr,
    stripe_power,
)
from neuralart.pictures.frame import Frame
from neuralart.pictures.pixels import to_x


def grid(size: int, rows: float, columns: float) -> np.ndarray:
    """Stripes with a period of 2 pixels and these amplitudes, on a slope: (1, 3, size, size)."""
    y, x = np.mgrid[0:size, 0:size]
    plane = y + x / 2 + rows * (-1.0) ** y + columns * (-1.0) ** x
    return np.repeat(plane[None, None], 3, axis=1).astype(np.float32)


def test_stripe_power_measures_stripes_of_two_pixels() -> None:
    assert stripe_power(grid(64, 0, 0)) < 1e-3
    assert stripe_power(grid(64, 3, 0)) == pytest.approx(2 / 3 * 9, rel=0.01)
    assert stripe_power(grid(65, 0, 2)) == pytest.approx(2 / 3 * 4, rel=0.01)
    assert stripe_power(grid(64, 3, 2)) == pytest.approx(2 / 3 * 13, rel=0.01)
    wide = np.zeros((1, 3, 64, 64), np.float32)
    wide[:, :, 2::4] = wide[:, :, 3::4] = 5
    assert stripe_power(wide) < 0.1


def test_stripe_power_of_noise_is_its_share_of_the_frequencies() -> None:
    noise = np.random.default_rng(0).normal(0, 10, (1, 3, 128, 128)).astype(np.float32)
    assert stripe_power(noise) == pytest.approx(100 * (128 + 128 - 1) / 128**2, rel=0.15)


def test_iterations_to_reach() -> None:
    totals = [60.0, 20.0, 9.0, 10.0, 8.0]
    assert iterations_to_reach(60.0, totals) == 0
    assert iterations_to_reach(9.5, totals) == 2
    assert iterations_to_reach(8.0, totals) == 4
    assert iterations_to_reach(7.9, totals) == math.inf


def test_a_painter_without_a_frame_leaves_a_border(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model([GENERATORS["conv"], GENERATORS["deconv"]])
    devices = open_device("cpu")
    photos = [to_x(picture(seed, 128, 128)) for seed in range(3)]

    def errors() -> list[float]:
        whole, cut = (ReferencePainter(model.specs, model.params, devices) for _ in range(2))
        profiles = [border_profiles(whole, cut, x0, whole.measure(x0)) for x0 in photos]
        return [border_error(stage) for stage in zip(*profiles, strict=True)]

    framed = errors()
    monkeypatch.setattr(reference, "painting_frame", lambda *_: Frame.even(0))
    bare = errors()
    assert len(framed) == len(bare) == 2
    assert all(0 <= a < b for a, b in zip(framed, bare, strict=True)), (framed, bare)


def test_decibels_between_pictures() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert psnr(black, black) == float("inf")
    assert psnr(black, white) == psnr(white, black) == pytest.approx(0)
    assert psnr(black + 1, black) == pytest.approx(48.13, abs=0.01)
