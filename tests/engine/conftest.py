"""The engines that the contract is tested with; another one needs an entry in `ENGINES`."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from neuralart.engine.contract import Devices

ENGINES = {"mxnet": "neuralart.engine.devices"}
"""The module of each engine whose ``open_devices`` opens devices by their names."""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Callable[[str], Devices]:
    open_devices: Callable[[str], Devices] = importlib.import_module(
        ENGINES[request.param]
    ).open_devices
    return open_devices


@pytest.fixture(params=["cpu", "cpu:0,1"])
def devices(engine: Callable[[str], Devices], request: pytest.FixtureRequest) -> Devices:
    return engine(request.param)
