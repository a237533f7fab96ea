"""The frame of reflection around a picture."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import picture

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.receptive_field import painting_frame, size_multiple
from neuralart.pictures.frame import (
    FRAME_PX,
    LEARNING_FRAME_PX,
    MIDDLE_FRAME,
    WIDE_FRAME_PX,
    Frame,
    learning_frame,
)
from neuralart.pictures.pixels import to_x


@pytest.mark.parametrize("height, width", [(1, 1), (7, 40), (64, 33)])
def test_inside_undoes_around(height: int, width: int) -> None:
    x = to_x(picture(0, height, width))
    for frame in (Frame.even(FRAME_PX), Frame(0, 64, 3, 61), Frame.even(0)):
        around = frame.around(x)
        assert around.shape[2:] == frame.size(height, width)
        np.testing.assert_array_equal(frame.inside(around), x)


def test_a_frame_is_a_reflection_of_the_picture() -> None:
    x = to_x(picture(0, 8, 8))
    around = Frame(2, 0, 0, 3).around(x)
    np.testing.assert_array_equal(around[:, :, :2, :8], x[:, :, 2:0:-1])
    np.testing.assert_array_equal(around[:, :, 2:, 8:], x[:, :, :, 6:3:-1])


def test_training_draws_every_frame_of_one_size() -> None:
    frames = [learning_frame(0, step) for step in range(2000)]
    assert {frame.size(0, 0) for frame in frames} == {MIDDLE_FRAME.size(0, 0)}
    assert {frame.top for frame in frames} == set(range(LEARNING_FRAME_PX + 1))
    assert abs(np.corrcoef([(f.top, f.left) for f in frames], rowvar=False)[0, 1]) < 0.1
    assert frames[7] == learning_frame(0, 7) != learning_frame(1, 7)


def test_a_chain_that_reaches_far_is_painted_in_a_wider_frame() -> None:
    near, far = ([GENERATORS[kind]] * 4 for kind in ("conv-fast", "conv"))
    assert painting_frame(64, 64, near) == Frame.even(FRAME_PX)
    assert painting_frame(64, 64, far) == Frame.even(WIDE_FRAME_PX)


def test_the_painting_frame_makes_edges_multiples_of_the_strides() -> None:
    specs = [GENERATORS["conv"], GENERATORS["conv-fast"]]
    multiple = size_multiple(specs)
    assert painting_frame(64, 72, specs) == Frame.even(FRAME_PX)
    for height, width in ((1, 65), (63, 50)):
        frame = painting_frame(height, width, specs)
        assert (frame.top, frame.left) == (FRAME_PX, FRAME_PX)
        assert all(0 <= px - FRAME_PX < multiple for px in (frame.bottom, frame.right))
        assert all(edge % multiple == 0 for edge in frame.size(height, width))
