"""From a photo to its painting: in one pass where the photo is small, and in two."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import picture, random_model

from neuralart.engine import mx
from neuralart.modules.painter import Painter
from neuralart.painting import Painting
from neuralart.specs import GENERATORS


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(8, 40), (64, 64)])
def test_a_small_photo_is_painted_by_the_pass_that_measures_it(
    size: tuple[int, int], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    painting = Painting(random_model([GENERATORS["deconv"]]), mx.cpu(), 1)
    photo = picture(0, *size).astype(kind) * (257 if kind is np.uint16 else 1)
    in_two = painting.paint(photo, painting.measure(photo))
    passes = []
    forward = Painter._forward
    monkeypatch.setattr(Painter, "_forward", lambda *a, **b: passes.append(1) or forward(*a, **b))
    monkeypatch.setattr(painting, "_brush", None)
    at_once = painting.paint(photo)
    assert at_once.shape == (*size, 3) and at_once.dtype == kind and len(passes) == 1
    assert abs(at_once.astype(int) - in_two).max() <= (1 if kind is np.uint8 else 8)


def test_what_takes_two_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model([GENERATORS["conv"]] * 2)
    painting = Painting(model, mx.cpu(), 2)
    assert painting.paints_at_once(painting.plan(64, 64))
    monkeypatch.setattr("neuralart.tiles.MEASURED_PIXELS", 32 * 32)
    assert not painting.paints_at_once(painting.plan(64, 64))
    monkeypatch.undo()
    assert not painting.paints_at_once(painting.plan(61, 83))
    for more in ({"share": 0.5}, {"tile": 256}):
        other = Painting(model, mx.cpu(), 2, **more)  # type: ignore[arg-type]
        assert not other.paints_at_once(other.plan(64, 512))
