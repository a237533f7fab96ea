"""Cuts pieces out of pictures, and makes pixels of planes: by OpenCV, in one pass each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from neuralart.pictures.pixels import Pixels, X

_DEPTHS: dict[type, int] = {np.uint8: cv2.CV_8U, np.uint16: cv2.CV_16U}


def reflected_piece(image: Pixels, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
    """The rows start .. stop - 1 and such columns of a picture that goes on as its reflection.

    Start may be below 0 and stop above the size. A piece inside the picture is a view.

    Shape:  (H, W, 3) -> (rows, columns, 3)
    """
    parts, edges, inside = [], [], []
    for (start, stop), size in zip((rows, columns), image.shape, strict=False):
        low, high = _read(start, stop, size)
        parts.append(slice(low, high))
        edges += [max(0, -start), max(0, stop - size)]
        first = max(0, start) - low
        inside.append(slice(first, first + stop - start))
    piece = image[tuple(parts)]
    if any(edges):
        top, bottom, left, right = edges
        piece = cv2.copyMakeBorder(piece, top, bottom, left, right, cv2.BORDER_REFLECT_101)
    return piece[tuple(inside)]


def _read(start: int, stop: int, size: int) -> tuple[int, int]:
    """The part of 0 .. size - 1 that start .. stop - 1 and its reflections read."""
    beyond = stop - size
    low = min(start, size - beyond - 1) if beyond > 0 else start
    return max(0, low), min(size, max(stop, 1 - start))


def interleaved(
    planes: Sequence[X], scale: float, shifts: Sequence[float], kind: npt.DTypeLike
) -> Pixels:
    """``scale`` times each plane plus its shift, rounded and clipped, as channels of pixels.

    Shape:  C of (H, W) -> (H, W, C) of type ``kind``, uint8 or uint16
    """
    depth = _DEPTHS[np.dtype(kind).type]
    # OpenCV's only sum that scales, rounds and clips; its second term is 0 here.
    rounded: list[npt.NDArray[Any]] = [
        cv2.addWeighted(plane, scale, plane, 0.0, shift, dtype=depth)
        for plane, shift in zip(planes, shifts, strict=True)
    ]
    return cast(Pixels, cv2.merge(rounded))
