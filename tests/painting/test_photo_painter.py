"""PhotoPainter: small photos are painted in one pass, others in two."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import picture, random_model

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.reference import ReferencePainter
from neuralart.engine.devices import open_device
from neuralart.painting.photo_painter import PhotoPainter


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(8, 40), (64, 64)])
def test_a_small_photo_is_painted_by_the_pass_that_measures_it(
    size: tuple[int, int], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter = PhotoPainter(random_model([GENERATORS["deconv"]]), open_device("cpu"), 1)
    photo = picture(0, *size).astype(kind) * (257 if kind is np.uint16 else 1)
    in_two = painter.paint(photo, painter.measure(photo))
    passes = []
    forward = ReferencePainter._forward
    monkeypatch.setattr(
        ReferencePainter, "_forward", lambda *a, **b: passes.append(1) or forward(*a, **b)
    )
    monkeypatch.setattr(painter, "_folded", None)
    at_once = painter.paint(photo)
    assert at_once.shape == (*size, 3) and at_once.dtype == kind and len(passes) == 1
    assert abs(at_once.astype(int) - in_two).max() <= (1 if kind is np.uint8 else 8)


def test_what_takes_two_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model([GENERATORS["conv"]] * 2)
    devices = open_device("cpu")
    painter = PhotoPainter(model, devices, 2)
    assert painter.paints_at_once(painter.tiling(64, 64))
    monkeypatch.setattr("neuralart.chain.receptive_field.MEASURED_PIXELS", 32 * 32)
    assert not painter.paints_at_once(painter.tiling(64, 64))
    monkeypatch.undo()
    assert painter.paints_at_once(painter.tiling(61, 83))
    for more in ({"share": 0.5}, {"tile": 256}):
        other = PhotoPainter(model, devices, 2, **more)  # type: ignore[arg-type]
        assert not other.paints_at_once(other.tiling(64, 512))
