"""``neuralart optimize``: paint one photo by optimising its pixels (Gatys et al. 2016).

It takes minutes where a chain takes a fraction of a second. It has the losses that chains are
trained on, and is the baseline that they are compared with.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from neuralart.engine.devices import open_device
from neuralart.errors import ImageError, Interrupted, OutputError
from neuralart.loss.features.store import Features, load_features
from neuralart.loss.objective import Losses, LossWeights
from neuralart.loss.perceptual import Perceptual
from neuralart.machine.files import check_place
from neuralart.machine.seeds import Purpose, random_numbers
from neuralart.machine.signals import deferred_signals
from neuralart.machine.terminal import Progress
from neuralart.measuring.descent import adam, lbfgs
from neuralart.measuring.work import say_time, score_seconds
from neuralart.options.measure import OptimizeConfig
from neuralart.painting.jobs import same_file
from neuralart.pictures.editing import (
    luminance,
    mix,
    painted_size,
    resize,
    resize_shorter_edge,
    two_scales,
)
from neuralart.pictures.pixels import Image, X, rounded, to_image, to_x
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import check_writable, write_image

# A larger picture is first optimised at a half, a quarter ... of its size. The VGG's receptive
# field is some hundred pixels, so large strokes must form in a small picture (Gatys et al. 2017,
# section 6). Started at 480 pixels, strokes stay as fine as the photo's texture; at 240 they become
# the style's.
COARSEST_PX = 320

# The VGG pools four times, and padding by reflection needs 2 pixels then: of the picture, and by
# default of the picture at half its size.
SMALLEST_PX, SMALLEST_OF_TWO_SCALES_PX = 32, 64

# Pictures that an iteration scores, on average. L-BFGS scores more where a line search goes on.
SCORES = {"adam": 1.0, "lbfgs": 1.2}

PREVIEW_EVERY = 10  # iterations

NOISE = 40.0  # standard deviation of the noise to start from, in 0..255 units

Size = tuple[int, int]


def levels(size: Size, iterations: int, smallest_px: int = SMALLEST_PX) -> list[tuple[Size, int]]:
    """((height, width), iterations) of each level, from coarse to fine.

    Each level is twice as large as the one before it and has half as many iterations. No edge of
    the coarsest is shorter than ``smallest_px``.
    """
    halvings = 0
    while max(size) > COARSEST_PX * 2**halvings and min(size) >= smallest_px * 2 ** (halvings + 1):
        halvings += 1
    return [
        (
            (max(1, round(size[0] / 2**k)), max(1, round(size[1] / 2**k))),
            max(1, iterations // 2 ** (halvings - k)),
        )
        for k in range(halvings, -1, -1)
    ]


class _IterationLog:
    """Reports the iterations at one size on the progress bar and in metrics.jsonl."""

    def __init__(self, size: Size, cost: int, progress: Progress) -> None:
        """``cost`` is what an iteration counts for on the bar."""
        self.size, self.iteration = f"{size[1]}x{size[0]}", 0
        self._cost = cost
        self.losses: Losses = {}
        self._progress = progress
        self._start = time.perf_counter()

    def add(self, losses: Losses) -> None:
        self.iteration += 1
        self.losses = losses
        self._progress.step(self.size, {"total": losses["total"]}, self._cost)
        seconds = round(time.perf_counter() - self._start, 2)
        entry = {"size": self.size, "iteration": self.iteration, "seconds": seconds}
        self._progress.record({**entry, "losses": losses})


class PixelOptimisation:
    """Optimises one picture, from coarse to fine."""

    def __init__(self, source: Path, target: Path, config: OptimizeConfig) -> None:
        """Read photo, style image and features. Raises NeuralArtError if one cannot be used."""
        self.config, self.target = config, target
        photo = read_image(source)
        height, width = photo.shape[:2]
        size = painted_size((height, width), min(config.size, max(height, width)))
        self._smallest_px = SMALLEST_PX if config.one_scale else SMALLEST_OF_TWO_SCALES_PX
        if min(size) < self._smallest_px:
            raise ImageError(
                f"{source}: {size[1]}x{size[0]} to be painted; "
                f"the shorter edge needs {self._smallest_px} pixels: take a larger photo or --size"
            )
        self.photo = _sized(photo, size)
        self.style_image = read_image(config.style)
        self.features: Features = load_features(config.features)
        self.devices = open_device(config.device)
        self.levels = levels(size, config.iterations, self._smallest_px)
        # To keep the photo's colours, only luminance is optimised: photo and style image are gray.
        self.content = self.photo
        self._lost: OutputError | None = None
        if config.preserve_colors:
            self.content = _gray(self.photo, like=self.photo)
            self.style_image = _gray(self.style_image, like=self.photo)

    def run(self, progress: Progress, interrupts: list[int]) -> Losses:
        """Optimise from coarse to fine, write the picture, and return the last losses.

        Raises Interrupted when ``interrupts`` holds a signal; the picture so far is written then.
        Raises OutputError in the end if a preview or a line of metrics could not be written.
        """
        x = self._start()
        perceptual = self._perceptual(self.levels[0][0])
        each = score_seconds(perceptual, x) * SCORES[self.config.method]
        say_time(each * self.total(), "the painting")
        for size, iterations in self.levels:
            log = _IterationLog(size, self._cost(size), progress)

            def report(losses: Losses, x: X, log: _IterationLog = log) -> None:
                with self._no_loss():
                    log.add(losses)
                    if self.config.preview and log.iteration % PREVIEW_EVERY == 0:
                        write_image(self.config.preview, self._picture(x))
                if interrupts:
                    write_image(self.target, self._picture(x))
                    raise Interrupted(
                        f"stopped after iteration {log.iteration} at {log.size}; "
                        f"the picture so far is {self.target}",
                        interrupts[0],
                    )

            if x.shape[2:] != size:
                x = to_x(resize(to_image(x), size))
                perceptual = self._perceptual(size)
            x = self._descend(perceptual, x, iterations, report)
        write_image(self.target, self._picture(x))
        with self._no_loss():
            if self.config.preview is not None:
                write_image(self.config.preview, self._picture(x))
        if self._lost is not None:
            raise OutputError(f"{self._lost}; the painting is in {self.target}")
        return log.losses

    def _cost(self, size: Size) -> int:
        """The time of an iteration at a size, in those at the coarsest."""
        return round(math.prod(size) / math.prod(self.levels[0][0]))

    def total(self) -> int:
        """The time of all iterations, in those at the coarsest size."""
        return sum(iterations * self._cost(size) for size, iterations in self.levels)

    @contextlib.contextmanager
    def _no_loss(self) -> Iterator[None]:
        """Go on after an error of a file that is not the painting, and keep the error."""
        try:
            yield
        except OutputError as error:
            self._lost = self._lost or error

    def _start(self) -> X:
        """The picture at the coarsest size: the photo, or noise."""
        size, _ = self.levels[0]
        x = to_x(_sized(self.content, size))
        if self.config.start == "noise":
            rng = random_numbers(self.config.seed, Purpose.NOISE)
            x = rng.normal(0, NOISE, x.shape).astype(np.float32)
        return x

    def _perceptual(self, size: Size) -> Perceptual:
        """The loss at a size, with style and content set. The style image shrinks, too."""
        config = self.config
        weights = LossWeights(
            config.content_weight,
            config.layout_weight,
            config.tv_weight,
            config.checkerboard_weight,
            config.palette_weight,
            two_scales=not config.one_scale,
        )
        perceptual = Perceptual(self.features, weights, self.devices, config.content_layer)
        full = min(self.content.shape[:2])
        scale = (config.style_scale or full) * min(size) / full
        edge = max(self._smallest_px, round(scale))
        images = two_scales(resize_shorter_edge(self.style_image, edge), edge)
        perceptual.set_style(
            *images[: 1 if config.one_scale else 2], layer_weights=config.style_weight
        )
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
        """The picture at the size of x, in the photo's colours if they are to be kept."""
        painting = to_image(x)
        if not self.config.preserve_colors:
            return painting
        height, width = painting.shape[:2]
        return mix(_sized(self.photo, (height, width)), painting, 1.0, True)


def _sized(image: Image, size: Size) -> Image:
    return image if image.shape[:2] == size else resize(image, size)


def _gray(image: Image, like: Image) -> Image:
    """The luminance in three equal channels, brought to mean and deviation of another picture's.

    Source:  Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer", section 4.
    """
    gray, wanted = luminance(image), luminance(like)
    matched = (gray - gray.mean()) * (wanted.std() / (gray.std() + 1e-6)) + wanted.mean()
    return rounded(np.repeat(matched, 3, axis=2), np.uint8)


def optimize(source: Path, target: Path, config: OptimizeConfig) -> tuple[Path, Losses]:
    """Paint one photo into a file, and return the file's path and the last losses.

    Raises NeuralArtError if photo, style image or features cannot be read, or a file must not or
    cannot be written. Raises Interrupted on SIGINT and SIGTERM; the picture so far is written then.
    """
    if same_file(source, target):
        raise OutputError(f"{target}: is the photo itself; name another file")
    for path in (target, config.preview):
        if path is not None:
            check_writable(path, config.overwrite)
    if config.metrics is not None:
        check_place(config.metrics, config.overwrite)
    optimisation = PixelOptimisation(source, target, config)
    progress = Progress(config.metrics, 0, 0, optimisation.total(), "step")
    with contextlib.closing(progress), deferred_signals() as interrupts:
        return target, optimisation.run(progress, interrupts)
