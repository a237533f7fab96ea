"""What the workers of one training exchange: sums of gradients, and data as bytes.

A worker that waits for a dead one may wait for ever, inside its engine. So another thread does the
waiting, and the main thread can give up.
"""

from __future__ import annotations

import atexit
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from neuralart.engine.contract import Batch, Devices, Exchange, PeersGoneError
from neuralart.errors import ConfigError, RunError

T = TypeVar("T")

# Each task comes with the queue that its result, or the exception that it raised, goes to.
_Tasks = queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]]

START_SECONDS = 120.0
"""How long the workers of a job may take to find each other."""

GRACE_SECONDS = 10.0
"""How long a worker that was asked to stop goes on waiting for the others."""

PIECE_BYTES = 4_000_000
"""Data is exchanged in pieces of this size. Each byte travels as a float32."""


JOB = "dist_sync"
"""The --kvstore of a worker of a job."""

_TORCHRUN = "TORCHELASTIC_RUN_ID"  # torchrun sets it: such a process is a worker of a job, too

# The variables with the address and the port where the workers of a job meet.
_ROOTS = {"DMLC_PS_ROOT_URI": "DMLC_PS_ROOT_PORT", "MASTER_ADDR": "MASTER_PORT"}


class Cluster:
    """The devices and workers of one job.

    Worker 0 leads: its run is kept, and its checkpoint is resumed. ``interrupts`` is a list; the
    number of a signal that asks this worker to stop is added to it.
    """

    def __init__(self, kvstore: str, devices: Devices) -> None:
        """Join the job, or prepare the devices of this process.

        Raises ConfigError if a job is asked for and this process is no worker of one, RunError if
        its workers do not find each other within `START_SECONDS`.
        """
        self.interrupts: Sequence[int] = ()
        self._exchanges = 0
        self._closed, self._exit_code = False, 1
        self._tasks: _Tasks | None = None
        joins = kvstore == JOB or _TORCHRUN in os.environ
        self._exchange = self._join(devices) if joins else devices.exchange(kvstore)
        self.rank, self.workers = self._exchange.rank, self._exchange.workers

    def _join(self, devices: Devices) -> Exchange:
        self._tasks = queue.SimpleQueue()
        atexit.register(self._exit_unless_closed)
        threading.Thread(target=_serve, args=(self._tasks,), daemon=True).start()
        end = time.monotonic() + START_SECONDS
        try:
            return self._wait(lambda: devices.exchange(JOB), lambda: time.monotonic() > end)
        except ConfigError:  # no job was joined: the process ends as any other
            atexit.unregister(self._exit_unless_closed)
            raise
        except PeersGoneError:
            self.abandon(RunError.exit_code)
            host, port = next(each for each in _ROOTS.items() if each[0] in os.environ)
            address = f"{os.environ[host]}:{os.environ.get(port, '')}"
            raise RunError(
                f"--kvstore dist_sync: not all workers reached the scheduler at {address} within "
                f"{START_SECONDS:g} s; check that every host reaches that address"
            ) from None

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def _wait(self, task: Callable[[], T], give_up: Callable[[], bool] | None = None) -> T:
        """Run a task in the thread that may wait for ever, and return its result.

        Raises PeersGoneError when ``give_up`` says so, or `GRACE_SECONDS` after an interrupt.
        """
        assert self._tasks is not None
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks.put((task, answer))
        since: float | None = None
        while True:
            try:
                result = answer.get(timeout=0.2)
            except queue.Empty:
                if self.interrupts and since is None:
                    since = time.monotonic()
                if (since is not None and time.monotonic() - since > GRACE_SECONDS) or (
                    give_up is not None and give_up()
                ):
                    raise PeersGoneError from None
                continue
            if isinstance(result, Exception):
                raise result
            value: T = result
            return value

    def sum(self, arrays: Mapping[str, Batch]) -> None:
        """Replace every array by the sum of the arrays of its name, over devices and workers.

        Raises PeersGoneError.
        """
        self._do(lambda: self._exchange.add_up(arrays))

    def sum_numbers(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sum a few numbers over the workers."""
        return self._do(lambda: self._exchange.add_up_numbers(name, values))

    def _do(self, task: Callable[[], T]) -> T:
        return task() if self._tasks is None else self._wait(task)

    def gather(self, data: bytes) -> list[bytes]:
        """Return the data of every worker, by rank. All workers must call this together."""
        if self.workers == 1:
            return [data]
        lengths = [
            int.from_bytes(row, "little") for row in self._gather(len(data).to_bytes(8, "little"))
        ]
        whole = [bytearray() for _ in lengths]
        for begin in range(0, max(lengths), PIECE_BYTES):
            size = min(PIECE_BYTES, max(lengths) - begin)
            piece = data[begin : begin + size]
            for row, collected in zip(self._gather(piece, size), whole, strict=True):
                collected += row
        return [bytes(row[:length]) for row, length in zip(whole, lengths, strict=True)]

    def _gather(self, data: bytes, size: int = 0) -> list[bytes]:
        """The data of every worker, each filled up to ``size``; all have as much without it."""
        rows = np.zeros((self.workers, size or len(data)), np.float32)
        rows[self.rank, : len(data)] = np.frombuffer(data, np.uint8)
        self._exchanges += 1
        rows = self.sum_numbers(f"exchange{self._exchanges}", rows)
        return [row.astype(np.uint8).tobytes() for row in rows]

    def broadcast(self, data: bytes) -> bytes:
        """Return the leader's data. All workers must call this together."""
        return self.gather(data if self.leads else b"")[0]

    def close(self) -> None:
        """Leave the job. Waits until all workers do."""
        if self._tasks is not None:
            self._wait(self._exchange.close)
            self._closed = True

    def abandon(self, exit_code: int) -> None:
        """Set the exit code of a process that will end before `close`."""
        self._exit_code = exit_code

    def _exit_unless_closed(self) -> None:
        """End the process at once if it ends before `close`: the engine would wait for others."""
        if not self._closed:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._exit_code)


def _serve(tasks: _Tasks) -> None:
    """Do tasks one by one, for ever."""
    while True:
        task, answer = tasks.get()
        try:
            answer.put(task())
        except Exception as error:  # noqa: BLE001  # the waiting thread raises it
            answer.put(error)
