"""The ONNX graph against the chain in MXNet: generators, precisions, odd sizes, tiles."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from helpers import noise, random_chain, random_model

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.model import StyledChain, load_chain
from neuralart.chain.receptive_field import receptive_margins
from neuralart.chain.shipped import shipped
from neuralart.chain.specs import generator_from_dict
from neuralart.engine.devices import open_device
from neuralart.engine.door import mx
from neuralart.errors import ModelError
from neuralart.exporting.graph import smallest_px
from neuralart.exporting.parity import (
    Case,
    Difference,
    as_picture,
    calibration_photos,
    chain_paintings,
    compared_cases,
    compared_pictures,
    every_style,
    keep,
    kept,
    on_grid,
)
from neuralart.exporting.subject import Subject, file_names
from neuralart.exporting.targets import TARGETS
from neuralart.exporting.to_onnx.graph import onnx_model
from neuralart.exporting.to_onnx.runtime import paint
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.pictures.frame import FRAME_PX

ODD_SIZES = ((41, 41), (47, 42))


def subject(model, size: tuple[int, int] | None = None) -> Subject:
    return Subject("it", StyledChain.of(model), len(model.specs), size)


def fed(photos: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
    return [{"image": photo} for photo in photos]


@pytest.mark.parametrize("kinds", [["conv"], ["deconv"], ["conv", "deconv"]])
def test_a_generator_paints_the_same_in_onnx(tmp_path: Path, kinds: list[str]) -> None:
    model = random_model([GENERATORS[kind] for kind in kinds])
    file = TARGETS["onnx"].write(subject(model), tmp_path, "fp32")
    photos = [compared_pictures(size)[0] for size in ODD_SIZES]
    painted = chain_paintings(subject(model), [Case(photo) for photo in photos])
    for ours, theirs in zip(painted, paint(file, fed(photos)), strict=True):
        assert ours[-1].std() > 5
        assert Difference.between([ours[-1]], theirs).largest < 0.01


def test_even_kernels_paint_the_same_in_onnx(tmp_path: Path) -> None:
    layers = [
        {"op": "conv", "channels": 6, "kernel": 4, "stride": 2},
        {"op": "deconv", "channels": 5, "kernel": 4, "stride": 2},
        {"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"},
    ]
    model = random_model([generator_from_dict("even", {"layers": layers})])
    photos = [compared_pictures(size)[0] for size in ODD_SIZES]
    ours = chain_paintings(subject(model), [Case(photo) for photo in photos])
    for size, some in ((None, photos), (ODD_SIZES[0], photos[:1])):
        file = TARGETS["onnx"].write(subject(model, size=size), tmp_path, "fp32")
        for a, b in zip(ours[: len(some)], paint(file, fed(some)), strict=True):
            assert Difference.between([a[-1]], b).largest < 0.01


def test_a_size_that_is_fixed_paints_the_same(tmp_path: Path) -> None:
    model = random_model([GENERATORS["deconv"]])
    photos = compared_pictures((47, 42))
    file = TARGETS["onnx"].write(subject(model, size=(47, 42)), tmp_path, "fp32")
    ours = chain_paintings(subject(model), [Case(photo) for photo in photos])
    for a, b in zip(ours, paint(file, fed(photos)), strict=True):
        assert Difference.between(a, b).largest < 0.01


def test_a_batch_is_its_pictures(tmp_path: Path) -> None:
    model = random_model([GENERATORS["conv"]])
    file = TARGETS["onnx"].write(subject(model), tmp_path, "fp32")
    photos = compared_pictures((40, 56))
    single = np.concatenate([out[0] for out in paint(file, fed(photos))])
    np.testing.assert_allclose(paint(file, fed([np.concatenate(photos)]))[0][0], single, atol=1e-3)


@pytest.mark.parametrize("mixture", [None, [0.2, 0.5, 0.3]])
def test_a_tile_is_the_same_as_in_the_whole_picture(
    tmp_path: Path, mixture: list[float] | None
) -> None:
    layers = [
        {"op": "conv", "channels": 6, "kernel": 3, "stride": 2},
        {"op": "deconv", "channels": 5, "kernel": 4, "stride": 2},
        {"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"},
    ]
    specs = [generator_from_dict("small", {"layers": layers})] * 2
    names = ["a", "b", "c"] if mixture else ["a"]
    one = Subject("it", random_chain(specs, names), 2, None)
    (tmp_path / "models").mkdir()
    file = TARGETS["web"].write(one, tmp_path, "fp32")
    photo = compared_pictures((90, 131))[0]
    case = Case(photo, np.array([mixture], np.float32) if mixture else None)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    shapes = {put.name: put.shape for put in session.get_inputs()}
    nothing = np.zeros(shapes["statistics"], np.float32)
    chosen = {} if case.mixture is None else {"mixture": case.mixture}
    feeds = {"image": photo, "statistics": nothing, "frozen": np.array([False]), **chosen}
    *whole, measured = session.run(["stage1", "stage2", "measured"], feeds)
    for ours, theirs in zip(chain_paintings(one, [case])[0], whole, strict=True):
        assert Difference.between([ours], [theirs]).largest < 0.01
    reach = max(receptive_margins(specs))
    top, left = 24, 30
    tile = photo[:, :, top - reach : top + 20 + reach, left - reach : left + 40 + reach]
    feeds = {"image": tile, "statistics": measured, "frozen": np.array([True]), **chosen}
    for part, expected in zip(session.run(["stage1", "stage2"], feeds), whole, strict=True):
        inside = part[:, :, reach : reach + 20, reach : reach + 40]
        np.testing.assert_allclose(
            inside, expected[:, :, top : top + 20, left : left + 40], atol=1e-3
        )


@pytest.mark.parametrize("name", shipped())
def test_shipped_styles_paint_the_same_everywhere(tmp_path: Path, name: str) -> None:
    chain = load_chain(shipped()[name])
    one = Subject("it", chain, len(chain.specs), None, calibration_photos(None))
    cases = compared_cases(one)
    ours = [x[-1] for x in chain_paintings(one, cases)]
    for target in (TARGETS["onnx"], TARGETS["ort"], TARGETS["web"]):
        for precision, limit in target.limits.items():
            file = target.write(one, tmp_path, precision)
            difference = Difference.between(ours, target.paint(file, cases))
            assert difference.within(limit), (file, precision, difference)


@pytest.mark.parametrize(
    "made",
    [
        lambda x: mx.sym.cbrt(x, name="odd"),
        lambda x: mx.sym.Activation(x, act_type="softsign", name="odd"),
        lambda x: mx.sym.LeakyReLU(x, act_type="gelu", name="odd"),
        lambda x: mx.sym.Pooling(x, kernel=(2, 2), pool_type="max", name="odd"),
        lambda x: mx.sym.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1), name="odd"),
        lambda x: mx.sym.slice_like(x, x, axes=(1,), name="odd"),
        lambda x: mx.sym.Deconvolution(x, num_filter=3, kernel=(2, 2), adj=(1, 1), stride=(2, 2), name="odd"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_named(made) -> None:
    symbol = made(mx.sym.Variable("data"))
    arrays = {
        name: np.ones((3, 3, 2, 2), np.float32)
        for name in (*symbol.list_arguments(), *symbol.list_auxiliary_states())
    }
    with pytest.raises(ModelError, match=r"^odd: .* cannot be exported"):
        onnx_model(symbol, arrays, {})


def test_what_is_kept_of_a_large_painting() -> None:
    photo = compared_pictures((500, 400))[0]
    cases, points = kept(keep([Case(photo)], [photo + 0.3]))
    np.testing.assert_array_equal(cases[0].picture, photo)
    assert cases[0].mixture is None
    assert points[0].shape[2] * points[0].shape[3] < 20_000
    np.testing.assert_allclose(points[0], on_grid(photo + 0.3).clip(0, 255.99), atol=1 / 256)


def test_every_style_and_a_mixture_are_compared_and_kept() -> None:
    one = Subject("it", random_chain([GENERATORS["conv"]], ["a", "b", "c"]), 1, None)
    cases = compared_cases(one)
    weights = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.7, 0.3, 0]]
    np.testing.assert_allclose([case.mixture[0] for case in cases], weights)
    arrays = keep(cases, [case.picture for case in cases])
    assert sum(name.startswith("picture") for name in arrays) == 2
    for ours, theirs in zip(cases, kept(arrays)[0], strict=True):
        np.testing.assert_array_equal(ours.picture, theirs.picture)
        np.testing.assert_array_equal(ours.mixture, theirs.mixture)
    pictures = compared_pictures(None)
    assert [int(case.mixture.argmax()) for case in every_style(one, pictures)] == [0, 1, 2]
    assert len(every_style(one, [*pictures, *pictures])) == 4


def test_names_of_files() -> None:
    names = ["wave", "../wave", "wave=0.7,scream", "..", "wave"]
    assert file_names(names) == ["wave", "wave-2", "wave-0.7-scream", "style", "wave-3"]


@pytest.mark.parametrize("kind", ["conv-fast", "deconv"])
def test_the_smallest_size(kind: str, tmp_path: Path) -> None:
    """One pixel less cannot be reflected."""
    model = random_model([GENERATORS[kind]])
    file = TARGETS["onnx"].write(subject(model), tmp_path, "fp32")
    least = smallest_px(model.specs)
    assert least == FRAME_PX + model.specs[0].multiple
    photo = as_picture(noise(least, least))
    (want,) = chain_paintings(subject(model), [Case(photo)])
    (got,) = TARGETS["onnx"].run(file, [Case(photo)])
    assert abs(got - want[-1]).max() < 0.1
    with pytest.raises(Exception, match="Pad"):
        TARGETS["onnx"].run(file, [Case(as_picture(noise(least - 1, least)))])


@pytest.mark.parametrize("size", [(64, 96), (162, 122), (75, 53), (41, 99), (121, 160)])
def test_every_size_is_painted_as_stylize_does(size: tuple[int, int], tmp_path: Path) -> None:
    """In levels: the frame is the same, so the statistics and the border are."""
    model = random_model([GENERATORS["conv-fast"], GENERATORS["deconv"]])
    file = TARGETS["onnx"].write(subject(model), tmp_path, "fp32")
    photo = noise(*size)
    want = PhotoPainter(model, open_device("cpu"), 2).paint(photo)
    (got,) = TARGETS["onnx"].run(file, [Case(as_picture(photo))])
    assert abs(got[0].transpose(1, 2, 0).round() - want).max() <= 1


def test_a_size_that_is_fixed_runs_where_sizes_are_not_computed(tmp_path: Path) -> None:
    model = random_model([GENERATORS["conv"]])
    photos = compared_pictures((48, 64))
    file = TARGETS["onnx"].write(subject(model, size=(48, 64)), tmp_path, "fp32")
    net = cv2.dnn.readNetFromONNX(str(file))
    net.setInput(photos[0])
    assert Difference.between([net.forward()], paint(file, fed(photos[:1]))[0]).largest < 0.01
