"""Images: file ⇄ image ⇄ x, and sizes.

image   (H, W, 3) uint8, RGB, 0..255; where `Pixels` is written, also uint16, 0..65535
x       (N, 3, H, W) float32, RGB minus `PIXEL_MEAN`, in 0..255 units
Sizes are (height, width) everywhere else; cv2's (width, height) never leaves this file.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from neuralart.encode import DEFAULT_QUALITY, encode_picture, write_picture
from neuralart.frame import X as X
from neuralart.pictures import Picture, PictureFile, Pixels, to_8_bits

cv2.setNumThreads(1)  # photos are decoded side by side, and the other cores compute

Image = npt.NDArray[np.uint8]

# Mean RGB of ImageNet, 0..255: what the VGG nets of 2014 subtract, and so the 2016 generators.
PIXEL_MEAN = np.array([123.68, 116.779, 103.939], dtype=np.float32)

# 65535 / 255: one step of 8 bits in steps of 16.
_STEP_16 = 257


def read_image(path: Path) -> Image:
    """The picture in a file, turned upright by its EXIF orientation, as RGB.

    Returns (H, W, 3) uint8. Gray becomes three equal channels, alpha is dropped, 16 bits become 8.
    Raises ImageError if there is no such file, or it is not a whole picture.
    """
    return to_8_bits(PictureFile(path).read().pixels)


def decode_image(data: bytes, where: str) -> Image:
    """The picture in the bytes of a file; ``where`` names it in the error. See `read_image`."""
    return to_8_bits(PictureFile(data, where).read().pixels)


def encode_image(image: Image, suffix: str, quality: int = DEFAULT_QUALITY) -> bytes:
    """The bytes of a picture file of the suffix's format; ``quality`` is that of JPEG and WebP, 1..100."""
    buffer = io.BytesIO()
    encode_picture(buffer, Picture(image), suffix, quality)
    return buffer.getvalue()


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB in the format of the suffix, aside and renamed.

    Raises OutputError if it cannot be encoded or written; then nothing is left behind.
    """
    write_picture(path, Picture(image))


def to_x(image: Pixels) -> X:
    """(H, W, 3) RGB, uint8 or uint16 -> (1, 3, H, W) float32 in 0..255 units minus the mean."""
    rgb = image.astype(np.float32)
    if image.dtype == np.uint16:
        rgb /= _STEP_16
    return np.ascontiguousarray((rgb - PIXEL_MEAN).transpose(2, 0, 1)[None])


def to_image(x: X) -> Image:
    """(1, 3, H, W) minus the mean -> (H, W, 3) uint8 RGB, rounded and clipped to 0..255."""
    return to_pixels(x, np.uint8)


def to_pixels(x: X, dtype: npt.DTypeLike) -> Pixels:
    """(1, 3, H, W) minus the mean -> (H, W, 3) RGB of uint8 or uint16, rounded and clipped."""
    rgb = x[0].transpose(1, 2, 0) + PIXEL_MEAN
    if dtype == np.uint16:
        rgb *= _STEP_16
    return np.ascontiguousarray(rounded(rgb, dtype))


def rounded(values: npt.NDArray[np.float32], dtype: npt.DTypeLike) -> Pixels:
    """To whole numbers, clipped to the range of an unsigned type."""
    highest = 65535 if dtype == np.uint16 else 255
    return np.rint(values).clip(0, highest).astype(dtype)


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """To (height, width), of the same type; by areas when it shrinks, bicubic when it grows."""
    height, width = size
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def resize_shorter_edge(image: Image, edge_px: int) -> Image:
    """Scaled so that the shorter edge has ``edge_px`` pixels, proportions kept."""
    height, width = image.shape[:2]
    scale = edge_px / min(height, width)
    return resize(image, (max(edge_px, round(height * scale)), max(edge_px, round(width * scale))))


def centre_crop(image: Image, edge_px: int) -> Image:
    """The middle ``edge_px`` x ``edge_px`` pixels; the picture is at least as large."""
    top, left = (image.shape[0] - edge_px) // 2, (image.shape[1] - edge_px) // 2
    return image[top : top + edge_px, left : left + edge_px]


def contact_sheet(rows: list[list[Image]], gap_px: int = 4) -> Image:
    """Pictures of one size in rows and columns on white, ``gap_px`` apart."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = np.full(
        ((height + gap_px) * len(rows) - gap_px, (width + gap_px) * columns - gap_px, 3),
        255,
        dtype=np.uint8,
    )
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = i * (height + gap_px), j * (width + gap_px)
            sheet[top : top + height, left : left + width] = image
    return sheet
