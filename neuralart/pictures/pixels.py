"""The pixel convention: the forms of a picture in memory, and how to convert them. Numpy only.

Image   (H, W, 3) uint8, RGB, 0..255
Pixels  the same, or uint16 over 0..65535
X       (N, 3, H, W) float32, RGB minus `PIXEL_MEAN`, in 0..255 units: input of the networks

Sizes are (height, width).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Pixels = npt.NDArray[Any]
X = npt.NDArray[np.float32]

# Mean RGB of ImageNet, 0..255. The VGG networks of 2014 subtract it, so the generators do too.
PIXEL_MEAN = np.array([123.68, 116.779, 103.939], dtype=np.float32)

# 65535 / 255: one step of an 8-bit value is this many steps of a 16-bit value.
_STEP_16 = 257


def to_x(image: Pixels) -> X:
    """Convert (H, W, 3) RGB, uint8 or uint16, to (1, 3, H, W) float32 minus the mean."""
    rgb = image.astype(np.float32)
    if image.dtype == np.uint16:
        rgb /= _STEP_16
    return np.ascontiguousarray((rgb - PIXEL_MEAN).transpose(2, 0, 1)[None])


def to_image(x: X) -> Image:
    """Convert (1, 3, H, W) minus the mean to (H, W, 3) uint8 RGB, rounded and clipped."""
    return to_pixels(x, np.uint8)


def to_pixels(x: X, dtype: npt.DTypeLike) -> Pixels:
    """Convert (1, 3, H, W) minus the mean to (H, W, 3) RGB of ``dtype``, uint8 or uint16."""
    rgb = x[0].transpose(1, 2, 0) + PIXEL_MEAN
    if dtype == np.uint16:
        rgb *= _STEP_16
    return np.ascontiguousarray(rounded(rgb, dtype))


def rounded(values: npt.NDArray[np.float32], dtype: npt.DTypeLike) -> Pixels:
    """Round to whole numbers, clipped to the range of ``dtype``, uint8 or uint16."""
    highest = 65535 if dtype == np.uint16 else 255
    return np.rint(values).clip(0, highest).astype(dtype)


def means_of_squares(
    planes: npt.NDArray[Any], edge_px: int, dtype: npt.DTypeLike = None
) -> npt.NDArray[Any]:
    """The mean of every whole square of some planes, computed in ``dtype``.

    Shape:   (..., H, W) -> (..., H / edge, W / edge), rounded down
    """
    rows, columns = (size // edge_px for size in planes.shape[-2:])
    whole = planes[..., : rows * edge_px, : columns * edge_px]
    squares = whole.reshape(*planes.shape[:-2], rows, edge_px, columns, edge_px)
    means: npt.NDArray[Any] = squares.mean(axis=(-3, -1), dtype=dtype)
    return means


@dataclass(frozen=True)
class Picture:
    """A picture in upright position, with what its file says beside the pixels.

    pixels  (H, W, 3) RGB, uint8 or uint16
    alpha   (H, W) of the same type, or None
    icc     ICC profile of the RGB pixels, or None
    exif    EXIF as bytes, or None
    """

    pixels: Pixels
    alpha: Pixels | None = None
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def is_transparent(self) -> bool:
        """Whether any pixel is not opaque."""
        return self.alpha is not None and bool(self.alpha.min() < np.iinfo(self.alpha.dtype).max)


def strips(height: int, width: int) -> Iterator[slice]:
    """Slices of rows, about a megapixel each, so that temporary arrays stay small."""
    step = max(1, 1_000_000 // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def to_8_bits(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Convert 0..65535 to 0..255, rounded. Pixels of 8 bits are returned as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    eight = np.empty(pixels.shape, np.uint8)
    for rows in strips(*pixels.shape[:2]):
        eight[rows] = (pixels[rows].astype(np.uint32) + 128) // 257
    return eight


def on_white(picture: Picture) -> Image:
    """The picture composited on white, (H, W, 3) uint8."""
    pixels = to_8_bits(picture.pixels)
    if picture.alpha is None or not picture.is_transparent:
        return pixels
    alpha, flat = to_8_bits(picture.alpha), np.empty_like(pixels)
    for rows in strips(*picture.size):
        share = alpha[rows][..., None].astype(np.float32) / 255
        flat[rows] = np.rint(pixels[rows] * share + 255 * (1 - share))
    return flat
