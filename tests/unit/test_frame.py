"""The frame of reflection around a picture."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import picture

from neuralart.frame import (
    FRAME_PX,
    LEARNING_FRAME_PX,
    MIDDLE_FRAME,
    PAINTING_FRAME,
    Frame,
    learning_frame,
)
from neuralart.images import to_x


@pytest.mark.parametrize("height, width", [(1, 1), (7, 40), (64, 33)])
def test_what_goes_into_a_frame_comes_out_again(height: int, width: int) -> None:
    x = to_x(picture(0, height, width))
    for frame in (PAINTING_FRAME, Frame(0, 64, 3, 61), Frame.even(0)):
        around = frame.around(x)
        assert around.shape[2:] == frame.size(height, width)
        np.testing.assert_array_equal(frame.inside(around), x)


def test_a_frame_is_the_pictures_own_reflection() -> None:
    x = to_x(picture(0, 8, 8))
    around = Frame(2, 0, 0, 3).around(x)
    np.testing.assert_array_equal(around[:, :, :2, :8], x[:, :, 2:0:-1])
    np.testing.assert_array_equal(around[:, :, 2:, 8:], x[:, :, :, 6:3:-1])


def test_the_gradient_is_that_of_cutting_the_frame_off() -> None:
    """<inside(x), d> = <x, gradient(d)>."""
    frame, rng = Frame(5, 2, 0, 9), np.random.default_rng(0)
    x = rng.standard_normal((2, 3, *frame.size(6, 4)), dtype=np.float32)
    d = rng.standard_normal((2, 3, 6, 4), dtype=np.float32)
    assert (frame.inside(x) * d).sum() == pytest.approx((x * frame.gradient(d)).sum(), rel=1e-5)


def test_frames_of_training_are_of_one_size_and_every_place() -> None:
    frames = [learning_frame(0, step) for step in range(2000)]
    assert {frame.size(0, 0) for frame in frames} == {MIDDLE_FRAME.size(0, 0)}
    assert {frame.top for frame in frames} == set(range(LEARNING_FRAME_PX + 1))
    assert abs(np.corrcoef([(f.top, f.left) for f in frames], rowvar=False)[0, 1]) < 0.1
    assert frames[7] == learning_frame(0, 7) != learning_frame(1, 7)


def test_painting_has_the_same_at_every_edge() -> None:
    assert Frame(FRAME_PX, FRAME_PX, FRAME_PX, FRAME_PX) == PAINTING_FRAME
