"""Ctrl-C and SIGTERM: delayed until the current step is done, or obeyed within two seconds.

Python's handlers wait until a call of a library returns, which may take minutes. So a thread ends
the process if the main thread has not by then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from neuralart.machine import leftovers

STOPPING = (int(signal.SIGINT), int(signal.SIGTERM))

_GRACE_SECONDS = 1.5


class Stop(KeyboardInterrupt):
    """SIGTERM, raised as Ctrl-C is. ``number`` is the signal's."""

    number = int(signal.SIGTERM)


def number_of(error: KeyboardInterrupt) -> int:
    """The number of the signal that was raised as this exception."""
    return getattr(error, "number", int(signal.SIGINT))


class _State:
    """What the process does on a signal.

    deferred  how many signals a block of `deferred_signals` still takes in silence
    is_asked  whether a signal is how the work is meant to end, see `ended_by_signals`
    """

    deferred = 0
    is_asked = False


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

    for number in STOPPING:
        before[number] = signal.signal(number, note)
    _State.deferred = 1
    try:
        yield noted
    finally:
        _State.deferred = 0
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End the block at SIGINT or SIGTERM, as at its last line: a server has no other end."""
    _State.is_asked = True
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        _State.is_asked = False


@contextlib.contextmanager
def obeyed_signals(last_words: Callable[[bool], None]) -> Iterator[None]:
    """In the block, SIGTERM is raised as `Stop`, and neither it nor Ctrl-C waits for a library.

    Where the process has not ended `_GRACE_SECONDS` after a signal, what is half-written is
    deleted, and ``last_words`` is called: with True in a block of `ended_by_signals`, where the
    exit code is 0. Elsewhere it is 128 + the signal's number.
    """

    def stop(number: int, frame: Any) -> None:
        raise Stop

    before = signal.signal(signal.SIGTERM, stop)
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, last_words), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGTERM, before)
        writer.close()


def _watch(reader: socket.socket, last_words: Callable[[bool], None]) -> None:
    while True:
        numbers = reader.recv(1)
        if not numbers:
            reader.close()
            return
        if numbers[0] not in STOPPING:
            continue
        if _State.deferred:
            _State.deferred -= 1
            continue
        is_asked = _State.is_asked  # before the main thread leaves the block
        time.sleep(_GRACE_SECONDS)
        leftovers.remove_all()
        with contextlib.suppress(Exception):
            last_words(is_asked)
        os._exit(0 if is_asked else 128 + numbers[0])
