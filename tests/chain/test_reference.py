"""ReferencePainter: any size, statistics of the photo's own or frozen ones."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import LITTLE, lively, noise_x
from kinds import PLAIN

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.specs import generator_from_dict
from neuralart.engine.devices import open_device

EVEN = generator_from_dict(
    "even",
    {
        "layers": [
            {"op": "conv", "channels": 5, "kernel": 4, "stride": 2},
            {"op": "conv", "channels": 6, "kernel": 2, "stride": 2},
            {"op": "deconv", "channels": 4, "kernel": 4, "stride": 2},
            {"op": "deconv", "channels": 4, "kernel": 4, "stride": 2},
            {"op": "conv", "channels": 3, "kernel": 3, **PLAIN},
        ]
    },
)
KINDS = GENERATORS | {"even": EVEN}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (33, 40), (64, 64)])
def test_any_size_comes_out_as_it_went_in(kind: str, size: tuple[int, int]) -> None:
    painter = ReferencePainter([KINDS[kind]], lively([KINDS[kind]]), open_device("cpu"))
    x = noise_x(0, *size)
    (painting,) = painter.paint(x, painter.measure(x))
    assert painting.shape == x.shape and np.isfinite(painting).all()


def test_a_painter_goes_on_with_photos_of_other_sizes() -> None:
    specs = [GENERATORS["conv-fast"], LITTLE]
    params = lively(specs)
    painter = ReferencePainter(specs, params, open_device("cpu"))
    for size in ((32, 32), (64, 40), (33, 57), (16, 24), (32, 32)):
        x, fresh = noise_x(0, *size), ReferencePainter(specs, params, open_device("cpu"))
        statistics = painter.measure(x)
        for name, want in fresh.measure(x).items():
            np.testing.assert_allclose(statistics[name], want, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(painter.paint_at_once(x), fresh.paint_at_once(x), atol=0.01)


def test_painting_is_local_on_frozen_statistics() -> None:
    """A far corner does not know what happens in the other one."""
    painter = ReferencePainter([LITTLE], lively([LITTLE]), open_device("cpu"))
    x = noise_x(0, 64, 64)
    statistics = painter.measure(x)
    changed = x.copy()
    changed[..., :16, :16] += 80
    before, after = painter.paint(x, statistics)[0], painter.paint(changed, statistics)[0]
    np.testing.assert_array_equal(before[..., 40:, 40:], after[..., 40:, 40:])
    assert abs(before[..., :16, :16] - after[..., :16, :16]).max() > 1
