"""The ONNX graph against the chain in MXNet: generators, precisions, odd sizes, tiles."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from helpers import random_model

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.model import load_model
from neuralart.chain.receptive_field import receptive_margins
from neuralart.chain.shipped import shipped
from neuralart.chain.specs import generator_from_dict
from neuralart.engine.door import mx
from neuralart.errors import ModelError
from neuralart.exporting.parity import (
    Difference,
    calibration_photos,
    chain_paintings,
    compared_pictures,
    keep,
    kept,
    on_grid,
)
from neuralart.exporting.style import Style
from neuralart.exporting.targets import TARGETS
from neuralart.exporting.to_onnx.graph import onnx_model
from neuralart.exporting.to_onnx.runtime import paint
from neuralart.options.export import SMALLEST_PX
from neuralart.pictures.frame import FRAME_PX

ODD_SIZES = ((33, 33), (47, 38))


def style(model, size: tuple[int, int] | None = None) -> Style:
    return Style("it", model, len(model.specs), size)


@pytest.mark.parametrize("kinds", [["conv"], ["deconv"], ["conv", "deconv"]])
def test_a_generator_paints_the_same_in_onnx(tmp_path: Path, kinds: list[str]) -> None:
    model = random_model([GENERATORS[kind] for kind in kinds])
    file = TARGETS["onnx"].write(style(model), tmp_path, "fp32")
    photos = [compared_pictures(size)[0] for size in ODD_SIZES]
    painted = chain_paintings(style(model), photos)
    for ours, theirs in zip(painted, paint(file, photos), strict=True):
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
    ours = chain_paintings(style(model), photos)
    for size, some in ((None, photos), (ODD_SIZES[0], photos[:1])):
        file = TARGETS["onnx"].write(style(model, size=size), tmp_path, "fp32")
        for a, b in zip(ours[: len(some)], paint(file, some), strict=True):
            assert Difference.between([a[-1]], b).largest < 0.01


def test_a_size_that_is_fixed_paints_the_same(tmp_path: Path) -> None:
    model = random_model([GENERATORS["deconv"]])
    photos = compared_pictures((47, 38))
    file = TARGETS["onnx"].write(style(model, size=(47, 38)), tmp_path, "fp32")
    ours = chain_paintings(style(model), photos)
    for a, b in zip(ours, paint(file, photos), strict=True):
        assert Difference.between(a, b).largest < 0.01


def test_a_batch_is_its_pictures(tmp_path: Path) -> None:
    model = random_model([GENERATORS["conv"]])
    file = TARGETS["onnx"].write(style(model), tmp_path, "fp32")
    photos = compared_pictures((40, 56))
    single = np.concatenate([out[0] for out in paint(file, photos)])
    np.testing.assert_allclose(paint(file, [np.concatenate(photos)])[0][0], single, atol=1e-3)


def test_a_tile_is_the_same_as_in_the_whole_picture(tmp_path: Path) -> None:
    layers = [
        {"op": "conv", "channels": 6, "kernel": 3, "stride": 2},
        {"op": "deconv", "channels": 5, "kernel": 4, "stride": 2},
        {"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"},
    ]
    model = random_model([generator_from_dict("small", {"layers": layers})] * 2)
    (tmp_path / "models").mkdir()
    file = TARGETS["web"].write(style(model), tmp_path, "fp32")
    photo = compared_pictures((90, 131))[0]
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    nothing = np.zeros(session.get_inputs()[1].shape, np.float32)
    feeds = {"image": photo, "statistics": nothing, "frozen": np.array([False])}
    *whole, measured = session.run(["stage1", "stage2", "measured"], feeds)
    for ours, theirs in zip(chain_paintings(style(model), [photo])[0], whole, strict=True):
        assert Difference.between([ours], [theirs]).largest < 0.01
    reach = max(receptive_margins(model.specs))
    top, left = 24, 30
    tile = photo[:, :, top - reach : top + 20 + reach, left - reach : left + 40 + reach]
    feeds = {"image": tile, "statistics": measured, "frozen": np.array([True])}
    for part, expected in zip(session.run(["stage1", "stage2"], feeds), whole, strict=True):
        inside = part[:, :, reach : reach + 20, reach : reach + 40]
        np.testing.assert_allclose(
            inside, expected[:, :, top : top + 20, left : left + 40], atol=1e-3
        )


@pytest.mark.parametrize("name", shipped())
def test_shipped_styles_paint_the_same_everywhere(tmp_path: Path, name: str) -> None:
    model = load_model(shipped()[name])
    one = dataclasses.replace(style(model), calibrate=calibration_photos(None))
    photos = compared_pictures(None)
    ours = [x[-1] for x in chain_paintings(one, photos)]
    for target in (TARGETS["onnx"], TARGETS["ort"], TARGETS["web"]):
        for precision, limit in target.limits.items():
            file = target.write(one, tmp_path, precision)
            difference = Difference.between(ours, target.run(file, photos))
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
    pictures_, points = kept(keep([photo], [photo + 0.3]))
    np.testing.assert_array_equal(pictures_[0], photo)
    assert points[0].shape[2] * points[0].shape[3] < 20_000
    np.testing.assert_allclose(points[0], on_grid(photo + 0.3).clip(0, 255.99), atol=1 / 256)


def test_the_smallest_size_is_one_more_than_the_frame() -> None:
    assert SMALLEST_PX == FRAME_PX + 1


def test_a_size_that_is_fixed_runs_where_sizes_are_not_computed(tmp_path: Path) -> None:
    model = random_model([GENERATORS["conv"]])
    photos = compared_pictures((48, 64))
    file = TARGETS["onnx"].write(style(model, size=(48, 64)), tmp_path, "fp32")
    net = cv2.dnn.readNetFromONNX(str(file))
    net.setInput(photos[0])
    assert Difference.between([net.forward()], paint(file, photos[:1])[0]).largest < 0.01
