"""Stages in training: couplings, gradients, Adam, shared weights; they paint what they learned."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import LITTLE, lively, noise_x
from kinds import KINDS

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.params import initial_params, is_row, unshare
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.specs import Generator, with_grain_of
from neuralart.engine.devices import open_device
from neuralart.machine.archive import Arrays
from neuralart.pictures.frame import FRAME_PX, Frame
from neuralart.training.stages import COUPLINGS, Chain


def chain_of(specs: list[Generator], params: Arrays, **more: object) -> Chain:
    trained = range(len(specs))
    return Chain(specs, params, trained, 32, open_device("cpu"), **more)  # type: ignore[arg-type]


def forward(chain: Chain, x: np.ndarray, style: int = 0, styles: int = 1) -> list[np.ndarray]:
    row = np.eye(styles, dtype=np.float32)[[style]]
    put, get = chain.devices.put, chain.devices.get
    return [get(out) for out in chain.forward(put(x), put(row))]


def of_one_style(params: Arrays) -> Arrays:
    """The parameters as a painter takes them: scales and shifts are (C,)."""
    return {name: array[0] if is_row(name) else array for name, array in params.items()}


def backward(chain: Chain, d_xs: list[np.ndarray]) -> None:
    chain.backward([chain.framed(chain.devices.put(d_x)) for d_x in d_xs])


def gradient(chain: Chain, stage: int, name: str) -> np.ndarray:
    return chain.devices.get(chain.stages[stage].gradients()[name])


def test_couplings_by_hand() -> None:
    d, later, later_input = ([np.full((1, 3, 2, 2), v, np.float32)] for v in (1, 10, 100))
    for name, want in (("own", 1), ("suffix_sum", 11), ("through", 101)):
        ((found,), (alone,)) = (
            COUPLINGS[name](d, later, later_input), COUPLINGS[name](d, None, None)
        )  # fmt: skip
        assert (found == want).all() and (alone == 1).all()


def weight_gradient(coupling: str, d_xs: list[np.ndarray]) -> np.ndarray:
    specs = [LITTLE, LITTLE]
    chain = chain_of(specs, lively(specs, styles=1), coupling=coupling)
    forward(chain, noise_x())
    backward(chain, d_xs)
    return gradient(chain, 0, "g0_conv0_weight")


def test_own_ignores_the_later_stage() -> None:
    d1, d2 = noise_x(1), noise_x(2)
    np.testing.assert_array_equal(
        weight_gradient("own", [d1, d2]), weight_gradient("own", [d1, 0 * d2])
    )


def test_suffix_sum_adds_the_later_image_gradient() -> None:
    d1, d2 = noise_x(1), noise_x(2)
    np.testing.assert_allclose(
        weight_gradient("suffix_sum", [d1, d2]), weight_gradient("own", [d1 + d2, 0 * d2]), rtol=1e-4, atol=1e-2
    )  # fmt: skip


def test_through_is_true_back_propagation() -> None:
    """The gradient of sum(d1 x1) + sum(d2 x2) by a bias of stage 1, against finite differences."""
    specs = [LITTLE, LITTLE]
    params, d1, d2 = lively(specs, styles=1), noise_x(1) / 50, noise_x(2) / 50

    def loss(shift: float) -> float:
        changed = dict(params)
        changed["g0_conv1_bias"] = params["g0_conv1_bias"] + np.float32(shift)
        x1, x2 = forward(chain_of(specs, changed), noise_x())
        return float((d1 * x1).sum(dtype=np.float64) + (d2 * x2).sum(dtype=np.float64))

    chain = chain_of(specs, params, coupling="through")
    forward(chain, noise_x())
    backward(chain, [d1, d2])
    got = gradient(chain, 0, "g0_conv1_bias").sum()
    assert got == pytest.approx((loss(1e-2) - loss(-1e-2)) / 2e-2, rel=0.02)


def test_only_trained_stages_learn() -> None:
    specs = [LITTLE, LITTLE]
    before = initial_params(specs, 0)
    chain = Chain(specs, before, [1], 32, open_device("cpu"))
    forward(chain, noise_x())
    backward(chain, [noise_x(1)])
    chain.update(1e-2)
    after = chain.params()
    for name, array in before.items():
        assert np.array_equal(after[name], array) == name.startswith("g0_"), name


def test_adam_by_hand() -> None:
    """The first step has the size of the rate (Kingma and Ba 2014, section 2.1)."""
    chain = chain_of([LITTLE], lively([LITTLE], styles=1))
    before = chain.params()
    forward(chain, noise_x())
    backward(chain, [noise_x(1)])
    name = "g0_conv0_weight"
    sign = np.sign(gradient(chain, 0, name))
    chain.update(0.01)
    after = chain.params()
    np.testing.assert_allclose(after[name] - before[name], -0.01 * sign, rtol=2e-3)


def test_adam_goes_on_from_saved_moments() -> None:
    def step(chain: Chain, seed: int) -> None:
        forward(chain, noise_x(seed))
        backward(chain, [noise_x(seed + 10)])
        chain.update(0.01)

    straight = chain_of([LITTLE], lively([LITTLE], styles=1))
    for seed in range(4):
        step(straight, seed)
    first = chain_of([LITTLE], lively([LITTLE], styles=1))
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
    d_xs = [noise_x(k + 1) for k in range(3)]
    chain = chain_of(specs, params, share_weights=True)
    forward(chain, noise_x())
    backward(chain, d_xs)
    want = sum(gradient(chain, k, "g0_conv0_weight") for k in range(3))
    chain.update(0.01)
    np.testing.assert_allclose(gradient(chain, 0, "g0_conv0_weight"), want, rtol=1e-5)
    copies = [stage.parameters()["g0_conv0_weight"] for stage in chain.stages]
    assert not np.array_equal(copies[0], params["g0_conv0_weight"])
    for copy in copies[1:]:
        np.testing.assert_array_equal(copy, copies[0])


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_reference_painter_paints_what_the_chain_does(kind: str) -> None:
    specs = with_grain_of([GENERATORS[kind], LITTLE], 6.0)
    params, x = lively(specs, styles=1), noise_x()
    painter = ReferencePainter(specs, of_one_style(params), open_device("cpu"))
    painted = painter.paint(x, painter.measure(x))
    for got, want in zip(
        painted, forward(chain_of(specs, params, frame=Frame.even(FRAME_PX)), x), strict=True
    ):
        np.testing.assert_allclose(got, want, atol=0.02)


@pytest.mark.parametrize("kind", ["no biases", "fixed residual"])
def test_a_chain_with_a_stage_without_norms(kind: str) -> None:
    specs = [LITTLE, KINDS[kind], LITTLE]
    chain = chain_of(specs, lively(specs, styles=2), styles=2)
    outputs = forward(chain, noise_x(), style=1, styles=2)
    backward(chain, outputs)
    before = chain.params()
    chain.update(1e-3)
    assert all((chain.params()[name] != array).any() for name, array in before.items())


def test_a_chain_goes_back_through_the_frame_of_its_step() -> None:
    """The gradient of a painting in a frame, against central differences."""
    chain = chain_of([LITTLE], lively([LITTLE], styles=1))
    x, frame = noise_x(), Frame(1, 63, 40, 24)
    d = np.random.default_rng(0).standard_normal(x.shape, dtype=np.float32)
    chain.frame = frame
    forward(chain, x)
    backward(chain, [d])
    name = f"g0_{LITTLE.layers[-1].name}_bias"
    got = gradient(chain, 0, name)
    for channel in range(3):
        sums = []
        for shift in (0.01, -0.01):
            params = lively([LITTLE], styles=1)
            params[name][channel] += shift
            shifted = chain_of([LITTLE], params, frame=frame)
            sums.append(float((forward(shifted, x)[0] * d).sum()))
        assert got[channel] == pytest.approx((sums[0] - sums[1]) / 0.02, rel=0.02, abs=1)


def test_an_unshared_chain_paints_as_the_shared_one() -> None:
    specs = [LITTLE] * 2
    params = {k: v for k, v in lively(specs[:1], styles=1).items()}
    chain = chain_of(specs, params, share_weights=True, frame=Frame.even(FRAME_PX))
    want = forward(chain, noise_x())
    painter = ReferencePainter(specs, unshare(of_one_style(params), 2), open_device("cpu"))
    got = painter.paint(noise_x(), painter.measure(noise_x()))
    np.testing.assert_allclose(got[1], want[1], atol=0.02)
