"""Records graphs without MXNet, by the same calls as ``mx.sym`` and as the same JSON.

Only the operators that our graphs use are known. ``tests/engine/test_recorder.py`` compares every
graph that we build with MXNet's.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Python's name of an operator and its name in the JSON, where they differ.
_ALIASES = {
    "arange": "_arange",
    "concat": "Concat",
    "full": "_full",
    "reshape": "Reshape",
    "split": "SliceChannel",
}

# Inputs by name. Those that are not given become variables called after the operator.
_LAYERS = {
    "Convolution": ("data", "weight", "bias"),
    "Deconvolution": ("data", "weight", "bias"),
    "InstanceNorm": ("data", "gamma", "beta"),
    "BatchNorm": ("data", "gamma", "beta", "moving_mean", "moving_var"),
}

_FIRST_VALUES = {"moving_mean": '["zero", {}]', "moving_var": '["one", {}]'}

_VARIADIC = ("Concat", "stack", "add_n")

_OTHERS = (
    "Activation", "BlockGrad", "LeakyReLU", "Pad", "Pooling", "amp_cast", "broadcast_add",
    "broadcast_div", "broadcast_like", "broadcast_mul", "broadcast_sub", "clip", "depth_to_space",
    "dot", "floor", "mean", "one_hot", "ones_like", "reshape_like", "sigmoid", "slice",
    "slice_axis", "slice_like", "sqrt", "square", "sum", "tanh", "tile", "transpose",
)  # fmt: skip

_OPERATORS = {*_ALIASES, *_LAYERS, *_VARIADIC[1:], *_OTHERS}

_DTYPE_NUMBERS = {"float32": 0}


@dataclass
class _Node:
    op: str
    name: str
    attrs: dict[str, str] = field(default_factory=dict)
    inputs: list[tuple[_Node, int]] = field(default_factory=list)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What MXNet calls the outputs that others see."""
        if self.op == "null":
            return (self.name,)
        if self.op == "SliceChannel":
            return tuple(f"{self.name}_output{i}" for i in range(int(self.attrs["num_outputs"])))
        if self.op == "BatchNorm" and self.attrs.get("output_mean_var") == "True":
            return tuple(f"{self.name}_{part}" for part in ("output", "mean", "var"))
        return (f"{self.name}_output",)


class RecordedSymbol:
    """Outputs of recorded operators; has the part of MXNet's ``Symbol`` that we use."""

    def __init__(self, heads: Sequence[tuple[_Node, int]]) -> None:
        self._heads = list(heads)

    def __len__(self) -> int:
        return len(self._heads)

    def __iter__(self) -> Iterator[RecordedSymbol]:
        return (RecordedSymbol([head]) for head in self._heads)

    def __getitem__(self, index: int | str) -> RecordedSymbol:
        if isinstance(index, str):
            index = self.list_outputs().index(index)
        return RecordedSymbol([self._heads[index]])

    def __add__(self, other: Any) -> RecordedSymbol:
        return _arithmetic("plus", "elemwise_add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> RecordedSymbol:
        return _arithmetic("minus", "elemwise_sub", self, other)

    def __rsub__(self, other: float) -> RecordedSymbol:
        return _arithmetic("rminus", "", self, other)

    def __mul__(self, other: Any) -> RecordedSymbol:
        return _arithmetic("mul", "elemwise_mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> RecordedSymbol:
        return _arithmetic("div", "elemwise_div", self, other)

    def __rtruediv__(self, other: float) -> RecordedSymbol:
        return _arithmetic("rdiv", "", self, other)

    def _nodes(self) -> list[_Node]:
        """All nodes, each after its inputs, in MXNet's order."""
        found: dict[int, _Node] = {}
        for head, _ in self._heads:
            waiting = [(head, iter(head.inputs))]
            while waiting:
                node, inputs = waiting[-1]
                for source, _ in inputs:
                    if id(source) not in found:
                        waiting.append((source, iter(source.inputs)))
                        break
                else:
                    waiting.pop()
                    found.setdefault(id(node), node)
        return list(found.values())

    def tojson(self, *, remove_amp_cast: bool = False) -> str:
        """The graph in MXNet's JSON; see `neuralart.engine.nodes`. Casts always stay."""
        nodes = self._nodes()
        numbers = {id(node): i for i, node in enumerate(nodes)}
        rows: list[dict[str, Any]] = []
        for node in nodes:
            row: dict[str, Any] = {"op": node.op, "name": node.name}
            if node.attrs:
                row["attrs"] = dict(sorted(node.attrs.items()))
            moving = _moving(node)
            row["inputs"] = [
                [numbers[id(source)], output, int(source.name in moving)]
                for source, output in node.inputs
            ]
            rows.append(row)
        heads = [[numbers[id(node)], output, 0] for node, output in self._heads]
        variables = [i for i, node in enumerate(nodes) if node.op == "null"]
        return json.dumps({"nodes": rows, "arg_nodes": variables, "heads": heads})

    def list_arguments(self) -> list[str]:
        """The names of inputs and parameters."""
        moving = set(self.list_auxiliary_states())
        return [n.name for n in self._nodes() if n.op == "null" and n.name not in moving]

    def list_auxiliary_states(self) -> list[str]:
        """The names of the norms' moving statistics."""
        moving = {name for node in self._nodes() for name in _moving(node)}
        return [node.name for node in self._nodes() if node.name in moving]

    def list_outputs(self) -> list[str]:
        """The names of the outputs."""
        return [node.outputs[output] for node, output in self._heads]

    def get_internals(self) -> RecordedSymbol:
        """All outputs of all nodes."""
        return RecordedSymbol([(n, i) for n in self._nodes() for i in range(len(n.outputs))])


def _moving(node: _Node) -> set[str]:
    return {source.name for source, _ in node.inputs[3:]} if node.op == "BatchNorm" else set()


class Recorder:
    """Has a function for each operator, as ``mx.sym`` has."""

    def __init__(self) -> None:
        self._counts: dict[str, itertools.count[int]] = {}

    def __getattr__(self, function: str) -> Any:
        if function not in _OPERATORS:
            raise AttributeError(f"no operator {function} is recorded")
        op = _ALIASES.get(function, function)

        def record(*inputs: Any, **options: Any) -> RecordedSymbol:
            return self.operator(op, function, inputs, options)

        return record

    def operator(
        self, op: str, hint: str, inputs: Sequence[Any], options: dict[str, Any]
    ) -> RecordedSymbol:
        """Record an operator; without a name it is called after ``hint``, with a number."""
        name = options.pop("name", None) or self._numbered(hint)
        named = {key: value for key, value in options.items() if isinstance(value, RecordedSymbol)}
        attrs = {key: _text(key, v) for key, v in options.items() if key not in named}
        if op in _VARIADIC:
            attrs["num_args"] = str(len(inputs))
        node = _Node(op, name, attrs)
        given = dict(zip(_LAYERS.get(op, ()), inputs, strict=False)) | named
        for part in _LAYERS.get(op, ()):
            if part in given:
                continue
            if part == "bias" and attrs.get("no_bias") == "True":
                continue
            first = {"__init__": _FIRST_VALUES[part]} if part in _FIRST_VALUES else {}
            given[part] = RecordedSymbol([(_Node("null", f"{name}_{part}", {**attrs, **first}), 0)])
        if op in _LAYERS:
            inputs = [given[part] for part in _LAYERS[op] if part in given]
        node.inputs = [head for each in inputs for head in each._heads]
        return RecordedSymbol([(node, i) for i in range(len(node.outputs))])

    def _numbered(self, hint: str) -> str:
        hint = hint.lower()
        return f"{hint}{next(self._counts.setdefault(hint, itertools.count()))}"

    def Variable(  # noqa: N802  # MXNet's name
        self, name: str, *, shape: Sequence[int] | None = None, dtype: Any = None
    ) -> RecordedSymbol:
        attrs = {}
        if shape is not None:
            attrs["__shape__"] = str(tuple(shape))
        if dtype is not None:
            attrs["__dtype__"] = str(_DTYPE_NUMBERS[np.dtype(dtype).name])
        return RecordedSymbol([(_Node("null", name, attrs), 0)])

    def Group(self, symbols: Sequence[RecordedSymbol]) -> RecordedSymbol:  # noqa: N802
        return RecordedSymbol([head for symbol in symbols for head in symbol._heads])

    def arange(self, stop: float) -> RecordedSymbol:
        options = {"start": stop, "stop": None, "step": 1.0, "repeat": 1, "infer_range": False}
        return self.operator("_arange", "_arange", (), {**options, "dtype": "float32"})

    def full(self, shape: Sequence[int], value: float) -> RecordedSymbol:
        options = {"shape": tuple(shape), "value": value, "dtype": "float32"}
        return self.operator("_full", "_full", (), options)


def _arithmetic(name: str, op: str, left: RecordedSymbol, right: Any) -> RecordedSymbol:
    if isinstance(right, RecordedSymbol):
        return recorder.operator(op, f"_{name}", (left, right), {})
    return recorder.operator(f"_{name}_scalar", f"_{name}scalar", (left,), {"scalar": right})


def _text(key: str, value: Any) -> str:
    return np.dtype(value).name if key == "dtype" and value != "bfloat16" else str(value)


recorder = Recorder()


_chosen = False


def use_recorder() -> None:
    """Let `neuralart.engine.symbols` record graphs until MXNet is asked to compute.

    A command whose engine is another one then does not wait for MXNet's import.
    """
    global _chosen
    _chosen = True


def is_chosen() -> bool:
    """Whether `use_recorder` was called."""
    return _chosen


def loaded_mxnet() -> Any:
    """MXNet if it is imported, else None."""
    return getattr(sys.modules.get("neuralart.engine.door"), "mx", None)
