"""What workers exchange as bytes: of any length, whole, and the same for all."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neuralart.engine.contract import Batch, Exchange
from neuralart.training.workers import cluster
from neuralart.training.workers.cluster import Cluster


class Meeting:
    """Adds up what the threads of some workers bring, in float32 as kvstore does."""

    def __init__(self, workers: int) -> None:
        self.barrier = threading.Barrier(workers)
        self.brought: dict[int, npt.NDArray[Any]] = {}

    def sum(self, rank: int, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        self.brought[rank] = values.astype(np.float32)
        self.barrier.wait(60)
        total = np.sum(list(self.brought.values()), axis=0, dtype=np.float32)
        self.barrier.wait(60)
        return total


class Worker(Exchange):
    def __init__(self, meeting: Meeting, rank: int) -> None:
        self.meeting, self.rank, self.workers = meeting, rank, meeting.barrier.parties

    def exchange(self, kvstore: str) -> Exchange:
        """As if this were the devices."""
        return self

    def add_up(self, arrays: Mapping[str, Batch]) -> None:
        raise AssertionError("no gradients here")

    def add_up_numbers(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self.meeting.sum(self.rank, values)

    def close(self) -> None:
        pass


def gathered(each: list[bytes]) -> list[list[bytes]]:
    meeting = Meeting(len(each))

    def gather(rank: int) -> list[bytes]:
        worker: Any = Worker(meeting, rank)
        return Cluster("local", worker).gather(each[rank])

    with ThreadPoolExecutor(len(each)) as pool:
        return list(pool.map(gather, range(len(each))))


@pytest.mark.parametrize("lengths", [(0, 0), (0, 1), (999, 1000), (1001, 0), (2500, 7, 4000)])
def test_every_worker_gets_the_data_of_all(
    monkeypatch: pytest.MonkeyPatch, lengths: tuple[int, ...]
) -> None:
    monkeypatch.setattr(cluster, "PIECE_BYTES", 1000)
    rng = np.random.default_rng(0)
    each = [rng.bytes(length) for length in lengths]
    assert gathered(each) == [each] * len(each)


def test_lengths_that_float32_cannot_hold() -> None:
    """Above 2^24, every second whole number is missing in float32."""
    data = np.random.default_rng(0).bytes(2**24 + 1)
    assert gathered([data, b"short"]) == [[data, b"short"]] * 2
