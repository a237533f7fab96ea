"""Graphs that stay bound for sizes that come again, within a limit of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neuralart.chain.reference import Task
from neuralart.chain.specs import Generator
from neuralart.painting.folded.one_pass import MeasuringPainter
from neuralart.painting.tiles import measuring_bytes

# The most graphs that are kept: a camera's photos have two shapes, upright and across.
MOST_KEPT = 4


@dataclass
class _Kept:
    """A painter, and the most bytes that its graph has taken: a smaller size gives none back."""

    painter: MeasuringPainter
    bytes: float = 0.0


class KeptGraphs:
    """Painters of one chain, each with a graph that is bound for one task and size.

    Another size binds a graph anew, which took 17 ms of a photo's 80 ms at 160x120. The graph that
    was used least recently is bound for a new size, or given back where the memory does not
    suffice.
    """

    def __init__(
        self, specs: Sequence[Generator], new_painter: Callable[[], MeasuringPainter]
    ) -> None:
        self._specs, self._new_painter = specs, new_painter
        self._kept: dict[tuple[Task, int, int], _Kept] = {}  # the last used is last

    @property
    def bytes(self) -> float:
        """Bytes that all graphs take."""
        return sum(kept.bytes for kept in self._kept.values())

    def at(self, task: Task, height: int, width: int, room: float) -> MeasuringPainter:
        """The painter for a task and a size.

        room  bytes that all graphs may take together; the one that is asked for is always kept
        """
        needed = measuring_bytes(height, width, self._specs)
        kept = self._kept.pop((task, height, width), None)
        if kept is None and (len(self._kept) >= MOST_KEPT or self.bytes + needed > room):
            kept = self._least_recent(task, max(needed, room))
        kept = kept or _Kept(self._new_painter())
        kept.bytes = max(kept.bytes, needed)
        self._kept[task, height, width] = kept
        self.fit(room)
        return kept.painter

    def _least_recent(self, task: Task, room: float) -> _Kept | None:
        """Take out the task's least recently used graph of at most ``room`` bytes, if there is one."""
        for key, kept in self._kept.items():
            if key[0] == task and kept.bytes <= room:
                return self._kept.pop(key)
        return None

    def fit(self, room: float) -> None:
        """Give graphs back until all take at most ``room`` bytes. The last used one is kept."""
        while len(self._kept) > 1 and (len(self._kept) > MOST_KEPT or self.bytes > room):
            del self._kept[next(iter(self._kept))]

    def release(self) -> None:
        """Give all graphs back."""
        self._kept.clear()
