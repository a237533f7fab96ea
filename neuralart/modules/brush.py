"""Painting apart from training: one graph for a whole chain, on frozen statistics, window by window."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.engine import mx, settle
from neuralart.errors import ConfigError
from neuralart.files import Arrays
from neuralart.folding import (
    BLOCK,
    BLOCK_CHANNELS,
    ENTRY,
    can_fold,
    fold,
    from_blocks,
    residuals,
    to_blocks,
)
from neuralart.images import X
from neuralart.modules.chain import prefix, set_params
from neuralart.modules.eight_bits import in_eight_bits
from neuralart.modules.painter import compose
from neuralart.pictures import Pixels
from neuralart.processor import faster_precisions
from neuralart.specs import RGB, Generator
from neuralart.symbols.folded import folded_chain
from neuralart.symbols.generator import NORM_EPSILON, Norms
from neuralart.tiles import Plan, Window, frame_px, plan_tiles

log = logging.getLogger(__name__)

# Convolutions of so many channels are in 8 bits even in the first stage: they are its slowest, and of the fast chain
# cost 2 dB, where its thin ones at half resolution cost 2.5 more, and those of the default chain 5.
WIDE = 48

# Of a colour from 0 to 255 in a picture of this type.
STEPS: dict[type, float] = {np.uint8: 1, np.uint16: 257}


def _reflected(start: int, stop: int, size: int) -> npt.NDArray[np.intp]:
    """Indices start .. stop of an axis that runs to and fro between 0 and size - 1."""
    period = max(1, 2 * (size - 1))
    index = np.abs(np.arange(start, stop)) % period
    folded: npt.NDArray[np.intp] = np.minimum(index, period - index).clip(max=size - 1)
    return folded


def window_of(image: Pixels, frame: int, rows: Window, columns: Window) -> Pixels:
    """A window of a picture in its frame of reflection.

    Shape:  (H, W, 3) -> (rows.stop - rows.start, columns.stop - columns.start, 3)
    """
    height, width = image.shape[:2]
    top, bottom = rows.start - frame, rows.stop - frame
    left, right = columns.start - frame, columns.stop - frame
    if top >= 0 and left >= 0 and bottom <= height and right <= width:
        return image[top:bottom, left:right]
    down, across = _reflected(top, bottom, height), _reflected(left, right, width)
    window = np.empty((bottom - top, right - left, RGB), image.dtype)
    # The part inside the picture as it is, which is nearly all of it, and then the four sides by their indices.
    y0, y1 = max(0, -top), min(bottom, height) - top
    x0, x1 = max(0, -left), min(right, width) - left
    window[y0:y1, x0:x1] = image[top + y0 : top + y1, left + x0 : left + x1]
    middle = slice(x0, x1)
    for y, x in (
        (slice(0, y0), middle),
        (slice(y1, None), middle),
        (slice(None), slice(0, x0)),
        (slice(None), slice(x1, None)),
    ):
        window[y, x] = image[down[y][:, None], across[x]]
    return window


def _shared(array: X) -> Any:
    """MXNet's array on the same memory; of a view, since MXNet forbids numpy to write to what it is given."""
    return mx.nd.from_numpy(array.view())


class Brush:
    """Paints pictures of any size with the stages of a chain, on statistics that were measured.

    A chain that `can_fold` is rewritten; any other runs as it was trained, with its norms frozen.
    """

    def __init__(
        self,
        specs: Sequence[Generator],
        params: Arrays,
        context: Any,
        *,
        share: float = 1.0,
        precision: str = "float32",
    ) -> None:
        """``share``: under 1, the last stage counts that much and the one before it the rest.

        ``precision``: float32; bfloat16; or int8: all stages but the first compute in 8 bits, in ranges that `calibrate`
        finds, and of that one the `WIDE` layers. An error of the first stage comes through all others.

        Raises ConfigError for another than float32 if the chain cannot be folded, on a GPU, or if the processor lacks it.
        """
        self._params = params
        self._context = context
        self._prefixes = [prefix(k) for k in range(len(specs))]
        self._weights = residuals(specs, self._prefixes, params, share)
        self._specs = [
            dataclasses.replace(spec, residual=a, learn_residual=False)
            for spec, a in zip(specs, self._weights, strict=True)
        ]
        self._folds = can_fold(specs)
        self._dtype = "bfloat16" if precision == "bfloat16" else "float32"
        if precision != "float32" and (not self._folds or context.device_type != "cpu"):
            raise ConfigError(
                f"--precision {precision}: only on the CPU, and for chains whose stages begin with a convolution of "
                "stride 2 and end with one of stride 1; use float32"
            )
        if precision == "bfloat16" and "bfloat16" not in faster_precisions():
            raise ConfigError(
                "--precision bfloat16: this processor has neither AVX512_BF16 nor AMX; use float32 or int8"
            )
        self._symbol: Any = None
        self._module: Any = None
        # What goes into the graph and what comes out: new memory of that size takes as long to get as to fill.
        self._buffers: tuple[X, X] = np.empty(0, np.float32), np.empty(0, np.float32)

    def calibrate(self, image: Pixels, statistics: Arrays) -> None:
        """Find the ranges of 8 bits on a picture, which all others are painted in."""
        (window,) = plan_tiles(image.shape[0], image.shape[1], self._specs).windows()
        pixels = window_of(image, frame_px(self._specs), *window)
        kept = [ENTRY, *(f"{prefix}mix" for prefix in self._prefixes)]
        for layer in self._specs[0].layers:
            name = f"{self._prefixes[0]}{layer.name}"
            if layer.op == "deconv":
                kept.append(f"{name}_norm")
            elif layer.channels < WIDE:
                kept.append(name)
        self._symbol = in_eight_bits(
            folded_chain(self._specs, self._prefixes, self._weights),
            self._frozen(statistics)[0],
            to_blocks(pixels, STEPS[image.dtype.type]),
            kept,
        )

    def paint(self, image: Pixels, statistics: Arrays, plan: Plan) -> Pixels:
        """The painting of a picture, window by window.

        Shape:  (H, W, 3) RGB, uint8 or uint16 -> the same
        """
        params, power = self._frozen(statistics)
        height, width = (edge // self._edge for edge in plan.tile)
        shape = (1, BLOCK_CHANNELS if self._folds else RGB, height, width)
        if self._buffers[0].shape != shape:
            self._buffers = np.empty(shape, np.float32), np.empty(shape, np.float32)
        module = self._bind(shape)
        settle()
        set_params(module, params)
        painting = np.empty_like(image)
        for rows, columns in plan.windows():
            made = self._window(module, window_of(image, plan.frame, rows, columns), power)
            painting[rows.target, columns.target] = made[rows.made, columns.made]
        return painting

    @property
    def _edge(self) -> int:
        """Of a block of pixels."""
        return BLOCK if self._folds else 1

    def _window(self, module: Any, pixels: Pixels, power: float) -> Pixels:
        kind = pixels.dtype
        step = STEPS[kind.type]
        blocks, painted = self._buffers
        to_blocks(pixels, step, self._edge, blocks)
        module.forward(mx.io.DataBatch([_shared(blocks)]), is_train=False)
        module.get_outputs()[0].copyto(_shared(painted))
        settle()
        return from_blocks(painted, step, kind, self._edge, power)

    def _frozen(self, statistics: Arrays) -> tuple[Arrays, float]:
        """The graph's parameters, and what its output is to be multiplied by."""
        arrays = {**self._params, **statistics}
        if not self._folds:
            return arrays, 1.0
        return fold(self._specs, self._prefixes, self._weights, arrays, NORM_EPSILON)

    def _bind(self, shape: tuple[int, ...]) -> Any:
        """A Module for one painting: a bound one goes on with some of its first weights, which oneDNN keeps
        in an order of its own (MXNet 1.9.1). Binding takes some 20 ms, and the memory of the one before it, if
        that was as large, saves as new pages a fifth of the painting's time at 1920x1080."""
        if self._symbol is None:
            self._symbol = (
                folded_chain(self._specs, self._prefixes, self._weights, self._dtype)
                if self._folds
                else compose(mx.sym.Variable("x"), self._specs, Norms(), any_size=False)[-1]
            )
        module = mx.mod.Module(
            self._symbol, data_names=["x"], label_names=None, context=self._context, logger=log
        )
        same = self._module is not None and self._module.data_shapes[0].shape == shape
        # Bound for training, oneDNN would fuse nothing.
        module.bind(
            data_shapes=[("x", shape)],
            for_training=False,
            shared_module=self._module if same else None,
        )
        self._module = module
        return module
