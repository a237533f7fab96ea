"""Faces in a picture, by the detector and the trained files that come with OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from neuralart.errors import EngineError
from neuralart.pictures.editing import luminance, painted_size, resize
from neuralart.pictures.pixels import Pixels, rounded, to_8_bits

# Faces are looked for in a copy with this longer edge: smaller faces than `_SMALLEST` of it would
# be mostly false finds, and larger copies take longer.
_SEARCHED_PX = 1000
_SMALLEST = 0.03

# A real face is found at several nearby places and scales. With fewer than these, patterns in
# leaves and walls are taken for faces.
_NEIGHBOURS = 6

_FILE = "haarcascade_frontalface_alt2.xml"

# Half axes of a head's ellipse, as shares of the box that the detector draws between the eyebrows
# and the chin: hair, ears and chin are outside the box.
_HALF_WIDTH, _HALF_HEIGHT = 0.6, 0.78

# The weight is 1 up to this share of the ellipse's radius, and falls to 0 at the other.
_INNER, _OUTER = 0.8, 1.45


@dataclass(frozen=True)
class Face:
    """A box around a face, in shares of the picture: centre, width and height in 0..1."""

    x: float
    y: float
    width: float
    height: float


class FaceDetector:
    """OpenCV's cascade of Haar features (Viola and Jones 2001) for faces seen from the front."""

    def __init__(self) -> None:
        """Load the trained file. Raises EngineError if this OpenCV has no such detector."""
        self._cascade = None
        files: Any = getattr(cv2, "data", None)
        if files is not None and hasattr(cv2, "CascadeClassifier"):
            self._cascade = cv2.CascadeClassifier(str(Path(files.haarcascades) / _FILE))
        if self._cascade is None or self._cascade.empty():
            raise EngineError(
                f"--keep faces: OpenCV {cv2.__version__} comes without its face detector; "
                "pip install 'opencv-python-headless<5'"
            )

    def find(self, pixels: Pixels) -> list[Face]:
        """The faces in (H, W, 3) RGB, uint8 or uint16, the largest first."""
        full = pixels.shape[0], pixels.shape[1]
        size = painted_size(full, min(_SEARCHED_PX, max(full)))
        height, width = size
        small = to_8_bits(pixels if size == full else resize(pixels, size))
        gray = cv2.equalizeHist(rounded(luminance(small)[..., 0], np.uint8))
        assert self._cascade is not None
        smallest = max(20, round(_SMALLEST * max(size)))
        boxes = self._cascade.detectMultiScale(
            gray, scaleFactor=1.1, minNeighbors=_NEIGHBOURS, minSize=(smallest, smallest)
        )
        faces = [
            Face((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
            for x, y, w, h in np.asarray(boxes, np.float64).reshape(-1, 4).tolist()
        ]
        return sorted(faces, key=lambda face: face.width * face.height, reverse=True)


def face_weights(faces: list[Face], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W) in 0..1: 1 on the faces, with soft edges, 0 elsewhere. ``size`` is (H, W)."""
    height, width = size
    weights = np.zeros(size, np.float32)
    for face in faces:
        x, y = face.x * width, face.y * height
        across = _HALF_WIDTH * face.width * width
        down = _HALF_HEIGHT * face.height * height
        top, left = max(0, int(y - _OUTER * down)), max(0, int(x - _OUTER * across))
        bottom, right = int(y + _OUTER * down) + 1, int(x + _OUTER * across) + 1
        part = weights[top:bottom, left:right]
        rows = (np.arange(top, top + part.shape[0], dtype=np.float32) + 0.5 - y) / down
        columns = (np.arange(left, left + part.shape[1], dtype=np.float32) + 0.5 - x) / across
        radius = np.hypot(rows[:, None], columns[None])
        slope = ((_OUTER - radius) / (_OUTER - _INNER)).clip(0, 1)
        np.maximum(part, slope * slope * (3 - 2 * slope), out=part)
    return weights
