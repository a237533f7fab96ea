"""Measures photos, and paints small ones in the pass that measures them, by the folded graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from neuralart.chain.graph import Norms
from neuralart.chain.receptive_field import framed_size, painting_frame_px
from neuralart.chain.reference import ReferencePainter, Task, TaskGraphs
from neuralart.chain.specs import Generator, prefix
from neuralart.engine.contract import Devices
from neuralart.engine.symbols import sym
from neuralart.machine.archive import Arrays
from neuralart.painting.folded.folding import BLOCK, can_fold, fold, from_blocks, residuals
from neuralart.painting.folded.graph import folded_chain
from neuralart.painting.folded.painter import STEPS, GraphInput
from neuralart.painting.tiles import Span
from neuralart.pictures.pixels import Pixels, to_pixels, to_x


class MeasuringPainter(Protocol):
    """Measures photos with a chain, and paints them in the same pass."""

    def measure(self, photo: Pixels) -> Arrays:
        """The statistics of every norm: (H, W, 3) RGB, uint8 or uint16 -> arrays by name."""

    def paint_at_once(self, photo: Pixels) -> Pixels:
        """The painting on the photo's own statistics: (H, W, 3) RGB, uint8 or uint16 -> the same"""


class OnePassPainter:
    """A `MeasuringPainter` of a chain that `can_fold`, with norms that are not folded.

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
        self._specs, self._dtype = specs, dtype
        self._prefixes = [prefix(k) for k in range(len(specs))]
        self._weights = residuals(specs, self._prefixes, params)
        folded, self._power = fold(specs, self._prefixes, self._weights, params, None)
        self._devices = devices.first()
        self._graphs = TaskGraphs(self._graph_of, specs, folded, self._devices)
        # The graph's input and output, kept.
        self._given, self._made = GraphInput(specs, BLOCK), np.empty(0, np.float32)

    def _graph_of(self, task: Task) -> Any:
        norms = Norms(collect=True)
        painting = folded_chain(self._specs, self._prefixes, self._weights, self._dtype, norms)
        if task == "measure":
            return sym.Group([out for pair in norms.statistics.values() for out in pair])
        return painting

    def measure(self, photo: Pixels) -> Arrays:
        return self._graphs.measure(self._given.of(photo, *self._spans(photo)))

    def paint_at_once(self, photo: Pixels) -> Pixels:
        rows, columns = self._spans(photo)
        blocks = self._given.of(photo, rows, columns)
        (output,) = self._graphs.forward(blocks, {}, "paint at once")
        if self._made.shape != blocks.shape:
            self._made = np.empty_like(blocks)
        self._devices.get_into(output, self._made)
        step = STEPS[photo.dtype.type]
        painting = from_blocks(self._made, step, photo.dtype, power=self._power)
        return np.ascontiguousarray(painting[rows.made, columns.made])

    def _spans(self, photo: Pixels) -> tuple[Span, Span]:
        """The photo in its frame, as one tile."""
        px = painting_frame_px(self._specs)
        height, width = photo.shape[:2]
        return (
            Span(0, framed_size(height, self._specs), px, 0, height),
            Span(0, framed_size(width, self._specs), px, 0, width),
        )


class PlainPainter:
    """A `MeasuringPainter` of any chain, as it was trained."""

    def __init__(self, specs: Sequence[Generator], params: Arrays, devices: Devices) -> None:
        self._painter = ReferencePainter(specs, params, devices)

    def measure(self, photo: Pixels) -> Arrays:
        return self._painter.measure(to_x(photo))

    def paint_at_once(self, photo: Pixels) -> Pixels:
        return to_pixels(self._painter.paint_at_once(to_x(photo)), photo.dtype)


def measuring_painter(
    specs: Sequence[Generator], params: Arrays, devices: Devices, dtype: str = "float32"
) -> MeasuringPainter:
    """What measures photos with a chain, and paints small ones: the faster of the two.

    Only a chain that `can_fold` computes in another ``dtype`` than float32.
    """
    if can_fold(specs):
        return OnePassPainter(specs, params, devices, dtype)
    return PlainPainter(specs, params, devices)
