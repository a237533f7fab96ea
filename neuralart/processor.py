"""What the processor multiplies faster than float32."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

# As Linux writes them; any one of a row will do.
_INSTRUCTIONS = {
    "bfloat16": {"avx512_bf16", "amx_bf16"},
    "int8": {"avx512_vnni", "avx_vnni", "amx_int8"},
}

# Linux, Documentation/arch/x86/xstate.rst: a process asks before it uses the registers for tiles of matrices.
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XTILEDATA = 158, 0x1023, 18


def _flags() -> set[str]:
    """Empty where Linux does not tell."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def faster_precisions() -> list[str]:
    """Those of ``--precision`` that the processor has instructions for; none where Linux does not tell."""
    flags = _flags()
    return [name for name, instructions in _INSTRUCTIONS.items() if flags & instructions]


def may_use_amx() -> bool:
    """Whether the processor multiplies tiles of matrices (AMX) and Linux lets this process; asks it to.

    Without it the AVX-512 of such a processor computes a chain in bfloat16 no faster than in float32.
    """
    if platform.machine() != "x86_64" or "amx_bf16" not in _flags():
        return False
    answer: int = ctypes.CDLL(None).syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XTILEDATA)
    return answer == 0
