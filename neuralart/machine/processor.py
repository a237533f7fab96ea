"""The processor: its cores, number formats that it multiplies fast, and its matrix unit (AMX)."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

# Flags in /proc/cpuinfo; one of a row suffices.
_INSTRUCTIONS = {
    "bfloat16": {"avx512_bf16", "amx_bf16"},
    "int8": {"avx512_vnni", "avx_vnni", "amx_int8"},
}

# Linux, Documentation/arch/x86/xstate.rst: a process must ask before it uses the registers of AMX.
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XTILEDATA = 158, 0x1023, 18


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def computing_threads() -> int:
    """The threads of OMP_NUM_THREADS, or one for each core."""
    return int(os.environ.get("OMP_NUM_THREADS", available_cores()))


def _flags() -> set[str]:
    """The processor's flags; empty without /proc/cpuinfo."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def faster_precisions() -> list[str]:
    """The values of ``--precision`` that the processor has instructions for."""
    flags = _flags()
    return [name for name, instructions in _INSTRUCTIONS.items() if flags & instructions]


def may_use_amx() -> bool:
    """Ask Linux for the use of AMX; True if the processor has it and Linux allows it.

    Without AMX such a processor computes bfloat16 with AVX-512, no faster than float32.
    """
    if platform.machine() != "x86_64" or "amx_bf16" not in _flags():
        return False
    answer: int = ctypes.CDLL(None).syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XTILEDATA)
    return answer == 0
