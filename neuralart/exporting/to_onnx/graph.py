"""Converts a symbol and its parameters to an ONNX model.

The conversion walks the nodes of the graph; MXNet's own exporter fails with a current ``onnx``. The model has only standard operators of opset 17 (ONNX Runtime 1.12 and later, 2022),
with batch, height and width free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

from neuralart import __version__
from neuralart.engine.contract import Devices
from neuralart.engine.devices import open_device
from neuralart.engine.nodes import Node, fixed_nodes, read_nodes
from neuralart.errors import ModelError
from neuralart.exporting.graph import MIXTURE
from neuralart.exporting.to_onnx.operators import CONVERTERS, Array, Builder, MeasuredNorms
from neuralart.machine.archive import Arrays

OPSET = 17

# Inputs of the symbol, and their names in the ONNX model.
INPUTS = {"data": "image", MIXTURE: MIXTURE}

IR_VERSION = 8  # that of the ONNX release which introduced opset 17


def _constants(
    symbol: Any, nodes: Sequence[Node], fixed: set[int], arrays: Arrays, devices: Devices
) -> dict[int, Array]:
    """The values of those ``fixed`` nodes that other nodes use."""
    used = {source for node in nodes if node.index not in fixed for source in node.sources}
    internals = symbol.get_internals()
    values: dict[int, Array] = {}
    for node in (nodes[index] for index in fixed & used):
        if node.op == "null":
            values[node.index] = arrays[node.name]
        else:
            (values[node.index],) = devices.evaluate(internals[f"{node.name}_output"], arrays)
    return values


def _channels_kept(nodes: Sequence[Node], heads: Sequence[int]) -> dict[int, int]:
    """The number of channels to keep of convolutions whose other channels are sliced away at once.

    The chain's graph computes surplus filters in thin layers, since oneDNN is faster with them.
    """
    uses = Counter(source for node in nodes for source in node.sources) + Counter(heads)
    return {
        node.sources[0]: node.attrs["end"]
        for node in nodes
        if node.op == "slice_axis" and node.attrs["axis"] == 1 and node.attrs["begin"] == 0
        and nodes[node.sources[0]].op == "Convolution" and uses[node.sources[0]] == 1
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
    nodes, outputs = read_nodes(symbol)
    heads = [node for node, _ in outputs]
    devices = open_device("cpu")
    sizes = None
    if size is not None:
        internals = symbol.get_internals()
        mixture = {MIXTURE: (1, styles)} if styles > 1 else {}
        given = {"data": (1, 3, *size), **mixture}
        given |= {k: arrays[k].shape for k in symbol.list_arguments() if k not in given}
        shapes = devices.output_shapes(internals, given)
        by_name = dict(zip(internals.list_outputs(), shapes, strict=True))
        sizes = {node.index: by_name.get(f"{node.name}_output", ()) for node in nodes}
    builder = Builder(_channels_kept(nodes, heads), sizes, half)
    converters = {**CONVERTERS, "InstanceNorm": norms or CONVERTERS["InstanceNorm"]}
    fixed = fixed_nodes(nodes, set(INPUTS))
    builder.values.update(_constants(symbol, nodes, fixed, arrays, devices))
    for node in nodes:
        if node.index in fixed:
            continue
        if node.op == "null":
            builder.values[node.index] = INPUTS[node.name]
        elif node.op in converters:
            inputs = [builder.values[source] for source in node.sources]
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
    builder.prune()
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
