"""Painting apart from training: one graph for a whole chain, on frozen statistics, window by window."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.engine import mx, settle
from neuralart.files import Arrays
from neuralart.folding import BLOCK, can_fold, fold, from_blocks, residuals, to_blocks
from neuralart.images import X
from neuralart.modules.chain import prefix, set_params
from neuralart.modules.painter import compose
from neuralart.pictures import Pixels
from neuralart.specs import Generator
from neuralart.symbols.folded import folded_chain
from neuralart.symbols.generator import NORM_EPSILON, Norms
from neuralart.tiles import Plan, Window

log = logging.getLogger(__name__)

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
    strip = image[_reflected(top, bottom, height)]
    return strip[:, _reflected(left, right, width)]


class Brush:
    """Paints pictures of any size with the stages of a chain, on statistics that were measured.

    A chain that `can_fold` is rewritten; any other runs as it was trained, with its norms frozen.
    """

    def __init__(
        self, specs: Sequence[Generator], params: Arrays, context: Any, *, share: float = 1.0
    ) -> None:
        """With ``share`` under 1 the last stage counts that much and the one before it the rest."""
        self._params = params
        self._context = context
        self._prefixes = [prefix(k) for k in range(len(specs))]
        self._weights = residuals(specs, self._prefixes, params, share)
        self._specs = [
            dataclasses.replace(spec, residual=a, learn_residual=False)
            for spec, a in zip(specs, self._weights, strict=True)
        ]
        self._folds = can_fold(specs)
        self._module: Any = None

    def paint(self, image: Pixels, statistics: Arrays, plan: Plan) -> Pixels:
        """The painting of a picture, window by window.

        Shape:  (H, W, 3) RGB, uint8 or uint16 -> the same
        """
        edge = BLOCK if self._folds else 1
        step = STEPS[image.dtype.type]
        params = {**self._params, **statistics}
        power = 1.0
        if self._folds:
            params, power = fold(self._specs, self._prefixes, self._weights, params, NORM_EPSILON)
        settle()
        painting = np.empty_like(image)
        for number, (rows, columns) in enumerate(plan.windows()):
            pixels = window_of(image, plan.frame, rows, columns)
            x = to_blocks(pixels, step, edge)
            if self._module is None:
                self._module = self._bind(x.shape)
            if number == 0:
                set_params(self._module, params)
            self._module.forward(mx.io.DataBatch([mx.nd.array(x)]), is_train=False)
            out: X = self._module.get_outputs()[0].asnumpy()
            made = from_blocks(out * np.float32(power), step, image.dtype, edge)
            painting[rows.target, columns.target] = made[rows.made, columns.made]
        return painting

    def _bind(self, shape: tuple[int, ...]) -> Any:
        if self._folds:
            symbol = folded_chain(self._specs, self._prefixes, self._weights)
        else:
            x = mx.sym.Variable("x")
            symbol = compose(x, self._specs, Norms(), any_size=False)[-1]
        module = mx.mod.Module(
            symbol, data_names=["x"], label_names=None, context=self._context, logger=log
        )
        # Bound for training, oneDNN would fuse nothing.
        module.bind(data_shapes=[("x", shape)], for_training=False)
        module.init_params(initializer=mx.init.Zero())
        return module
