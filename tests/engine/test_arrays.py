"""The contract of `Devices`: arrays on devices, and the operators between graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_graphs import PHOTO, affine_executor, numbers, parameters, photos

from neuralart.engine.contract import Devices


def test_names_and_the_first_device(devices: Devices) -> None:
    assert [name.removeprefix("torch:") for name in devices.names] == [
        f"cpu:{i}" for i in range(len(devices))
    ]
    assert devices.are_cpu and devices.memory() == []
    assert devices.first().names == devices.names[:1]


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
"""Edges at the top, bottom, left and right. The last two are wider than the photos."""


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
