"""``neuralart doctor``: what this machine can compute with, what is missing, and what is broken."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from neuralart import __version__
from neuralart.engine import cuda
from neuralart.engine.devices import mxnet_has_wheels, no_engine
from neuralart.engine.onnx_runtime import limits
from neuralart.errors import EngineError
from neuralart.machine.installation import install_command
from neuralart.machine.processor import (
    available_cores,
    computing_threads,
    faster_precisions,
    may_use_amx,
)

# The system libraries that both flavours of MXNet need, and Debian's package of each.
SYSTEM_LIBRARIES = {"libgomp.so.1": "libgomp1", "libquadmath.so.0": "libquadmath0"}


@dataclass(frozen=True)
class Torch:
    """What PyTorch says.

    version  with its build, as 2.13.0+cu128
    devices  names for ``--device``, and what each card is
    problem  why it does not import; empty if it does
    """

    version: str = ""
    devices: Sequence[tuple[str, str]] = ()
    problem: str = ""


@dataclass(frozen=True)
class Onnx:
    """What ONNX Runtime says: its version, and why it does not import; one of them is empty."""

    version: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Facts:
    """What was found.

    flavours    installed packages of MXNet
    missing     system libraries that do not load
    libraries   the results of loading the CUDA libraries; empty if the flavour needs none
    driver      NVIDIA's driver, if there is one
    engine      why MXNet does not load; empty if it does
    mxnet       MXNet's version; empty if it does not load
    gpus        number of GPUs that MXNet sees
    torch       what PyTorch says; None if it is not installed
    onnx        what ONNX Runtime says; None if it is not installed
    """

    flavours: Sequence[str]
    missing: Sequence[str] = ()
    libraries: Sequence[cuda.Loaded] = field(default_factory=list)
    driver: cuda.Driver | None = None
    engine: str = ""
    mxnet: str = ""
    gpus: int = 0
    torch: Torch | None = None
    onnx: Onnx | None = None

    @property
    def for_gpus(self) -> bool:
        """Whether MXNet for GPUs is installed."""
        return cuda.FOR_GPUS in self.flavours


def find_facts() -> Facts:
    """Look at the installed packages, the libraries and the driver, and import MXNet."""
    flavours = cuda.installed_flavours()
    libraries = cuda.load_libraries() if cuda.FOR_GPUS in flavours else []
    engine, version, gpus = "", "", 0
    try:
        if not flavours:
            raise EngineError("MXNet is not installed")
        mx: Any = import_module("neuralart.engine.door").mx
        version, gpus = mx.__version__, mx.context.num_gpus()
    except EngineError as error:
        engine = str(error)
    missing = [name for name in SYSTEM_LIBRARIES if not _loads(name)]
    driver = cuda.find_driver()
    return Facts(
        flavours, missing, libraries, driver, engine, version, gpus, _find_torch(), _find_onnx()
    )


def _find_torch() -> Torch | None:
    if find_spec("torch") is None:
        return None
    try:
        from neuralart.engine.pytorch.devices import list_devices, version
    except (ImportError, OSError) as error:
        return Torch(problem=str(error).splitlines()[0])
    return Torch(version(), list_devices())


def _find_onnx() -> Onnx | None:
    if not limits.is_installed():
        return None
    try:
        from neuralart.engine.onnx_runtime.executor import OnnxExecutor  # noqa: F401  # and onnx
        from neuralart.engine.onnx_runtime.sessions import version
    except (ImportError, OSError) as error:
        return Onnx(problem=str(error).splitlines()[0])
    return Onnx(version())


def _loads(soname: str) -> bool:
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def describe(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the rows (what, its state) of the report."""
    yield "neuralart", f"{__version__} on Python {platform.python_version()}, {platform.machine()}"
    for package in ("numpy", "opencv-python-headless"):
        yield package, metadata.version(package)
    flavours = " and ".join(facts.flavours)
    found = f"{facts.mxnet or 'does not load'} (package {flavours})"
    yield "MXNet", found if flavours else "none"
    yield "PyTorch", "none" if facts.torch is None else facts.torch.version or "does not load"
    yield "ONNX Runtime", "none" if facts.onnx is None else facts.onnx.version or "does not load"
    cores = available_cores()
    yield "threads", f"{computing_threads()} compute; {cores} cores are ours"
    yield "precisions", ", ".join(["float32", *faster_precisions()])
    yield "AMX", "in use" if may_use_amx() else "none"
    for name in SYSTEM_LIBRARIES:
        yield name, "missing" if name in facts.missing else "found"
    for loaded in facts.libraries:
        yield loaded.library.soname, loaded.problem or loaded.path
    yield from _describe_driver(facts.driver)
    if facts.mxnet:
        yield "devices of MXNet", ", ".join(["cpu", *(f"gpu:{i}" for i in range(facts.gpus))])
    if facts.torch and facts.torch.version:
        names = [f"{name} ({card})" if card else name for name, card in facts.torch.devices]
        yield "devices of PyTorch", ", ".join(names)
    if facts.onnx and facts.onnx.version:
        yield "devices of ONNX Runtime", "onnx:cpu, to paint on"


def _describe_driver(driver: cuda.Driver | None) -> Iterator[tuple[str, str]]:
    if driver is None:
        yield "NVIDIA driver", "none"
        return
    yield (
        "NVIDIA driver",
        f"for CUDA {_cuda(driver.version)}" + (f"; {driver.problem}" if driver.problem else ""),
    )
    for index, card in enumerate(driver.cards):
        major, minor = card.capability
        verdict = "" if card.can_run else ": MXNet 1.9.1 has no code for it"
        yield f"card {index}", f"{card.name}, compute capability {major}.{minor}{verdict}"


def _cuda(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def problems(facts: Facts) -> list[str]:
    """The problems that keep the installed flavour from working.

    Each is one line that says what is wrong and what to do about it.
    """
    if facts.torch and facts.torch.problem:
        return [f"PyTorch does not import: {facts.torch.problem}"]
    if facts.onnx and facts.onnx.problem:
        return [f"ONNX Runtime does not import: {facts.onnx.problem}"]
    if not facts.flavours:
        return [] if facts.torch or facts.onnx else [no_engine()]
    found = []
    if len(facts.flavours) > 1:
        found.append(
            "both flavours of MXNet are installed and overwrite each other: make a fresh virtual "
            "environment with one of them"
        )
    if facts.missing:
        packages = " ".join(SYSTEM_LIBRARIES[name] for name in facts.missing)
        found.append(f"{', '.join(facts.missing)} missing: apt-get install {packages}")
    found += [f"{one.library.soname} {one.problem}" for one in facts.libraries if one.problem]
    if facts.for_gpus:
        found += _gpu_problems(facts)
    if facts.engine and not found:
        found.append(facts.engine)
    return found


def _instead(facts: Facts, card: int) -> str:
    """What to do with a card that MXNet cannot use."""
    name = f"cuda:{card}"
    if facts.torch and name in [each for each, _ in facts.torch.devices]:
        return f"PyTorch can: --device {name}"
    return f"PyTorch may: {install_command('torch')} and --device {name}"


def _gpu_problems(facts: Facts) -> list[str]:
    driver = facts.driver
    if driver is None:
        return [
            f"no NVIDIA driver ({cuda.DRIVER}), and MXNet for GPUs does not even load without: "
            f"install the driver, or in a fresh virtual environment: {install_command('cpu')}"
        ]
    if driver.problem:
        return [f"the NVIDIA driver does not answer: {driver.problem}; try nvidia-smi, or restart"]
    if driver.version < cuda.OLDEST_DRIVER:
        return [
            f"the NVIDIA driver is for CUDA {_cuda(driver.version)} and MXNet for 11: install "
            "driver 450.80 or newer"
        ]
    if not driver.cards:
        return [
            "the NVIDIA driver sees no card: check CUDA_VISIBLE_DEVICES and nvidia-smi, or use "
            "--device cpu"
        ]
    newest = max(cuda.CODE_FOR)
    found = [
        f"card {index} ({card.name}, compute capability {card.capability[0]}.{card.capability[1]}) "
        f"cannot be used by MXNet: 1.9.1 has code for {cuda.CODE_FOR[0][0]}.x to {newest[0]}.x and "
        f"no newer; {_instead(facts, index)}"
        for index, card in enumerate(driver.cards)
        if not card.can_run
    ]
    if not found and facts.mxnet and facts.gpus < len(driver.cards):
        found.append(f"the driver sees {len(driver.cards)} cards and MXNet {facts.gpus}: restart")
    return found


def notes(facts: Facts) -> list[str]:
    """Remarks that are no problems."""
    cards = facts.driver.cards if facts.driver else ()
    sees = facts.torch and any(name.startswith("cuda") for name, _ in facts.torch.devices)
    found = []
    more = f": {install_command('cpu')}" if mxnet_has_wheels() else ""
    if facts.torch and not facts.flavours:
        found.append(
            "MXNet is not installed, so PyTorch computes on the CPU, too, without int8 and "
            f"MXNet's export{more}"
        )
    elif facts.onnx and not facts.flavours:
        found.append(f"neither MXNet nor PyTorch is installed. {limits.paints_only()}")
    if cards and not sees and not facts.for_gpus:
        found.append(f"there is a GPU; for --device cuda:0: {install_command('torch')}")
    return found
