"""Measures photos, and paints small ones in the pass that measures them, by the folded graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuralart.chain.graph import Norms
from neuralart.chain.reference import ReferencePainter, Task
from neuralart.chain.specs import Generator, prefix
from neuralart.engine.contract import Devices
from neuralart.engine.symbols import sym
from neuralart.machine.archive import Arrays
from neuralart.painting.folded.folding import (
    can_fold,
    fold,
    in_blocks,
    out_of_blocks,
    residuals,
)
from neuralart.painting.folded.graph import folded_chain
from neuralart.pictures.pixels import X


class OnePassPainter(ReferencePainter):
    """`measure` and `paint_at_once` of a chain that `can_fold`, with norms that are not folded.

    Pictures in blocks, kernels computed beforehand and residuals as one convolution save a fifth of
    a photo of 256x256. ``dtype`` is ``float32`` or ``bfloat16``, which takes half of the time
    where the processor has it; sums over a picture are float32 in both.
    """

    def __init__(
        self,
        specs: Sequence[Generator],
        params: Arrays,
        devices: Devices,
        dtype: str = "float32",
    ) -> None:
        self._dtype = dtype
        self._prefixes = [prefix(k) for k in range(len(specs))]
        self._weights = residuals(specs, self._prefixes, params)
        folded, self._power = fold(specs, self._prefixes, self._weights, params, None)
        super().__init__(specs, folded, devices)

    def _graph(self, task: Task) -> Any:
        norms = Norms(collect=True)
        painting = folded_chain(self._specs, self._prefixes, self._weights, self._dtype, norms)
        if task == "measure":
            return sym.Group([out for pair in norms.statistics.values() for out in pair])
        return painting

    def _forward(self, x: X, statistics: Arrays, task: Task) -> list[X]:
        outputs = super()._forward(in_blocks(x), statistics, task)
        if task == "measure":
            return outputs
        return [out_of_blocks(out) * self._power for out in outputs]


def measuring_painter(
    specs: Sequence[Generator], params: Arrays, devices: Devices, dtype: str = "float32"
) -> ReferencePainter:
    """What measures photos with a chain, and paints small ones: the faster of the two.

    Only a chain that `can_fold` computes in another ``dtype`` than float32.
    """
    if can_fold(specs):
        return OnePassPainter(specs, params, devices, dtype)
    return ReferencePainter(specs, params, devices)
