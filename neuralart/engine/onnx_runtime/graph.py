"""Converts a symbol and its parameters to an ONNX model.

The conversion walks the nodes of the graph; MXNet's own exporter fails with a current ``onnx``.
A model has only standard operators of opset 17 (ONNX Runtime 1.12 and later, 2022).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import helper

from neuralart import __version__
from neuralart.engine.constants import constant_values
from neuralart.engine.nodes import Node, fixed_nodes, read_nodes
from neuralart.engine.onnx_runtime.operators import Builder, Converter, Value
from neuralart.errors import ModelError
from neuralart.machine.archive import Arrays

OPSET = 17

IR_VERSION = 8  # that of the ONNX release which introduced opset 17


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


def converted(
    symbol: Any,
    arrays: Arrays,
    inputs: Mapping[str, str],
    converters: Mapping[str, Converter],
    *,
    sizes: Mapping[int, tuple[int, ...]] | None = None,
    half: bool = False,
) -> tuple[Builder, list[Value]]:
    """Convert the nodes of a symbol. Returns the graph in the making, and the symbol's outputs.

    inputs      the symbol's inputs, and their names in the ONNX graph
    converters  what converts each operator
    sizes       the shape of every node's output; None if the picture's size is free
    half        store kernels, and tables of scales and shifts, in 16 bits

    Raises ModelError naming the layer that has no ONNX form.
    """
    nodes, outputs = read_nodes(symbol)
    builder = Builder(_channels_kept(nodes, [node for node, _ in outputs]), sizes, half)
    fixed = fixed_nodes(nodes, set(inputs))
    for index, array in constant_values(nodes, fixed, arrays).items():
        builder.values[index, 0] = array
    for node in nodes:
        if node.index in fixed:
            continue
        if node.op == "null":
            builder.values[node.index, 0] = inputs[node.name]
        elif node.op in converters:
            given = [builder.values[each] for each in node.inputs if each in builder.values]
            made = converters[node.op](builder, node, given)
            for number, value in enumerate(made if isinstance(made, tuple) else (made,)):
                builder.values[node.index, number] = value
        else:
            raise ModelError(f"{node.name}: MXNet's operator {node.op} cannot be exported to ONNX")
    return builder, [builder.values[each] for each in outputs]


def finished_model(builder: Builder, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """The model of a graph whose inputs and outputs are set.

    metadata  text to store in the file
    """
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
    return model
