"""The frame of reflection around a picture, which is painted with it and cut off again.

Zeros pad the convolutions and show a chain where the picture ends. A chain that learns without a frame, or in
a thinner one than it paints in, puts into the outermost pixels what the whole picture lacks of the style; its
paintings, which lose them with the frame, lack it (docs/experiments.md, section 9).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

X = npt.NDArray[np.float32]

FRAME_PX = 32
"""At each edge."""

_EDGES = ((0, 0), (0, 0), (FRAME_PX, FRAME_PX), (FRAME_PX, FRAME_PX))


def framed(x: X) -> X:
    """(N, C, H, W) -> (N, C, H + 2 `FRAME_PX`, W + 2 `FRAME_PX`), for any H and W of at least 1."""
    return np.pad(x, _EDGES, mode="reflect")


def unframed(x: X) -> X:
    """What `framed` was given, out of what it made."""
    inside = slice(FRAME_PX, -FRAME_PX)
    return np.ascontiguousarray(x[:, :, inside, inside])


def framed_gradient(d_x: X) -> X:
    """Back through `unframed`: nothing is asked of the frame."""
    return np.pad(d_x, _EDGES)
