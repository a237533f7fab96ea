"""Give a painting the colours of another picture, by mean and covariance in CIE Lab."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from neuralart.pictures.pixels import Picture, Pixels, rounded, strips

# The statistics are taken from about this many pixels, in rows and columns at equal distances.
_SAMPLED_PIXELS = 1_000_000

# Added to the variances of the painting, in squared units of Lab: a painting of one colour has no
# variance, and its noise must not be blown up.
_LEAST_VARIANCE = 1.0

Statistics = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def colour_statistics(picture: Picture) -> Statistics:
    """Mean (3) and covariance (3, 3) of the Lab of the pixels that are not wholly transparent."""
    height, width = picture.size
    step = max(1, round((height * width / _SAMPLED_PIXELS) ** 0.5))
    lab = _to_lab(np.ascontiguousarray(picture.pixels[::step, ::step])).reshape(-1, 3)
    if picture.alpha is not None:
        seen = picture.alpha[::step, ::step].reshape(-1) > 0
        lab = lab[seen] if seen.any() else lab
    mean = lab.mean(axis=0, dtype=np.float64)
    centred = lab - mean
    return mean, centred.T @ centred / len(lab)


def match_colours(painting: Pixels, alpha: Pixels | None, wanted: Statistics) -> Pixels:
    """The painting with the wanted mean and covariance of Lab.

    Shape:   (H, W, 3) RGB, uint8 or uint16 -> the same
    Source:  the linear map of Pitié and Kokaram 2007, "The linear Monge-Kantorovitch linear colour
             mapping for example-based colour transfer": of all linear maps that give the wanted
             covariance, it changes colours least.
    """
    mean, covariance = colour_statistics(Picture(painting, alpha))
    linear = _least_change(covariance + _LEAST_VARIANCE * np.eye(3), wanted[1])
    linear32, shift = linear.T.astype(np.float32), (wanted[0] - linear @ mean).astype(np.float32)
    matched = np.empty_like(painting)
    for rows in strips(*painting.shape[:2]):
        lab = _to_lab(painting[rows]) @ linear32 + shift
        matched[rows] = _from_lab(lab, painting.dtype)
    return matched


def _least_change(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The symmetric A with A before A = after, for (3, 3) covariances."""
    root = _root(before)
    inverse = np.linalg.inv(root)
    return np.asarray(inverse @ _root(root @ after @ root) @ inverse)


def _root(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(values.clip(min=0))) @ vectors.T)


def _to_lab(pixels: Pixels) -> npt.NDArray[np.float32]:
    """L in 0..100, a and b of (H, W, 3) sRGB."""
    highest = np.float32(np.iinfo(pixels.dtype).max)
    lab = cv2.cvtColor(pixels.astype(np.float32) / highest, cv2.COLOR_RGB2Lab)
    return np.asarray(lab, np.float32)


def _from_lab(lab: npt.NDArray[np.float32], dtype: npt.DTypeLike) -> Pixels:
    rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
    return rounded(rgb * np.float32(np.iinfo(np.dtype(dtype)).max), dtype)
