"""Adds gradients up by MXNet's kvstore: over the devices of a process, or over a job's workers.

A job of ``dist_sync`` has a scheduler, servers and workers. They find each other by the environment
variables DMLC_ROLE, DMLC_PS_ROOT_URI, DMLC_PS_ROOT_PORT, DMLC_NUM_WORKER and DMLC_NUM_SERVER, which
`neuralart.training.workers.launch` sets. ps-lite, which the kvstore uses, does not handle failures:
a worker that waits for a dead one waits for ever, inside MXNet.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.engine.contract import Batch, Exchange
from neuralart.engine.door import mx
from neuralart.errors import ConfigError

_VARIABLES = (
    "DMLC_PS_ROOT_URI", "DMLC_PS_ROOT_PORT", "DMLC_NUM_WORKER", "DMLC_NUM_SERVER",
)  # fmt: skip


class KvstoreExchange(Exchange):
    """A kvstore; none for one device of one process."""

    def __init__(self, kvstore: str, devices: int) -> None:
        """Join the job, or make a kvstore for the devices of this process.

        Raises ConfigError if ``dist_sync`` was not started as a job.
        """
        self._known: set[str] = set()
        self._kv: Any = None
        self._waits = kvstore == "dist_sync"
        if self._waits:
            missing = [name for name in _VARIABLES if name not in os.environ]
            if missing or os.environ.get("DMLC_ROLE") != "worker":
                raise ConfigError(
                    "--kvstore dist_sync: this process is no worker of a job; "
                    "start one with `neuralart launch`"
                )
            self._kv = mx.kv.create("dist_sync")
            self.workers = int(self._kv.num_workers)
            self.rank = int(os.environ.get("DMLC_TASK_ID", self._kv.rank))
        elif devices > 1:
            self._kv = mx.kv.create(kvstore)

    def add_up(self, arrays: Mapping[str, Batch]) -> None:
        if self._kv is None:
            return
        for name, each in arrays.items():
            if name not in self._known:
                self._kv.init(name, mx.nd.zeros_like(each[0]))
                self._known.add(name)
        for priority, (name, each) in enumerate(arrays.items()):
            self._kv.pushpull(name, list(each), out=list(each), priority=-priority)
        if self._waits:
            for each in arrays.values():
                for array in each:
                    array.wait_to_read()

    def add_up_numbers(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.workers == 1:
            return values
        array = mx.nd.array(values)
        self.add_up({name: [array]})
        total: npt.NDArray[np.float32] = array.asnumpy()
        return total

    def close(self) -> None:
        self._kv = None
