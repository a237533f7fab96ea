"""Optimisers of pixels (Gatys et al. 2016): the baseline that chains are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from neuralart.loss.objective import Losses
from neuralart.loss.perceptual import Perceptual
from neuralart.pictures.pixels import X

ADAM_RATE = 0.02 * 255
"""Adam's learning rate in 0..255 units."""

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-12


def adam(perceptual: Perceptual, x: X, rate: float = ADAM_RATE) -> Iterator[tuple[Losses, X]]:
    """Yield losses and picture at the start, and then after every iteration, without end.

    ``perceptual`` has its style and content set.

    Shape:   x (1, 3, H, W) -> the same
    Source:  Kingma and Ba 2014, with the pixels as parameters
    """
    mean = np.zeros_like(x)
    square = np.zeros_like(x)
    step = 0
    while True:
        losses, d_x = perceptual.score(x)
        yield losses, x
        step += 1
        mean = _BETA1 * mean + (1 - _BETA1) * d_x
        square = _BETA2 * square + (1 - _BETA2) * d_x**2
        deviation = np.sqrt(square / (1 - _BETA2**step)) + _EPSILON
        x = (x - rate * mean / (1 - _BETA1**step) / deviation).astype(np.float32)


def lbfgs(perceptual: Perceptual, x: X, iterations: int, report: Callable[[Losses, X], None]) -> X:
    """The picture after ``iterations``, or earlier if no step lowers the total loss.

    ``perceptual`` has its style and content set. ``report`` is called with losses and picture after
    every iteration; an exception that it raises ends the optimisation.

    Shape:   x (1, 3, H, W) -> the same
    Source:  Gatys et al. 2016, section 2.3; SciPy's L-BFGS-B (Zhu et al. 1997) without bounds
    """
    last: Losses = {}

    def picture(flat: npt.NDArray[np.float64]) -> X:
        return flat.reshape(x.shape).astype(np.float32)

    def score(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        losses, d_x = perceptual.score(picture(flat))
        last.update(losses)
        return losses["total"], d_x.astype(np.float64).ravel()

    result = minimize(
        score,
        x.astype(np.float64).ravel(),
        method="L-BFGS-B",
        jac=True,
        # SciPy scores the point that ends a line search last, so `last` are its losses.
        callback=lambda flat: report(dict(last), picture(flat)),
        # A pixel's gradient is far below the default tolerances.
        options={"maxiter": iterations, "maxfun": 4 * iterations, "ftol": 0.0, "gtol": 0.0},
    )
    return picture(result.x)
