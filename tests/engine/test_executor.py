"""The contract of `Executor`: parameters, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
from small_graphs import (
    CHANNELS,
    PHOTO,
    Engine,
    affine,
    affine_executor,
    assert_same,
    go_back,
    gradients_of,
    norm_arrays,
    normalised,
    numbers,
    parameters,
    photos,
    product,
    read,
)

from neuralart.engine.contract import Devices
from neuralart.engine.symbols import sym
from neuralart.machine.archive import Arrays


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
    """They are copied device by device: the two devices here have learned from other photos."""
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
    """Without gradients, a norm uses the statistics that were set; with gradients, its input's."""
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
    np.testing.assert_allclose(devices.get(second), (x * x).sum(axis=1, keepdims=True), rtol=1e-6)
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
    """Its first axis does not count photos; every device multiplies by all of it."""
    symbol = sym.broadcast_mul(sym.Variable("x"), sym.Variable("target"))
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
    """Such as a Gram matrix: its first axis does not count photos either."""
    x, target = sym.Variable("x"), sym.Variable("target")
    symbol = sym.dot(x, target)
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
    x = sym.Variable("x")
    symbol = sym.Group([affine(x), sym.square(x)])
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


@pytest.mark.parametrize("on_each", [1, 2])
def test_gradients_by_hand(devices: Devices, on_each: int) -> None:
    """Every device sums the gradients of a parameter over its own photos."""
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
    h2 = h2[:, :1]
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
    """A convolution, a norm and tanh: the gradients by the input and by every parameter."""
    x = sym.Variable("x")
    symbol = sym.Convolution(x, num_filter=2, kernel=(3, 3), pad=(1, 1), name="conv")
    symbol = sym.BatchNorm(symbol, eps=1e-3, fix_gamma=False, name="norm")
    symbol = sym.tanh(symbol)
    arrays = {
        "conv_weight": numbers(2, CHANNELS, 3, 3, seed=1),
        "conv_bias": numbers(2, seed=2),
        "norm_gamma": np.float32([0.7, 1.3]),
        "norm_beta": np.float32([0.2, -0.4]),
    }
    photo, head = photos(devices), photos(devices, seed=3)
    executor = devices.executor(symbol, {"x": (1, *PHOTO)}, gradients=["x", *arrays])

    def loss(photo: np.ndarray, arrays: Arrays) -> np.ndarray:
        """The sum of head * output on each device."""
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


def test_gradients_add_up_until_they_are_cleared(devices: Devices) -> None:
    """The gradients by parameters add up; the one by the input is that of the last `backward`."""
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
