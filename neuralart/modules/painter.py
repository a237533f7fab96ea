"""A trained chain as one graph that paints pictures of any size, on statistics that are measured first."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from neuralart.engine import mx, settle
from neuralart.files import Arrays
from neuralart.frame import PAINTING_FRAME
from neuralart.images import X
from neuralart.modules.chain import prefix, set_params
from neuralart.specs import Generator
from neuralart.symbols.generator import NORM_EPSILON, Norms, generator

log = logging.getLogger(__name__)

# What a bound graph is for: statistics alone, painting on frozen ones, or painting on the picture's own.
Task = Literal["measure", "paint", "paint at once"]


def compose(
    x: Any, specs: Sequence[Generator], norms: Norms, *, any_size: bool = True
) -> list[Any]:
    """The outputs x1 .. xn of all stages, each on the one before.

    Shape:  (N, 3, H, W) -> n of the same
    """
    outputs = []
    for k, spec in enumerate(specs):
        x = generator(x, spec, prefix(k), norms, any_size=any_size)
        outputs.append(x)
    return outputs


def array_shapes(specs: Sequence[Generator]) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter and statistic of a chain, by name."""
    symbol = compose(mx.sym.Variable("x"), specs, Norms())[-1]
    arguments, _, auxiliary = symbol.infer_shape(x=(1, 3, 64, 64))
    shapes = dict(zip(symbol.list_arguments(), arguments, strict=True))
    shapes.update(zip(symbol.list_auxiliary_states(), auxiliary, strict=True))
    return {name: shape for name, shape in shapes.items() if name != "x"}


def unshare(params: Arrays, stages: int) -> Arrays:
    """Parameters of a chain of shared weights, repeated under every stage's own names.

    Statistics differ from stage to stage even then, so painting treats every chain as one with
    weights of its own.
    """
    first = prefix(0)
    return {
        prefix(k) + name.removeprefix(first): array
        for k in range(stages)
        for name, array in params.items()
        if name.startswith(first)
    }


class Painter:
    """Paints with frozen statistics: `measure` a picture, then `paint` it, or another one like it.

    With frozen statistics every layer is local: the same pixels around a point give the same colour.
    """

    def __init__(self, specs: Sequence[Generator], params: Arrays, context: Any) -> None:
        self._specs = specs
        self._params = params
        self._context = context
        self._multiple = math.lcm(*(spec.multiple for spec in specs))
        self._modules: dict[tuple[Task, bool], Any] = {}
        norms = Norms(collect=True)
        compose(mx.sym.Variable("x"), specs, norms)
        self._norm_names = list(norms.statistics)

    def measure(self, x: X) -> Arrays:
        """The statistics of every normalisation on this picture.

        Shape:  (1, 3, H, W) -> ``g0_conv0_norm_moving_mean`` and ``.._moving_var`` of (C,) and so on
        """
        if not self._norm_names:
            return {}
        pairs = self._forward(PAINTING_FRAME.around(x), self._params, "measure")
        statistics: Arrays = {}
        for name, mean, inverse in zip(self._norm_names, pairs[0::2], pairs[1::2], strict=True):
            statistics[f"{name}_moving_mean"] = mean
            variance = 1 / np.square(inverse.astype(np.float64)) - NORM_EPSILON
            statistics[f"{name}_moving_var"] = variance.clip(min=0).astype(np.float32)
        return statistics

    def paint(self, x: X, statistics: Arrays) -> list[X]:
        """x1 .. xn, the picture after each stage.

        Shape:  (1, 3, H, W) -> n of the same; any H and W of at least 1
        """
        params = {**self._params, **statistics}
        outputs = self._forward(PAINTING_FRAME.around(x), params, "paint")
        return [PAINTING_FRAME.inside(out) for out in outputs]

    def paint_at_once(self, x: X) -> X:
        """xn of a picture on its own statistics, in one pass instead of `measure` and `paint`.

        Shape:  (1, 3, H, W) -> the same
        """
        if not self._norm_names:
            return self.paint(x, {})[-1]
        return PAINTING_FRAME.inside(
            self._forward(PAINTING_FRAME.around(x), self._params, "paint at once")[0]
        )

    def release(self) -> None:
        """Give the memory of the bound graphs back; the next call binds them anew."""
        self._modules.clear()

    def _forward(self, x: X, params: Arrays, task: Task) -> list[Any]:
        exact = all(size % self._multiple == 0 for size in x.shape[2:])
        module = self._modules.get((task, exact))
        if module is None:
            module = self._modules[task, exact] = self._bind(x.shape, task, exact)
            set_params(module, params)
        elif task == "paint":
            # On other statistics. The other tasks have none, and setting was a fifth of a small photo's time.
            settle()
            set_params(module, params)
        module.forward(mx.io.DataBatch([mx.nd.array(x)]), is_train=task != "paint")
        settle()
        return [out.asnumpy() for out in module.get_outputs()]

    def _bind(self, shape: tuple[int, ...], task: Task, exact: bool) -> Any:
        measures = task != "paint"
        norms = Norms(collect=measures)
        outputs = compose(mx.sym.Variable("x"), self._specs, norms, any_size=not exact)
        if task == "measure":
            outputs = [out for pair in norms.statistics.values() for out in pair]
        elif task == "paint at once":
            outputs = outputs[-1:]
        symbol = mx.sym.Group(outputs)
        module = mx.mod.Module(
            symbol,
            data_names=["x"],
            label_names=None,
            context=self._context,
            logger=log,
        )
        gradients: str | dict[str, str] = "null"
        if measures:
            # With a gradient to make, oneDNN does not fold moving statistics into the convolutions; that
            # of the last layer alone keeps the other layers' outputs from being held for it.
            gradients = dict.fromkeys(symbol.list_arguments(), "null")
            gradients[self._norm_names[-1].removesuffix("_norm") + "_weight"] = "write"
        module.bind(data_shapes=[("x", shape)], for_training=measures, grad_req=gradients)
        module.init_params(initializer=mx.init.Zero())
        return module
