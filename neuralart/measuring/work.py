"""How long measuring and optimising take: said at the beginning, then counted on a bar."""

from __future__ import annotations

import time

from neuralart.loss.perceptual import Perceptual
from neuralart.machine.terminal import counting, say
from neuralart.pictures.pixels import X
from neuralart.training.cost import as_time

# What painting and measuring a photo takes, in iterations of the optimiser: measured at 256 px.
PAINTED = 14


def score_seconds(perceptual: Perceptual, x: X) -> float:
    """Seconds of scoring a picture. ``perceptual`` has its style and content set."""
    devices = perceptual.devices
    batch = devices.first().put(x)
    for _ in range(2):  # the first one sets up memory
        start = time.perf_counter()
        _, d_x = perceptual.score_batch(batch, [0])
        devices.get(d_x)
    return time.perf_counter() - start


def say_time(seconds: float, what: str) -> None:
    """Say on stderr how long ``what`` will take."""
    say(f"note: about {as_time(seconds)} for {what}", error=True)


class Work:
    """The photos that an evaluation measures: their time, and a bar that counts iterations."""

    def __init__(self, photos: int, iterations: int) -> None:
        """``photos`` counts a photo once for each style; each is optimised for ``iterations``."""
        self._photos, self._iterations = photos, iterations
        self._is_said = False
        self._bar = counting(photos * (PAINTED + iterations), 0, "step")

    def begin(self, perceptual: Perceptual, x0: X) -> None:
        """Say the time of all photos, estimated from the losses of the first one."""
        if self._is_said:
            return
        self._is_said = True
        perceptual.set_content(x0)
        steps = self._photos * (PAINTED + self._iterations)
        what = f"{self._photos} photos, each with {self._iterations} iterations of the optimiser"
        say_time(steps * score_seconds(perceptual, x0), what)

    def painted(self) -> None:
        """Count a photo that is painted and measured, but for the optimiser."""
        self._bar.update(PAINTED)

    def iterated(self) -> None:
        """Count an iteration of the optimiser."""
        self._bar.update()

    def passed_over(self) -> None:
        """Count a photo that cannot be measured on."""
        self._bar.update(PAINTED + self._iterations)

    def close(self) -> None:
        self._bar.close()
