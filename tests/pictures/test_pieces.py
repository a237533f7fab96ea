from __future__ import annotations

import itertools

import numpy as np
import pytest

from neuralart.pictures.pieces import interleaved, reflected_piece

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 7), (5, 2), (6, 9)])
def test_every_piece_is_that_of_the_picture_with_its_reflection(
    size: tuple[int, int], kind: type
) -> None:
    image = RNG.integers(0, 256, (*size, 3)).astype(kind)
    around = 12
    whole = np.pad(image, ((around, around), (around, around), (0, 0)), mode="reflect")
    rows, columns = (
        itertools.product(range(-around, edge, 3), (1, 2, 5, 2 * around)) for edge in size
    )
    for (top, height), (left, width) in itertools.product(rows, columns):
        bottom, right = min(top + height, size[0] + around), min(left + width, size[1] + around)
        piece = reflected_piece(image, (top, bottom), (left, right))
        expected = whole[top + around : bottom + around, left + around : right + around]
        np.testing.assert_array_equal(piece, expected)


def test_a_piece_inside_is_a_view() -> None:
    image = np.zeros((9, 9, 3), np.uint8)
    assert np.shares_memory(reflected_piece(image, (0, 9), (2, 7)), image)


@pytest.mark.parametrize(("kind", "highest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_planes_become_channels_rounded_and_clipped(kind: type, highest: int) -> None:
    planes = [np.array([[-9, 0.3, 1.8]], np.float32), np.array([[0, 1e6, 2]], np.float32)]
    pixels = interleaved(planes, 2, [1, 0.25], kind)
    assert pixels.dtype == kind
    assert pixels.tolist() == [[[0, 0], [2, highest], [5, 4]]]
