"""Adds gradients up by ``torch.distributed``: NCCL between cards, gloo between processors.

The workers of a job find each other by RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, which
`neuralart.training.workers.launch` and torchrun set; those of one machine by a file where
`MEETING_FILE` names one, since PyTorch would listen on all addresses of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, distributed

from neuralart.engine.contract import MEETING_FILE, Batch, Exchange, PeersGoneError
from neuralart.errors import ConfigError

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

# The other workers wait while the leader measures and writes a model.
PATIENCE = timedelta(days=1)


class CollectiveExchange(Exchange):
    """Sums over the devices of this process, then over the workers of a process group."""

    def __init__(self, devices: Sequence[torch.device], *, joins: bool) -> None:
        """``joins``: take part in a job. Raises ConfigError if this process is no worker of one."""
        self._device = devices[0]
        self._group: Any = None
        if not joins:
            return
        if any(name not in os.environ for name in _VARIABLES):
            raise ConfigError(
                "--kvstore dist_sync: this process is no worker of a job; "
                "start one with `neuralart launch` or torchrun"
            )
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
        backend = "nccl" if self._device.type == "cuda" else "gloo"
        if file := os.environ.get(MEETING_FILE):
            distributed.init_process_group(
                backend,
                init_method=Path(file).absolute().as_uri(),
                rank=int(os.environ["RANK"]),
                world_size=int(os.environ["WORLD_SIZE"]),
                timeout=PATIENCE,
            )
        else:
            distributed.init_process_group(backend, timeout=PATIENCE)
        self._group = distributed.group.WORLD
        self.rank, self.workers = distributed.get_rank(), distributed.get_world_size()

    def add_up(self, arrays: Mapping[str, Batch]) -> None:
        batches = list(arrays.values())
        if len(batches[0]) == 1 and self.workers == 1:
            return
        totals = [sum((x.to(self._device) for x in each[1:]), each[0]) for each in batches]
        if self.workers > 1:
            flat = torch.cat([total.reshape(-1) for total in totals])
            self._all_reduce(flat)
            parts = torch.split(flat, [total.numel() for total in totals])
            totals = [part.view(total.shape) for part, total in zip(parts, totals, strict=True)]
        for batch, total in zip(batches, totals, strict=True):
            for array in batch:
                array.copy_(total)

    def add_up_numbers(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.workers == 1:
            return values
        array = torch.tensor(values, dtype=torch.float32, device=self._device)
        self._all_reduce(array)
        total: npt.NDArray[Any] = array.cpu().numpy()
        return total

    def _all_reduce(self, array: Tensor) -> None:
        """Raises PeersGoneError if a worker has closed its connection."""
        try:
            distributed.all_reduce(array, group=self._group)
        except RuntimeError as error:
            raise PeersGoneError(str(error)) from None

    def close(self) -> None:
        if self._group is not None:
            distributed.barrier(group=self._group)
            distributed.destroy_process_group()
            self._group = None
