"""A trained chain as one graph that paints pictures of any size, on measured statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from neuralart.chain.graph import measuring_graph, painting_graph, single_pass_graph
from neuralart.chain.receptive_field import painting_frame
from neuralart.chain.specs import NORM_EPSILON, Generator, norm_names
from neuralart.engine.contract import Batch, Devices, Executor, Shape
from neuralart.machine.archive import Arrays
from neuralart.pictures.frame import Frame
from neuralart.pictures.grain import with_grain
from neuralart.pictures.pixels import X

Task = Literal["measure", "paint", "paint at once"]
"""What a graph is bound for: statistics alone, painting on given ones, or on the picture's own."""

_GRAPHS = {"measure": measuring_graph, "paint": painting_graph, "paint at once": single_pass_graph}


class TaskGraphs:
    """The graphs of a chain's tasks, each bound for the size that it was given last."""

    def __init__(
        self,
        graph_of: Callable[[Task], Any],
        specs: Sequence[Generator],
        params: Arrays,
        devices: Devices,
    ) -> None:
        self._graph_of = graph_of
        self._params = params
        self._devices = devices
        self._executors: dict[Task, _Bound] = {}
        self.norm_names = norm_names(specs)

    def forward(self, x: X, statistics: Arrays, task: Task) -> list[Batch]:
        """The outputs of a task's graph on the first device; ``x`` must stay until they are read.

        Shape:  (1, C, H, W) -> as the graph says
        """
        bound = self._executors.get(task)
        is_new = bound is None
        if bound is None:
            bound = self._executors[task] = _Bound(self._bind(x.shape, task), x.shape)
        if is_new or task == "paint":
            # The other tasks have no statistics, and setting was a fifth of a small photo's time.
            bound.executor.set_parameters({**self._params, **statistics})
        if bound.shape != x.shape:
            bound.executor.reshape(x.shape)
            bound.shape = x.shape
        return bound.executor.forward(x=self._devices.borrow(x))

    def measure(self, x: X) -> Arrays:
        """The statistics of every norm on a picture with its frame and grain.

        Shape:  as the graph takes it -> ``g0_conv0_norm_moving_mean``, ``.._moving_var``, .. (C,)
        """
        if not self.norm_names:
            return {}
        pairs = [self._devices.get(out) for out in self.forward(x, {}, "measure")]
        statistics: Arrays = {}
        for name, mean, inverse in zip(self.norm_names, pairs[0::2], pairs[1::2], strict=True):
            statistics[f"{name}_moving_mean"] = mean
            variance = 1 / np.square(inverse.astype(np.float64)) - NORM_EPSILON
            statistics[f"{name}_moving_var"] = variance.clip(min=0).astype(np.float32)
        return statistics

    def _bind(self, shape: Shape, task: Task) -> Executor:
        # Without a gradient, norms would use the statistics that were set. The gradient of the last
        # normalised layer alone keeps the other layers' outputs from being held for it.
        held = []
        if task != "paint" and self.norm_names:
            held = [self.norm_names[-1].removesuffix("_norm") + "_weight"]
        return self._devices.executor(self._graph_of(task), {"x": shape}, gradients=held)


class ReferencePainter:
    """Runs a chain as it was trained: `measure` a picture, then `paint` it, or another one like it.

    With frozen statistics every layer is local: equal pixels around a point give equal colours. The
    picture gets the chain's grain; ``place`` is where in its photo its first pixel is.
    """

    def __init__(self, specs: Sequence[Generator], params: Arrays, devices: Devices) -> None:
        self._specs = specs
        self._devices = devices.first()
        self._graphs = TaskGraphs(lambda task: _GRAPHS[task](specs), specs, params, self._devices)

    def measure(self, x: X) -> Arrays:
        """The statistics of every norm on this picture.

        Shape:  (1, 3, H, W) -> ``g0_conv0_norm_moving_mean``, ``.._moving_var`` and so on, (C,)
        """
        return self._graphs.measure(self._framed(x))

    def paint(self, x: X, statistics: Arrays, place: tuple[int, int] = (0, 0)) -> list[X]:
        """x1 .. xn, the picture after each stage.

        Shape:  (1, 3, H, W) -> n of the same; any H and W of at least 1
        """
        return self._painted(x, statistics, "paint", place)

    def paint_at_once(self, x: X) -> X:
        """xn of a picture on its own statistics, in one pass instead of `measure` and `paint`.

        Shape:  (1, 3, H, W) -> the same
        """
        return self._painted(x, {}, "paint at once" if self._graphs.norm_names else "paint")[-1]

    def _painted(
        self, x: X, statistics: Arrays, task: Task, place: tuple[int, int] = (0, 0)
    ) -> list[X]:
        frame, framed = self._frame(x), self._framed(x, place)
        outputs = self._graphs.forward(framed, statistics, task)
        return [frame.inside(self._devices.get(out)) for out in outputs]

    def _framed(self, x: X, place: tuple[int, int] = (0, 0)) -> X:
        return self._frame(x).around(with_grain(x, self._specs[0].grain, place))

    def _frame(self, x: X) -> Frame:
        return painting_frame(x.shape[2], x.shape[3], self._specs)


@dataclass
class _Bound:
    """An executor and the shape that it takes."""

    executor: Executor
    shape: Shape
