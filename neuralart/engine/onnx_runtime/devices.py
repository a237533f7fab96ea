"""ONNX Runtime's one device: the processor, whose arrays are numpy's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from neuralart.engine.contract import Batch, Devices, Edges, Exchange, Executor, Numbers, Shape
from neuralart.engine.onnx_runtime.executor import OnnxExecutor
from neuralart.engine.onnx_runtime.limits import paints_only
from neuralart.engine.onnx_runtime.sessions import ERRORS
from neuralart.errors import EngineError
from neuralart.machine.installation import install_command

INPUTS = ("x", "data", "mixture")
"""The arguments of our graphs that are no parameters."""


class OnnxDevices(Devices):
    """The processor, on which ONNX Runtime paints."""

    names = ("onnx:cpu:0",)
    are_cpu = True
    precisions = ("float32",)
    errors = ERRORS

    @property
    def other_precisions(self) -> str:
        return f"int8 needs MXNet, and bfloat16 PyTorch: {install_command('torch')}"

    def first(self) -> Devices:
        return self

    def executor(
        self,
        symbol: Any,
        inputs: Mapping[str, Shape],
        *,
        gradients: Collection[str] = (),
        common: Collection[str] = (),
        accumulate: bool = False,
        reuse: Executor | None = None,
    ) -> Executor:
        return OnnxExecutor(symbol, inputs, measures=bool(gradients), reuse=reuse)

    def output_shapes(self, symbol: Any, shapes: Mapping[str, Shape]) -> list[Shape]:
        """As in the contract, but the graph runs once, on zeros."""
        executor = OnnxExecutor(symbol, {n: s for n, s in shapes.items() if n in INPUTS})
        executor.set_parameters({name: np.zeros(shape) for name, shape in shapes.items()})
        return [batch[0].shape for batch in executor.forward()]

    def exchange(self, kvstore: str) -> Exchange:
        raise EngineError(paints_only())

    def put(self, x: Numbers) -> Batch:
        return [np.array(x, np.float32)]

    def put_common(self, x: Numbers) -> Batch:
        return self.put(x)

    def borrow(self, x: Numbers) -> Batch:
        return [x]

    def get(self, batch: Batch) -> Numbers:
        array: Numbers = np.array(batch[0])
        return array

    def get_into(self, batch: Batch, out: Numbers) -> None:
        np.copyto(out, batch[0])

    def _reflected(self, x: Numbers, edges: Edges) -> Numbers:
        return np.pad(x, _widths(edges), mode="reflect")

    def surround(self, batch: Batch, edges: Edges) -> Batch:
        return [np.pad(x, _widths(edges)) for x in batch]

    def inside(self, batch: Batch, edges: Edges) -> Batch:
        top, bottom, left, right = edges
        height, width = batch[0].shape[2:]
        return [x[:, :, top : height - bottom, left : width - right].copy() for x in batch]

    def flatten(self, batches: Sequence[Batch]) -> Batch:
        rows = [batch[0].sum(axis=0).reshape(1, -1) for batch in batches]
        return [np.concatenate(rows, axis=1)]

    def squares(self, batch: Batch) -> Batch:
        return [np.square(x).sum().reshape(1, 1) for x in batch]

    def settle(self) -> None:
        """Do nothing: every call returns when its work is done."""

    def memory(self) -> list[tuple[str, int, int]]:
        return []


def _widths(edges: Edges) -> tuple[tuple[int, int], ...]:
    top, bottom, left, right = edges
    return (0, 0), (0, 0), (top, bottom), (left, right)
