"""Converts a symbol and its parameters to an ONNX model.

The conversion walks MXNet's JSON of the graph; MXNet's own exporter fails with a current
``onnx``. The model has only standard operators of opset 17 (ONNX Runtime 1.12 and later, 2022),
with batch, height and width free.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

from neuralart import __version__
from neuralart.engine.door import mx
from neuralart.errors import ModelError
from neuralart.exporting.graph import MIXTURE
from neuralart.exporting.to_onnx.operators import CONVERTERS, Array, Builder, MeasuredNorms, Node
from neuralart.machine.archive import Arrays

OPSET = 17

# Inputs of the symbol, and their names in the ONNX model.
INPUTS = {"data": "image", MIXTURE: MIXTURE}

IR_VERSION = 8  # that of the ONNX release which introduced opset 17


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _nodes(symbol: Any) -> tuple[list[Node], list[int]]:
    """The symbol's operators in the order in which they run, and the indices of its outputs."""
    graph = json.loads(symbol.tojson())
    nodes = [
        Node(
            index,
            row["op"],
            row["name"],
            {key: _literal(value) for key, value in row.get("attrs", {}).items()},
            tuple(source for source, *_ in row["inputs"]),
        )
        for index, row in enumerate(graph["nodes"])
    ]
    return nodes, [head[0] for head in graph["heads"]]


def _independent_of_inputs(nodes: Sequence[Node]) -> set[int]:
    """The nodes that depend on no input: parameters and what is computed from them alone."""
    fixed: set[int] = set()
    for node in nodes:
        if node.name not in INPUTS and fixed.issuperset(node.inputs):
            fixed.add(node.index)
    return fixed


def _constants(
    symbol: Any, nodes: Sequence[Node], fixed: set[int], arrays: Arrays
) -> dict[int, Array]:
    """The values, computed by MXNet, of those ``fixed`` nodes that other nodes use."""
    used = {source for node in nodes if node.index not in fixed for source in node.inputs}
    internals = symbol.get_internals()
    values: dict[int, Array] = {}
    for node in (nodes[index] for index in fixed & used):
        if node.op == "null":
            values[node.index] = arrays[node.name]
            continue
        part = internals[f"{node.name}_output"]
        params = {name: mx.nd.array(arrays[name]) for name in part.list_arguments()}
        values[node.index] = part.eval(ctx=mx.cpu(), **params)[0].asnumpy()
    return values


def _channels_kept(nodes: Sequence[Node], heads: Sequence[int]) -> dict[int, int]:
    """The number of channels to keep of convolutions whose other channels are sliced away at once.

    The chain's graph computes surplus filters in thin layers, since oneDNN is faster with them.
    """
    uses = Counter(source for node in nodes for source in node.inputs) + Counter(heads)
    return {
        node.inputs[0]: node.attrs["end"]
        for node in nodes
        if node.op == "slice_axis" and node.attrs["axis"] == 1 and node.attrs["begin"] == 0
        and nodes[node.inputs[0]].op == "Convolution" and uses[node.inputs[0]] == 1
    }  # fmt: skip


def onnx_model(
    symbol: Any,
    arrays: Arrays,
    metadata: Mapping[str, str],
    *,
    styles: int = 1,
    size: tuple[int, int] | None = None,
    half: bool = False,
    norms: MeasuredNorms | None = None,
) -> onnx.ModelProto:
    """Convert a symbol with the input ``data``, the ONNX model's ``image``, and maybe ``mixture``.

    metadata  text to store in the file
    styles    how many weights ``mixture`` has; 1 for a symbol without it
    size      (height, width) for a model that takes one picture of this size and no other
    half      store kernels, and tables of scales and shifts, in 16 bits: half the file, at
              float32's speed in every runtime
    norms     makes the statistics an input and an output; then N is 1
    Shape:    image (N, 3, H, W) float32, mixture (1, styles) float32 -> the symbol's outputs by
              their names, of the image's shape
    Raises ModelError naming the layer that has no ONNX form.
    """
    nodes, heads = _nodes(symbol)
    sizes = None
    if size is not None:
        internals = symbol.get_internals()
        mixture = {MIXTURE: (1, styles)} if styles > 1 else {}
        shapes = internals.infer_shape(data=(1, 3, *size), **mixture)[1]
        by_name = dict(zip(internals.list_outputs(), shapes, strict=True))
        sizes = {node.index: by_name.get(f"{node.name}_output", ()) for node in nodes}
    builder = Builder(_channels_kept(nodes, heads), sizes, half)
    converters = {**CONVERTERS, "InstanceNorm": norms or CONVERTERS["InstanceNorm"]}
    fixed = _independent_of_inputs(nodes)
    builder.values.update(_constants(symbol, nodes, fixed, arrays))
    for node in nodes:
        if node.index in fixed:
            continue
        if node.op == "null":
            builder.values[node.index] = INPUTS[node.name]
        elif node.op in converters:
            inputs = [builder.values[source] for source in node.inputs]
            builder.values[node.index] = converters[node.op](builder, node, inputs)
        else:
            raise ModelError(f"{node.name}: MXNet's operator {node.op} cannot be exported to ONNX")
    batch = 1 if norms or size else "batch"
    shape = (batch, 3, *(size or ("height", "width")))
    builder.inputs.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
    if styles > 1:
        builder.inputs.append(
            helper.make_tensor_value_info(MIXTURE, TensorProto.FLOAT, (1, styles))
        )
    builder.outputs += [
        helper.make_tensor_value_info(nodes[head].name, TensorProto.FLOAT, shape) for head in heads
    ]
    if norms:
        norms.finish(builder)
    graph = helper.make_graph(
        builder.nodes,
        "neuralart",
        builder.inputs,
        builder.outputs,
        list(builder.initializers.values()),
    )
    model = helper.make_model(
        graph,
        producer_name="neuralart",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model
