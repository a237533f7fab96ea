"""How long this process has run: `neuralart.__main__` imports this file before any other."""

from __future__ import annotations

import os
import time
from pathlib import Path

_IMPORTED = time.monotonic()


def since_start() -> float:
    """Seconds since this process began, imports included.

    Where the system does not say, since this file was imported.

    Source:  proc(5), field 22 of /proc/self/stat
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began
    except (OSError, AttributeError):
        return time.monotonic() - _IMPORTED
