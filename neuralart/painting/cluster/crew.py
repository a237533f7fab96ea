"""Processes that paint the photos of a batch, by Dask. Only this file uses it.

Every worker loads the model once. Where a worker dies, the scheduler gives its photos to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from neuralart import __version__
from neuralart.chain.model import Model
from neuralart.errors import ConfigError, EngineError, NeuralArtError
from neuralart.machine.crash import reason as reason_of
from neuralart.machine.installation import install_command
from neuralart.machine.memory import free_memory
from neuralart.machine.processor import available_cores
from neuralart.options.paint import StylizeConfig
from neuralart.painting.cluster import addresses
from neuralart.painting.cluster.jobs import RemoteJob
from neuralart.painting.cluster.worker import Batch, Outcome
from neuralart.painting.photo_painter import DEFAULT_BYTES, SHARE_OF_MEMORY

try:
    import distributed
except ImportError:
    raise EngineError(f"--cluster needs distributed; {install_command('cluster')}") from None

# Photos that are given out for each thread of the workers: one to paint and one to come.
GIVEN_OUT = 2

# Seconds without any worker after which a batch ends.
WAITS_FOR_WORKERS = 60

# Seconds between two looks at who works.
LOOKS_EVERY = 1

# Seconds until a scheduler must have answered.
WAITS_FOR_SCHEDULER = 15

MOST_LOCAL = 256

# The least memory that a process here gets, enough for photos of some megapixels.
LEAST_BYTES = 1_000_000_000

_BATCHES: dict[str, Batch] = {}
"""In a worker: the batches that it paints photos of, by their tokens."""

Painted = tuple[RemoteJob, Outcome]

_LOCAL = re.compile(r"local:(\d{1,4})")

_LOOPBACK = re.compile(r"[a-z]+://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/?")


def is_here(cluster: str) -> bool:
    """Whether ``--cluster`` names workers of this machine alone: only they reach its loopback."""
    return bool(_LOCAL.fullmatch(cluster) or _LOOPBACK.fullmatch(cluster))


class _Load(distributed.WorkerPlugin):  # type: ignore[misc]
    """Gives model and options of a batch to every worker, also to one that comes later."""

    def __init__(
        self, token: str, config: StylizeConfig, model: Model, threads: int | None, is_local: bool
    ) -> None:
        self.name = f"neuralart-{token}"
        self._token, self._config, self._model = token, config, model
        self._threads, self._is_local = threads, is_local
        self._version = __version__

    def setup(self, worker: Any) -> None:
        if self._version != __version__:
            raise EngineError(
                f"worker {worker.address}: has neuralart {__version__}, not {self._version}; "
                "install the same version everywhere"
            )
        if self._threads is not None:  # the engine reads it when it is loaded
            os.environ["OMP_NUM_THREADS"] = str(self._threads)
        if self._is_local:  # Ctrl-C in a terminal reaches all its processes
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        _BATCHES[self._token] = Batch(self._config, self._model)

    def teardown(self, worker: Any) -> None:
        _BATCHES.pop(self._token, None)


def _prepare(token: str) -> None:
    _BATCHES[token].prepare()


def _paint(token: str, job: RemoteJob, photo: bytes | None, returned: bool) -> Outcome:
    return _BATCHES[token].paint(job, photo, returned=returned)


class Crew:
    """The workers of a cluster, with a model."""

    def __init__(self, cluster: str, config: StylizeConfig, model: Model) -> None:
        """Start or reach the workers, and load the model in each.

        cluster  ``local:4`` for four processes on this machine, or a scheduler's address

        Raises ConfigError for another ``cluster``, EngineError if no worker answers, NeuralArtError
        if a worker cannot load the model.
        """
        self._name = cluster
        self._token = secrets.token_hex(8)
        self._stack = contextlib.ExitStack()
        try:
            threads = self._start(config)
            if self._is_local and config.max_memory is None:
                config = replace(config, max_memory=_share_of_memory(self._count))
            self._load(_Load(self._token, config, model, threads, self._is_local))
        except BaseException:
            self._stack.close()
            raise

    def _start(self, config: StylizeConfig) -> int | None:
        """Start or reach the cluster. Returns the threads of each worker; None if it decides."""
        local = _LOCAL.fullmatch(self._name)
        self._is_local = local is not None
        self._count = int(local[1]) if local else 0
        if local and not 1 <= self._count <= MOST_LOCAL:
            raise ConfigError(f"--cluster {self._name}: from 1 to {MOST_LOCAL} processes")
        if not local and not re.match(r"[a-z]+://.", self._name):
            raise ConfigError(
                f"--cluster {self._name}: write local:4 for four processes on this machine, or a "
                "scheduler's address, as tcp://10.0.0.1:8786"
            )
        for name in ("distributed", "distributed.client", "distributed.nanny"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # this file says what is wrong
        try:
            address: Any = self._name
            if local:
                address = self._stack.enter_context(_local_cluster(self._count))
            self._client = distributed.Client(
                address, timeout=WAITS_FOR_SCHEDULER, set_as_default=False
            )
            self._stack.callback(self._client.close)
            self._client.wait_for_workers(1, timeout=WAITS_FOR_WORKERS)
        except Exception as error:  # noqa: BLE001
            raise EngineError(self._unreached(error)) from None
        return config.threads or (max(1, available_cores() // self._count) if local else None)

    def _unreached(self, error: Exception) -> str:
        if self._is_local:
            return f"--cluster {self._name}: cannot be started: {reason_of(error)}"
        if hasattr(self, "_client"):
            return f"--cluster {self._name}: has no worker; start one: dask worker {self._name}"
        return (
            f"--cluster {self._name}: no scheduler answers ({type(error).__name__}); "
            "start one: dask scheduler"
        )

    def _load(self, plugin: _Load) -> None:
        try:
            self._client.register_plugin(plugin)
            self._stack.callback(self._forget, plugin.name)
            found = self._client.run(_prepare, self._token, on_error="return")
        except NeuralArtError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever unpickling raises there
            raise EngineError(
                f"--cluster {self._name}: a worker cannot load neuralart: {reason_of(error)}; "
                "install the same version everywhere"
            ) from None
        for worker, result in found.items():
            if isinstance(result, NeuralArtError):
                raise type(result)(f"worker {worker}: {result}")

    def _forget(self, name: str) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._client.unregister_worker_plugin(name)

    def close(self) -> None:
        """Leave the cluster, and end the processes that were started."""
        self._stack.close()

    def paint(self, jobs: Iterable[RemoteJob], stopping: Callable[[], bool]) -> Iterator[Painted]:
        """Yield jobs and what became of them, in the order in which they are done.

        stopping  whether no more photos are to be given out; those that are, are painted

        Raises EngineError if scheduler or workers are gone.
        """
        waiting = iter(jobs)
        given: dict[Any, RemoteJob] = {}
        looked = seen = time.monotonic()
        room = self._room() or GIVEN_OUT
        more = True
        while more or given:
            while more and len(given) < room and not stopping():
                job = next(waiting, None)
                if job is None:
                    more = False
                    break
                try:
                    given[self._submit(job)] = job
                except NeuralArtError as error:
                    yield job, Outcome(error=error)
            more = more and not stopping()
            if not given:
                continue
            done = self._done(list(given))
            now = time.monotonic()
            if now - looked > LOOKS_EVERY:
                looked, found = now, self._room()
                if found:
                    room, seen = found, now
            if done:
                seen = now
            elif now - seen > WAITS_FOR_WORKERS:
                raise EngineError(
                    f"--cluster {self._name}: no worker is left; "
                    "the same command with --skip-existing goes on"
                )
            for future in done:
                job = given.pop(future)
                yield job, self._outcome(future, job)

    def _room(self) -> int:
        """Photos that are given out at a time; 0 without workers."""
        try:
            return GIVEN_OUT * sum(int(n) for n in self._client.nthreads().values())
        except Exception:  # noqa: BLE001
            raise self._gone() from None

    def _gone(self) -> EngineError:
        return EngineError(
            f"--cluster {self._name}: the scheduler is gone; "
            "the same command with --skip-existing goes on"
        )

    def _submit(self, job: RemoteJob) -> Any:
        photo = addresses.read(job.source) if addresses.is_of_one_process(job.source) else None
        returned = addresses.is_of_one_process(job.target)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Dask warns of photos over 10 MB
            return self._client.submit(_paint, self._token, job, photo, returned, pure=False)

    def _done(self, futures: list[Any]) -> set[Any]:
        """The futures that are done after a second, or as soon as one is."""
        try:
            with self._client.as_current():
                done = distributed.wait(futures, timeout=1, return_when="FIRST_COMPLETED").done
        except (TimeoutError, asyncio.TimeoutError):  # two classes in Python 3.10
            return set()
        except Exception:  # noqa: BLE001  # futures of a lost scheduler are cancelled
            raise self._gone() from None
        if any(future.status in ("cancelled", "lost") for future in done):
            raise self._gone()
        return set(done)

    def _outcome(self, future: Any, job: RemoteJob) -> Outcome:
        try:
            outcome: Outcome = future.result()
            if outcome.painting:
                addresses.put(job.target, outcome.painting)
            return outcome
        except NeuralArtError as error:
            return Outcome(error=error)
        except distributed.KilledWorker:
            why = "every worker that tried it died, as for lack of memory; see the workers' logs"
        except Exception as error:  # noqa: BLE001
            why = f"{type(error).__name__}: {reason_of(error)}"
        return Outcome(error=EngineError(f"{job.source_name}: cannot be painted: {why}"))


def _share_of_memory(count: int) -> str | None:
    """The --max-memory of each of several processes; None if all may have the default."""
    free = free_memory()
    each = DEFAULT_BYTES if free is None else int(SHARE_OF_MEMORY * free / count)
    return None if each >= DEFAULT_BYTES else f"{max(LEAST_BYTES, each) // 1_000_000}MB"


@contextlib.contextmanager
def _local_cluster(count: int) -> Iterator[Any]:
    """Processes on this machine with one photo each, which listen on loopback alone."""
    quiet = {"DASK_LOGGING__DISTRIBUTED": "critical"}
    with distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,  # painting keeps to --max-memory
        silence_logs=logging.CRITICAL,
        env=quiet,
    ) as cluster:
        yield cluster
