"""The contract of `neuralart.engine.contract`, checked on tiny graphs by every engine.

Another engine is tested when it has an entry in `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neuralart.engine.contract import Batch, Devices, Executor
from neuralart.engine.devices import open_devices
from neuralart.engine.door import mx
from neuralart.machine.archive import Arrays

ENGINES: dict[str, Callable[[str], Devices]] = {"mxnet": open_devices}
"""Each engine's function that opens devices by their names."""

Engine = Callable[[str], Devices]

CHANNELS = 2
PHOTO = (CHANNELS, 3, 4)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


@pytest.fixture(params=["cpu", "cpu:0,1"])
def devices(engine: Engine, request: pytest.FixtureRequest) -> Devices:
    return engine(request.param)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def photos(devices: Devices, on_each: int = 1, seed: int = 0) -> np.ndarray:
    return numbers(on_each * len(devices), *PHOTO, seed=seed)


def read(devices: Devices, batch: Batch) -> list[np.ndarray]:
    """A copy of each device's array."""
    values = devices.get(batch).copy()
    return np.split(values, len(batch))


def affine(x: Any = None) -> Any:
    """``x * weight + bias``, with a weight and a bias for each channel."""
    shape = (1, CHANNELS, 1, 1)
    weight, bias = (mx.sym.Variable(name, shape=shape) for name in ("weight", "bias"))
    x = mx.sym.Variable("x") if x is None else x
    return mx.sym.broadcast_add(mx.sym.broadcast_mul(x, weight), bias)


def parameters(seed: int = 1) -> Arrays:
    weight, bias = numbers(2, 1, CHANNELS, 1, 1, seed=seed)
    return {"weight": weight, "bias": bias}


def affine_executor(devices: Devices, *, photos: int = 1, **more: Any) -> Executor:
    """`affine` with the gradients of its parameters and of its input."""
    more.setdefault("gradients", ("x", "weight", "bias"))
    executor = devices.executor(affine(), {"x": (photos, *PHOTO)}, **more)
    executor.set_parameters(parameters())
    return executor


def product() -> Any:
    """``x * y + weight``, and the square of ``x``."""
    x, y = mx.sym.Variable("x"), mx.sym.Variable("y")
    weight = mx.sym.Variable("weight", shape=(1, CHANNELS, 1, 1))
    return mx.sym.Group([mx.sym.broadcast_add(x * y, weight), mx.sym.square(x)])


def normalised() -> Any:
    """Instance normalisation of one photo, by the operator that the chain uses."""
    return mx.sym.BatchNorm(mx.sym.Variable("x"), eps=1e-3, fix_gamma=False, name="norm")


def norm_arrays() -> Arrays:
    return {
        "norm_gamma": np.float32([2, 3]),
        "norm_beta": np.float32([1, -1]),
        "norm_moving_mean": np.float32([0.5, -2]),
        "norm_moving_var": np.float32([4, 0.25]),
    }


def assert_same(arrays: Arrays, others: Arrays) -> None:
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


# Devices


def test_names_and_the_first_device(devices: Devices) -> None:
    assert devices.names == tuple(f"cpu:{i}" for i in range(len(devices)))
    assert devices.are_cpu and devices.memory() == []
    assert devices.first().names == ("cpu:0",)


@pytest.mark.parametrize("on_each", [1, 3])
def test_photos_are_shared_out_in_order(devices: Devices, on_each: int) -> None:
    x = photos(devices, on_each)
    batch = devices.put(x)
    assert [array.shape for array in batch] == [(on_each, *PHOTO)] * len(devices)
    np.testing.assert_array_equal(devices.get(batch), x)
    for device, part in enumerate(np.split(x, len(devices))):
        np.testing.assert_array_equal(devices.get([batch[device]]), part)


@pytest.mark.parametrize("shape", [(2, 3), (4,), (1, 2, 3, 4)])
def test_every_device_gets_a_common_array(devices: Devices, shape: tuple[int, ...]) -> None:
    x = numbers(*shape)
    batch = devices.put_common(x)
    np.testing.assert_array_equal(devices.get(batch), np.concatenate([x] * len(devices)))


def test_what_is_given_is_copied(devices: Devices) -> None:
    x = photos(devices)
    given = x.copy()
    batch, common = devices.put(given), devices.put_common(given)
    given[:] = 7
    np.testing.assert_array_equal(devices.get(batch), x)
    np.testing.assert_array_equal(devices.get(common), np.concatenate([x] * len(devices)))


def test_a_borrowed_array_is_on_the_first_device(devices: Devices) -> None:
    x = numbers(1, *PHOTO)
    kept = x.copy()
    batch = devices.borrow(x)
    assert len(batch) == 1
    np.testing.assert_array_equal(devices.get(batch), x)
    executor = affine_executor(devices.first(), gradients=())
    (y,) = executor.forward(x=batch)
    want = x * parameters()["weight"] + parameters()["bias"]
    np.testing.assert_allclose(devices.get(y), want, rtol=1e-6)
    x += 1  # numpy may still write to it
    np.testing.assert_array_equal(x, kept + 1)


def test_the_first_devices_array_is_copied_into_memory_that_is_there(devices: Devices) -> None:
    x = photos(devices)
    out = np.full((1, *PHOTO), np.nan, np.float32)
    devices.get_into(devices.put(x), out)
    np.testing.assert_array_equal(out, x[:1])
    out[:] = 0  # it is numpy's own again
    assert (out == 0).all()


def test_arithmetic_of_arrays(devices: Devices) -> None:
    x, y = photos(devices), photos(devices, seed=1)
    a, b = devices.put(x), devices.put(y)

    def get(make: Callable[[Any, Any], Any]) -> np.ndarray:
        return devices.get([make(p, q) for p, q in zip(a, b, strict=True)])

    np.testing.assert_array_equal(get(lambda p, q: p + q), x + y)
    np.testing.assert_array_equal(get(lambda p, q: p - q * 2), x - y * 2)
    np.testing.assert_allclose(get(lambda p, q: p / q), x / y, rtol=1e-6)
    np.testing.assert_allclose(get(lambda p, q: 1 / q + 1), 1 / y + 1, rtol=1e-6)
    np.testing.assert_array_equal(get(lambda p, q: p[:, 1:, :, 2:4]), x[:, 1:, :, 2:4])
    for p, q in zip(a, b, strict=True):
        p += q
        assert p.shape == (1, *PHOTO)
    np.testing.assert_array_equal(devices.get(a), x + y)
    np.testing.assert_array_equal(devices.get(b), y)


FRAMES = [(0, 0, 0, 0), (1, 0, 2, 1), (1, 2, 3, 3), (5, 0, 0, 7), (9, 11, 13, 8)]
"""Edges at the top, bottom, left and right; the last ones are wider than the photos."""


@pytest.mark.parametrize("edges", FRAMES)
@pytest.mark.parametrize("size", [(2, 2), (2, 5), (3, 4), (8, 6)])
def test_a_frame_of_reflection(
    devices: Devices, size: tuple[int, int], edges: tuple[int, int, int, int]
) -> None:
    x = numbers(2 * len(devices), 3, *size)
    top, bottom, left, right = edges
    framed = devices.reflect(devices.put(x), edges)
    want = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), mode="reflect")
    np.testing.assert_array_equal(devices.get(framed), want)
    np.testing.assert_array_equal(devices.get(devices.inside(framed, edges)), x)


@pytest.mark.parametrize("edges", FRAMES)
def test_a_frame_of_zeros(devices: Devices, edges: tuple[int, int, int, int]) -> None:
    x = photos(devices, 2)
    top, bottom, left, right = edges
    framed = devices.surround(devices.put(x), edges)
    want = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    np.testing.assert_array_equal(devices.get(framed), want)
    np.testing.assert_array_equal(devices.get(devices.inside(framed, edges)), x)


def test_batches_become_one_row(devices: Devices) -> None:
    a, b, c = numbers(4, 3), numbers(2, 1, seed=1), numbers(2, 2, 2, seed=2)
    parts = [devices.put(np.concatenate([x] * len(devices))) for x in (a, b, c)]
    rows = devices.get(devices.flatten(parts))
    want = np.concatenate([x.sum(axis=0).ravel() for x in (a, b, c)])
    assert rows.shape == (len(devices), 8)
    for row in rows:
        np.testing.assert_allclose(row, want, rtol=1e-6)


def test_the_sum_of_squares(devices: Devices) -> None:
    x = photos(devices, 2)
    sums = devices.squares(devices.put(x))
    assert [array.shape for array in sums] == [(1, 1)] * len(devices)
    want = [np.square(part, dtype=np.float64).sum() for part in np.split(x, len(devices))]
    np.testing.assert_allclose(devices.get(sums)[:, 0], want, rtol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_the_sum_of_squares_shows_what_is_not_finite(devices: Devices, wrong: float) -> None:
    x = photos(devices, 2)
    x[-1, -1, -1, -1] = wrong
    sums = devices.get(devices.squares(devices.put(x)))[:, 0]
    assert not np.isfinite(sums[-1]) and np.isfinite(sums[:-1]).all()


# Parameters


def test_arguments_that_are_no_inputs_are_parameters(devices: Devices) -> None:
    executor = affine_executor(devices)
    assert set(executor.parameter_names) == {"weight", "bias"}
    assert_same(executor.parameters(), parameters())
    assert executor.statistics() == {}


def test_a_parameter_that_is_missing_and_names_of_others(devices: Devices) -> None:
    executor = affine_executor(devices)
    with pytest.raises(KeyError):
        executor.set_parameters({"weight": parameters()["weight"]})
    changed = parameters(seed=2)
    executor.set_parameters({**changed, "x": np.zeros(1), "g7_weight": np.zeros(3)})
    assert_same(executor.parameters(), changed)


def test_parameters_are_copied(devices: Devices) -> None:
    given = parameters()
    executor = affine_executor(devices)
    executor.set_parameters(given)
    for array in given.values():
        array[:] = 0
    taken = executor.parameters()
    assert_same(taken, parameters())
    executor.set_parameters(parameters(seed=2))
    assert_same(taken, parameters())


def test_parameters_of_another_executor(engine: Engine) -> None:
    """Device by device: here the two devices have learned from photos of their own."""
    devices = engine("cpu:0,1")
    x = devices.put(photos(devices))
    learned, other = affine_executor(devices), affine_executor(devices)
    learned.start_adam(1.0)
    learned.forward(x=x)
    learned.backward(devices.put(photos(devices, seed=1)))
    learned.adam_step(0.1)
    other.copy_parameters(learned)
    assert_same(other.parameters(), learned.parameters())
    same = devices.put_common(numbers(1, *PHOTO))
    want, got = (read(devices, executor.forward(x=same)[0]) for executor in (learned, other))
    np.testing.assert_array_equal(got, want)
    assert not np.array_equal(want[0], want[1])


def test_statistics_of_norms(devices: Devices) -> None:
    """Without gradients a norm uses those that were set, and otherwise those of its input."""
    arrays, x = norm_arrays(), photos(devices)
    columns = {name: array[None, :, None, None] for name, array in arrays.items()}
    found = {}
    for gradients in ((), ("norm_gamma", "norm_beta")):
        executor = devices.executor(normalised(), {"x": (1, *PHOTO)}, gradients=gradients)
        executor.set_parameters(arrays)
        assert_same(executor.parameters(), {n: arrays[n] for n in ("norm_gamma", "norm_beta")})
        (y,) = executor.forward(x=devices.put(x))
        found[bool(gradients)] = devices.get(y).copy()
        if not gradients:
            statistics = {n: array for n, array in arrays.items() if "moving" in n}
            assert_same(executor.statistics(), statistics)
    own = {"mean": x.mean(axis=(2, 3), keepdims=True), "var": x.var(axis=(2, 3), keepdims=True)}
    fixed = {part: columns[f"norm_moving_{part}"] for part in ("mean", "var")}
    for learns, used in ((True, own), (False, fixed)):
        want = (x - used["mean"]) / np.sqrt(used["var"] + 1e-3)
        want = want * columns["norm_gamma"] + columns["norm_beta"]
        np.testing.assert_allclose(found[learns], want, rtol=1e-4, atol=1e-5)


def test_statistics_that_are_not_given_stay(devices: Devices) -> None:
    arrays = norm_arrays()
    executor = devices.executor(normalised(), {"x": (1, *PHOTO)})
    executor.set_parameters(arrays)
    executor.set_parameters({n: array + 1 for n, array in arrays.items() if "moving" not in n})
    assert_same(executor.statistics(), {n: array for n, array in arrays.items() if "moving" in n})
    np.testing.assert_array_equal(executor.parameters()["norm_gamma"], arrays["norm_gamma"] + 1)


# Forward


@pytest.mark.parametrize("on_each", [1, 2])
def test_outputs_in_the_order_of_the_graph_and_of_the_devices(
    devices: Devices, on_each: int
) -> None:
    shape = (on_each, *PHOTO)
    executor = devices.executor(product(), {"x": shape, "y": shape})
    executor.set_parameters(parameters())
    x, y = photos(devices, on_each), photos(devices, on_each, seed=1)
    first, second = executor.forward(x=devices.put(x), y=devices.put(y))
    np.testing.assert_allclose(devices.get(first), x * y + parameters()["weight"], rtol=1e-5)
    np.testing.assert_allclose(devices.get(second), x * x, rtol=1e-6)
    assert [array.shape for array in first] == [shape] * len(devices)


def test_an_input_that_is_not_given_keeps_its_value(devices: Devices) -> None:
    shape = (1, *PHOTO)
    executor = devices.executor(product(), {"x": shape, "y": shape}, gradients=["x"])
    executor.set_parameters(parameters())
    x, y, other = (photos(devices, seed=seed) for seed in range(3))
    executor.forward(x=devices.put(x), y=devices.put(y))
    for left, right, given in ((other, y, {"x": other}), (other, x, {"y": x}), (other, x, {})):
        batches = {name: devices.put(value) for name, value in given.items()}
        outputs = executor.forward(**batches)
        want = left * right + parameters()["weight"]
        np.testing.assert_allclose(devices.get(outputs[0]), want, rtol=1e-5, atol=1e-6)


def test_an_input_that_every_device_has_whole(devices: Devices) -> None:
    """As with Gram matrices: it does not count photos, and its gradient is each device's own."""
    symbol = mx.sym.broadcast_mul(mx.sym.Variable("x"), mx.sym.Variable("target"))
    shapes = {"x": (2, *PHOTO), "target": (1, *PHOTO)}
    executor = devices.executor(symbol, shapes, gradients=["x"], common=["target"])
    assert executor.parameter_names == ()
    x, target = photos(devices, 2), numbers(1, *PHOTO, seed=1)
    (y,) = executor.forward(x=devices.put(x), target=devices.put_common(target))
    np.testing.assert_allclose(devices.get(y), x * target, rtol=1e-6)
    head = photos(devices, 2, seed=2)
    executor.backward(devices.put(head))
    np.testing.assert_allclose(devices.get(executor.input_gradient()), head * target, rtol=1e-6)


def test_a_common_matrix(devices: Devices) -> None:
    """Its first axis is no number of photos either."""
    x, target = mx.sym.Variable("x"), mx.sym.Variable("target")
    symbol = mx.sym.dot(x, target)
    executor = devices.executor(symbol, {"x": (1, 3), "target": (3, 2)}, common=["target"])
    left, right = numbers(len(devices), 3), numbers(3, 2, seed=1)
    (y,) = executor.forward(x=devices.put(left), target=devices.put_common(right))
    np.testing.assert_allclose(devices.get(y), left @ right, rtol=1e-5, atol=1e-6)


def test_another_shape_keeps_the_parameters(devices: Devices) -> None:
    executor = affine_executor(devices, gradients=())
    want = parameters()
    for on_each, height, width in ((1, 3, 4), (1, 6, 5), (2, 2, 2), (1, 3, 4)):
        executor.reshape((on_each, CHANNELS, height, width))
        x = numbers(on_each * len(devices), CHANNELS, height, width)
        (y,) = executor.forward(x=devices.put(x))
        np.testing.assert_allclose(
            devices.get(y), x * want["weight"] + want["bias"], rtol=1e-5, atol=1e-6
        )
    assert_same(executor.parameters(), want)


def test_another_shape_has_gradients_too(devices: Devices) -> None:
    x = mx.sym.Variable("x")
    symbol = mx.sym.Group([affine(x), mx.sym.square(x)])
    executor = devices.executor(symbol, {"x": (1, *PHOTO)}, gradients=["x"])
    executor.set_parameters(parameters())
    for height, width in ((3, 4), (5, 2)):
        executor.reshape((1, CHANNELS, height, width))
        x = numbers(len(devices), CHANNELS, height, width)
        executor.forward(x=devices.put(x))
        executor.backward(None, devices.put(np.ones_like(x)))
        np.testing.assert_allclose(devices.get(executor.input_gradient()), 2 * x, rtol=1e-6)


def test_memory_of_an_executor_that_is_taken_over(devices: Devices) -> None:
    executor = affine_executor(devices, gradients=())
    x = photos(devices)
    for seed in (1, 2, 3):
        executor.set_parameters(parameters(seed))
        (y,) = executor.forward(x=devices.put(x))
        want = x * parameters(seed)["weight"] + parameters(seed)["bias"]
        np.testing.assert_allclose(devices.get(y), want, rtol=1e-5, atol=1e-6)
        executor = devices.executor(affine(), {"x": (1, *PHOTO)}, reuse=executor)


# Backward


@pytest.mark.parametrize("on_each", [1, 2])
def test_gradients_by_hand(devices: Devices, on_each: int) -> None:
    """Each device adds up over its own photos."""
    executor = affine_executor(devices, photos=on_each)
    x, head = photos(devices, on_each), photos(devices, on_each, seed=5)
    executor.forward(x=devices.put(x))
    executor.backward(devices.put(head))
    d_x = devices.get(executor.input_gradient())
    np.testing.assert_allclose(d_x, head * parameters()["weight"], rtol=1e-6)
    gradients = executor.gradients()
    assert gradients.keys() == {"weight", "bias"}
    parts = zip(np.split(x, len(devices)), np.split(head, len(devices)), strict=True)
    for device, (part, its_head) in enumerate(parts):
        for name, want in (("weight", its_head * part), ("bias", its_head)):
            got = read(devices, gradients[name])[device]
            want = want.sum(axis=(0, 2, 3), keepdims=True)
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_only_the_gradients_that_were_asked_for(devices: Devices) -> None:
    assert affine_executor(devices, gradients=["bias"]).gradients().keys() == {"bias"}
    assert affine_executor(devices, gradients=["x"]).gradients() == {}
    assert affine_executor(devices, gradients=()).gradients() == {}


def test_a_head_that_is_none_stands_for_zeros(devices: Devices) -> None:
    shape = (1, *PHOTO)
    executor = devices.executor(product(), {"x": shape, "y": shape}, gradients=["x", "y", "weight"])
    executor.set_parameters(parameters())
    x, y, h1, h2 = (photos(devices, seed=seed) for seed in range(4))
    want = {
        (True, True): (h1 * y + h2 * 2 * x, h1 * x, h1),
        (True, False): (h1 * y, h1 * x, h1),
        (False, True): (h2 * 2 * x, 0 * x, 0 * x),
        (False, False): (0 * x, 0 * x, 0 * x),
    }
    for (first, second), (d_x, d_y, d_weight) in want.items():
        executor.forward(x=devices.put(x), y=devices.put(y))
        executor.backward(devices.put(h1) if first else None, devices.put(h2) if second else None)
        close = {"rtol": 1e-5, "atol": 1e-5}
        np.testing.assert_allclose(devices.get(executor.input_gradient()), d_x, **close)
        np.testing.assert_allclose(devices.get(executor.input_gradient("y")), d_y, **close)
        sums = devices.get(executor.gradients()["weight"])
        np.testing.assert_allclose(sums, d_weight.sum(axis=(2, 3), keepdims=True), **close)


def test_gradients_against_finite_differences(devices: Devices) -> None:
    """Of a convolution with a norm and a bend, by the input and by every parameter."""
    x = mx.sym.Variable("x")
    symbol = mx.sym.Convolution(x, num_filter=2, kernel=(3, 3), pad=(1, 1), name="conv")
    symbol = mx.sym.BatchNorm(symbol, eps=1e-3, fix_gamma=False, name="norm")
    symbol = mx.sym.tanh(symbol)
    arrays = {
        "conv_weight": numbers(2, CHANNELS, 3, 3, seed=1),
        "conv_bias": numbers(2, seed=2),
        "norm_gamma": np.float32([0.7, 1.3]),
        "norm_beta": np.float32([0.2, -0.4]),
    }
    photo, head = photos(devices), photos(devices, seed=3)
    executor = devices.executor(symbol, {"x": (1, *PHOTO)}, gradients=["x", *arrays])

    def loss(photo: np.ndarray, arrays: Arrays) -> np.ndarray:
        """Of each device."""
        executor.set_parameters(arrays)
        (y,) = executor.forward(x=devices.put(photo))
        return (devices.get(y).astype(np.float64) * head).sum(axis=(1, 2, 3))

    loss(photo, arrays)
    executor.backward(devices.put(head))
    d_x = np.stack(read(devices, executor.input_gradient()))[:, 0]
    found = {name: np.stack(read(devices, g)) for name, g in executor.gradients().items()}
    assert found.keys() == arrays.keys()
    step = 1e-2
    way = numbers(*PHOTO, seed=4)
    up, down = (loss(photo + sign * step * way, arrays) for sign in (1, -1))
    want = (d_x * way).sum(axis=(1, 2, 3))
    np.testing.assert_allclose((up - down) / (2 * step), want, rtol=0.02, atol=0.02)
    for name, array in arrays.items():
        way = numbers(*array.shape, seed=5)
        up, down = (
            loss(photo, {**arrays, name: array + np.float32(sign * step) * way}) for sign in (1, -1)
        )
        want = (found[name].reshape(len(devices), *array.shape) * way).reshape(len(devices), -1)
        np.testing.assert_allclose(
            (up - down) / (2 * step), want.sum(axis=1), rtol=0.02, atol=0.02, err_msg=name
        )


def go_back(devices: Devices, executor: Executor, seed: int) -> None:
    """Forward and backward with photos and heads of a seed."""
    executor.forward(x=devices.put(photos(devices, seed=seed)))
    executor.backward(devices.put(photos(devices, seed=seed + 100)))


def gradients_of(devices: Devices, executor: Executor) -> Arrays:
    return {name: devices.get(batch).copy() for name, batch in executor.gradients().items()}


def test_gradients_add_up_until_they_are_cleared(devices: Devices) -> None:
    """Those of parameters; the gradient by the input is always that of the last `backward`."""
    alone = affine_executor(devices)
    each = []
    for seed in (1, 2):
        go_back(devices, alone, seed)
        each.append(gradients_of(devices, alone))
    last = devices.get(alone.input_gradient()).copy()

    executor = affine_executor(devices, accumulate=True)
    executor.clear_gradients()
    for seed in (1, 2):
        go_back(devices, executor, seed)
    for name, gradient in gradients_of(devices, executor).items():
        want = each[0][name] + each[1][name]
        np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(devices.get(executor.input_gradient()), last)
    executor.clear_gradients()
    assert not any(gradient.any() for gradient in gradients_of(devices, executor).values())
    go_back(devices, executor, 2)
    assert_same(gradients_of(devices, executor), each[1])


def test_without_accumulate_each_backward_begins_anew(devices: Devices) -> None:
    executor = affine_executor(devices)
    go_back(devices, executor, 1)
    want = gradients_of(devices, executor)
    go_back(devices, executor, 2)
    executor.clear_gradients()
    go_back(devices, executor, 1)
    assert_same(gradients_of(devices, executor), want)


# Adam


class Adam:
    """The formula in the docstring of `Executor.start_adam`, in 64 bits."""

    def __init__(self, array: np.ndarray, scale: float) -> None:
        self.array, self.scale = array.astype(np.float64), scale
        self.mean, self.variance = np.zeros_like(self.array), np.zeros_like(self.array)
        self.steps = 0

    def step(self, gradient: np.ndarray, rate: float) -> None:
        gradient = gradient.astype(np.float64) * self.scale
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.variance = 0.999 * self.variance + 0.001 * gradient**2
        corrected = rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        self.array = self.array - corrected * self.mean / (np.sqrt(self.variance) + 1e-8)


@pytest.mark.parametrize("accumulate", [False, True])
def test_two_steps_of_adam_by_hand(devices: Devices, accumulate: bool) -> None:
    """With another rate each, a scale, and gradients that were changed before the step."""
    executor = affine_executor(devices, accumulate=accumulate)
    executor.start_adam(0.25)
    by_hand = {
        (name, device): Adam(array, 0.25)
        for name, array in parameters().items()
        for device in range(len(devices))
    }
    for seed, rate in ((1, 0.1), (2, 0.03)):
        go_back(devices, executor, seed)
        for batch in executor.gradients().values():
            for gradient in batch:
                gradient += 1
        gradients = gradients_of(devices, executor)
        for (name, device), adam in by_hand.items():
            adam.step(np.split(gradients[name], len(devices))[device], rate)
        executor.adam_step(rate)
        if accumulate:  # the step clears what it used
            assert not any(array.any() for array in gradients_of(devices, executor).values())
    found, moments = executor.parameters(), executor.moments()
    assert moments.keys() == {
        f"{name}.{part}" for name in ("weight", "bias") for part in ("mean", "variance")
    }
    for name in ("weight", "bias"):
        want = by_hand[name, 0]
        np.testing.assert_allclose(found[name], want.array, rtol=1e-5)
        np.testing.assert_allclose(moments[f"{name}.mean"], want.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(moments[f"{name}.variance"], want.variance, rtol=3e-5)
    # The parameters of every device, as its output shows them.
    zero, one = (np.full((1, *PHOTO), value, np.float32) for value in (0, 1))
    for x, want_of in (
        (zero, lambda device: by_hand["bias", device].array),
        (one, lambda device: by_hand["bias", device].array + by_hand["weight", device].array),
    ):
        (y,) = executor.forward(x=devices.put_common(x))
        for device, array in enumerate(read(devices, y)):
            want = np.broadcast_to(want_of(device), array.shape)
            np.testing.assert_allclose(array, want, rtol=1e-4, atol=1e-5)


def test_a_parameter_without_a_gradient_stays_and_has_no_moments(devices: Devices) -> None:
    executor = affine_executor(devices, gradients=["bias"])
    executor.start_adam(1.0)
    go_back(devices, executor, 1)
    executor.adam_step(0.1)
    assert executor.moments().keys() == {"bias.mean", "bias.variance"}
    after, before = executor.parameters(), parameters()
    np.testing.assert_array_equal(after["weight"], before["weight"])
    assert not np.array_equal(after["bias"], before["bias"])


def test_moments_go_on_to_the_same_bits(devices: Devices) -> None:
    def learn(executor: Executor, seeds: range) -> None:
        """The devices' gradients are made the same, as training does."""
        for seed in seeds:
            go_back(devices, executor, seed)
            for name, gradient in gradients_of(devices, executor).items():
                total = np.sum(np.split(gradient, len(devices)), axis=0)
                for array, same in zip(
                    executor.gradients()[name], devices.put_common(total), strict=True
                ):
                    array[:] = same
            executor.adam_step(0.1 / (1 + seed))

    straight = affine_executor(devices)
    straight.start_adam(0.5)
    learn(straight, range(5))
    first = affine_executor(devices)
    first.start_adam(0.5)
    learn(first, range(2))
    moments = {name: array.copy() for name, array in first.moments().items()}
    second = affine_executor(devices)
    second.set_parameters(first.parameters())
    second.start_adam(0.5)
    second.set_moments({**moments, "g7_weight.mean": np.zeros(3)}, steps=2)
    assert_same(second.moments(), moments)
    learn(second, range(2, 5))
    assert_same(second.parameters(), straight.parameters())
    assert_same(second.moments(), straight.moments())


def test_a_new_optimiser_has_moments_of_zero(devices: Devices) -> None:
    """Its first step is the rate, against the sign of the gradient (Kingma and Ba 2014, 2.1)."""
    executor = affine_executor(devices)
    executor.start_adam(1.0)
    go_back(devices, executor, 1)
    signs = {
        n: np.sign(np.split(g, len(devices))[0]) for n, g in gradients_of(devices, executor).items()
    }
    executor.adam_step(0.01)
    for name, array in executor.parameters().items():
        np.testing.assert_allclose(array, parameters()[name] - 0.01 * signs[name], rtol=1e-4)


def test_all_is_done_when_work_is_settled(devices: Devices) -> None:
    executor = affine_executor(devices)
    executor.start_adam(1.0)
    go_back(devices, executor, 1)
    executor.adam_step(0.1)
    devices.settle()
    assert np.isfinite(np.concatenate([a.ravel() for a in executor.parameters().values()])).all()
