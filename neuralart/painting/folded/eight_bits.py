"""Quantises the painting graph: most convolutions compute in 8-bit integers.

x86 cores with VNNI multiply these at 4 times the rate of float32.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from typing import Any

from neuralart.engine.door import mx, quietly
from neuralart.machine.archive import Arrays
from neuralart.pictures.pixels import X

log = logging.getLogger(__name__)


def in_eight_bits(symbol: Any, params: Arrays, x: X, kept: Collection[str]) -> Any:
    """The graph with signed 8-bit convolutions. It takes the same float32 parameters as before.

    symbol  a graph with the input ``x`` and one output
    params  parameters to measure with; the result can be bound to others
    x       an input, on which the range of every layer's output is measured
    kept    names of the convolutions that stay in float32

    Source:  Jacob et al. 2018, "Quantization and training of neural networks for efficient
             integer-arithmetic inference", section 2. As in oneDNN, a layer's output has one scale.
    """
    graph = json.loads(symbol.get_backend_symbol("MKLDNN_QUANTIZE").tojson())["nodes"]
    inputs = {node["name"]: {graph[i]["name"] for i, *_ in node["inputs"]} for node in graph}
    weights = {f"{name}_weight" for name in kept}
    with quietly():
        quantised, _, _ = mx.contrib.quantization.quantize_model_mkldnn(
            sym=symbol,
            arg_params={name: mx.nd.array(array) for name, array in params.items()},
            aux_params={},
            data_names=("x",),
            label_names=None,
            ctx=mx.cpu(),
            excluded_sym_names=[name for name, names in inputs.items() if names & weights],
            calib_mode="naive",
            calib_data=mx.io.NDArrayIter(data={"x": x}, batch_size=1),
            num_calib_examples=1,
            quantized_dtype="int8",
            logger=log,
        )
    return quantised
