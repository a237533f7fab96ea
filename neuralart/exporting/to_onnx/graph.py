"""The ONNX model of a chain: its inputs, its outputs, and what is stored beside the graph.

The model has batch, height and width free, unless it is made for one size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import TensorProto, helper

from neuralart.engine.devices import open_painting_device
from neuralart.engine.nodes import read_nodes
from neuralart.engine.onnx_runtime.graph import converted, finished_model
from neuralart.engine.onnx_runtime.operators import CONVERTERS
from neuralart.exporting.graph import MIXTURE
from neuralart.exporting.to_onnx.grain import GRAINED, add_grain
from neuralart.exporting.to_onnx.norms import MeasuredNorms
from neuralart.machine.archive import Arrays

# Inputs of the symbol, and their names in the ONNX model.
INPUTS = {"data": "image", MIXTURE: MIXTURE}


def onnx_model(
    symbol: Any,
    arrays: Arrays,
    metadata: Mapping[str, str],
    *,
    styles: int = 1,
    size: tuple[int, int] | None = None,
    half: bool = False,
    norms: MeasuredNorms | None = None,
    grain: float = 0.0,
) -> onnx.ModelProto:
    """Convert a symbol with the input ``data``, the ONNX model's ``image``, and maybe ``mixture``.

    metadata  text to store in the file
    styles    how many weights ``mixture`` has; 1 for a symbol without it
    size      (height, width) for a model that takes one picture of this size and no other
    half      store kernels, and tables of scales and shifts, in 16 bits: half the file, at
              float32's speed in every runtime
    norms     makes the statistics an input and an output; then N is 1
    grain     the strength of the grain that the model adds to ``image``
    Shape:    image (N, 3, H, W) float32, mixture (1, styles) float32 -> the symbol's outputs by
              their names, of the image's shape
    Raises ModelError naming the layer that has no ONNX form.
    """
    sizes = None
    if size is not None:
        sizes = _sizes(symbol, arrays, styles, size)
    converters = {**CONVERTERS, "InstanceNorm": norms or CONVERTERS["InstanceNorm"]}
    inputs = {**INPUTS, "data": GRAINED} if grain else INPUTS
    builder, outputs = converted(symbol, arrays, inputs, converters, sizes=sizes, half=half)
    if grain:
        add_grain(builder, grain, size)
    batch = 1 if norms or size else "batch"
    shape = (batch, 3, *(size or ("height", "width")))
    builder.inputs.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
    if styles > 1:
        builder.inputs.append(
            helper.make_tensor_value_info(MIXTURE, TensorProto.FLOAT, (1, styles))
        )
    builder.outputs += [
        helper.make_tensor_value_info(str(name), TensorProto.FLOAT, shape) for name in outputs
    ]
    if norms:
        norms.finish(builder)
    model = finished_model(builder, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def _sizes(
    symbol: Any, arrays: Arrays, styles: int, size: tuple[int, int]
) -> dict[int, tuple[int, ...]]:
    """The shape of the first output of every node, for one picture of (height, width)."""
    internals = symbol.get_internals()
    mixture = {MIXTURE: (1, styles)} if styles > 1 else {}
    given = {"data": (1, 3, *size), **mixture}
    given |= {k: arrays[k].shape for k in symbol.list_arguments() if k not in given}
    shapes = open_painting_device("cpu").output_shapes(internals, given)
    by_name = dict(zip(internals.list_outputs(), shapes, strict=True))
    nodes, _ = read_nodes(symbol)
    return {node.index: by_name.get(f"{node.name}_output", ()) for node in nodes}
