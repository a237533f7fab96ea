"""What can be dialled when painting: how strong, in whose colours, at which size. Arrays alone, no graph."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from neuralart.images import rounded
from neuralart.pictures import Pixels, strips

# Luma of RGB as JPEG has it (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def position(strength: float, stages: int) -> tuple[int, float]:
    """Where a strength lies on the way x0, x1 .. xn.

    Returns the stage k it leads to, and x_k's share in the mixture with x_{k-1}: strength 0 is (1, 0.0),
    the photo x0, and strength 1 is (n, 1.0), the last stage.
    """
    way = strength * stages
    stage = max(1, math.ceil(way))
    return stage, way - (stage - 1)


def painted_size(size: tuple[int, int], longer_edge_px: int | None) -> tuple[int, int]:
    """(height, width) with the longer edge of that many pixels, proportions kept."""
    if longer_edge_px is None:
        return size
    scale = longer_edge_px / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def luminance(image: Pixels) -> npt.NDArray[np.float32]:
    """(H, W, 3) RGB -> (H, W, 1), in the same units."""
    return (image.astype(np.float32) @ _LUMA)[..., None]


def mix(photo: Pixels, painting: Pixels, share: float, preserve_colors: bool) -> Pixels:
    """``share`` of the painting on the photo, with the photo's colours if wanted.

    Shape:  two (H, W, 3) RGB of one type -> the same, rounded and clipped
    Colours are kept as in Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer",
    section 4: only the luminance is the painting's.
    """
    mixed = np.empty_like(painting)
    for rows in strips(*photo.shape[:2]):
        before = photo[rows].astype(np.float32)
        change: npt.NDArray[np.float32] = (painting[rows] - before) * np.float32(share)
        if preserve_colors:
            change = (change @ _LUMA)[..., None]
        mixed[rows] = rounded(before + change, photo.dtype)
    return mixed
