"""Computes the parts of a graph that depend on parameters alone, in numpy.

Such parts are small: a kernel made of weights, the mean of the pixels, a residual weight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.engine.nodes import Node
from neuralart.errors import ModelError
from neuralart.machine.archive import Arrays

Array = npt.NDArray[Any]
_Operator = Callable[[list[Array], Mapping[str, Any]], Array]


def _arange(_: list[Array], attrs: Mapping[str, Any]) -> Array:
    start, stop = attrs["start"], attrs["stop"]
    ends = (start,) if stop is None else (start, stop)
    return np.arange(*ends, dtype=np.float32)


def _dot(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    """The product of the left one's last axis and the right one's first."""
    left, right = inputs
    return np.tensordot(left, right, axes=1)


def _one_hot(inputs: list[Array], attrs: Mapping[str, Any]) -> Array:
    """A row for each number; that of a number from ``depth`` on is zero."""
    rows: Array = inputs[0][..., None] == np.arange(attrs["depth"])
    return rows.astype(np.float32)


def _scalar(function: Callable[[Any, Any], Any]) -> _Operator:
    return lambda inputs, attrs: function(inputs[0], np.float32(attrs["scalar"]))


_OPERATORS: dict[str, _Operator] = {
    "_arange": _arange,
    "_full": lambda _, attrs: np.full(attrs["shape"], attrs["value"], np.float32),
    "_div_scalar": _scalar(np.divide),
    "_mul_scalar": _scalar(np.multiply),
    "_plus_scalar": _scalar(np.add),
    "Concat": lambda inputs, attrs: np.concatenate(inputs, attrs.get("dim", 1)),
    "Reshape": lambda inputs, attrs: inputs[0].reshape(attrs["shape"]),
    "dot": _dot,
    "floor": lambda inputs, _: np.floor(inputs[0]),
    "one_hot": _one_hot,
    "sigmoid": lambda inputs, _: 1 / (1 + np.exp(-inputs[0])),
    "stack": lambda inputs, attrs: np.stack(inputs, attrs.get("axis", 0)),
    "tile": lambda inputs, attrs: np.tile(inputs[0], attrs["reps"]),
    "transpose": lambda inputs, attrs: inputs[0].transpose(attrs["axes"]),
}


def constant_values(
    nodes: Sequence[Node], fixed: Collection[int], arrays: Arrays
) -> dict[int, Array]:
    """The values of those ``fixed`` nodes whose parameters are given, by the nodes' numbers.

    fixed   nodes that depend on parameters alone, see `neuralart.engine.nodes.fixed_nodes`
    arrays  parameters by name

    Raises ModelError naming an operator that is not known here.
    """
    values: dict[int, Array] = {}
    for node in nodes:
        if node.index not in fixed:
            continue
        if node.op == "null":
            if node.name in arrays:
                values[node.index] = np.asarray(arrays[node.name])
        elif values.keys() >= set(node.sources):
            if node.op not in _OPERATORS:
                raise ModelError(f"{node.name}: {node.op} of parameters alone is not computed here")
            inputs = [values[source] for source in node.sources]
            values[node.index] = _OPERATORS[node.op](inputs, node.attrs)
    return values
