"""Delay Ctrl-C and SIGTERM until the current step is done."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Append the first SIGINT or SIGTERM to the yielded list; a second one acts as usual.

    The caller looks at the list after each step, and stops if it is not empty.
    """
    noted: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        noted.append(number)
        signal.signal(number, before[number])

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        before[number] = signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
