"""What ``--device`` names: ``cpu``, ``gpu:1``, ``cuda:0``, or several as ``cuda:0,1,2,3``."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec

from neuralart.engine.contract import Devices
from neuralart.engine.cuda import installed_flavours
from neuralart.errors import ConfigError, EngineError
from neuralart.machine.installation import install_command

EXAMPLES = "cpu, gpu:0 (MXNet), cuda:0 or mps (PyTorch), or several as cuda:0,1"


def no_engine() -> str:
    """What to say where nothing can compute."""
    torch = install_command("torch")
    if not mxnet_has_wheels():
        return (
            f"PyTorch is not installed, and MXNet has no wheel for this Python or system; {torch}"
        )
    return (
        f"neither MXNet nor PyTorch is installed; {install_command('cpu')} for MXNet, "
        f"{torch} for PyTorch"
    )


def mxnet_has_wheels() -> bool:
    """Whether MXNet 1.9.1 can be installed here; the extra ``cpu`` has the same marker."""
    return sys.platform == "linux" and sys.version_info < (3, 13)


def open_devices(names: str, precision: str = "float32") -> Devices:
    """The devices of a name. ``cpu`` is computed by MXNet or, where that is not installed, PyTorch.

    ``cuda`` without a number is the card of this process in a job of torchrun, else the first.
    Raises ConfigError for another name, one device twice or a precision that the engine lacks,
    EngineError for a device or an engine that is missing.
    """
    kind, numbers = _parsed(names)
    own = os.environ.get("LOCAL_RANK", "0") if kind == "cuda" else "0"
    indices = [int(index) for index in (numbers or own).split(",")]
    if len(set(indices)) < len(indices):
        raise ConfigError(f"--device {names}: one device twice; name each once")
    if not is_torch(names):
        from neuralart.engine.module import open_mxnet

        return open_mxnet(names, kind, indices, precision)
    if find_spec("torch") is None:
        raise EngineError(
            no_engine()
            if kind == "cpu"
            else f"--device {names}: PyTorch is not installed; {install_command('torch')}"
        )
    from neuralart.engine.pytorch.devices import open_torch

    return open_torch(names, kind.removeprefix("torch:"), indices, precision)


def _parsed(names: str) -> tuple[str, str]:
    match = re.fullmatch(r"(cpu|gpu|cuda|mps|torch:cpu)(?::(\d+(?:,\d+)*))?", names)
    if match is None:
        raise ConfigError(f"--device {names}: not a device; use {EXAMPLES}")
    return match[1], match[2] or ""


def is_torch(names: str) -> bool:
    """Whether PyTorch computes on these devices. Raises ConfigError for another name."""
    kind, _ = _parsed(names)
    return not (kind == "gpu" or (kind == "cpu" and installed_flavours()))


def open_device(name: str, precision: str = "float32") -> Devices:
    """One device. Raises as `open_devices` does, and ConfigError for several."""
    devices = open_devices(name, precision)
    if len(devices) > 1:
        raise ConfigError(f"--device {name}: only train takes several devices; use one")
    return devices
