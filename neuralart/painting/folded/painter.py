"""The folded painter: one fast graph for a whole chain paints tile by tile, on given statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.chain.graph import painting_graph
from neuralart.chain.receptive_field import painting_frame_px
from neuralart.chain.specs import NORM_EPSILON, PHASES, RGB, Generator, prefix
from neuralart.engine.contract import Devices, Executor, Shape
from neuralart.errors import ConfigError
from neuralart.machine.archive import Arrays
from neuralart.painting.folded.folding import (
    BLOCK,
    BLOCK_CHANNELS,
    ENTRY,
    can_fold,
    fold,
    from_blocks,
    to_blocks,
    with_fixed_residuals,
)
from neuralart.painting.folded.graph import folded_chain
from neuralart.painting.tiles import Span, Tiling, best_tiling
from neuralart.pictures.grain import grain
from neuralart.pictures.pieces import reflected_piece
from neuralart.pictures.pixels import Pixels, X

# Convolutions with at least this many channels compute in 8 bits even in the first stage, of which
# they are the slowest. In the fast chain they cost 2 dB. The thinner ones would cost 2.5 dB more
# there, and 5 dB in the default chain.
WIDE = 48

# The value of one level of 0..255, by the type of a picture.
STEPS: dict[type, float] = {np.uint8: 1, np.uint16: 257}


def _reflected(start: int, stop: int, size: int) -> npt.NDArray[np.intp]:
    """The indices start .. stop - 1, reflected into 0 .. size - 1."""
    period = max(1, 2 * (size - 1))
    index = np.abs(np.arange(start, stop)) % period
    folded: npt.NDArray[np.intp] = np.minimum(index, period - index).clip(max=size - 1)
    return folded


def tile_pixels(image: Pixels, frame: int, rows: Span, columns: Span) -> Pixels:
    """Cut a tile out of a picture that has a frame of its own reflection, ``frame`` pixels wide.

    Shape:  (H, W, 3) -> (rows.stop - rows.start, columns.stop - columns.start, 3)
    """
    down, across = ((span.start - frame, span.stop - frame) for span in (rows, columns))
    return reflected_piece(image, down, across)


class GraphInput:
    """Tiles of pictures with their frame and the chain's grain, in blocks of ``edge`` pixels.

    The array is kept, since getting new memory of that size takes as long as filling it. So is the
    grain, which is that of the next photo's tile if that is at the same place.
    """

    def __init__(self, specs: Sequence[Generator], edge: int) -> None:
        self._frame, self._strength = painting_frame_px(specs), specs[0].grain
        self._edge = edge
        self.release()

    def release(self) -> None:
        """Give back the memory that is kept from one tile to the next."""
        self._blocks: X = np.empty(0, np.float32)
        self._grain: list[X] = []
        self._places: tuple[Span, Span, tuple[int, ...]] | None = None

    def of(self, image: Pixels, rows: Span, columns: Span) -> X:
        """A tile of a picture, valid until the next.

        Shape:  (H, W, 3) RGB, uint8 or uint16 -> see `to_blocks`
        """
        tile = tile_pixels(image, self._frame, rows, columns)
        grain = self._grain_of(rows, columns, image.shape[:2]) if self._strength else None
        self._blocks = to_blocks(tile, STEPS[image.dtype.type], self._edge, self._blocks, grain)
        return self._blocks

    def _grain_of(self, rows: Span, columns: Span, size: tuple[int, ...]) -> list[X]:
        if self._places != (rows, columns, size):
            down, across = (
                _reflected(span.start - self._frame, span.stop - self._frame, edge)
                for span, edge in zip((rows, columns), size, strict=True)
            )
            self._grain = [
                grain(self._strength, down[row :: self._edge], across[column :: self._edge])
                for row, column in PHASES[: self._edge**2]
            ]
            self._places = rows, columns, size
        return self._grain


class FoldedPainter:
    """Paints pictures of any size with the stages of a chain, on statistics that were measured.

    A chain that `can_fold` is rewritten; any other runs as it was trained, with its norms frozen.

    dtype  ``float32``, or ``bfloat16`` for the precision of that name
    """

    def __init__(
        self,
        specs: Sequence[Generator],
        params: Arrays,
        devices: Devices,
        *,
        share: float = 1.0,
        precision: str = "float32",
    ) -> None:
        """Prepare a chain for painting.

        share      the last stage's share of the picture; the rest is the stage before it
        precision  ``float32``; ``bfloat16``; or ``int8``: all stages but the first compute in 8
                   bits, in ranges that `calibrate` finds, and the `WIDE` layers of the first. An
                   error of the first stage comes through all others.

        Raises ConfigError for another precision than float32 if the chain cannot be folded or the
        device lacks it.
        """
        self._params = params
        self._devices = devices
        self._prefixes = [prefix(k) for k in range(len(specs))]
        self._specs = with_fixed_residuals(specs, params, share)
        self._weights = [spec.residual for spec in self._specs]
        self._folds = can_fold(specs)
        self.dtype = "bfloat16" if precision == "bfloat16" else "float32"
        if precision != "float32" and not self._folds:
            raise ConfigError(
                f"--precision {precision}: only for chains whose stages begin with a convolution "
                "of stride 2 and end with one of stride 1; use float32"
            )
        if precision not in devices.precisions:
            raise ConfigError(
                f"--precision {precision}: {devices.names[0]} paints in "
                f"{' and '.join(devices.precisions)} here; use one of them. "
                f"{devices.other_precisions}"
            )
        self._symbol: Any = None
        self._executor: Executor | None = None
        self._shape: Shape = ()
        # The statistics whose weights the executor has, and the factor for its output.
        self._bound_to: Arrays | None = None
        self._power = 1.0
        # The graph's input and output, kept.
        self._given = GraphInput(specs, self._edge)
        self._made: X = np.empty(0, np.float32)

    def release(self) -> None:
        """Give back the memory that is kept from one painting to the next."""
        self._executor, self._shape, self._bound_to = None, (), None
        self._given.release()
        self._made = np.empty(0, np.float32)

    def calibrate(self, image: Pixels, statistics: Arrays) -> None:
        """Find the 8-bit ranges on a picture. All pictures are then painted with them."""
        (tile,) = best_tiling(image.shape[0], image.shape[1], self._specs).tiles()
        blocks = GraphInput(self._specs, self._edge).of(image, *tile)
        kept = [ENTRY, *(f"{prefix}mix" for prefix in self._prefixes)]
        for layer in self._specs[0].layers:
            name = f"{self._prefixes[0]}{layer.name}"
            if layer.op == "deconv":
                kept.append(f"{name}_norm")
            elif layer.channels < WIDE:
                kept.append(name)
        from neuralart.painting.folded.eight_bits import in_eight_bits

        self._symbol = in_eight_bits(
            folded_chain(self._specs, self._prefixes, self._weights),
            self._frozen(statistics)[0],
            blocks,
            kept,
        )

    def paint(self, image: Pixels, statistics: Arrays, tiling: Tiling) -> Pixels:
        """Paint a picture, tile by tile.

        statistics  must not be changed later: the next picture on the same arrays is painted by the
                    graph that is bound, with weights that are in the processor's order already

        Shape:  (H, W, 3) RGB, uint8 or uint16 -> the same
        """
        height, width = (edge // self._edge for edge in tiling.tile)
        shape = (1, BLOCK_CHANNELS if self._folds else RGB, height, width)
        if self._made.shape != shape:
            self._made = np.empty(shape, np.float32)
        executor = self._bound(shape, statistics)
        painting = np.empty_like(image)
        for rows, columns in tiling.tiles():
            blocks = self._given.of(image, rows, columns)
            made = self._paint_tile(executor, blocks, image.dtype, self._power)
            painting[rows.target, columns.target] = made[rows.made, columns.made]
        return painting

    @property
    def _edge(self) -> int:
        """Pixels along the edge of a block."""
        return BLOCK if self._folds else 1

    def _paint_tile(
        self, executor: Executor, blocks: X, kind: np.dtype[Any], power: float
    ) -> Pixels:
        outputs = executor.forward(x=self._devices.borrow(blocks))
        self._devices.get_into(outputs[0], self._made)
        return from_blocks(self._made, STEPS[kind.type], kind, self._edge, power)

    def _frozen(self, statistics: Arrays) -> tuple[Arrays, float]:
        """The graph's parameters on these statistics, and the factor for its output."""
        arrays = {**self._params, **statistics}
        if not self._folds:
            return arrays, 1.0
        return fold(self._specs, self._prefixes, self._weights, arrays, NORM_EPSILON)

    def _bound(self, shape: Shape, statistics: Arrays) -> Executor:
        """The executor with the weights of these statistics; the last one if it has them."""
        if self._executor is None or shape != self._shape or statistics is not self._bound_to:
            params, self._power = self._frozen(statistics)
            self._bound_to = None
            self._bind(shape).set_parameters(params)
            self._bound_to = statistics
        assert self._executor is not None
        return self._executor

    def _bind(self, shape: Shape) -> Executor:
        """Bind the graph for one set of statistics.

        An executor cannot paint with other weights: MXNet 1.9.1 reorders those of a fused
        convolution once, and looks for new ones only where it also folds a norm or quantises
        (operator ``_sg_mkldnn_conv``). Binding takes some 20 ms. Taking over the memory of an
        executor of the same shape saves a fifth of the painting's time at 1920x1080, since the
        system gives new pages slowly.
        """
        if self._symbol is None:
            self._symbol = (
                folded_chain(self._specs, self._prefixes, self._weights, self.dtype)
                if self._folds
                else painting_graph(self._specs)[len(self._specs) - 1]
            )
        if shape != self._shape:
            self._executor = None  # two must not hold memory at once
        self._executor = self._devices.executor(self._symbol, {"x": shape}, reuse=self._executor)
        self._shape = shape
        return self._executor
