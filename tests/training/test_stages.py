"""Generators as graphs and Modules: shapes, residuals, couplings, shared weights, statistics."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers import LITTLE, lively

from neuralart.chain.graph import generator
from neuralart.chain.kinds import GENERATORS
from neuralart.chain.params import initial_params, unshare
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.specs import Generator, generator_from_dict
from neuralart.engine.devices import open_device
from neuralart.engine.door import mx
from neuralart.machine.archive import Arrays
from neuralart.pictures.frame import PAINTING_FRAME, Frame
from neuralart.pictures.pixels import PIXEL_MEAN
from neuralart.training.stages import COUPLINGS, Chain

PLAIN = {"norm": False, "act": "tanh"}

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


def picture(seed: int = 0, height: int = 32, width: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 50, (1, 3, height, width)).astype(np.float32)


def chain_of(specs: list[Generator], params: Arrays, **more: object) -> Chain:
    trained = range(len(specs))
    return Chain(specs, params, trained, 32, open_device("cpu"), **more)  # type: ignore[arg-type]


def forward(chain: Chain, x: np.ndarray) -> list[np.ndarray]:
    return [chain.devices.get(out) for out in chain.forward(chain.devices.put(x))]


def backward(chain: Chain, d_xs: list[np.ndarray]) -> None:
    chain.backward([chain.framed(chain.devices.put(d_x)) for d_x in d_xs])


def gradient(chain: Chain, stage: int, name: str) -> np.ndarray:
    return chain.devices.get(chain.stages[stage].gradients()[name])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (33, 40), (64, 64)])
def test_any_size_comes_out_as_it_went_in(kind: str, size: tuple[int, int]) -> None:
    painter = ReferencePainter([KINDS[kind]], lively([KINDS[kind]]), open_device("cpu"))
    x = picture(0, *size)
    (painting,) = painter.paint(x, painter.measure(x))
    assert painting.shape == x.shape and np.isfinite(painting).all()


@pytest.mark.parametrize("kind", KINDS)
def test_cropping_for_any_size_changes_nothing_at_multiples(kind: str) -> None:
    spec = KINDS[kind]
    painter = ReferencePainter([spec], lively([spec]), open_device("cpu"))
    x = picture(0, 40, 64)
    statistics = painter.measure(x)
    fast = painter.paint(x, statistics)[0]
    painter._multiple = 7
    np.testing.assert_allclose(painter.paint(x, statistics)[0], fast, atol=1e-3)


def test_a_flat_photo_gets_no_grid_from_blurred_deconvolutions() -> None:
    """Before training already, and away from the borders' zeros."""
    for blur, kernel in ((True, 3), (False, 4)):
        up = {
            "op": "deconv",
            "channels": 8,
            "kernel": kernel,
            "stride": 2,
            "blur": blur,
            "norm": False,
        }
        layers = [
            {"op": "conv", "channels": 8, "kernel": 3, "stride": 2},
            up,
            {"op": "conv", "channels": 3, "kernel": 3, **PLAIN},
        ]
        spec = generator_from_dict("g", {"layers": layers})
        params = lively([spec])
        params["g0_deconv0_weight"] = np.random.default_rng(0).normal(size=(8, 16, kernel, kernel))
        x = np.full((1, 3, 32, 32), 50, np.float32)
        painted = forward(chain_of([spec], params), x)[0][..., 8:24, 8:24]
        rough = abs(np.diff(painted, axis=-1)).max()
        assert rough < 1e-3 if blur else rough > 1


def test_the_2016_deconvolutions_fit_any_multiple_of_4() -> None:
    layers = [
        {"op": "conv", "channels": 8, "kernel": 5, "stride": 2, "name": "a"},
        {"op": "conv", "channels": 8, "kernel": 5, "stride": 2, "name": "b"},
        {"op": "conv", "channels": 8, "kernel": 5, "stride": 2},
        {"op": "deconv", "channels": 8, "kernel": 7, "stride": 2, "pad": 2, "crop": 1, "add": "b"},
        {"op": "deconv", "channels": 8, "kernel": 7, "stride": 2, "pad": 2, "crop": 1, "add": "a"},
        {"op": "deconv", "channels": 3, "kernel": 8, "stride": 2, "pad": 3, "act": "tanh"},
    ]
    spec = generator_from_dict("deconv-2016", {"layers": layers})
    symbol = generator(mx.sym.Variable("x"), spec, "g0_")
    for size in ((384, 384), (36, 44), (480, 640)):
        assert symbol.infer_shape(x=(1, 3, *size))[1] == [(1, 3, *size)]


def test_a_resize_convolution_is_that_of_the_enlarged_map() -> None:
    layers = [
        {"op": "conv", "channels": 5, "kernel": 3, "stride": 2, "norm": False},
        {"op": "conv", "channels": 3, "kernel": 5, "resize": 2, **PLAIN},
    ]
    spec = generator_from_dict(
        "resized", {"layers": layers, "residual": 0.0, "learn_residual": False}
    )
    params = lively([spec])
    first, second = ([params[f"g0_conv{k}_{kind}"] for kind in ("weight", "bias")] for k in (0, 1))
    x = mx.nd.array(picture(0, 12, 16))
    small = mx.nd.Convolution(
        x, *map(mx.nd.array, first), kernel=(3, 3), stride=(2, 2), pad=(1, 1), num_filter=16
    )
    small = mx.nd.LeakyReLU(small[:, :5], slope=0.25)
    large = mx.nd.UpSampling(small, scale=2, sample_type="nearest")
    y = mx.nd.Convolution(large, *map(mx.nd.array, second), kernel=(5, 5), pad=(2, 2), num_filter=3)
    symbol = generator(mx.sym.Variable("x"), spec, "g0_")
    arrays = {name: mx.nd.array(array) for name, array in params.items()}
    painted = symbol.eval(ctx=mx.cpu(), x=x, **arrays)[0].asnumpy()
    mean = PIXEL_MEAN.reshape(1, 3, 1, 1)
    np.testing.assert_allclose(painted, 128 * np.tanh(y.asnumpy()) + 128 - mean, atol=1e-2)


def test_a_residual_of_a_weighs_photo_and_paint() -> None:
    """With all weights zero the paint is tanh(0): grey 128."""
    spec = generator_from_dict(
        "g", {"residual": 0.25, "learn_residual": False, "layers": [{"op": "conv", "channels": 3, "kernel": 3, **PLAIN}]}
    )  # fmt: skip
    params = {k: v * 0 for k, v in initial_params([spec], 0).items()}
    x = picture()
    grey = (128 - np.array([123.68, 116.779, 103.939]))[None, :, None, None]
    np.testing.assert_allclose(
        forward(chain_of([spec], params), x)[0], 0.25 * x + 0.75 * grey, atol=1e-3
    )


@pytest.mark.parametrize("learn_residual", [True, False])
def test_the_graph_that_learns_has_the_same_output_and_gradients(learn_residual: bool) -> None:
    spec = dataclasses.replace(LITTLE, learn_residual=learn_residual)
    arrays = {**lively([spec]), "x": picture()}
    found = []
    for learns in (False, True):
        symbol = generator(mx.sym.Variable("x"), spec, "g0_", learns=learns)
        executor = symbol.simple_bind(mx.cpu(), x=arrays["x"].shape)
        for name, array in arrays.items():
            executor.arg_dict[name][:] = array
        executor.forward(is_train=True)
        executor.backward([mx.nd.array(picture(1))])
        found.append({"output": executor.outputs[0], **executor.grad_dict})
    plain, learning = ({k: v.asnumpy() for k, v in one.items()} for one in found)
    assert learning.keys() == plain.keys() >= {"output", "x", "g0_conv0_weight"}
    for name, want in plain.items():
        np.testing.assert_allclose(learning[name], want, rtol=1e-4, atol=1e-5 * abs(want).max())


def test_a_norm_is_instance_normalisation() -> None:
    """Twice the contrast and another brightness make the same paint."""
    spec = generator_from_dict("g", {**LITTLE.to_dict(), "residual": 0.0, "learn_residual": False})
    chain = chain_of([spec], lively([spec]))
    # Zero padding knows brightness, so only contrast is changed.
    np.testing.assert_allclose(
        forward(chain, picture())[0], forward(chain, 2 * picture())[0], atol=0.02
    )


def test_couplings_by_hand() -> None:
    d, later, later_input = ([np.full((1, 3, 2, 2), v, np.float32)] for v in (1, 10, 100))
    for name, want in (("own", 1), ("suffix_sum", 11), ("through", 101)):
        ((found,), (alone,)) = (
            COUPLINGS[name](d, later, later_input), COUPLINGS[name](d, None, None)
        )  # fmt: skip
        assert (found == want).all() and (alone == 1).all()


def weight_gradient(coupling: str, d_xs: list[np.ndarray]) -> np.ndarray:
    specs = [LITTLE, LITTLE]
    chain = chain_of(specs, lively(specs), coupling=coupling)
    forward(chain, picture())
    backward(chain, d_xs)
    return gradient(chain, 0, "g0_conv0_weight")


def test_own_ignores_the_later_stage() -> None:
    d1, d2 = picture(1), picture(2)
    np.testing.assert_array_equal(
        weight_gradient("own", [d1, d2]), weight_gradient("own", [d1, 0 * d2])
    )


def test_suffix_sum_adds_the_later_image_gradient() -> None:
    d1, d2 = picture(1), picture(2)
    np.testing.assert_allclose(
        weight_gradient("suffix_sum", [d1, d2]), weight_gradient("own", [d1 + d2, 0 * d2]), rtol=1e-4, atol=1e-2
    )  # fmt: skip


def test_through_is_true_back_propagation() -> None:
    """The gradient of sum(d1 x1) + sum(d2 x2) by a parameter of the first stage, by finite differences."""
    specs = [LITTLE, LITTLE]
    params, d1, d2 = lively(specs), picture(1) / 50, picture(2) / 50

    def loss(shift: float) -> float:
        changed = dict(params)
        changed["g0_conv1_bias"] = params["g0_conv1_bias"] + np.float32(shift)
        x1, x2 = forward(chain_of(specs, changed), picture())
        return float((d1 * x1).sum(dtype=np.float64) + (d2 * x2).sum(dtype=np.float64))

    chain = chain_of(specs, params, coupling="through")
    forward(chain, picture())
    backward(chain, [d1, d2])
    got = gradient(chain, 0, "g0_conv1_bias").sum()
    assert got == pytest.approx((loss(1e-2) - loss(-1e-2)) / 2e-2, rel=0.02)


def test_only_trained_stages_learn() -> None:
    specs = [LITTLE, LITTLE]
    before = initial_params(specs, 0)
    chain = Chain(specs, before, [1], 32, open_device("cpu"))
    forward(chain, picture())
    backward(chain, [picture(1)])
    chain.update(1e-2)
    after = chain.params()
    for name, array in before.items():
        assert np.array_equal(after[name], array) == name.startswith("g0_"), name


def test_adam_by_hand() -> None:
    """Its first step is the rate, against the sign of the gradient (Kingma and Ba 2014, section 2.1)."""
    chain = chain_of([LITTLE], lively([LITTLE]))
    before = chain.params()
    forward(chain, picture())
    backward(chain, [picture(1)])
    name = "g0_conv0_weight"
    sign = np.sign(gradient(chain, 0, name))
    chain.update(0.01)
    after = chain.params()
    np.testing.assert_allclose(after[name] - before[name], -0.01 * sign, rtol=2e-3)


def test_adam_goes_on_from_saved_moments() -> None:
    def step(chain: Chain, seed: int) -> None:
        forward(chain, picture(seed))
        backward(chain, [picture(seed + 10)])
        chain.update(0.01)

    straight = chain_of([LITTLE], lively([LITTLE]))
    for seed in range(4):
        step(straight, seed)
    first = chain_of([LITTLE], lively([LITTLE]))
    for seed in range(2):
        step(first, seed)
    second = chain_of([LITTLE], first.params())
    second.set_moments(first.moments(), steps=2)
    for seed in range(2, 4):
        step(second, seed)
    for name, array in straight.params().items():
        np.testing.assert_array_equal(second.params()[name], array)


def test_shared_weights_stay_shared_and_learn_from_all_stages() -> None:
    specs = [LITTLE] * 3
    params = initial_params(specs, 0, share_weights=True)
    assert {name.split("_")[0] for name in params} == {"g0"}
    d_xs = [picture(k + 1) for k in range(3)]
    chain = chain_of(specs, params, share_weights=True)
    forward(chain, picture())
    backward(chain, d_xs)
    want = sum(gradient(chain, k, "g0_conv0_weight") for k in range(3))
    chain.update(0.01)
    np.testing.assert_allclose(gradient(chain, 0, "g0_conv0_weight"), want, rtol=1e-5)
    copies = [stage.parameters()["g0_conv0_weight"] for stage in chain.stages]
    assert not np.array_equal(copies[0], params["g0_conv0_weight"])
    for copy in copies[1:]:
        np.testing.assert_array_equal(copy, copies[0])


@pytest.mark.parametrize("kind", GENERATORS)
def test_painting_on_measured_statistics_is_the_chain(kind: str) -> None:
    specs = [GENERATORS[kind], LITTLE]
    params, x = lively(specs), picture()
    painter = ReferencePainter(specs, params, open_device("cpu"))
    painted = painter.paint(x, painter.measure(x))
    for got, want in zip(
        painted, forward(chain_of(specs, params, frame=PAINTING_FRAME), x), strict=True
    ):
        np.testing.assert_allclose(got, want, atol=0.02)


def test_a_chain_goes_back_through_the_frame_of_its_step() -> None:
    """The gradient of what was painted in a frame, by central differences."""
    chain = chain_of([LITTLE], lively([LITTLE]))
    x, frame = picture(), Frame(1, 63, 40, 24)
    d = np.random.default_rng(0).standard_normal(x.shape, dtype=np.float32)
    chain.frame = frame
    forward(chain, x)
    backward(chain, [d])
    name = f"g0_{LITTLE.layers[-1].name}_bias"
    got = gradient(chain, 0, name)
    for channel in range(3):
        sums = []
        for shift in (0.01, -0.01):
            params = lively([LITTLE])
            params[name][channel] += shift
            shifted = chain_of([LITTLE], params, frame=frame)
            sums.append(float((forward(shifted, x)[0] * d).sum()))
        assert got[channel] == pytest.approx((sums[0] - sums[1]) / 0.02, rel=0.02, abs=1)


def test_a_painter_goes_on_with_photos_of_other_sizes() -> None:
    specs = [GENERATORS["conv-fast"], LITTLE]
    params = lively(specs)
    painter = ReferencePainter(specs, params, open_device("cpu"))
    for size in ((32, 32), (64, 40), (33, 57), (16, 24), (32, 32)):
        x, fresh = picture(0, *size), ReferencePainter(specs, params, open_device("cpu"))
        statistics = painter.measure(x)
        for name, want in fresh.measure(x).items():
            np.testing.assert_allclose(statistics[name], want, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(painter.paint_at_once(x), fresh.paint_at_once(x), atol=0.01)


def test_painting_is_local_on_frozen_statistics() -> None:
    """A far corner does not know what happens in the other one."""
    painter = ReferencePainter([LITTLE], lively([LITTLE]), open_device("cpu"))
    x = picture(0, 64, 64)
    statistics = painter.measure(x)
    changed = x.copy()
    changed[..., :16, :16] += 80
    before, after = painter.paint(x, statistics)[0], painter.paint(changed, statistics)[0]
    np.testing.assert_array_equal(before[..., 40:, 40:], after[..., 40:, 40:])
    assert abs(before[..., :16, :16] - after[..., :16, :16]).max() > 1


def test_an_unshared_chain_paints_as_the_shared_one() -> None:
    specs = [LITTLE] * 2
    params = {k: v for k, v in lively(specs[:1]).items()}
    chain = chain_of(specs, params, share_weights=True, frame=PAINTING_FRAME)
    want = forward(chain, picture())
    painter = ReferencePainter(specs, unshare(params, 2), open_device("cpu"))
    got = painter.paint(picture(), painter.measure(picture()))
    np.testing.assert_allclose(got[1], want[1], atol=0.02)
