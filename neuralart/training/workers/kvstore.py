"""What the devices and workers of one training exchange, by MXNet's kvstore.

A job of ``dist_sync`` has a scheduler, servers and workers. They find each other by the environment
variables DMLC_ROLE, DMLC_PS_ROOT_URI, DMLC_PS_ROOT_PORT, DMLC_NUM_WORKER and DMLC_NUM_SERVER, which
`neuralart.training.workers.launch` sets. ps-lite, which the kvstore uses, does not handle failures:
a worker that waits for a dead one waits for ever, inside MXNet. So another thread does the waiting,
and the main thread can give up.
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

from neuralart.engine.door import mx
from neuralart.errors import ConfigError, RunError

T = TypeVar("T")

# Each task comes with the queue that its result, or the exception that it raised, goes to.
_Tasks = queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]]

START_SECONDS = 120.0
"""How long the workers of a job may take to find each other."""

GRACE_SECONDS = 10.0
"""How long a worker that was asked to stop goes on waiting for the others."""

_VARIABLES = (
    "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER",
)  # fmt: skip


class PeersGoneError(Exception):
    """This worker was asked to stop while it waited for others, and they did not come."""


class Cluster:
    """The devices and workers of one job.

    Worker 0 leads: its run is kept, and its checkpoint is resumed. ``interrupts`` is a list; the
    number of a signal that asks this worker to stop is added to it.
    """

    def __init__(self, kvstore: str, devices: int) -> None:
        """Join the job, or make a kvstore for the devices of this process.

        Raises ConfigError if ``dist_sync`` was not started as a job, RunError if its workers do not
        find each other within `START_SECONDS`.
        """
        self.rank, self.workers = 0, 1
        self.interrupts: Sequence[int] = ()
        self._known: set[str] = set()
        self._exchanges = 0
        self._kv: Any = None
        self._closed, self._exit_code = False, 1
        self._tasks: _Tasks | None = None
        if kvstore == "dist_sync":
            self._join()
        elif devices > 1:
            self._kv = mx.kv.create(kvstore)

    def _join(self) -> None:
        missing = [name for name in _VARIABLES if name not in os.environ]
        if missing or os.environ.get("DMLC_ROLE") != "worker":
            raise ConfigError(
                "--kvstore dist_sync: this process is no worker of a job; "
                "start one with `neuralart launch`"
            )
        self._tasks = queue.SimpleQueue()
        atexit.register(self._exit_unless_closed)
        threading.Thread(target=_serve, args=(self._tasks,), daemon=True).start()
        end = time.monotonic() + START_SECONDS
        try:
            self._kv = self._wait(lambda: mx.kv.create("dist_sync"), lambda: time.monotonic() > end)
        except PeersGoneError:
            self.abandon(RunError.exit_code)
            address = f"{os.environ[_VARIABLES[0]]}:{os.environ[_VARIABLES[1]]}"
            raise RunError(
                f"--kvstore dist_sync: not all workers reached the scheduler at {address} within "
                f"{START_SECONDS:g} s; check that every host reaches that address"
            ) from None
        self.workers = int(self._kv.num_workers)
        self.rank = int(os.environ.get("DMLC_TASK_ID", self._kv.rank))

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

    def sum(self, arrays: Mapping[str, Sequence[Any]]) -> None:
        """Replace every array by the sum of the arrays of its name, over devices and workers.

        ``arrays`` has by name an NDArray for each device. Raises PeersGoneError.
        """
        if self._kv is None:
            return

        def exchange() -> None:
            for name, each in arrays.items():
                if name not in self._known:
                    self._kv.init(name, mx.nd.zeros_like(each[0]))
                    self._known.add(name)
            for priority, (name, each) in enumerate(arrays.items()):
                self._kv.pushpull(name, list(each), out=list(each), priority=-priority)
            if self._tasks is not None:
                for each in arrays.values():
                    for array in each:
                        array.wait_to_read()

        if self._tasks is None:
            exchange()
        else:
            self._wait(exchange)

    def sum_numbers(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sum a few numbers over the workers."""
        if self.workers == 1:
            return values
        array = mx.nd.array(values)
        self.sum({name: [array]})
        total: npt.NDArray[np.float32] = array.asnumpy()
        return total

    def gather(self, data: bytes) -> list[bytes]:
        """Return the data of every worker, by rank. All workers must call this together."""
        if self.workers == 1:
            return [data]
        lengths = np.zeros(self.workers, np.float32)
        lengths[self.rank] = len(data)
        lengths = self._exchange(lengths)
        rows = np.zeros((self.workers, max(1, int(lengths.max()))), np.float32)
        rows[self.rank, : len(data)] = np.frombuffer(data, np.uint8)
        rows = self._exchange(rows)
        return [
            row[: int(length)].astype(np.uint8).tobytes()
            for row, length in zip(rows, lengths, strict=True)
        ]

    def broadcast(self, data: bytes) -> bytes:
        """Return the leader's data. All workers must call this together."""
        return self.gather(data if self.leads else b"")[0]

    def _exchange(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self._exchanges += 1
        return self.sum_numbers(f"exchange{self._exchanges}", values)

    def close(self) -> None:
        """Leave the job. Waits until all workers do."""
        if self._tasks is not None:
            self._wait(self._leave)
            self._closed = True

    def _leave(self) -> None:
        self._kv = None

    def abandon(self, exit_code: int) -> None:
        """Set the exit code of a process that will end before `close`."""
        self._exit_code = exit_code

    def _exit_unless_closed(self) -> None:
        """End the process at once if it ends before `close`: MXNet would wait for the others."""
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
