"""Graphs of generators: shapes, residuals, resize convolutions, norms, and names of arguments."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from helpers import LITTLE, lively, noise_x
from kinds import KINDS, LAST, PLAIN, conv, deconv

from neuralart.chain import specs
from neuralart.chain.graph import Norms, compose, generator
from neuralart.chain.params import array_shapes, initial_params, is_row
from neuralart.chain.specs import Generator, generator_from_dict, prefix
from neuralart.engine.door import mx
from neuralart.errors import ConfigError
from neuralart.machine.archive import Arrays
from neuralart.pictures.pixels import PIXEL_MEAN


def bound(
    spec: Generator, params: Arrays, x: np.ndarray, *, learns: bool = False
) -> mx.executor.Executor:
    """One stage, bound with these arrays."""
    symbol = generator(mx.sym.Variable("x"), spec, "g0_", learns=learns)
    executor = symbol.simple_bind(mx.cpu(), x=x.shape)
    for name, array in {**params, "x": x}.items():
        executor.arg_dict[name][:] = array.reshape(executor.arg_dict[name].shape)
    return executor


def painted(spec: Generator, params: Arrays, x: np.ndarray) -> np.ndarray:
    """The output of one stage on a photo, normalised by the photo's own statistics."""
    return bound(spec, params, x).forward(is_train=True)[0].asnumpy()


def test_a_flat_photo_gets_no_grid_from_blurred_deconvolutions() -> None:
    """Even before training, away from the zeros around the photo."""
    for blur, kernel in ((True, 3), (False, 4)):
        layers = [
            conv(8, stride=2),
            deconv(8, kernel, stride=2, blur=blur, norm=False),
            LAST,
        ]
        spec = generator_from_dict("g", {"layers": layers})
        params = lively([spec])
        params["g0_deconv0_weight"] = np.random.default_rng(0).normal(size=(8, 16, kernel, kernel))
        x = np.full((1, 3, 32, 32), 50, np.float32)
        middle = painted(spec, params, x)[..., 8:24, 8:24]
        rough = abs(np.diff(middle, axis=-1)).max()
        assert rough < 1e-3 if blur else rough > 1


def test_the_2016_deconvolutions_fit_any_multiple_of_4() -> None:
    layers = [
        conv(8, 5, stride=2, name="a"),
        conv(8, 5, stride=2, name="b"),
        conv(8, 5, stride=2),
        deconv(8, 7, stride=2, pad=2, crop=1, add="b"),
        deconv(8, 7, stride=2, pad=2, crop=1, add="a"),
        deconv(3, 8, stride=2, pad=3, act="tanh"),
    ]
    spec = generator_from_dict("deconv-2016", {"layers": layers})
    symbol = generator(mx.sym.Variable("x"), spec, "g0_")
    for size in ((384, 384), (36, 44), (480, 640)):
        assert symbol.infer_shape(x=(1, 3, *size))[1] == [(1, 3, *size)]


def test_a_resize_convolution_is_that_of_the_enlarged_map() -> None:
    layers = [
        conv(5, stride=2, norm=False),
        conv(3, 5, resize=2, **PLAIN),
    ]
    spec = generator_from_dict(
        "resized", {"layers": layers, "residual": 0.0, "learn_residual": False}
    )
    params = lively([spec])
    first, second = ([params[f"g0_conv{k}_{kind}"] for kind in ("weight", "bias")] for k in (0, 1))
    x = mx.nd.array(noise_x(0, 12, 16))
    small = mx.nd.Convolution(
        x, *map(mx.nd.array, first), kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=16
    )
    small = mx.nd.LeakyReLU(small[:, :5], slope=0.25)
    large = mx.nd.UpSampling(small, scale=2, sample_type="nearest")
    y = mx.nd.Convolution(large, *map(mx.nd.array, second), kernel=(5, 5), pad=(2, 2), num_filter=3)
    symbol = generator(mx.sym.Variable("x"), spec, "g0_")
    arrays = {name: mx.nd.array(array) for name, array in params.items()}
    resized = symbol.eval(ctx=mx.cpu(), x=x, **arrays)[0].asnumpy()
    mean = PIXEL_MEAN.reshape(1, 3, 1, 1)
    np.testing.assert_allclose(resized, 128 * np.tanh(y.asnumpy()) + 128 - mean, atol=1e-2)


def test_a_residual_of_a_weighs_photo_and_paint() -> None:
    """With weights of zero, the paint is tanh(0): grey 128."""
    spec = generator_from_dict("g", {"residual": 0.25, "learn_residual": False, "layers": [LAST]})
    params = {k: v * 0 for k, v in initial_params([spec], 0).items()}
    x = noise_x()
    grey = (128 - np.array([123.68, 116.779, 103.939]))[None, :, None, None]
    np.testing.assert_allclose(painted(spec, params, x), 0.25 * x + 0.75 * grey, atol=1e-3)


@pytest.mark.parametrize("learn_residual", [True, False])
def test_the_graph_that_learns_has_the_same_output_and_gradients(learn_residual: bool) -> None:
    spec = dataclasses.replace(LITTLE, learn_residual=learn_residual)
    found = []
    for learns in (False, True):
        executor = bound(spec, lively([spec]), noise_x(), learns=learns)
        executor.forward(is_train=True)
        executor.backward([mx.nd.array(noise_x(1))])
        found.append({"output": executor.outputs[0], **executor.grad_dict})
    plain, learning = ({k: v.asnumpy() for k, v in one.items()} for one in found)
    assert learning.keys() == plain.keys() >= {"output", "x", "g0_conv0_weight"}
    for name, want in plain.items():
        np.testing.assert_allclose(learning[name], want, rtol=1e-4, atol=1e-5 * abs(want).max())


def test_a_norm_is_instance_normalisation() -> None:
    """Twice the contrast makes the same paint. (Brightness is known at the zeros of the padding.)"""
    spec = dataclasses.replace(LITTLE, residual=0.0, learn_residual=False)
    one, two = (painted(spec, lively([spec]), contrast * noise_x()) for contrast in (1, 2))
    np.testing.assert_allclose(one, two, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_names_shapes_and_order_are_those_of_the_graph(kind: str) -> None:
    specs = [KINDS[kind], LITTLE, KINDS[kind]]
    symbol = compose(mx.sym.Variable("x"), specs, Norms())[-1]
    arguments, _, _ = symbol.infer_shape(x=(1, 3, 64, 64))
    want = list(zip(symbol.list_arguments(), arguments, strict=True))
    want.remove(("x", (1, 3, 64, 64)))
    assert list(array_shapes(specs).items()) == want


@pytest.mark.parametrize("kind", KINDS)
def test_initial_values_come_in_the_order_of_the_graph(kind: str) -> None:
    """The order decides which random numbers each layer gets."""
    spec = KINDS[kind]
    params = initial_params([spec, spec], 0)
    want = []
    for stage in range(2):
        symbol = generator(mx.sym.Variable("x"), spec, prefix(stage))
        shapes, _, _ = symbol.infer_shape(x=(1, 3, 64, 64))
        want += zip(symbol.list_arguments(), shapes, strict=True)
    found = [(k, v.shape[1:] if is_row(k) else v.shape) for k, v in params.items()]
    assert found == [(name, shape) for name, shape in want if name != "x"]
    assert all(array.dtype == np.float32 for array in params.values())


def random_table(rng: np.random.Generator) -> dict[str, object]:
    """Layers as a user may try them: most odd, some of which fit."""
    layers: list[dict[str, object]] = []
    strides = []
    for number in range(int(rng.integers(1, 4))):
        stride = int(rng.choice([1, 1, 2, 2, 3]))
        more: dict[str, object] = {"stride": stride, "name": f"l{number}"}
        if rng.random() < 0.3:
            more["pad"] = int(rng.integers(0, 4))
        if rng.random() < 0.2:
            more["dilate"] = 2
        if rng.random() < 0.2:
            more["blur"] = True
        if number and stride == 1 and rng.random() < 0.4:
            more["add"] = f"l{int(rng.integers(number))}"
        layers.append(conv(4, int(rng.integers(1, 7)), **more))
        strides += [stride] if stride > 1 else []
    for stride in reversed(strides):
        more = {"stride": stride, "crop": int(rng.integers(0, 3))}
        if rng.random() < 0.4:
            more["pad"] = int(rng.integers(0, 3))
        layers.append(deconv(4, int(rng.integers(stride, stride + 5)), **more))
    layers.append({**LAST, "kernel": int(rng.choice([1, 2, 3, 3, 3, 4]))})
    return {"layers": layers}


def test_a_specification_that_is_accepted_fits_the_engine_and_no_other_does() -> None:
    rng = np.random.default_rng(5)
    counts = {True: 0, False: 0}
    for _ in range(500):
        table = random_table(rng)
        try:
            accepted, spec = True, generator_from_dict("odd", table)
        except ConfigError as error:
            if "pixels" not in str(error):
                continue
            accepted, spec = False, unchecked(table)
        sizes = [spec.multiple * math.ceil(32 / spec.multiple) + spec.multiple * k for k in (0, 1)]
        fits = all(makes_the_same_size(spec, edge) for edge in sizes)
        assert fits == accepted, table
        counts[fits] += 1
    assert min(counts.values()) > 50


def unchecked(table: dict[str, object]) -> Generator:
    """The specification without the check of sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specs, "_check_sizes", lambda where, spec: None)
        return generator_from_dict("odd", table)


def makes_the_same_size(spec: Generator, edge: int) -> bool:
    symbol = generator(mx.sym.Variable("x"), spec, "g0_")
    try:
        return symbol.infer_shape(x=(1, 3, edge, edge))[1] == [(1, 3, edge, edge)]
    except mx.MXNetError:
        return False
