"""``neuralart optimize``: paint one photo by optimising its pixels (Gatys et al. 2016), without a chain.

Minutes instead of a fraction of a second, on the losses that chains are trained on: the baseline that
they are compared with.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neuralart import engine
from neuralart.config import OptimizeConfig
from neuralart.dials import luminance, mix, painted_size
from neuralart.encode import check_writable
from neuralart.errors import ImageError, Interrupted, OutputError
from neuralart.features import Features, load_features
from neuralart.files import check_place
from neuralart.images import (
    Image,
    X,
    read_image,
    resize,
    resize_shorter_edge,
    rounded,
    to_image,
    to_x,
    write_image,
)
from neuralart.modules.perceptual import Losses, LossWeights, Perceptual
from neuralart.pixels import adam, lbfgs
from neuralart.progress import Progress
from neuralart.signals import deferred_signals

# Larger pictures begin at half, a quarter ... of their size: the nets see no further than some hundred
# pixels, so that large swirls must be found in a small picture (Gatys et al. 2017, section 6). Begun at
# 480 pixels, strokes stay as fine as the photo's texture; begun at 240, they are the painting's.
COARSEST_PX = 320

# The nets pool four times, and some reflect one pixel of what is left.
SMALLEST_PX = 32

PREVIEW_EVERY = 10  # iterations
NOISE = 40.0  # standard deviation of a start from noise, in 0..255 units

Size = tuple[int, int]


def levels(size: Size, iterations: int) -> list[tuple[Size, int]]:
    """(height, width) and iterations from coarse to fine: each level twice as large, half as long."""
    halvings = 0
    while max(size) / 2**halvings > COARSEST_PX:
        halvings += 1
    return [
        (
            (max(1, round(size[0] / 2**k)), max(1, round(size[1] / 2**k))),
            max(1, iterations // 2 ** (halvings - k)),
        )
        for k in range(halvings, -1, -1)
    ]


class _Said:
    """What is said of the iterations at one size: on the bar and in metrics.jsonl."""

    def __init__(self, size: str, progress: Progress) -> None:
        self.size, self.iteration = size, 0
        self.losses: Losses = {}
        self._progress = progress
        self._begin = time.perf_counter()

    def add(self, losses: Losses) -> None:
        self.iteration += 1
        self.losses = losses
        self._progress.step(self.size, self.iteration, {"total": losses["total"]})
        seconds = round(time.perf_counter() - self._begin, 2)
        entry = {"size": self.size, "iteration": self.iteration, "seconds": seconds}
        self._progress.record({**entry, "losses": losses})


class Optimizing:
    """One picture on its way."""

    def __init__(self, source: Path, target: Path, config: OptimizeConfig) -> None:
        self.config, self.target = config, target
        photo = read_image(source)
        height, width = photo.shape[:2]
        size = painted_size((height, width), min(config.size, max(height, width)))
        if min(size) < SMALLEST_PX:
            raise ImageError(
                f"{source}: {size[1]}x{size[0]} to be painted; the shorter edge needs {SMALLEST_PX} pixels"
            )
        self.photo = _sized(photo, size)
        self.style = read_image(config.style)
        self.features: Features = load_features(config.features)
        self.context = engine.device(config.device)
        self.levels = levels(size, config.iterations)
        # Colours that stay need no painting: photo and style are learned on in gray.
        self.content = self.photo
        if config.preserve_colors:
            self.content = _gray(self.photo, like=self.photo)
            self.style = _gray(self.style, like=self.photo)

    def run(self, progress: Progress, interrupts: list[int]) -> Losses:
        """Optimise from coarse to fine and write the picture; returns the last losses.

        Raises Interrupted once a signal was noted, with the picture so far written.
        """
        x = self._start()
        for size, iterations in self.levels:
            said = _Said(f"{size[1]}x{size[0]}", progress)

            def report(losses: Losses, x: X, said: _Said = said) -> None:
                said.add(losses)
                if self.config.preview and said.iteration % PREVIEW_EVERY == 0:
                    write_image(self.config.preview, self._picture(x))
                if interrupts:
                    write_image(self.target, self._picture(x))
                    raise Interrupted(
                        f"stopped after iteration {said.iteration} at {said.size}; "
                        f"the picture so far is {self.target}",
                        interrupts[0],
                    )

            if x.shape[2:] != size:
                x = to_x(resize(to_image(x), size))
            x = self._descend(self._perceptual(size), x, iterations, report)
        for path in (self.target, self.config.preview):
            if path is not None:
                write_image(path, self._picture(x))
        return said.losses

    def _start(self) -> X:
        size, _ = self.levels[0]
        x = to_x(_sized(self.content, size))
        if self.config.start == "noise":
            rng = np.random.default_rng(self.config.seed)
            x = rng.normal(0, NOISE, x.shape).astype(np.float32)
        return x

    def _perceptual(self, size: Size) -> Perceptual:
        config = self.config
        weights = LossWeights(config.style_weight, config.content_weight, config.tv_weight)
        perceptual = Perceptual(self.features, weights, self.context, config.content_layer)
        full = min(self.content.shape[:2])
        scale = (config.style_scale or full) * min(size) / full
        perceptual.set_style(to_x(resize_shorter_edge(self.style, max(SMALLEST_PX, round(scale)))))
        perceptual.set_content(to_x(_sized(self.content, size)))
        return perceptual

    def _descend(
        self, perceptual: Perceptual, x: X, iterations: int, report: Callable[[Losses, X], None]
    ) -> X:
        if self.config.method == "lbfgs":
            return lbfgs(perceptual, x, iterations, report)
        for losses, picture in itertools.islice(adam(perceptual, x), 1, iterations + 1):
            report(losses, picture)
            x = picture
        return x

    def _picture(self, x: X) -> Image:
        """The picture in its colours, at the size of x."""
        painting = to_image(x)
        if not self.config.preserve_colors:
            return painting
        height, width = painting.shape[:2]
        return mix(_sized(self.photo, (height, width)), painting, 1.0, True)


def _sized(image: Image, size: Size) -> Image:
    return image if image.shape[:2] == size else resize(image, size)


def _gray(image: Image, like: Image) -> Image:
    """The luminance in three equal channels, brought to the mean and deviation of another's.

    Source:  Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer", section 4.
    """
    gray, wanted = luminance(image), luminance(like)
    matched = (gray - gray.mean()) * (wanted.std() / (gray.std() + 1e-6)) + wanted.mean()
    return rounded(np.repeat(matched, 3, axis=2), np.uint8)


def optimize(source: Path, target: Path, config: OptimizeConfig) -> tuple[Path, Losses]:
    """Paint one photo into a file; returns its path and the last losses.

    Raises NeuralArtError if photo, painting or features cannot be read, or a file must not or cannot be
    written; Interrupted on SIGINT and SIGTERM, when the picture so far is written.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputError(f"{target}: is the photo itself; name another file")
    for path in (target, config.preview):
        if path is not None:
            check_writable(path, config.overwrite)
    if config.metrics is not None:
        check_place(config.metrics, config.overwrite)
    work = Optimizing(source, target, config)
    total = sum(iterations for _, iterations in work.levels)
    progress = Progress(config.metrics, 0, 0, total, "iteration")
    with contextlib.closing(progress), deferred_signals() as interrupts:
        return target, work.run(progress, interrupts)
