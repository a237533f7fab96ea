"""A symbol and its parameters as an ONNX model.

Walks MXNet's JSON of the graph; MXNet's own exporter fails with a current ``onnx``. Only standard
operators of opset 17 (ONNX Runtime 1.12 and later, 2022), with batch, height and width free.
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
from neuralart.engine import mx
from neuralart.errors import ModelError
from neuralart.files import Arrays
from neuralart.onnx_operators import CONVERTERS, Array, Builder, MeasuredNorms, Node

OPSET = 17
IR_VERSION = 8  # of the ONNX release that brought opset 17


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _nodes(symbol: Any) -> tuple[list[Node], list[int]]:
    """The symbol's operators in the order they run, and which of them are its outputs."""
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


def _without_picture(nodes: Sequence[Node]) -> set[int]:
    """The nodes that depend on no picture: parameters, and what is computed of them alone."""
    fixed: set[int] = set()
    for node in nodes:
        if node.name != "data" and fixed.issuperset(node.inputs):
            fixed.add(node.index)
    return fixed


def _constants(
    symbol: Any, nodes: Sequence[Node], fixed: set[int], arrays: Arrays
) -> dict[int, Array]:
    """The values of ``fixed`` nodes that others use, as MXNet computes them."""
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
    """How many channels of a convolution are used, where the rest is sliced away at once.

    The generators compute thin layers with more filters than they have, for oneDNN.
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
    size: tuple[int, int] | None = None,
    half: bool = False,
    norms: MeasuredNorms | None = None,
) -> onnx.ModelProto:
    """The ONNX model of a symbol whose only input is ``data``, a picture; here it is called ``image``.

    metadata  text that is kept in the file
    size      (height, width), for a model that takes one picture of this size and no other
    half      store the kernels in 16 bits: half the file, at float32's speed in every runtime
    norms     puts the statistics among the inputs and outputs; then N is 1
    Shape:    image (N, 3, H, W) float32 -> the symbol's outputs by their names, of the same shape
    Raises ModelError naming the layer that has no ONNX form.
    """
    nodes, heads = _nodes(symbol)
    sizes = None
    if size is not None:
        internals = symbol.get_internals()
        shapes = internals.infer_shape(data=(1, 3, *size))[1]
        by_name = dict(zip(internals.list_outputs(), shapes, strict=True))
        sizes = {node.index: by_name.get(f"{node.name}_output", ()) for node in nodes}
    builder = Builder(_channels_kept(nodes, heads), sizes, half)
    converters = {**CONVERTERS, "InstanceNorm": norms or CONVERTERS["InstanceNorm"]}
    fixed = _without_picture(nodes)
    builder.values.update(_constants(symbol, nodes, fixed, arrays))
    for node in nodes:
        if node.index in fixed:
            continue
        if node.op == "null":
            builder.values[node.index] = "image"
        elif node.op in converters:
            inputs = [builder.values[source] for source in node.inputs]
            builder.values[node.index] = converters[node.op](builder, node, inputs)
        else:
            raise ModelError(f"{node.name}: MXNet's operator {node.op} cannot be exported to ONNX")
    batch = 1 if norms or size else "batch"
    shape = (batch, 3, *(size or ("height", "width")))
    builder.inputs.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
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
