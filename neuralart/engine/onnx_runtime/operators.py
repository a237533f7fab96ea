"""Converts MXNet's operators to ONNX. One without a row in `CONVERTERS` has no ONNX form.

The table needs no operators that depend on parameters alone, such as those that compute a kernel:
`neuralart.engine.constants` has computed them before the conversion.
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
        self.values: dict[tuple[int, int], Value] = {}
        """The outputs of nodes: (number of the node, which output)."""
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
        """Remove nodes and constants that no output needs, such as computed sizes that are fixed."""
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


def ints(*values: int) -> Array:
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
    return builder.add("Pad", [inputs[0], ints(*width[0::2], *width[1::2])], node.name, mode=mode)


def _slice_axis(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if node.sources[0] in builder.channels_kept:
        return inputs[0]
    axis, begin, end = (node.attrs[key] for key in ("axis", "begin", "end"))
    last = np.iinfo(np.int64).max if end is None else end
    return builder.add("Slice", [inputs[0], ints(begin), ints(last), ints(axis)], node.name)


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
        ends = ints(*builder.sizes[node.index][2:])
    return builder.add("Slice", [out, ints(0, 0), ends, ints(2, 3)], node.name)


def _instance_norm(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    return builder.add("InstanceNormalization", inputs, node.name, epsilon=node.attrs["eps"])


def _leaky(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if node.attrs["act_type"] != "leaky":
        raise ModelError(f"{node.name}: LeakyReLU of {node.attrs['act_type']} cannot be exported")
    return builder.add("LeakyRelu", inputs, node.name, alpha=node.attrs["slope"])


_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


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
    """MXNet's codes: 0 keeps an axis, -1 is inferred, -3 merges two axes, and -4 splits one into
    two of the sizes that follow."""
    codes, name = list(node.attrs["shape"]), node.name
    if codes == [-1]:
        return builder.add("Reshape", [*inputs, ints(-1)], name)
    shape = builder.add("Shape", inputs, f"{name}_shape")
    sizes: list[Value] = []
    axis = 0
    while codes:
        code, part = codes.pop(0), f"{name}_{len(sizes)}"
        if code == 0:
            sizes.append(builder.add("Slice", [shape, ints(axis), ints(axis + 1)], part))
            axis += 1
        elif code == -3:
            pair = builder.add("Slice", [shape, ints(axis), ints(axis + 2)], f"{part}_pair")
            sizes.append(builder.add("ReduceProd", [pair], part, axes=(0,)))
            axis += 2
        elif code == -4:
            sizes += [ints(codes.pop(0)), ints(codes.pop(0))]
            axis += 1
        else:
            raise ModelError(f"{name}: reshaping by {code} cannot be exported")
    whole = builder.add("Concat", sizes, f"{name}_sizes", axis=0)
    return builder.add("Reshape", [*inputs, whole], name)


def _transpose(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    return builder.add("Transpose", inputs, node.name, perm=node.attrs["axes"])


def frozen_norm(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    """BatchNorm on statistics that are parameters; ONNX Runtime folds it into a convolution."""
    return builder.add("BatchNormalization", inputs, node.name, epsilon=node.attrs["eps"])


def measuring_norm(builder: Builder, node: Node, inputs: list[Value]) -> tuple[Value, ...]:
    """BatchNorm of one picture on its own statistics.

    Returns the normalised map, the means (C,), and 1/standard deviation (C,).
    """
    out, gamma, beta, *_ = inputs
    name, eps = node.name, np.array(node.attrs["eps"], np.float32)

    def add(op: str, inputs: Sequence[Value], what: str, **attrs: Any) -> str:
        return builder.add(op, inputs, f"{name}_{what}", **attrs)

    made = builder.add("InstanceNormalization", [out, gamma, beta], name, epsilon=node.attrs["eps"])
    mean = add("ReduceMean", [out], "mean", axes=(0, 2, 3))
    # In two passes: E[x^2] - E[x]^2 loses all its digits where a photo is flat.
    centred = add("Sub", [out, mean], "centred")
    square = add("Mul", [centred, centred], "square")
    variance = add("ReduceMean", [square], "variance", axes=(0, 2, 3))
    deviation = add("Sqrt", [add("Add", [variance, eps], "variance_eps")], "deviation")
    inverse = add("Reciprocal", [deviation], "inverse")
    return (
        made,
        add("Reshape", [mean, ints(-1)], "mean_row"),
        add("Reshape", [inverse, ints(-1)], "inverse_row"),
    )


def _sum(builder: Builder, node: Node, inputs: list[Value]) -> Value:
    if not isinstance(node.attrs.get("axis"), int) or not node.attrs.get("keepdims", False):
        raise ModelError(f"{node.name}: a sum but along one axis that stays cannot be exported")
    return builder.add("ReduceSum", [*inputs, ints(node.attrs["axis"])], node.name)


def _elementwise(op: str) -> Converter:
    def convert(builder: Builder, node: Node, inputs: list[Value]) -> Value:
        if "scalar" in node.attrs:
            inputs = [*inputs, np.array(node.attrs["scalar"], np.float32)]
        return builder.add(op, inputs, node.name)

    return convert


Converter = Callable[[Builder, Node, list[Value]], Value | tuple[Value, ...]]


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
    "transpose": _transpose,
    "broadcast_div": _elementwise("Div"),
    **dict.fromkeys(("elemwise_add", "broadcast_add"), _elementwise("Add")),
    **dict.fromkeys(("elemwise_sub", "broadcast_sub"), _elementwise("Sub")),
    **dict.fromkeys(("broadcast_mul", "_mul_scalar"), _elementwise("Mul")),
}
