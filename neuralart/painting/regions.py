"""Where a photo is painted how strongly: a mask, and faces that stay recognisable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuralart.errors import ConfigError, ImageError
from neuralart.machine.words import did_you_mean, short
from neuralart.options.paint import StylizeConfig
from neuralart.pictures.editing import luminance, resize
from neuralart.pictures.faces import FaceDetector, face_weights
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile

Weights = npt.NDArray[np.float32]
"""(H, W) in 0..1."""

KEPT_STRENGTH = 0.4
"""Strength of the style on faces, unless another is given."""


def colours_share(text: str | None) -> float:
    """The share of the painting's own colours, 0..1, that ``--colors`` asks for.

    Raises ConfigError.
    """
    if text is None:
        return 1.0
    if text in ("photo", "painting"):
        return float(text == "painting")
    return _share(text, f"--colors {short(text)}: write photo, painting, or a number from 0 to 1")


def kept_strength(text: str | None) -> float | None:
    """The strength on faces that ``--keep`` asks for; None without it. Raises ConfigError."""
    if text is None:
        return None
    what, equals, strength = text.partition("=")
    if what != "faces":
        hint = did_you_mean(what, ["faces"])
        raise ConfigError(
            f"--keep {short(text)}: only faces can be kept, as faces or faces=0.3{hint}"
        )
    if not equals:
        return KEPT_STRENGTH
    return _share(strength, f"--keep {short(text)}: write a strength from 0 to 1, as faces=0.3")


def _share(text: str, message: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ConfigError(message)
    return number


class Regions:
    """The strength of each pixel of a photo.

    faces  how many were found in the last photo
    kept   strength of the style on them
    """

    def __init__(self, config: StylizeConfig) -> None:
        """Read the mask. Raises ImageError if it is no picture, ConfigError for a wrong --keep."""
        self._strength = config.strength
        kept = kept_strength(config.keep)
        self.kept = KEPT_STRENGTH if kept is None else kept
        self.faces = 0
        self._path = config.mask
        self._mask = None if config.mask is None else _read_mask(config.mask, config.max_pixels)
        self._detector = None if kept is None else FaceDetector()

    @property
    def chooses(self) -> bool:
        """Whether pixels may have strengths of their own."""
        return self._mask is not None or self._detector is not None

    @property
    def counts_faces(self) -> bool:
        """Whether faces are looked for."""
        return self._detector is not None

    def check(self, name: str, size: tuple[int, int]) -> None:
        """Raise ImageError if the mask has other proportions than a photo of (height, width).

        A scaled mask may have been rounded: its edges are compared to the nearest pixel.
        """
        if self._mask is None:
            return
        (height, width), (down, across) = size, self._mask.shape
        if abs(down - height * across / width) < 1 or abs(across - width * down / height) < 1:
            return
        raise ImageError(
            f"--mask {self._path}: is {across}x{down}, of other proportions than {name}, "
            f"{width}x{height}; crop it, or scale it to that size"
        )

    def strengths(
        self,
        photo: Picture,
        size: tuple[int, int],
        steady: Callable[[Weights], Weights] | None = None,
    ) -> Weights | None:
        """The strengths at ``size``, (height, width); None if all pixels have the whole strength.

        ``steady`` smooths the weights of faces, as between the frames of a video.
        Raises ImageError as `check`.
        """
        strengths = None
        if self._mask is not None:
            self.check("the photo", photo.size)
            strengths = self._strength * resize(self._mask, size).clip(0, 1)
        if self._detector is not None:
            found = self._detector.find(photo.pixels)
            self.faces = len(found)
            weights = face_weights(found, size)
            if steady is not None:
                weights = steady(weights)
            if strengths is None:
                strengths = np.full(size, self._strength, np.float32)
            strengths += weights * (np.minimum(strengths, np.float32(self.kept)) - strengths)
        if strengths is None or strengths.min() >= np.float32(self._strength):
            return None
        return strengths


def _read_mask(path: Path, max_megapixels: float) -> Weights:
    """A picture's luma, 0 black to 1 white. What is transparent counts as black.

    Raises ImageError.
    """
    picture = PictureFile(path, f"--mask {path}", max_megapixels * 1e6).read()
    scale = np.float32(1 / np.iinfo(picture.pixels.dtype).max)
    mask: Weights = luminance(picture.pixels)[..., 0] * scale
    if picture.alpha is not None:
        mask *= picture.alpha * scale
    # Weights of luma add up to a little less than 1 in float32: white must be the whole strength.
    return np.where(mask > 1 - 1e-6, np.float32(1), mask)
