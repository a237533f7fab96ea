"""Augmentation through which gradients pass (Zhao et al. 2020), for there is one style image.

Pictures of both kinds are augmented before the discriminator sees them. So it cannot learn the
style image by heart, and the generators need not paint what only augmented pictures have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuralart.engine.contract import Batch, Devices, Edges
from neuralart.pictures.editing import random_crop
from neuralart.pictures.pixels import Image, X, to_x

UNIT = 1 / 128  # a step of x in the discriminator's scale, in which x is about -1..1

BRIGHTNESS = 0.5  # at most, up or down

SATURATION, CONTRAST = (0.0, 2.0), (0.5, 1.5)  # factors

TRANSLATION = 1 / 8  # of the edge, at most

CUT_OUT = 1 / 2  # of the edge


@dataclass(frozen=True)
class Augmentation:
    """Colour, translation and cutout, the same for all pictures of a pass.

    before   pixels cut off at the top, bottom, left and right
    after    pixels of zeros put there instead, so that the picture is moved and keeps its size
    colour   (3, 3, 1, 1), by which each pixel is multiplied; `UNIT` is in it
    shift    (3,), then added to each pixel
    mask     (1, 1, edge, edge): zero where the picture was moved away, and in the square cut out

    Source:  Zhao et al. 2020, section 3.2, with the ranges of its policy colour, translation,
             cutout. No mirroring: strokes have a direction.
    Differs: contrast is about mid-grey, so that colour is one product of matrices.
    """

    before: Edges
    after: Edges
    colour: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]
    mask: npt.NDArray[np.float32]

    @classmethod
    def drawn(cls, rng: np.random.Generator, edge: int) -> Augmentation:
        """Draw an augmentation of pictures of (edge, edge) pixels."""
        contrast, saturation = rng.uniform(*CONTRAST), rng.uniform(*SATURATION)
        grey = np.full((3, 3), 1 / 3)
        colour = UNIT * contrast * (saturation * np.eye(3) + (1 - saturation) * grey)
        shift = np.full(3, rng.uniform(-BRIGHTNESS, BRIGHTNESS))
        most = int(edge * TRANSLATION)
        down, right = (int(px) for px in rng.integers(-most, most, size=2, endpoint=True))
        before = max(-down, 0), max(down, 0), max(-right, 0), max(right, 0)
        after = max(down, 0), max(-down, 0), max(right, 0), max(-right, 0)
        mask = np.ones((1, 1, edge, edge), np.float32)
        top, bottom, left, right = after
        mask[:, :, :top] = mask[:, :, edge - bottom :] = 0
        mask[..., :left] = mask[..., edge - right :] = 0
        half = int(edge * CUT_OUT) // 2
        row, column = (int(px) for px in rng.integers(edge, size=2))
        mask[:, :, max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 0
        return cls(
            before,
            after,
            colour.astype(np.float32)[..., None, None],
            shift.astype(np.float32),
            mask,
        )

    def move(self, devices: Devices, x: Batch) -> Batch:
        """The pictures, moved, with zeros where nothing is left; a copy."""
        return devices.surround(devices.inside(x, self.before), self.after)

    def move_back(self, devices: Devices, d_x: Batch) -> Batch:
        """A gradient by moved pictures as one by the pictures: the adjoint of `move`; a copy."""
        return devices.surround(devices.inside(d_x, self.after), self.before)

    def inputs(self, devices: Devices) -> dict[str, Batch]:
        """The arrays of the graph, on every device."""
        arrays = {"colour": self.colour, "shift": self.shift, "mask": self.mask}
        return {name: devices.put_common(array) for name, array in arrays.items()}


def large_enough(image: Image, edge: int) -> Image:
    """The image, or where it is smaller than a square, the image amid its own reflections."""
    missing = [max(0, edge - size) for size in image.shape[:2]]
    return np.pad(image, [*((0, more) for more in missing), (0, 0)], mode="reflect")


def random_square(image: Image, edge: int, rng: np.random.Generator) -> X:
    """A square of an image that is `large_enough`, anywhere in it: (1, 3, edge, edge)."""
    return to_x(random_crop(image, edge, rng))
