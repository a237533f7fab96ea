"""The frame of reflection around a picture: painted with the picture, then cut off.

Without a frame, the zero padding of the convolutions shows a chain where the picture ends. A chain
that learns without one, or always in the same one, paints the style's rare parts along the border.
In a frame of random place it cannot (docs/experiments.md, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuralart.machine.seeds import Purpose, random_numbers
from neuralart.pictures.pixels import X

FRAME_PX = 24
"""The width of the frame at each edge, in painting; training draws 0 to `LEARNING_FRAME_PX`.

Measured on `masters`, on the same statistics: within 8 px of the border, a painting is off by 0.6
levels in the mean from one in a frame as wide as the receptive field. 32 px: 0.1; 16 px: 2.4; 8 px:
8.7. At 256x256 a frame of 24 px takes 10% less work than one of 32 px.
"""

FRAME_REACH_PX = 80
"""The largest margin of a receptive field for which `FRAME_PX` is wide enough."""

WIDE_FRAME_PX = 32
"""The width for chains that reach further: a `conv` and a `deconv` stage were off by 1.1 levels,
in a frame of 24 px by 2.0."""

LEARNING_FRAME_PX = 64
"""The width of the frame at two opposite edges together, in training.

At 192 px it costs a generator 1.78 times the work without a frame.
"""


@dataclass(frozen=True)
class Frame:
    """The pixels of reflection at each edge."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def even(cls, px: int) -> Frame:
        """The same width at every edge."""
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


MIDDLE_FRAME = Frame.even(LEARNING_FRAME_PX // 2)
"""The frame in the middle of the sizes that `learning_frame` draws."""


def learning_frame(seed: int, step: int) -> Frame:
    """Draw the frame of a training step; the same for a seed on every machine."""
    most = LEARNING_FRAME_PX
    rng = random_numbers(seed, Purpose.FRAME, step)
    top, left = (int(px) for px in rng.integers(most, size=2, endpoint=True))
    return Frame(top, most - top, left, most - left)
