"""The discriminator, bound for training: what it makes of paintings, and how it learns.

Least squares, not hinge: the pull on the generators fades as paintings pass for the style image, so
that the GAN loss cannot outweigh content and style in the end, and a discriminator that is far
ahead still gives a gradient (Mao et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from neuralart.engine.contract import Batch, Devices, sum_of
from neuralart.machine.archive import Arrays
from neuralart.machine.seeds import Purpose, random_numbers
from neuralart.pictures.pixels import Image
from neuralart.training.gan.augmentation import Augmentation, large_enough, random_square
from neuralart.training.gan.graph import LAYERS, discriminator_graph

GanLosses = dict[str, float]
"""Means of squared errors of scores, without --gan-weight.

discriminator  (score - 1)^2 of squares of the style plus score^2 of paintings; 0.5 if all score 0.5
generator      (score - 1)^2 of paintings; 0.25 then
"""

RATE = 0.1
"""The discriminator's learning rate, as a part of the generators'."""


def first_weights(styles: int, seed: int) -> Arrays:
    """Draw the weights of a new discriminator (He et al. 2015); biases are zero.

    The last layer's weights are a tenth of that: one that knows nothing yet hardly pulls.
    """
    rng = random_numbers(seed, Purpose.DISCRIMINATOR)
    params: Arrays = {}
    inputs = 3
    layers = [*((f"conv{i}", *layer) for i, layer in enumerate(LAYERS)), ("score", styles, 1, 1)]
    for name, channels, kernel, _ in layers:
        shape = (channels, inputs, kernel, kernel)
        scale = 0.1 if name == "score" else 1.0
        deviation = np.float32(scale * np.sqrt(2 / np.prod(shape[1:])))
        params[f"gan_{name}_weight"] = deviation * rng.standard_normal(shape, dtype=np.float32)
        params[f"gan_{name}_bias"] = np.zeros(channels, np.float32)
        inputs = channels
    return params


class Discriminator:
    """Scores patches of pictures: 1 for those of a style image, 0 for those of paintings.

    A step is `begin_step`, `judge` for each pass of the chain, `losses`, `add_up`, then `update`. Its
    random numbers depend on the seed, the step and a photo's place in the batch, so nothing of them
    need be saved, and devices and workers draw the same.
    """

    def __init__(
        self,
        params: Arrays,
        style_images: Sequence[Image],
        edge_px: int,
        devices: Devices,
        weight: float,
        seed: int,
        *,
        photos: int = 1,
        batch: int | None = None,
        add_up: Callable[[dict[str, Batch]], None] | None = None,
    ) -> None:
        """Bind the graph for ``photos`` of each device, (photos, 3, edge_px, edge_px).

        style_images  (H, W, 3) each, in the order of the styles
        weight        of the GAN loss beside the logarithm of the perceptual loss
        batch, add_up  as in `neuralart.training.stages.Chain`
        """
        self._devices, self._edge, self._seed = devices, edge_px, seed
        self._images = [large_enough(image, edge_px) for image in style_images]
        self._add_up = add_up
        symbol = discriminator_graph(len(style_images))
        inputs = {
            "x": (photos, 3, edge_px, edge_px),
            "style": (photos, len(style_images)),
            "colour": (3, 3, 1, 1),
            "shift": (3,),
            "mask": (1, 1, edge_px, edge_px),
        }
        common = ("colour", "shift", "mask")
        weights = [name for name in symbol.list_arguments() if name not in inputs]
        # Two executors: one computes gradients by pictures alone, the other by weights alone.
        self._critic = devices.executor(symbol, inputs, gradients=["x"], common=common)
        self._learner = devices.executor(
            symbol, inputs, gradients=weights, common=common, accumulate=True
        )
        for executor in (self._critic, self._learner):
            executor.set_parameters(params)
        self._learner.start_adam(1 / (batch or photos * len(devices)))
        self._weight = weight
        self._ones = devices.put_common(np.ones(photos, np.float32))
        self._places: list[int] = []
        self._step = 0
        self._sums: Batch | None = None

    def begin_step(self, step: int, places: Sequence[int]) -> None:
        """Draw the augmentations of a step; its photos have these places in the batch."""
        self._step, self._places, self._sums = step, list(places), None
        self._of_paintings, self._of_style = (
            Augmentation.drawn(
                random_numbers(self._seed, Purpose.AUGMENTATION, step, i), self._edge
            )
            for i in range(2)
        )
        self._painting_inputs, self._style_inputs = (
            each.inputs(self._devices) for each in (self._of_paintings, self._of_style)
        )

    def judge(self, x: Batch, styles: Sequence[int], rows: Batch, weight: float) -> Batch:
        """Return the gradient by paintings of ``weight`` times the weighted GAN loss: a copy.

        Adds to the discriminator's own gradients, by the paintings and as many squares of their
        style images.

        Shape:   x (photos, 3, edge, edge) on each device; rows (photos, styles), one-hot; ``styles``
                 has a number for each photo, device by device -> the shape of x
        """
        moved = self._of_paintings.move(self._devices, x)
        pull = [ones * (weight * self._weight) for ones in self._ones]
        given = {"x": moved, "style": rows, **self._painting_inputs}
        as_real, _ = self._critic.forward(**given)
        numbers = [self._devices.flatten([as_real])]
        self._critic.backward(pull, None)
        d_x = self._of_paintings.move_back(self._devices, self._critic.input_gradient())
        _, as_painted = self._learner.forward(**given)
        numbers.append(self._devices.flatten([as_painted]))
        self._learner.backward(None, self._ones)
        real = self._of_style.move(self._devices, self._squares(styles))
        as_real, _ = self._learner.forward(x=real, style=rows, **self._style_inputs)
        numbers.append(self._devices.flatten([as_real]))
        self._learner.backward(self._ones, None)
        row = self._devices.flatten(numbers)
        self._sums = row if self._sums is None else sum_of(self._sums, row)
        return d_x

    def _squares(self, styles: Sequence[int]) -> Batch:
        """A random square of the style image of each of the next photos, on the devices."""
        places, self._places = self._places[: len(styles)], self._places[len(styles) :]
        squares = [
            random_square(
                self._images[style],
                self._edge,
                random_numbers(self._seed, Purpose.STYLE_SQUARE, self._step, place),
            )
            for style, place in zip(styles, places, strict=True)
        ]
        return self._devices.put(np.concatenate(squares))

    def losses(self) -> npt.NDArray[np.float32]:
        """The sums over this worker's photos of the step, (3,), for `named_losses`.

        They are (score - 1)^2 of paintings, score^2 of paintings, and (score - 1)^2 of squares of
        the style.
        """
        assert self._sums is not None
        sums: npt.NDArray[np.float32] = self._devices.get(self._sums).sum(axis=0)
        return sums

    def add_up(self) -> None:
        """Sum the gradients over devices and workers. Raises PeersGoneError; no weight changes."""
        if self._add_up:
            self._add_up(self._learner.gradients())

    def update(self, rate: float) -> None:
        """One step of Adam, at `RATE` times the generators' learning rate."""
        self._learner.adam_step(RATE * rate)
        self._critic.copy_parameters(self._learner)

    def params(self) -> Arrays:
        """The weights by name; every name begins with ``gan_``."""
        return self._learner.parameters()

    def moments(self) -> Arrays:
        """Adam's moments by parameter name, ``.mean`` and ``.variance``."""
        return self._learner.moments()

    def set_moments(self, arrays: Arrays, steps: int) -> None:
        """Go on from moments that were taken after so many steps."""
        self._learner.set_moments(arrays, steps)


def named_losses(means: Sequence[float]) -> GanLosses:
    """The means over photos of `Discriminator.losses`, by name."""
    generator, painted, real = means
    return {"discriminator": float(painted + real), "generator": float(generator)}
