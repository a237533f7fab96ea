"""Resizing, and contact sheets."""

from __future__ import annotations

import numpy as np
from helpers import picture

from neuralart.pictures.editing import contact_sheet, resize_shorter_edge


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
