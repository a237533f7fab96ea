"""Resizing with and without alpha, and contact sheets."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import picture

from neuralart.pictures.editing import (
    contact_sheet,
    resize,
    resize_picture,
    resize_shorter_edge,
)
from neuralart.pictures.pixels import Picture


def test_resize_shorter_edge_keeps_proportions() -> None:
    assert resize_shorter_edge(picture(0, 40, 80), 20).shape == (20, 40, 3)
    assert resize_shorter_edge(picture(0, 33, 21), 42).shape == (66, 42, 3)


def test_contact_sheet_places_pictures() -> None:
    black, grey = np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 9, np.uint8)
    sheet = contact_sheet([[black, grey], [grey]], gap_px=2)
    assert sheet.shape == (10, 14, 3)
    assert (
        (sheet[:4, :6] == 0).all() and (sheet[:4, 8:] == 9).all() and (sheet[6:, 8:] == 255).all()
    )


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(10, 10), (90, 80)])
def test_what_is_hidden_colours_no_edge(size: tuple[int, int], kind: type) -> None:
    """A red disc, as programs keep it: what is transparent is black."""
    highest = np.iinfo(kind).max
    rows, columns = np.mgrid[0:40, 0:40]
    share = (14 - np.hypot(rows - 19.5, columns - 19.5)).clip(0, 1)
    alpha = np.rint(share * highest).astype(kind)
    pixels = np.zeros((40, 40, 3), kind)
    pixels[alpha > 0] = (highest, highest // 5, 0)
    small = resize_picture(Picture(pixels, alpha), size)
    assert small.alpha is not None and small.pixels.dtype == small.alpha.dtype == kind
    np.testing.assert_array_equal(small.alpha, resize(alpha, size))
    edge = (small.alpha > 0) & (small.alpha < highest)
    assert edge.any()
    shown = small.pixels[small.alpha > highest // 50] / highest
    assert abs(shown - (1, 0.2, 0)).max() < 0.02


def test_an_opaque_picture_is_resized_as_without_alpha() -> None:
    image, alpha = picture(0), np.full((40, 48), 255, np.uint8)
    small = resize_picture(Picture(image, alpha), (15, 18))
    np.testing.assert_array_equal(small.pixels, resize(image, (15, 18)))
    np.testing.assert_array_equal(small.alpha, np.full((15, 18), 255))
