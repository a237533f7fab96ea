"""How long this process has run: `neuralart.__main__` imports this file before any other."""

from __future__ import annotations

import time

_BEGAN = time.monotonic()


def since_start() -> float:
    """Seconds since the command was entered, but for the start of Python itself."""
    return time.monotonic() - _BEGAN
