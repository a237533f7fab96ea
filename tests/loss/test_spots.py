"""Spots, on pictures with known values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neuralart.loss.spots import mean_spots, spots
from neuralart.pictures.pixels import to_x


def squares(levels: np.ndarray) -> np.ndarray:
    """A gray picture of 16x16 squares of these levels: (1, 3, H, W)."""
    gray = np.kron(levels, np.ones((16, 16)))
    return to_x(np.repeat(gray[..., None], 3, axis=2).astype(np.uint8))


def test_one_spot_by_hand() -> None:
    flat = np.full((9, 9), 100)
    spot = flat.copy()
    spot[4, 4] += 45
    assert spots(squares(flat), squares(flat)) == 0
    # The mean around each of 9 squares is 45 / 9 = 5 higher; the spot itself deviates by 40.
    want = math.sqrt((40**2 + 8 * 5**2) / 81)
    assert spots(squares(flat), squares(spot)) == pytest.approx(want, rel=1e-4)


def test_only_flat_places_count() -> None:
    photo = np.full((9, 20), 100)
    photo[:, 10:] += np.indices((9, 10)).sum(axis=0) % 2 * 40
    painting = photo.copy()
    painting[4, 15] += 50  # where the photo has squares of its own
    assert spots(squares(photo), squares(painting)) < 1
    painting[4, 3] += 50
    assert spots(squares(photo), squares(painting)) > 5


def test_shading_and_strokes_are_no_spots() -> None:
    photo = np.full((9, 20), 100) + 3 * np.arange(20)
    assert spots(squares(photo), squares(photo)) < 0.5  # 3 / 3 in the outermost columns alone
    x = squares(np.full((9, 9), 100))
    strokes = x + 60 * (-1.0) ** np.arange(x.shape[3])
    assert spots(x, strokes.astype(np.float32)) < 0.1


def test_a_photo_without_flat_places_is_left_out() -> None:
    photo = squares(np.indices((6, 6)).sum(axis=0) % 2 * 100)
    assert math.isnan(spots(photo, photo))
    assert mean_spots([2.0, math.nan, 4.0]) == 3
    assert mean_spots([math.nan]) is None


def test_a_square_alone_and_pixels_beyond_the_squares() -> None:
    photo = squares(np.full((1, 2), 100))
    assert spots(photo[:, :, :, :16], photo[:, :, :, :16]) == 0
    painting = photo.copy()
    painting[:, :, :, 16:] += 50
    assert spots(photo[:, :, :, :31], painting[:, :, :, :31]) == 0
    # Of three squares, the outermost counts twice: 100, 150, 150.
    assert spots(photo, painting) == pytest.approx(50 / 3, rel=1e-3)
