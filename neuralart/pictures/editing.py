"""Edits of pixels: resize, crop, contact sheets, and blending a painting with its photo."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from neuralart.pictures.pixels import Image, Picture, Pixels, X, rounded, strips, to_x

# Several threads decode photos already, and the other cores compute.
cv2.setNumThreads(1)

# Weights of R, G and B in luma, as in JPEG (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def painted_size(size: tuple[int, int], longer_edge_px: int | None) -> tuple[int, int]:
    """Scale (height, width) to a longer edge of ``longer_edge_px``; None keeps the size."""
    if longer_edge_px is None:
        return size
    scale = longer_edge_px / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def luminance(image: Pixels) -> npt.NDArray[np.float32]:
    """The luma of (H, W, 3) RGB, as (H, W, 1) in the same units."""
    return (image.astype(np.float32) @ _LUMA)[..., None]


def mix(
    photo: Pixels,
    painting: Pixels,
    share: float | npt.NDArray[np.float32],
    preserve_colors: bool = False,
) -> Pixels:
    """Blend: photo + share * (painting - photo).

    Shape:  two (H, W, 3) RGB of one type -> the same, rounded and clipped
    ``share`` is a number, or (H, W) with one for each pixel.
    ``preserve_colors`` blends the luminance alone: Gatys et al. 2016, "Preserving Color in Neural
    Artistic Style Transfer", section 4.
    """
    mixed = np.empty_like(painting)
    for rows in strips(*photo.shape[:2]):
        before = photo[rows].astype(np.float32)
        of_rows = share[rows][..., None] if isinstance(share, np.ndarray) else np.float32(share)
        change: npt.NDArray[np.float32] = (painting[rows] - before) * of_rows
        if preserve_colors:
            change = (change @ _LUMA)[..., None]
        mixed[rows] = rounded(before + change, photo.dtype)
    return mixed


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize to (height, width), of the same type: area averages to shrink, bicubic to grow."""
    height, width = size
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)


def resize_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize to (height, width). Pixels count by their alpha: what is hidden colours no edge."""
    if picture.alpha is None or not picture.is_transparent:
        alpha = None if picture.alpha is None else resize(picture.alpha, size)
        return replace(picture, pixels=resize(picture.pixels, size), alpha=alpha)
    dtype = picture.pixels.dtype
    share = picture.alpha.astype(np.float32)[..., None]
    colours = resize(picture.pixels * share, size)
    share = resize(share, size)
    alpha = rounded(share, dtype)
    seen = alpha[..., None] > 0
    colours = np.divide(colours, share[..., None], out=colours, where=seen)
    pixels = np.where(seen, rounded(colours, dtype), resize(picture.pixels, size))
    return replace(picture, pixels=pixels, alpha=alpha)


def resize_shorter_edge(image: Image, edge_px: int) -> Image:
    """Scale so that the shorter edge has ``edge_px`` pixels, with the proportions kept."""
    height, width = image.shape[:2]
    scale = edge_px / min(height, width)
    return resize(image, (max(edge_px, round(height * scale)), max(edge_px, round(width * scale))))


def two_scales(image: Image, edge_px: int) -> tuple[X, X]:
    """The image with that shorter edge, and with half of it, as nets see it: (1, 3, H, W) each."""
    large, small = (resize_shorter_edge(image, edge) for edge in (edge_px, edge_px // 2))
    return to_x(large), to_x(small)


def centre_crop(image: Image, edge_px: int) -> Image:
    """Crop the middle ``edge_px`` x ``edge_px`` pixels of a picture that is at least as large."""
    top, left = (image.shape[0] - edge_px) // 2, (image.shape[1] - edge_px) // 2
    return image[top : top + edge_px, left : left + edge_px]


def random_crop(image: Image, edge_px: int, rng: np.random.Generator) -> Image:
    """Crop ``edge_px`` x ``edge_px`` pixels anywhere in a picture that is at least as large."""
    top, left = (int(rng.integers(size - edge_px + 1)) for size in image.shape[:2])
    return image[top : top + edge_px, left : left + edge_px]


def contact_sheet(rows: list[list[Image]], gap_px: int = 4) -> Image:
    """Lay out pictures of one size in rows and columns on white, ``gap_px`` apart."""
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
