"""Norms for exported models whose statistics are measured once and given with every tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from neuralart.engine.nodes import Node
from neuralart.engine.onnx_runtime.operators import Builder, Value, ints


class MeasuredNorms:
    """Instance normalisation with the statistics as an output and an input of the graph.

    A large photo is painted in tiles with the statistics of the whole photo: measure once with
    ``frozen`` false, then paint every tile with ``frozen`` true and ``statistics`` as ``measured``.

    statistics  input, (2, C) float32: means and variances, the channels of all norms in a row
    frozen      input, (1,) bool: normalise by ``statistics``, not by the picture's own
    measured    output, (2, C) float32: the picture's own statistics
    """

    def __init__(self, channels: Sequence[int]) -> None:
        """``channels`` of each norm, in the order of the graph."""
        self._names: list[str] = []
        self._channels = channels

    def __call__(self, builder: Builder, node: Node, inputs: list[Value]) -> Value:
        out, gamma, beta = inputs
        name = node.name

        def add(op: str, inputs: Sequence[Value], what: str, **attrs: Any) -> str:
            return builder.add(op, inputs, f"{name}_{what}", **attrs)

        self._names.append(name)
        own_mean = add("ReduceMean", [out], "own_mean", axes=(2, 3))
        centred = add("Sub", [out, own_mean], "centred")
        # In two passes: E[x^2] - E[x]^2 loses all its digits where a photo is flat.
        own_var = add(
            "ReduceMean", [add("Mul", [centred, centred], "square")], "own_var", axes=(2, 3)
        )
        mean = add("Where", ["frozen", f"{name}_mean", own_mean], "used_mean")
        var = add("Where", ["frozen", f"{name}_var", own_var], "used_var")
        eps = np.array(node.attrs["eps"], np.float32)
        deviation = add("Sqrt", [add("Add", [var, eps], "var_eps")], "deviation")

        def by_channel(value: Value, what: str) -> Value:
            if isinstance(value, str):  # of a mixture, computed in the graph
                return add("Reshape", [value, ints(1, -1, 1, 1)], what)
            return value.reshape(1, -1, 1, 1)

        scale = add("Div", [by_channel(gamma, "scales"), deviation], "scale")
        shift = add("Sub", [by_channel(beta, "shifts"), add("Mul", [mean, scale], "at")], "shift")
        return builder.add("Add", [add("Mul", [out, scale], "scaled"), shift], name)

    def finish(self, builder: Builder) -> None:
        """Add the inputs, the nodes that split them into those of each norm, and the output."""
        shape = (2, sum(self._channels))
        rows = [f"{kind}_of_all" for kind in ("mean", "var")]
        stored, sizes = builder.stored, ints(*self._channels)
        first = [
            helper.make_node(
                "Reshape", ["statistics", stored(ints(*shape, 1, 1), "rows")], ["given"]
            ),
            helper.make_node("Split", ["given"], rows, axis=0),
        ]
        for row, kind in zip(rows, ("mean", "var"), strict=True):
            parts = [f"{name}_{kind}" for name in self._names]
            first.append(helper.make_node("Split", [row, stored(sizes, "channels")], parts, axis=1))
            builder.add(
                "Concat", [f"{name}_own_{kind}" for name in self._names], f"own_{row}", axis=1
            )
        builder.nodes[:0] = first
        own = builder.add("Concat", [f"own_{row}" for row in rows], "own", axis=0)
        builder.add("Reshape", [own, ints(*shape)], "measured")
        builder.inputs += [
            helper.make_tensor_value_info("statistics", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("frozen", TensorProto.BOOL, (1,)),
        ]
        builder.outputs.append(helper.make_tensor_value_info("measured", TensorProto.FLOAT, shape))
