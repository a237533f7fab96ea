"""The frame of reflection around a picture, which is painted with it and cut off again.

Zeros pad the convolutions and show a chain where the picture ends, through all its layers. A chain that learns
in no frame, or always in the same one, puts next to the end what the whole picture lacks of the style; painted
in another frame its pictures lack it, painted in that one they are marked (docs/experiments.md, sections 9 and 10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuralart.pictures.pixels import X

FRAME_PX = 32
"""At each edge, in painting."""

LEARNING_FRAME_PX = 64
"""Of two opposite edges together, in training: a frame of random place, so that no pixel next to the end is sure
to count. A generator's work at 192 px is 1.78 times that without."""


@dataclass(frozen=True)
class Frame:
    """How many pixels of reflection there are at each edge."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def even(cls, px: int) -> Frame:
        """As many at every edge."""
        return cls(px, px, px, px)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a picture with its frame."""
        return self.top + height + self.bottom, self.left + width + self.right

    def around(self, x: X) -> X:
        """(N, C, H, W) -> the same with its frame, for any H and W of at least 1."""
        widths = ((0, 0), (0, 0), (self.top, self.bottom), (self.left, self.right))
        return np.pad(x, widths, mode="reflect")

    def inside(self, x: X) -> X:
        """The part that `around` was given."""
        height, width = x.shape[2:]
        rows, columns = slice(self.top, height - self.bottom), slice(self.left, width - self.right)
        return np.ascontiguousarray(x[:, :, rows, columns])

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """Pixels at the top, bottom, left and right."""
        return self.top, self.bottom, self.left, self.right


PAINTING_FRAME = Frame.even(FRAME_PX)

MIDDLE_FRAME = Frame.even(LEARNING_FRAME_PX // 2)
"""The middle one of those that `learning_frame` draws, which are all as large."""


def learning_frame(seed: int, step: int) -> Frame:
    """The frame of a step of training, the same for a seed on every machine."""
    most = LEARNING_FRAME_PX
    rng = np.random.default_rng([seed, step])
    top, left = (int(px) for px in rng.integers(most, size=2, endpoint=True))
    return Frame(top, most - top, left, most - left)
