"""What the processor multiplies faster than float32."""

from __future__ import annotations

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

# As Linux writes them; any one of a row will do.
_INSTRUCTIONS = {
    "bfloat16": {"avx512_bf16", "amx_bf16"},
    "int8": {"avx512_vnni", "avx_vnni", "amx_int8"},
}


def faster_precisions() -> list[str]:
    """Those of ``--precision`` that the processor has instructions for; none where Linux does not tell."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return []
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    return [name for name, instructions in _INSTRUCTIONS.items() if flags & instructions]
