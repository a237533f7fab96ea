"""What ``--device`` names: ``cpu``, ``gpu:1``, or several as ``gpu:0,1,2,3``."""

from __future__ import annotations

import re

from neuralart.engine.contract import Devices
from neuralart.engine.door import mx
from neuralart.engine.module import MxnetDevices
from neuralart.errors import ConfigError, EngineError


def open_devices(names: str) -> Devices:
    """The devices of a name.

    Raises ConfigError for another name or one device twice, EngineError for a GPU that is missing.
    """
    match = re.fullmatch(r"(cpu|gpu)(?::(\d+(?:,\d+)*))?", names)
    if match is None:
        raise ConfigError(f"--device {names}: not a device; use cpu, gpu:0, or several as gpu:0,1")
    kind, indices = match[1], [int(index) for index in (match[2] or "0").split(",")]
    if len(set(indices)) < len(indices):
        raise ConfigError(f"--device {names}: one device twice; name each once")
    if kind == "cpu":
        return MxnetDevices([mx.cpu(index) for index in indices])
    count = mx.context.num_gpus()
    if max(indices) >= count:
        raise EngineError(
            f"--device {names}: MXNet {mx.__version__} sees {count} GPUs here; "
            "use --device cpu, or ask `neuralart doctor` what is missing"
        )
    return MxnetDevices([mx.gpu(index) for index in indices])


def open_device(name: str) -> Devices:
    """One device. Raises as `open_devices` does, and ConfigError for several."""
    devices = open_devices(name)
    if len(devices) > 1:
        raise ConfigError(f"--device {name}: only train takes several devices; use one")
    return devices
