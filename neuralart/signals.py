"""Ctrl-C and SIGTERM that wait until what is in hand is done."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM is noted in the list, to be heeded after the step; a second one kills."""
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
