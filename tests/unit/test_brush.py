"""The painting engine: folded or not, in windows or whole, it paints what the chain paints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from test_chain import LITTLE, lively

from neuralart.engine import mx
from neuralart.errors import ConfigError
from neuralart.folding import can_fold, from_blocks, to_blocks
from neuralart.images import Image, to_image, to_x
from neuralart.model import load_model
from neuralart.modules.brush import Brush, window_of
from neuralart.modules.painter import Painter
from neuralart.processor import faster_precisions
from neuralart.shipped import find_model, shipped
from neuralart.specs import GENERATORS, Generator, generator_from_dict
from neuralart.tiles import chain_reach, framed_size, plan_tiles

END = {"op": "conv", "channels": 3, "kernel": 5, "norm": False, "act": "tanh"}

# Everything that folding rewrites: dilation and pad in the first layer, biases beside norms, skips, relu.
FOLDED = generator_from_dict(
    "folded",
    {
        "layers": [
            {"op": "conv", "channels": 6, "kernel": 3, "stride": 2, "dilate": 2, "bias": True},
            {"op": "conv", "channels": 8, "kernel": 4, "stride": 2, "pad": 1, "act": "relu"},
            {"op": "deconv", "channels": 6, "kernel": 3, "stride": 2, "blur": True, "add": "conv0"},
            {"op": "deconv", "channels": 5, "kernel": 4, "stride": 2, "norm": False, "act": "none"},
            END,
        ],
        "residual": 0.3,
        "learn_residual": False,
    },
)
PLAIN = generator_from_dict("plain", {"layers": [{"op": "conv", "channels": 4, "kernel": 3}, END]})
EMPTIED = dataclasses.replace(FOLDED, residual=0.0)


def noise(height: int, width: int, kind: type = np.uint8) -> Image:
    rng = np.random.default_rng(height)
    return rng.integers(0, np.iinfo(kind).max, (height, width, 3), kind, endpoint=True)


@pytest.mark.parametrize(
    "specs",
    [
        [GENERATORS["conv"], GENERATORS["deconv"]],
        [FOLDED, EMPTIED, FOLDED],
        [LITTLE],
        [PLAIN, FOLDED],
    ],
    ids=["built-in", "folded", "little", "plain"],
)
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_the_brush_paints_what_the_painter_paints(specs: list[Generator], share: float) -> None:
    assert can_fold(specs) == (PLAIN not in specs)
    params, image = lively(specs), noise(40, 56)
    painter = Painter(specs, params, mx.cpu())
    statistics = painter.measure(to_x(image))
    x0 = to_x(image)
    before, last = [x0, *painter.paint(x0, statistics)][-2:]
    if len(specs) == 1:
        share = 1.0
    want = to_image(share * last + (1 - share) * before)
    got = Brush(specs, params, mx.cpu(), share=share).paint(
        image, statistics, plan_tiles(40, 56, specs)
    )
    assert abs(got.astype(int) - want).max() <= 1
    assert (got != want).mean() < 0.01


@pytest.mark.parametrize("specs", [[FOLDED, FOLDED], [PLAIN, FOLDED]], ids=["folded", "plain"])
@pytest.mark.parametrize("size", [(101, 64), (3, 130)])
def test_windows_make_the_same_painting_as_the_whole(
    specs: list[Generator], size: tuple[int, int]
) -> None:
    params, image = lively(specs), noise(*size)
    statistics = Painter(specs, params, mx.cpu()).measure(to_x(noise(40, 56)))
    brush = Brush(specs, params, mx.cpu())
    whole = brush.paint(image, statistics, plan_tiles(*size, specs, tile=0))
    plan = plan_tiles(*size, specs, tile=sum(chain_reach(specs)) + 8)
    assert len(plan.rows) * len(plan.columns) > 2
    tiled = brush.paint(image, statistics, plan)
    assert abs(tiled.astype(int) - whole).max() <= 1
    assert (tiled != whole).mean() < 0.01


@pytest.mark.parametrize("name", shipped())
def test_shipped_styles_paint_the_same_in_windows(name: str) -> None:
    model = load_model(find_model(name))
    specs, image = list(model.specs), noise(24, 480)
    brush = Brush(specs, model.params, mx.cpu())
    whole = brush.paint(image, model.statistics, plan_tiles(24, 480, specs, tile=0))
    plan = plan_tiles(24, 480, specs, tile=sum(chain_reach(specs)) + 64)
    assert len(plan.columns) > 1
    tiled = brush.paint(image, model.statistics, plan)
    assert abs(tiled.astype(int) - whole).max() <= 1


def test_too_little_overlap_would_show() -> None:
    """So the reach is not larger than it must be by much, and the test above can fail."""
    specs = [FOLDED, FOLDED]
    params, image = lively(specs), noise(101, 64)
    statistics = Painter(specs, params, mx.cpu()).measure(to_x(noise(40, 56)))
    brush = Brush(specs, params, mx.cpu())
    whole = brush.paint(image, statistics, plan_tiles(101, 64, specs, tile=0))
    plan = plan_tiles(101, 64, specs, tile=sum(chain_reach(specs)) + 8)
    short = [
        dataclasses.replace(w, start=w.start + 8, skip=w.skip - 8) if w.start else w
        for w in plan.rows
    ]
    short = [dataclasses.replace(w, stop=min(w.stop, w.start + plan.tile[0] - 8)) for w in short]
    cut = brush.paint(image, statistics, dataclasses.replace(plan, rows=tuple(short)))
    assert abs(cut.astype(int) - whole).max() > 2


def test_sixteen_bits_paint_as_eight_do() -> None:
    image = noise(24, 32)
    params = lively([FOLDED])
    statistics = Painter([FOLDED], params, mx.cpu()).measure(to_x(image))
    brush, plan = Brush([FOLDED], params, mx.cpu()), plan_tiles(24, 32, [FOLDED])
    eight = brush.paint(image, statistics, plan)
    sixteen = brush.paint(image.astype(np.uint16) * 257, statistics, plan)
    assert sixteen.dtype == np.uint16
    assert abs(sixteen / 257 - eight).max() <= 0.51
    assert len(np.unique(sixteen)) > 256


@pytest.mark.parametrize("kind", GENERATORS)
def test_another_photo_takes_its_own_statistics(kind: str) -> None:
    """A Module that is bound once went on with the weights of the first statistics."""
    specs = [GENERATORS[kind]]
    params = lively(specs)
    painter, brush = Painter(specs, params, mx.cpu()), Brush(specs, params, mx.cpu())
    image = noise(24, 32)
    x = to_x(image)
    for other in (image, image // 3, 255 - image // 4):
        statistics = painter.measure(to_x(other))
        want = to_image(painter.paint(x, statistics)[-1])
        got = brush.paint(image, statistics, plan_tiles(24, 32, specs))
        assert abs(got.astype(int) - want).max() <= 1


def test_eight_bits_paint_nearly_the_same() -> None:
    specs = [GENERATORS["conv"], GENERATORS["deconv"]]
    params, image = lively(specs), noise(64, 96) // 2 + 64
    statistics = Painter(specs, params, mx.cpu()).measure(to_x(image))
    plan = plan_tiles(64, 96, specs)
    exact = Brush(specs, params, mx.cpu()).paint(image, statistics, plan)
    brush = Brush(specs, params, mx.cpu(), precision="int8")
    brush.calibrate(image, statistics)
    difference = brush.paint(image, statistics, plan).astype(float) - exact
    assert 0 < (difference**2).mean() ** 0.5 < 8


@pytest.mark.skipif("bfloat16" not in faster_precisions(), reason="this processor has no bfloat16")
@pytest.mark.parametrize("kinds", ["conv,deconv", "conv-fast,deconv-fast"])
def test_bfloat16_paints_nearly_the_same(kinds: str) -> None:
    specs = [GENERATORS[kind] for kind in kinds.split(",")]
    params, image = lively(specs), noise(64, 96) // 2 + 64
    painter, plan = Painter(specs, params, mx.cpu()), plan_tiles(64, 96, specs)
    exact = Brush(specs, params, mx.cpu())
    brush = Brush(specs, params, mx.cpu(), precision="bfloat16")
    for other in (image, 255 - image // 2):
        statistics = painter.measure(to_x(other))
        want = exact.paint(image, statistics, plan).astype(float)
        difference = brush.paint(image, statistics, plan) - want
        assert 0 < (difference**2).mean() ** 0.5 < 2


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_other_precisions_need_a_chain_that_folds(precision: str) -> None:
    with pytest.raises(ConfigError, match=f"--precision {precision}"):
        Brush([PLAIN], lively([PLAIN]), mx.cpu(), precision=precision)


def test_bfloat16_needs_a_processor_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralart.modules.brush.faster_precisions", lambda: ["int8"])
    with pytest.raises(ConfigError, match="nor AMX; use float32"):
        Brush([FOLDED], lively([FOLDED]), mx.cpu(), precision="bfloat16")


@pytest.mark.parametrize("edge", [1, 2])
def test_blocks_there_and_back(edge: int) -> None:
    for kind, step in ((np.uint8, 1), (np.uint16, 257)):
        image = noise(6, 8, kind)
        np.testing.assert_array_equal(
            from_blocks(to_blocks(image, step, edge), step, kind, edge), image
        )


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (40, 9)])
def test_a_frame_is_a_reflection(size: tuple[int, int]) -> None:
    image = noise(*size)
    plan = plan_tiles(*size, [FOLDED])
    height, width = (framed_size(edge, [FOLDED]) for edge in size)
    (window,) = plan.windows()
    framed = window_of(image, plan.frame, *window)
    assert framed.shape == (height, width, 3)
    edges = [
        (plan.frame, full - edge - plan.frame)
        for full, edge in zip((height, width), size, strict=True)
    ]
    np.testing.assert_array_equal(framed, np.pad(image, (*edges, (0, 0)), mode="reflect"))
