"""Graphs with a handful of parameters, to test engines with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neuralart.engine.contract import Batch, Devices, Executor
from neuralart.engine.symbols import sym
from neuralart.machine.archive import Arrays

Engine = Callable[[str], Devices]
"""Opens the devices of a name."""

CHANNELS = 2
PHOTO = (CHANNELS, 3, 4)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def photos(devices: Devices, on_each: int = 1, seed: int = 0) -> np.ndarray:
    return numbers(on_each * len(devices), *PHOTO, seed=seed)


def read(devices: Devices, batch: Batch) -> list[np.ndarray]:
    """Copy each device's array."""
    values = devices.get(batch).copy()
    return np.split(values, len(batch))


def affine(x: Any = None) -> Any:
    """``x * weight + bias``, with a weight and a bias for each channel."""
    shape = (1, CHANNELS, 1, 1)
    weight, bias = (sym.Variable(name, shape=shape) for name in ("weight", "bias"))
    x = sym.Variable("x") if x is None else x
    return sym.broadcast_add(sym.broadcast_mul(x, weight), bias)


def parameters(seed: int = 1) -> Arrays:
    weight, bias = numbers(2, 1, CHANNELS, 1, 1, seed=seed)
    return {"weight": weight, "bias": bias}


def affine_executor(devices: Devices, *, photos: int = 1, **more: Any) -> Executor:
    """Bind `affine`, by default with the gradients of its parameters and of its input."""
    more.setdefault("gradients", ("x", "weight", "bias"))
    executor = devices.executor(affine(), {"x": (photos, *PHOTO)}, **more)
    executor.set_parameters(parameters())
    return executor


def product() -> Any:
    """``x * y + weight``, and the sum of the squares of ``x`` over the channels, (n, 1, H, W)."""
    x, y = sym.Variable("x"), sym.Variable("y")
    weight = sym.Variable("weight", shape=(1, CHANNELS, 1, 1))
    squares = sym.sum(sym.square(x), axis=1, keepdims=True)
    return sym.Group([sym.broadcast_add(x * y, weight), squares])


def normalised() -> Any:
    """Instance normalisation of one photo, as BatchNorm."""
    return sym.BatchNorm(sym.Variable("x"), eps=1e-3, fix_gamma=False, name="norm")


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


def go_back(devices: Devices, executor: Executor, seed: int) -> None:
    """Run forward and backward on photos and heads that are drawn from a seed."""
    executor.forward(x=devices.put(photos(devices, seed=seed)))
    executor.backward(devices.put(photos(devices, seed=seed + 100)))


def gradients_of(devices: Devices, executor: Executor) -> Arrays:
    return {name: devices.get(batch).copy() for name, batch in executor.gradients().items()}
