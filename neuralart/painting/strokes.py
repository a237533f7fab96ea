"""How broad strokes are, and the coats in which a large picture is painted.

A chain's strokes have a size in pixels, that of the style image it learned. In a large picture they
are too fine to be seen. A painting of a smaller copy has broad strokes, and is blurred where it is
enlarged. So it becomes an underpainting: some of the detail that the copy lacks is added, and the
chain's first stage goes over it. Fine strokes then follow broad ones.

Source:  Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style Transfer", section 6,
         from coarse to fine; there pixels are optimised. docs/experiments.md has what was tried.
"""

from __future__ import annotations

import math

import numpy as np

from neuralart.pictures.editing import resize
from neuralart.pictures.pixels import Pixels, rounded, strips

# Edge of the squares that a chain learns on: in a picture of this shorter edge, its strokes fit.
LEARNED_PX = 320

# A picture of a larger shorter edge is seen reduced: strokes keep their share of it.
SEEN_PX = 1280

# Below, broader strokes would hardly be seen, and are not worth a second coat.
LEAST_BROAD = 1.2

# At most this many times as large is a coat as the one below it.
MOST_ENLARGED = 2.5

# Share of the first stage in a coat that goes over another; the rest is the coat below. With 1, its
# coloured fringes are seen at edges. All stages, with a share of 0.5, look the same.
OVER_SHARE = 0.6

# Share of the detail that is added. With 1, rows of windows look as in a photo.
DETAIL_SHARE = 0.75


def fitting_stroke(size: tuple[int, int]) -> float:
    """How much broader than learned the strokes in a picture of (height, width) are, at least 1.

    They are twice as broad in one of four times the edge, since it also shows more; beyond
    `SEEN_PX` as many times as the edge is longer.
    """
    edge = min(size)
    seen = min(edge, SEEN_PX)
    stroke = math.sqrt(seen / LEARNED_PX) * edge / seen
    return stroke if stroke >= LEAST_BROAD else 1.0


def coat_sizes(size: tuple[int, int], stroke: float) -> list[tuple[int, int]]:
    """The sizes, (height, width), at which a picture of ``size`` is painted one after the other.

    The first is 1 / ``stroke`` of the picture's, and goes through the whole chain. The others lead
    to the picture's own. There is one size where the strokes are not broader than learned.
    """
    steps = max(0, math.ceil(math.log(stroke, MOST_ENLARGED) - 1e-9))
    sizes: list[tuple[int, int]] = []
    for step in range(steps, -1, -1):
        scale = stroke ** (-step / steps) if steps else 1 / stroke
        height, width = (max(1, round(edge * scale)) for edge in size)
        if (height, width) not in sizes:
            sizes.append((height, width))
    return sizes


def underpainting(painting: Pixels, copy: Pixels, photo: Pixels) -> Pixels:
    """A coat enlarged to a photo, with some of the detail that is in the photo and not in its copy.

    Shape:  two (h, w, 3), (H, W, 3) RGB of one type -> (H, W, 3) of that type
    """
    size = photo.shape[0], photo.shape[1]
    enlarged, blurred = resize(painting, size), resize(copy, size)
    for rows in strips(*size):
        detail = photo[rows].astype(np.float32) - blurred[rows]
        enlarged[rows] = rounded(enlarged[rows] + np.float32(DETAIL_SHARE) * detail, photo.dtype)
    return enlarged
