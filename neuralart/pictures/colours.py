"""Colours of a picture file as they are painted: RGB, with gray, CMYK and gamma brought to sRGB."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neuralart.pictures.pixels import Pixels, strips
from neuralart.pictures.vips import CHANNELS, to_srgb

# A gamma this near to that of sRGB is one: libpng's PNG_GAMMA_THRESHOLD.
_SAME_GAMMA = 0.05

_SRGB_GAMMA = 1 / 2.2


def painted_colours(
    pixels: Pixels, space: bytes, icc: bytes | None, gamma: float | None
) -> tuple[Pixels, Pixels | None, bytes | None]:
    """RGB, alpha or None, and the profile of the RGB or None, of the pixels of a file.

    pixels  (H, W, C) uint8 or uint16, channels of ``space`` and perhaps alpha after them
    space   ``GRAY``, ``CMYK`` or ``RGB ``
    icc     the file's profile: that of RGB stays, another is converted to sRGB
    gamma   exponent that the samples were encoded with, of a PNG without a profile (PNG, third
            edition, 11.3.2.2): converted to sRGB unless it is nearly the same
    """
    channels = CHANNELS[space]
    alpha = pixels[..., channels] if pixels.shape[2] > channels else None
    colours = pixels[..., :channels]
    described = icc[16:20] if icc else b""
    rgb = None
    if icc and described == space != b"RGB ":
        rgb = to_srgb(np.ascontiguousarray(colours), icc)
    if rgb is None:
        rgb = _mixed_inks(colours) if space == b"CMYK" else colours
        if channels == 1:
            rgb = np.repeat(colours, 3, axis=2)
    if described != b"RGB " or space == b"CMYK":
        icc = None
    if gamma and not icc and abs(gamma / _SRGB_GAMMA - 1) > _SAME_GAMMA:
        table = _srgb_of_gamma(gamma, np.iinfo(rgb.dtype).max)
        rgb = table.astype(rgb.dtype)[rgb]
    return rgb, alpha, icc


def _mixed_inks(inks: Pixels) -> Pixels:
    """RGB of (H, W, 4) inks without a profile: each takes its share of the light away."""
    highest = np.iinfo(inks.dtype).max
    rgb = np.empty((*inks.shape[:2], 3), inks.dtype)
    for rows in strips(*inks.shape[:2]):
        light = (highest - inks[rows].astype(np.uint32)).astype(np.float32)
        rgb[rows] = np.rint(light[..., :3] * light[..., 3:] / highest)
    return rgb


def _srgb_of_gamma(gamma: float, highest: int) -> npt.NDArray[np.float64]:
    """A table of sRGB by the sample, 0..``highest`` (IEC 61966-2-1)."""
    light = (np.arange(highest + 1) / highest) ** (1 / gamma)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(srgb * highest))
