"""The frame of reflection around a picture, which is painted with it and cut off again.

Zeros pad the convolutions and show a chain where the picture ends. A chain that learns without a frame puts
into the outermost pixels what the whole picture lacks of the style; its paintings, which lose them with the
frame, lack it (docs/experiments.md, section 9).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

X = npt.NDArray[np.float32]

FRAME_PX = 32
"""At each edge, in painting."""

LEARNING_FRAME_PX = 16
"""At each edge, in training: a generator's work grows with it, by a third at 192 px. Chains still know the end of
the picture through it, and mark a border of some 10 px, which the wider one cuts off. Chains that learn in the
same frame as they paint in score better, and their marks are to be seen."""


def _edges(px: int) -> tuple[tuple[int, int], ...]:
    return (0, 0), (0, 0), (px, px), (px, px)


def framed(x: X, px: int = FRAME_PX) -> X:
    """(N, C, H, W) -> (N, C, H + 2 px, W + 2 px), for any H and W of at least 1."""
    return np.pad(x, _edges(px), mode="reflect")


def unframed(x: X, px: int = FRAME_PX) -> X:
    """What `framed` was given, out of what it made."""
    return np.ascontiguousarray(x[:, :, px : x.shape[2] - px, px : x.shape[3] - px])


def framed_gradient(d_x: X, px: int) -> X:
    """Back through `unframed`: nothing is asked of the frame."""
    return np.pad(d_x, _edges(px))
