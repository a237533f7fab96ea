"""Hands work from the threads that answer requests to the main thread.

The engine runs in the main thread alone, one piece of work at a time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from neuralart.serving.guard import Refusal

T = TypeVar("T")

MOST_WAITING = 4  # uploads in memory, the one that is painted included

_LOOK_SECONDS = 0.3  # between two looks whether the client is still there


class Workbench:
    """A queue of work that the main thread does."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Future[Any], Callable[[], Any]]] = queue.Queue()
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of `MOST_WAITING` places in the block. Raises Refusal (503) if none is free."""
        if not self._places.acquire(blocking=False):
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, "other photos are being painted; try again soon"
            )
        try:
            yield
        finally:
            self._places.release()

    def do(self, work: Callable[[], T], is_wanted: Callable[[], bool] = lambda: True) -> T:
        """Have the main thread do the work, and return its result or raise its error.

        Work that has not begun is dropped once ``is_wanted`` says no; then raises ConnectionError.
        """
        future: Future[T] = Future()
        self._queue.put((future, work))
        while True:
            try:
                return future.result(_LOOK_SECONDS)
            except CancelledError:
                raise ConnectionAbortedError from None
            except NotYet:
                if future.done():
                    raise
                if not is_wanted():
                    future.cancel()

    def run(self) -> None:
        """Do what is queued until Ctrl-C. Call it in the main thread."""
        while True:
            try:
                future, work = self._queue.get(timeout=1)  # Windows: no Ctrl-C while it waits
            except queue.Empty:
                continue
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001  # the waiting thread's to report
                future.set_exception(error)
            del future, work  # a photo should not stay in memory until the next comes
