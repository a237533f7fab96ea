"""A frame of a video or an animation, as it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from neuralart.pictures.pixels import Image


@dataclass(frozen=True)
class TimedFrame:
    """A frame as it is shown.

    pixels    (H, W, 3) RGB
    time      when it appears, seconds from the beginning of the video
    duration  how long it stays, seconds; None if the video does not say it
    alpha     (H, W), or None if nothing is transparent
    """

    pixels: Image
    time: Fraction
    duration: Fraction | None
    alpha: Image | None = None
