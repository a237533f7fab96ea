"""Finds the installed flavour of MXNet and, for GPUs, CUDA 11 libraries, driver and cards.

MXNet for GPUs is linked to libraries that a system without CUDA lacks. NVIDIA publishes each of
them as a Python package. If they are loaded from these packages before MXNet is, MXNet's linker
finds them, and the system needs only the driver.
"""

from __future__ import annotations

import ctypes
import importlib.util
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

FOR_CPU, FOR_GPUS = "mxnet", "mxnet-cu112"
"""The two packages of MXNet; both install the same folder."""

DRIVER = "libcuda.so.1"

# Compute capabilities that mxnet-cu112 1.9.1 has machine code for (cuobjdump --list-elf). It has no
# PTX that a driver could translate for others. Code for x.y runs on x.z for z >= y (CUDA C++
# Programming Guide, "Binary Compatibility").
CODE_FOR = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))

# cuDriverGetVersion's number of the oldest driver that runs CUDA 11 libraries of any minor version.
OLDEST_DRIVER = 11000


def installed_flavours() -> list[str]:
    """The installed packages of MXNet."""
    return [
        name for name in (FOR_CPU, FOR_GPUS) if any(True for _ in metadata.distributions(name=name))
    ]


@dataclass(frozen=True)
class Library:
    """A shared library, its folder under site-packages' ``nvidia``, and the package that has it."""

    soname: str
    folder: str
    package: str


# The libraries that mxnet-cu112 1.9.1 needs (`readelf -d libmxnet.so`), each after those that it
# needs itself.
LIBRARIES = (
    Library("libcudart.so.11.0", "cuda_runtime", "nvidia-cuda-runtime-cu11"),
    Library("libnvrtc.so.11.2", "cuda_nvrtc", "nvidia-cuda-nvrtc-cu11"),
    Library("libnvToolsExt.so.1", "nvtx", "nvidia-nvtx-cu11"),
    Library("libcublasLt.so.11", "cublas", "nvidia-cublas-cu11"),
    Library("libcublas.so.11", "cublas", "nvidia-cublas-cu11"),
    Library("libcudnn.so.8", "cudnn", "nvidia-cudnn-cu11"),
    Library("libcufft.so.10", "cufft", "nvidia-cufft-cu11"),
    Library("libcurand.so.10", "curand", "nvidia-curand-cu11"),
    Library("libcusolver.so.11", "cusolver", "nvidia-cusolver-cu11"),
    Library("libnccl.so.2", "nccl", "nvidia-nccl-cu11"),
)


@dataclass(frozen=True)
class Loaded:
    """The result of loading a library: the file that was loaded, or the problem."""

    library: Library
    path: str = ""
    problem: str = ""


def load_libraries() -> list[Loaded]:
    """Load every library that MXNet for GPUs needs, from its package or else from the system."""
    return [_load(library) for library in LIBRARIES]


def _load(library: Library) -> Loaded:
    path = _packaged(library)
    if path is None:
        try:
            ctypes.CDLL(library.soname, ctypes.RTLD_GLOBAL)
        except OSError:
            return Loaded(library, problem=f"not found: pip install {library.package}")
        return Loaded(library, path=f"{library.soname} of the system")
    try:
        ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError as error:
        return Loaded(library, problem=f"does not load: {error}")
    return Loaded(library, path=str(path))


def _packaged(library: Library) -> Path | None:
    """The library's file in NVIDIA's packages, or None."""
    spec = importlib.util.find_spec("nvidia")
    for root in (spec and spec.submodule_search_locations) or ():
        path = Path(root) / library.folder / "lib" / library.soname
        if path.exists():
            return path
    return None


@dataclass(frozen=True)
class Card:
    """A GPU: its name, and its compute capability like (8, 6)."""

    name: str
    capability: tuple[int, int]

    @property
    def can_run(self) -> bool:
        """Whether MXNet's wheel has machine code for the card."""
        major, minor = self.capability
        return any(major == code[0] and minor >= code[1] for code in CODE_FOR)


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver: its CUDA version (11020 is 11.2), its cards, and its problem, if any."""

    version: int = 0
    cards: tuple[Card, ...] = ()
    problem: str = ""


def find_driver() -> Driver | None:
    """The driver of this system, or None."""
    try:
        library = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    return ask_driver(library)


# CUdevice_attribute of the driver's interface (cuda.h)
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76

_NO_DEVICE = 100


def ask_driver(library: Any) -> Driver:
    """Ask the driver's library for its version and cards (CUDA Driver API)."""

    def number(function: Any, *arguments: int) -> int:
        value = ctypes.c_int()
        status = function(ctypes.byref(value), *arguments)
        if status:
            raise OSError(f"{function.__name__} gives error {status}")
        return value.value

    version = 0
    try:
        version = number(library.cuDriverGetVersion)
        status = library.cuInit(0)
        if status == _NO_DEVICE:
            return Driver(version)
        if status:
            raise OSError(f"cuInit gives error {status}")
        cards = []
        for index in range(number(library.cuDeviceGetCount)):
            device = number(library.cuDeviceGet, index)
            name = ctypes.create_string_buffer(256)
            library.cuDeviceGetName(name, len(name), device)
            major, minor = (
                number(library.cuDeviceGetAttribute, attribute, device)
                for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
            )
            cards.append(Card(name.value.decode(errors="replace"), (major, minor)))
    except (OSError, AttributeError) as error:
        return Driver(version, problem=str(error))
    return Driver(version, tuple(cards))
