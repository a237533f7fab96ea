"""Frames of any colour format as RGB and back, by the matrix and range that the video says.

Numbers of matrix, range, primaries and transfer are those of ITU-T H.273, as FFmpeg uses them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat

from neuralart.pictures.pixels import Image

UNSPECIFIED = 2
"""The number of a matrix, of primaries and of a transfer that a video does not say."""

LIMITED, FULL = 1, 2
"""Range of luma: 16..235, or 0..255. 0 if a video does not say it, which means limited."""

BT709, BT601 = 1, 6

# The matrices that swscale knows: BT.709, FCC, BT.601 (625 and 525 lines), SMPTE 240M, BT.2020.
_KNOWN = (BT709, 4, 5, BT601, 7, 9)

# SWS_BICUBIC, SWS_ACCURATE_RND, SWS_FULL_CHR_H_INT and SWS_FULL_CHR_H_INP of swscale.h: the
# default flags are off by up to 8 levels where colours change.
_ACCURATE = 0x4 | 0x40000 | 0x2000 | 0x4000


@dataclass(frozen=True)
class Colours:
    """What a video says of its colours, and the matrix that is used.

    space, range, primaries, transfer  as they are written
    matrix                             the same as ``space``, or a guess if that is unspecified
    """

    space: int
    range: int
    primaries: int
    transfer: int
    matrix: int

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Colours:
        """The colours of a decoded frame. RGB becomes YUV of the guessed matrix."""
        guess = _guess(frame.height, frame.width)
        matrix = frame.colorspace if frame.colorspace in _KNOWN else guess
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        if frame.format.is_rgb:
            return cls(matrix, LIMITED, frame.color_primaries, frame.color_trc, matrix)
        space = UNSPECIFIED if frame.colorspace == UNSPECIFIED else matrix
        luma_range = FULL if full else frame.color_range
        return cls(space, luma_range, frame.color_primaries, frame.color_trc, matrix)

    @classmethod
    def of_rgb(cls, height: int, width: int) -> Colours:
        """The colours of a video that is made of RGB pictures of this size."""
        matrix = _guess(height, width)
        return cls(matrix, LIMITED, UNSPECIFIED, UNSPECIFIED, matrix)

    def at_size(self, height: int, width: int) -> Colours:
        """The colours for a painting of this size.

        Players guess an unspecified matrix from the size. Where they would guess another than was
        used, it is written.
        """
        if self.space == UNSPECIFIED and _guess(height, width) != self.matrix:
            return replace(self, space=self.matrix)
        return self


def _guess(height: int, width: int) -> int:
    """The matrix that players take for a video that does not say it."""
    return BT709 if height > 576 or width >= 1280 else BT601


def to_rgb(frame: av.VideoFrame, colours: Colours, size: tuple[int, int]) -> Image:
    """The pixels of a decoded frame, resized to ``size``. What is transparent is put on white.

    Shape:  ``size`` is (height, width) -> (height, width, 3) RGB
    """
    height, width = size
    if not frame.format.is_rgb:
        frame.colorspace = colours.matrix
        frame.color_range = colours.range or LIMITED
    parts = frame.format.components
    transparent = frame.format.has_palette or any(part.is_alpha for part in parts)
    changed = frame.reformat(
        width=width,
        height=height,
        format="rgba" if transparent else "rgb24",
        dst_color_range=FULL,
        interpolation=_ACCURATE,
    )
    pixels = cast("npt.NDArray[np.uint8]", changed.to_ndarray())
    return _on_white(pixels) if transparent else pixels


def _on_white(rgba: npt.NDArray[np.uint8]) -> Image:
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def tag(encoder: VideoCodecContext, colours: Colours) -> None:
    """Tell an encoder what to write of the colours."""
    encoder.colorspace = colours.space
    encoder.color_range = colours.range
    encoder.color_primaries = colours.primaries
    encoder.color_trc = colours.transfer


def from_rgb(pixels: Image, colours: Colours, format: VideoFormat) -> av.VideoFrame:
    """A frame to encode, of the size and format that the encoder takes.

    Shape:  (H, W, 3) RGB
    """
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    # The copy in YUV takes the matrix from here. PyAV 17 has no argument for BT.2020.
    rgb.colorspace = colours.matrix
    rgb.color_range = FULL
    frame = rgb.reformat(
        width=format.width,
        height=format.height,
        format=format.name,
        dst_color_range=colours.range or LIMITED,
        interpolation=_ACCURATE,
    )
    frame.colorspace = colours.space
    return frame
