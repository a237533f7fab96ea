"""Converts MXNet's operators to ONNX. An operator without a row in `CONVERTERS` cannot be exported.

The table needs no operators that depend on parameters alone, such as those that compute a kernel:
an engine evaluates them before the conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from neuralart.engine.nodes import Node
from neuralart.errors import ModelError

Array = npt.NDArray[Any]

Value = str | Array
"""The name of a tensor in the ONNX graph, or a constant that is not in the graph yet."""


class Builder:
    """Builds an ONNX graph. Equal constants are stored once."""

    def __init__(
        self,
        channels_kept: Mapping[int, int],
        sizes: Mapping[int, tuple[int, ...]] | None,
        half: bool,
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.values: dict[int, Value] = {}
        self.sizes = sizes
        """The shape of every node's output; None if the picture's size is free."""
        self._half = half
        self._stored: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.channels_kept = channels_kept
        """The number of channels to keep of a node's output; a node that is not in it keeps all."""

    def add(self, op: str, inputs: Sequence[Value], name: str, **attrs: Any) -> str:
        """Add a node with one output, and return their common name."""
        names = [self.stored(value, f"{name}_{i}") for i, value in enumerate(inputs)]
        self.nodes.append(helper.make_node(op, names, [name], name=name, **attrs))
        return name

    def stored(self, value: Value, name: str) -> str:
        """The name of a value in the graph. A constant is added to the graph first."""
        if isinstance(value, str):
            return value
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._stored:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
            self._stored[key] = name
        return self._stored[key]

    def prune(self) -> None:
        """Remove nodes and constants that no output needs: sizes that are fixed are not computed."""
        needed = {output.name for output in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        self.nodes = kept[::-1]
        self.initializers = {n: each for n, each in self.initializers.items() if n in needed}

    def kernel(self, value: Value, name: str) -> Value:
        """A kernel or a table of scales. With ``half`` it is stored in 16 bits and cast to 32."""
        if not self._half or isinstance(value, str):
            return value
        return self.add("Cast", [value.astype(np.float16)], name, to=TensorProto.FLOAT)


def _ints(*values: int) -> Array:
    return np.array(values, np.int64)


def _window(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Kernel size, strides and padding. ONNX lists the padding of an axis's two ends separately."""
    pad = attrs.get("pad", (0, 0))
    return {
        "kernel_shape": attrs["kernel"],
        "strides": attrs.get("stride", (1, 1)),
        "pads": (*pad, *pad),
    }


def _convolution(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    attrs = node.attrs
    out, *params = inputs
    if node.op == "Deconvolution" and ("target_shape" in attrs or any(attrs.get("adj", (0,)))):
        raise ModelError(f"{node.name}: a deconvolution to a given shape cannot be exported")
    kept = builder.channels_kept.get(node.index)
    params = [param[:kept] if isinstance(param, np.ndarray) else param for param in params]
    params[0] = builder.kernel(params[0], f"{node.name}_kernel")
    return builder.add(
        "Conv" if node.op == "Convolution" else "ConvTranspose",
        [out, *params],
        node.name,
        dilations=attrs.get("dilate", (1, 1)),
        group=attrs.get("num_group", 1),
        **_window(attrs),
    )


def _pooling(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if node.attrs.get("pool_type", "max") != "avg" or node.attrs.get("global_pool", False):
        raise ModelError(f"{node.name}: pooling that is no mean over a window cannot be exported")
    return builder.add("AveragePool", inputs, node.name, **_window(node.attrs))


def _pad(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    width = node.attrs["pad_width"]
    mode = node.attrs["mode"]
    if mode not in ("reflect", "constant"):
        raise ModelError(f"{node.name}: padding by {mode} cannot be exported")
    return builder.add("Pad", [inputs[0], _ints(*width[0::2], *width[1::2])], node.name, mode=mode)


def _slice_axis(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if node.sources[0] in builder.channels_kept:
        return inputs[0]
    axis, begin, end = (node.attrs[key] for key in ("axis", "begin", "end"))
    last = np.iinfo(np.int64).max if end is None else end
    return builder.add("Slice", [inputs[0], _ints(begin), _ints(last), _ints(axis)], node.name)


def _slice_like(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    out, like = inputs
    if node.attrs["axes"] != (2, 3):
        raise ModelError(f"{node.name}: slicing alike but in height and width cannot be exported")
    ends: Value
    if builder.sizes is None:
        ends = builder.add("Shape", [like], f"{node.name}_size", start=2, end=4)
    elif builder.sizes[node.sources[0]] == builder.sizes[node.index]:
        return out
    else:
        ends = _ints(*builder.sizes[node.index][2:])
    return builder.add("Slice", [out, _ints(0, 0), ends, _ints(2, 3)], node.name)


def _instance_norm(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    return builder.add("InstanceNormalization", inputs, node.name, epsilon=node.attrs["eps"])


def _leaky(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if node.attrs["act_type"] != "leaky":
        raise ModelError(f"{node.name}: LeakyReLU of {node.attrs['act_type']} cannot be exported")
    return builder.add("LeakyRelu", inputs, node.name, alpha=node.attrs["slope"])


_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh"}


def _activation(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    kind = node.attrs["act_type"]
    if kind not in _ACTIVATIONS:
        raise ModelError(f"{node.name}: the activation {kind} cannot be exported")
    return builder.add(_ACTIVATIONS[kind], inputs, node.name)


def _clip(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    limits = [np.array(node.attrs[key], np.float32) for key in ("a_min", "a_max")]
    return builder.add("Clip", [*inputs, *limits], node.name)


def _depth_to_space(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    return builder.add("DepthToSpace", inputs, node.name, blocksize=node.attrs["block_size"])


def _dot(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if node.attrs.get("transpose_a", False) or node.attrs.get("transpose_b", False):
        raise ModelError(f"{node.name}: a product of transposed matrices cannot be exported")
    left, right = inputs
    return builder.add("MatMul", [left, builder.kernel(right, f"{node.name}_table")], node.name)


def _reshape(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if node.attrs["shape"] != (-1,):
        raise ModelError(f"{node.name}: reshaping but to one row cannot be exported")
    return builder.add("Reshape", [*inputs, _ints(-1)], node.name)


def _sum(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if not isinstance(node.attrs.get("axis"), int) or not node.attrs.get("keepdims", False):
        raise ModelError(f"{node.name}: a sum but along one axis that stays cannot be exported")
    return builder.add("ReduceSum", [*inputs, _ints(node.attrs["axis"])], node.name)


def _elementwise(op: str) -> Converter:
    def convert(builder: Builder, node: Node, inputs: list[Value]) -> Value:
        if "scalar" in node.attrs:
            inputs = [*inputs, np.array(node.attrs["scalar"], np.float32)]
        return builder.add(op, inputs, node.name)

    return convert


Converter = Callable[[Builder, Node, list[Value]], Value]


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
                return add("Reshape", [value, _ints(1, -1, 1, 1)], what)
            return value.reshape(1, -1, 1, 1)

        scale = add("Div", [by_channel(gamma, "scales"), deviation], "scale")
        shift = add("Sub", [by_channel(beta, "shifts"), add("Mul", [mean, scale], "at")], "shift")
        return builder.add("Add", [add("Mul", [out, scale], "scaled"), shift], name)

    def finish(self, builder: Builder) -> None:
        """Add the inputs, the nodes that split them into those of each norm, and the output."""
        shape = (2, sum(self._channels))
        rows = [f"{kind}_of_all" for kind in ("mean", "var")]
        stored, sizes = builder.stored, _ints(*self._channels)
        first = [
            helper.make_node(
                "Reshape", ["statistics", stored(_ints(*shape, 1, 1), "rows")], ["given"]
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
        builder.add("Reshape", [own, _ints(*shape)], "measured")
        builder.inputs += [
            helper.make_tensor_value_info("statistics", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("frozen", TensorProto.BOOL, (1,)),
        ]
        builder.outputs.append(helper.make_tensor_value_info("measured", TensorProto.FLOAT, shape))


CONVERTERS: dict[str, Converter] = {
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "Pooling": _pooling,
    "Pad": _pad,
    "slice_axis": _slice_axis,
    "slice_like": _slice_like,
    "InstanceNorm": _instance_norm,
    "LeakyReLU": _leaky,
    "Activation": _activation,
    "clip": _clip,
    "depth_to_space": _depth_to_space,
    "dot": _dot,
    "Reshape": _reshape,
    "sum": _sum,
    "broadcast_div": _elementwise("Div"),
    **dict.fromkeys(("elemwise_add", "broadcast_add"), _elementwise("Add")),
    **dict.fromkeys(("elemwise_sub", "broadcast_sub"), _elementwise("Sub")),
    **dict.fromkeys(("broadcast_mul", "_mul_scalar"), _elementwise("Mul")),
}
