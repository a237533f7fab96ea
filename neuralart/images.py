"""Pictures: file ⇄ image ⇄ x. The only place that knows cv2, and so the end of BGR.

image   (H, W, 3) uint8, RGB, 0..255
x       (N, 3, H, W) float32, RGB minus `PIXEL_MEAN`, in 0..255 units
Sizes are (height, width) everywhere else; cv2's (width, height) never leaves this file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from neuralart.errors import ImageError, OutputError
from neuralart.files import write_aside

os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # a damaged photo is reported by us, once
import cv2

cv2.setNumThreads(1)  # photos are decoded side by side, and the other cores compute

Image = npt.NDArray[np.uint8]
X = npt.NDArray[np.float32]

# Mean RGB of ImageNet, 0..255: what the VGG nets of 2014 subtract, and so the 2016 generators.
PIXEL_MEAN = np.array([123.68, 116.779, 103.939], dtype=np.float32)

READABLE = frozenset(
    [
        ".bmp",
        ".dib",
        ".jpeg",
        ".jpg",
        ".jpe",
        ".jp2",
        ".png",
        ".webp",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
        ".sr",
        ".ras",
        ".tiff",
        ".tif",
        ".hdr",
        ".pic",
    ]
)
WRITABLE = frozenset(
    [".bmp", ".jpeg", ".jpg", ".jpe", ".jp2", ".png", ".webp", ".ppm", ".tiff", ".tif"]
)


def read_image(path: Path) -> Image:
    """The picture in a file, turned upright by its EXIF orientation, as RGB.

    Returns (H, W, 3) uint8. Gray becomes three equal channels, alpha is dropped, 16 bits become 8.
    Raises ImageError if there is no such file, or it is not a whole picture.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from None
    if data.size == 0:
        raise ImageError(f"{path}: the file is empty")
    return decode_image(data.tobytes(), str(path))


def decode_image(data: bytes, where: str) -> Image:
    """The picture in the bytes of a file; ``where`` names it in the error. See `read_image`."""
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise ImageError(f"{where}: not a picture that OpenCV can read, or cut short")
    return cast(Image, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def check_writable(path: Path, overwrite: bool) -> None:
    """Raise now what `write_image` would raise after the work is done.

    Raises OutputError for a suffix of no known format, a missing folder, or an existing file
    without ``overwrite``.
    """
    if path.suffix.lower() not in WRITABLE:
        known = " ".join(sorted(WRITABLE))
        raise OutputError(f"{path}: no picture format of that suffix; use one of {known}")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a picture file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists; add --overwrite to replace it")
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such folder; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path.parent}: not writable; choose another folder")


def encode_image(image: Image, suffix: str) -> bytes:
    """The bytes of a picture file of the suffix's format (JPEG and WebP at quality 95)."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_WEBP_QUALITY, 95]
    try:
        _, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    except cv2.error as error:
        raise OutputError(f"a picture of {image.shape[:2]} as {suffix}: {error.err}") from None
    return data.tobytes()


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB in the format of the suffix, aside and renamed.

    Raises OutputError if it cannot be encoded or written; then nothing is left behind.
    """
    write_aside(path, encode_image(image, path.suffix.lower()))


def to_x(image: Image) -> X:
    """(H, W, 3) uint8 RGB -> (1, 3, H, W) float32 in 0..255 units minus the mean."""
    return np.ascontiguousarray((image.astype(np.float32) - PIXEL_MEAN).transpose(2, 0, 1)[None])


def to_image(x: X) -> Image:
    """(1, 3, H, W) minus the mean -> (H, W, 3) uint8 RGB, rounded and clipped to 0..255."""
    rgb = x[0].transpose(1, 2, 0) + PIXEL_MEAN
    return np.ascontiguousarray(np.rint(rgb).clip(0, 255).astype(np.uint8))


def resize(image: Image, size: tuple[int, int]) -> Image:
    """To (height, width); by areas when it shrinks, bicubic when it grows."""
    height, width = size
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cast(Image, cv2.resize(image, (width, height), interpolation=method))


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
