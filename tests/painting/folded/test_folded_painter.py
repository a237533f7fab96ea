"""FoldedPainter paints what ReferencePainter paints: folded or not, in tiles or at once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers import LITTLE, lively, needs_mxnet, noise, random_statistics

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.model import load_model
from neuralart.chain.receptive_field import framed_size, receptive_margins
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.shipped import find_model, shipped
from neuralart.chain.specs import Generator, generator_from_dict
from neuralart.engine.devices import open_device
from neuralart.errors import ConfigError
from neuralart.machine.processor import faster_precisions
from neuralart.painting.folded.folding import can_fold
from neuralart.painting.folded.one_pass import OnePassPainter, PlainPainter, measuring_painter
from neuralart.painting.folded.painter import FoldedPainter, tile_pixels
from neuralart.painting.tiles import best_tiling
from neuralart.pictures.pixels import to_image, to_x

CPU = open_device("cpu")

END = {"op": "conv", "channels": 3, "kernel": 5, "norm": False, "act": "tanh"}

# All that folding handles: dilation and padding in the first layer, biases with norms, skips, relu.
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
WITHOUT_RESIDUAL = dataclasses.replace(FOLDED, residual=0.0)
GRAINED, PLAIN_GRAINED = (dataclasses.replace(spec, grain=6.0) for spec in (FOLDED, PLAIN))


@pytest.mark.parametrize(
    "specs",
    [
        [GENERATORS["conv"], GENERATORS["deconv"]],
        [FOLDED, WITHOUT_RESIDUAL, FOLDED],
        [LITTLE],
        [PLAIN, FOLDED],
        [GRAINED, FOLDED],
    ],
    ids=["built-in", "folded", "little", "plain", "grained"],
)
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_it_paints_what_the_reference_painter_paints(specs: list[Generator], share: float) -> None:
    assert can_fold(specs) == (PLAIN not in specs)
    params, image = lively(specs), noise(40, 56)
    painter = ReferencePainter(specs, params, CPU)
    statistics = painter.measure(to_x(image))
    x0 = to_x(image)
    before, last = [x0, *painter.paint(x0, statistics)][-2:]
    if len(specs) == 1:
        share = 1.0
    want = to_image(share * last + (1 - share) * before)
    got = FoldedPainter(specs, params, CPU, share=share).paint(
        image, statistics, best_tiling(40, 56, specs)
    )
    assert abs(got.astype(int) - want).max() <= 1
    assert (got != want).mean() < 0.01


@pytest.mark.parametrize(
    "specs",
    [
        [GENERATORS["conv"], GENERATORS["deconv"]],
        [GENERATORS["conv-fast"]] * 2,
        [FOLDED, WITHOUT_RESIDUAL, FOLDED],
        [GRAINED, FOLDED],
    ],
    ids=["built-in", "fast", "folded", "grained"],
)
@pytest.mark.parametrize("size", [(40, 56), (61, 47)])
def test_one_pass_is_that_of_the_reference_painter(
    specs: list[Generator], size: tuple[int, int]
) -> None:
    params, photo = lively(specs), noise(*size)
    want, got = (kind(specs, params, CPU) for kind in (PlainPainter, OnePassPainter))
    for pixels in (photo, photo.astype(np.uint16) * 257):
        a, b = (painter.paint_at_once(pixels) for painter in (want, got))
        assert a.dtype == b.dtype == pixels.dtype
        step = 257 if pixels.dtype == np.uint16 else 1
        assert abs(a.astype(int) - b.astype(int)).max() <= max(1, 0.02 * step)
        assert step > 1 or (a != b).mean() < 0.02
    wanted, found = want.measure(photo), got.measure(photo)
    assert wanted.keys() == found.keys()
    for name, statistic in wanted.items():
        np.testing.assert_allclose(found[name], statistic, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_folded_is_measured_as_it_was_trained() -> None:
    assert type(measuring_painter([PLAIN], lively([PLAIN]), CPU)) is PlainPainter
    assert type(measuring_painter([FOLDED], lively([FOLDED]), CPU)) is OnePassPainter


@pytest.mark.parametrize(
    "specs", [[GRAINED, FOLDED], [PLAIN_GRAINED, FOLDED]], ids=["folded", "plain"]
)
@pytest.mark.parametrize("size", [(101, 64), (3, 130)])
def test_tiles_make_the_same_painting_as_the_whole(
    specs: list[Generator], size: tuple[int, int]
) -> None:
    params, image = lively(specs), noise(*size)
    statistics = ReferencePainter(specs, params, CPU).measure(to_x(noise(40, 56)))
    folded = FoldedPainter(specs, params, CPU)
    whole = folded.paint(image, statistics, best_tiling(*size, specs, tile=0))
    tiling = best_tiling(*size, specs, tile=sum(receptive_margins(specs)) + 8)
    assert len(tiling.rows) * len(tiling.columns) > 2
    tiled = folded.paint(image, statistics, tiling)
    assert abs(tiled.astype(int) - whole).max() <= 1
    assert (tiled != whole).mean() < 0.01


@pytest.mark.parametrize("name", shipped())
def test_shipped_styles_paint_the_same_in_tiles(name: str) -> None:
    model = load_model(find_model(name))
    specs, image = list(model.specs), noise(24, 480)
    folded = FoldedPainter(specs, model.params, CPU)
    statistics = random_statistics(model.specs)
    whole = folded.paint(image, statistics, best_tiling(24, 480, specs, tile=0))
    tiling = best_tiling(24, 480, specs, tile=sum(receptive_margins(specs)) + 64)
    assert len(tiling.columns) > 1
    tiled = folded.paint(image, statistics, tiling)
    assert abs(tiled.astype(int) - whole).max() <= 1


def test_too_little_overlap_would_show() -> None:
    """So the margins are not much larger than needed, and the tests above can fail."""
    specs = [FOLDED, FOLDED]
    params, image = lively(specs), noise(101, 64)
    statistics = ReferencePainter(specs, params, CPU).measure(to_x(noise(40, 56)))
    folded = FoldedPainter(specs, params, CPU)
    whole = folded.paint(image, statistics, best_tiling(101, 64, specs, tile=0))
    tiling = best_tiling(101, 64, specs, tile=sum(receptive_margins(specs)) + 8)
    short = [
        dataclasses.replace(span, start=span.start + 8, skip=span.skip - 8) if span.start else span
        for span in tiling.rows
    ]
    edge = tiling.tile[0] - 8
    short = [dataclasses.replace(s, stop=min(s.stop, s.start + edge)) for s in short]
    cut = folded.paint(image, statistics, dataclasses.replace(tiling, rows=tuple(short)))
    assert abs(cut.astype(int) - whole).max() > 2


def test_sixteen_bits_paint_as_eight_do() -> None:
    image = noise(24, 32)
    params = lively([FOLDED])
    statistics = ReferencePainter([FOLDED], params, CPU).measure(to_x(image))
    folded, tiling = FoldedPainter([FOLDED], params, CPU), best_tiling(24, 32, [FOLDED])
    eight = folded.paint(image, statistics, tiling)
    sixteen = folded.paint(image.astype(np.uint16) * 257, statistics, tiling)
    assert sixteen.dtype == np.uint16
    assert abs(sixteen / 257 - eight).max() <= 0.51
    assert len(np.unique(sixteen)) > 256


@pytest.mark.parametrize("kind", GENERATORS)
def test_another_photo_takes_its_own_statistics(kind: str) -> None:
    """MXNet's Module, bound once, kept some weights that belong to the first statistics."""
    specs = [GENERATORS[kind]]
    params = lively(specs)
    painter, folded = ReferencePainter(specs, params, CPU), FoldedPainter(specs, params, CPU)
    image = noise(24, 32)
    x = to_x(image)
    for other in (image, image // 3, 255 - image // 4):
        statistics = painter.measure(to_x(other))
        want = to_image(painter.paint(x, statistics)[-1])
        got = folded.paint(image, statistics, best_tiling(24, 32, specs))
        assert abs(got.astype(int) - want).max() <= 1


@needs_mxnet
def test_eight_bits_paint_nearly_the_same() -> None:
    specs = [GENERATORS["conv"], GENERATORS["deconv"]]
    params, image = lively(specs), noise(64, 96) // 2 + 64
    statistics = ReferencePainter(specs, params, CPU).measure(to_x(image))
    tiling = best_tiling(64, 96, specs)
    exact = FoldedPainter(specs, params, CPU).paint(image, statistics, tiling)
    folded = FoldedPainter(specs, params, CPU, precision="int8")
    folded.calibrate(image, statistics)
    difference = folded.paint(image, statistics, tiling).astype(float) - exact
    assert 0 < (difference**2).mean() ** 0.5 < 8


@pytest.mark.skipif("bfloat16" not in faster_precisions(), reason="this processor has no bfloat16")
@pytest.mark.parametrize("kinds", ["conv,deconv", "conv-fast,deconv-fast"])
def test_bfloat16_paints_nearly_the_same(kinds: str) -> None:
    specs = [GENERATORS[kind] for kind in kinds.split(",")]
    params, image = lively(specs), noise(64, 96) // 2 + 64
    painter, tiling = ReferencePainter(specs, params, CPU), best_tiling(64, 96, specs)
    exact = FoldedPainter(specs, params, CPU)
    folded = FoldedPainter(specs, params, CPU, precision="bfloat16")
    for other in (image, 255 - image // 2):
        statistics = painter.measure(to_x(other))
        want = exact.paint(image, statistics, tiling).astype(float)
        difference = folded.paint(image, statistics, tiling) - want
        assert 0 < (difference**2).mean() ** 0.5 < 2


@pytest.mark.skipif("bfloat16" not in faster_precisions(), reason="this processor has no bfloat16")
@pytest.mark.parametrize("kinds", ["conv,deconv", "conv-fast,conv-slim"])
def test_one_pass_in_bfloat16_is_nearly_the_same(kinds: str) -> None:
    specs = [GENERATORS[kind] for kind in kinds.split(",")]
    params, photo = lively(specs), noise(60, 80)
    exact = OnePassPainter(specs, params, CPU)
    fast = measuring_painter(specs, params, CPU, "bfloat16")
    want, got = (painter.paint_at_once(photo).astype(float) for painter in (exact, fast))
    assert (got != want).any()
    assert np.sqrt(np.mean((got - want) ** 2)) < 4  # levels: 36 dB
    wanted, found = exact.measure(photo), fast.measure(photo)
    for name, statistic in wanted.items():
        error = np.linalg.norm(found[name] - statistic)
        assert error < 0.03 * np.linalg.norm(statistic), name


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_other_precisions_need_a_chain_that_folds(precision: str) -> None:
    with pytest.raises(ConfigError, match=f"--precision {precision}"):
        FoldedPainter([PLAIN], lively([PLAIN]), CPU, precision=precision)


@needs_mxnet
def test_bfloat16_needs_a_processor_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralart.engine.module.faster_precisions", lambda: ["int8"])
    with pytest.raises(ConfigError, match=r"float32 and int8 here.*needs AVX512_BF16 or AMX"):
        FoldedPainter([FOLDED], lively([FOLDED]), open_device("cpu"), precision="bfloat16")


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (40, 9)])
def test_a_frame_is_a_reflection(size: tuple[int, int]) -> None:
    image = noise(*size)
    tiling = best_tiling(*size, [FOLDED])
    height, width = (framed_size(edge, [FOLDED]) for edge in size)
    (tile,) = tiling.tiles()
    framed = tile_pixels(image, tiling.frame, *tile)
    assert framed.shape == (height, width, 3)
    edges = [
        (tiling.frame, full - edge - tiling.frame)
        for full, edge in zip((height, width), size, strict=True)
    ]
    np.testing.assert_array_equal(framed, np.pad(image, (*edges, (0, 0)), mode="reflect"))
