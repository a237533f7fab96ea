"""The optimisers of pixels. test_optimize.py tests L-BFGS through the command line."""

from __future__ import annotations

import itertools

import numpy as np
from helpers import picture

from neuralart.engine.devices import open_device
from neuralart.loss.features.store import Features
from neuralart.loss.objective import LossWeights
from neuralart.loss.perceptual import Perceptual
from neuralart.measuring.descent import adam
from neuralart.pictures.pixels import to_x


def test_adam_is_kingma_and_bas(tiny_features: Features) -> None:
    perceptual = Perceptual(tiny_features, LossWeights(), open_device("cpu"))
    perceptual.set_style(to_x(picture(1, 32, 32)))
    x0 = to_x(picture(0, 32, 32))
    perceptual.set_content(x0)
    steps = list(itertools.islice(adam(perceptual, x0, rate=2.0), 12))
    np.testing.assert_array_equal(steps[0][1], x0)
    # Bias correction makes the first step the rate in every pixel, downhill.
    _, d_x = perceptual.score(x0)
    moved = steps[1][1] - x0
    sure = abs(d_x) > 1e-3 * abs(d_x).max()
    np.testing.assert_allclose(moved[sure], -2 * np.sign(d_x[sure]), rtol=1e-3)
    assert steps[-1][0]["total"] < 0.7 * steps[0][0]["total"]
