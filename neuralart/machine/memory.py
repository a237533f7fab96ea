"""Free memory, and amounts of memory as users write them: 1GB, 800MB, 2GiB."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

from neuralart.errors import ConfigError, EngineError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

_BINARY_UNITS = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}

# Limit and usage of the process's control group: version 2 of the kernel's interface, then 1.
_GROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)

_MEMINFO = Path("/proc/meminfo")

_STATM = Path("/proc/self/statm")

# Addresses that a process takes until it has painted a small picture with MXNet, which ends by a
# segmentation fault where there are fewer.
_SMALLEST_SPACE = 1_300_000_000


def parse_memory(text: str, option: str) -> int:
    """Convert ``1GB`` (10^9), ``1GiB`` (2^30), ``1.5G`` or ``800MB`` to bytes.

    Raises ConfigError, which names ``option``, for any other text.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?|)B?", text.strip().upper())
    if match is None:
        raise ConfigError(f"{option} {text}: not an amount of memory; write it as 1GB or 800MB")
    return int(float(match[1]) * {**_UNITS, **_BINARY_UNITS}[match[2]])


def peak_memory() -> int | None:
    """The most bytes that this process has had in memory; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_memory() -> int | None:
    """Bytes that this process can still allocate; None if unknown.

    The smaller of what the machine has free and what the control group's limit leaves.
    """
    found = []
    try:
        match = re.search(r"^MemAvailable:\s+(\d+) kB$", _MEMINFO.read_text(), re.MULTILINE)
        found += [int(match[1]) * 1024] if match else []
    except OSError:
        pass
    for limit, used in _GROUPS:
        try:
            found.append(int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return max(0, min(found)) if found else None


def address_space_left() -> int | None:
    """Bytes that ``ulimit -v`` leaves this process; None if there is no such limit."""
    try:
        import resource
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(_STATM.read_text().split()[0])
    except OSError:
        return None
    return max(0, limit - pages * mmap.PAGESIZE)


def reserve(size: int) -> None:
    """Raise MemoryError unless ``size`` bytes can be allocated now.

    For libraries that end the process where they cannot.
    """
    try:
        mmap.mmap(-1, size).close()
    except OSError:
        raise MemoryError from None


def check_address_space() -> None:
    """Raise EngineError if ``ulimit -v`` leaves too little for any engine."""
    left = address_space_left()
    if left is not None and left < _SMALLEST_SPACE:
        raise EngineError(
            f"out of memory: ulimit -v leaves {left / 1e9:.1f} GB of addresses, and an engine "
            f"takes {_SMALLEST_SPACE / 1e9:.1f} GB or more; raise it"
        )
