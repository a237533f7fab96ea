"""The contract of `Executor`: Adam's steps and moments."""

from __future__ import annotations

import numpy as np
import pytest
from small_graphs import (
    PHOTO,
    affine_executor,
    assert_same,
    go_back,
    gradients_of,
    parameters,
    read,
)

from neuralart.engine.contract import Devices, Executor


class Adam:
    """The formula in the docstring of `Executor.start_adam`, computed in float64."""

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
    """Each step has its own rate, and the gradients are changed before it."""
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
        """Learn from the sum of all devices' gradients, as training does."""
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
    """So the first step has the size of the rate (Kingma and Ba 2014, section 2.1)."""
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
