"""The engines that the contract is tested with; another one needs an entry in `ENGINES`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import pytest

from neuralart.engine.contract import Devices
from neuralart.engine.cuda import installed_flavours
from neuralart.engine.devices import open_devices

ENGINES = {"mxnet": "", "torch": "torch:"}
"""What stands before ``cpu`` in the names of each engine's processor."""


def is_installed(engine: str) -> bool:
    return bool(installed_flavours()) if engine == "mxnet" else find_spec("torch") is not None


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Callable[[str], Devices]:
    if not is_installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return lambda name: open_devices(ENGINES[request.param] + name)


@pytest.fixture(params=["cpu", "cpu:0,1"])
def devices(engine: Callable[[str], Devices], request: pytest.FixtureRequest) -> Devices:
    return engine(request.param)
