"""What ``--device`` names: ``cpu``, ``gpu:1``, ``cuda:0``, or several as ``cuda:0,1,2,3``.

The engine of ``cpu`` is MXNet where it is installed, else PyTorch. Where MXNet is not, ONNX Runtime
paints if it is installed: it does so in 0.8 of PyTorch's time, and starts faster. ``--engine``
chooses another one.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec

from neuralart.engine.contract import Devices
from neuralart.engine.cuda import installed_flavours
from neuralart.engine.onnx_runtime import limits
from neuralart.errors import ConfigError, EngineError
from neuralart.machine.installation import install_command

EXAMPLES = "cpu, gpu:0 (MXNet), cuda:0 or mps (PyTorch), or several as cuda:0,1"

# The devices of each engine.
KINDS = {"mxnet": ("cpu", "gpu"), "torch": ("cpu", "cuda", "mps"), "onnx": ("cpu",)}


def no_engine() -> str:
    """What to say where nothing can compute."""
    torch = install_command("torch")
    onnx = f"{install_command('onnx')} for ONNX Runtime, which paints"
    if not mxnet_has_wheels():
        return (
            "PyTorch is not installed, and MXNet has no wheel for this Python or system; "
            f"{torch}, or {onnx}"
        )
    return (
        f"neither MXNet nor PyTorch is installed; {install_command('cpu')} for MXNet, "
        f"{torch} for PyTorch, {onnx}"
    )


def mxnet_has_wheels() -> bool:
    """Whether MXNet 1.9.1 can be installed here; the extra ``cpu`` has the same marker."""
    return sys.platform == "linux" and sys.version_info < (3, 13)


def open_devices(names: str, precision: str = "float32") -> Devices:
    """The devices of a name. ``cpu`` is computed by MXNet or, where that is not installed, PyTorch.

    ``cuda`` without a number is the card of this process in a job of torchrun, else the first.
    Raises ConfigError for another name, one device twice or a precision that the engine lacks,
    EngineError for a device or an engine that is missing, or that only paints.
    """
    kind, numbers = _parsed(names)
    is_torch_here = find_spec("torch") is not None
    if kind == "onnx:cpu" or (_paints_by_onnx(kind) and not is_torch_here):
        raise EngineError(f"--device {names}: {limits.paints_only()}")
    own = os.environ.get("LOCAL_RANK", "0") if kind == "cuda" else "0"
    indices = [int(index) for index in (numbers or own).split(",")]
    if len(set(indices)) < len(indices):
        raise ConfigError(f"--device {names}: one device twice; name each once")
    if not is_torch(names):
        from neuralart.engine.module import open_mxnet

        return open_mxnet(names, kind, indices, precision)
    if not is_torch_here:
        raise EngineError(
            no_engine()
            if kind == "cpu"
            else f"--device {names}: PyTorch is not installed; {install_command('torch')}"
        )
    from neuralart.engine.pytorch.devices import open_torch

    return open_torch(names, kind.removeprefix("torch:"), indices, precision)


def _parsed(names: str) -> tuple[str, str]:
    match = re.fullmatch(r"(cpu|gpu|cuda|mps|torch:cpu|onnx:cpu)(?::(\d+(?:,\d+)*))?", names)
    if match is None:
        raise ConfigError(f"--device {names}: not a device; use {EXAMPLES}")
    return match[1], match[2] or ""


def is_torch(names: str) -> bool:
    """Whether PyTorch computes on these devices. Raises ConfigError for another name."""
    kind, _ = _parsed(names)
    return not (kind == "gpu" or (kind == "cpu" and installed_flavours()))


def _paints_by_onnx(kind: str) -> bool:
    """Whether a device is a processor that ONNX Runtime paints on by default."""
    return kind == "cpu" and not installed_flavours() and limits.is_installed()


def open_device(name: str, precision: str = "float32") -> Devices:
    """One device. Raises as `open_devices` does, and ConfigError for several."""
    devices = open_devices(name, precision)
    if len(devices) > 1:
        raise ConfigError(f"--device {name}: only train takes several devices; use one")
    return devices


def open_painting_device(
    name: str, engine: str | None = None, precision: str = "float32"
) -> Devices:
    """One device to paint on, which may be ONNX Runtime's.

    engine     one of `KINDS`; for a processor by default MXNet, else ONNX Runtime, else PyTorch
    precision  to paint in; another than float32 rules ONNX Runtime out where PyTorch is there

    Raises as `open_device` does, and ConfigError for a device that the engine does not have.
    """
    kind, numbers = _parsed(name)
    if engine is not None:
        kind = _of_engine(name, kind, engine)
    elif _paints_by_onnx(kind) and (precision == "float32" or find_spec("torch") is None):
        kind = "onnx:cpu"
    if kind != "onnx:cpu":
        return open_device(f"{kind}:{numbers}" if numbers else kind)
    if numbers not in ("", "0"):
        raise ConfigError(f"--device {name}: ONNX Runtime has one processor; use --device cpu")
    if not limits.is_installed():
        raise EngineError(f"ONNX Runtime is not installed; {install_command('onnx')}")
    from neuralart.engine.onnx_runtime.devices import OnnxDevices

    return OnnxDevices()


def _of_engine(name: str, kind: str, engine: str) -> str:
    """The kind of device that has an engine in its name where several engines have one."""
    bare = kind.split(":")[-1]
    if bare not in KINDS[engine] or kind not in (bare, f"{engine}:{bare}"):
        raise ConfigError(
            f"--device {name}: not a device of --engine {engine}, which has "
            f"{' and '.join(KINDS[engine])}; leave one of them away"
        )
    if engine == "mxnet":
        if not installed_flavours():
            raise EngineError(f"--engine mxnet: MXNet is not installed; {install_command('cpu')}")
        return kind
    return f"{engine}:{bare}" if bare == "cpu" else kind
