"""The pixel convention: images to the networks' input and back."""

from __future__ import annotations

import numpy as np

from neuralart.pictures.pixels import PIXEL_MEAN, to_image, to_x


def test_image_to_x_and_back_is_exact() -> None:
    every_value = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    x = to_x(every_value)
    assert x.shape == (1, 3, 16, 16) and x.dtype == np.float32
    np.testing.assert_array_equal(to_image(x), every_value)


def test_x_is_rgb_minus_mean() -> None:
    red = np.zeros((2, 3, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_allclose(to_x(red)[0, :, 0, 0], [76.32, -116.779, -103.939], rtol=1e-6)


def test_to_image_rounds_and_clips() -> None:
    x = np.array([1.4, 1.6, 300.0], np.float32) - PIXEL_MEAN
    assert to_image(x.reshape(1, 3, 1, 1)).tolist() == [[[1, 2, 255]]]
