"""ONNX Runtime: paints with an exported file on the CPU, quantises it, converts it for phones."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime import quantization

from neuralart.engine.onnx_runtime.sessions import open_session, session_options
from neuralart.pictures.pixels import X

Feeds = Mapping[str, X]
"""The inputs of a model by name."""


def paint(file: Path, feeds: Sequence[Feeds]) -> list[list[X]]:
    """The model's outputs that are pictures, for each picture.

    feeds   for each picture the inputs by name: ``image``, and ``mixture`` of a model with several
            styles. A page's model paints on the statistics of the picture itself
    Shape:  image (N, 3, H, W) RGB 0..255 -> the same
    """
    session = open_session(file)
    zeros = {
        put.name: np.zeros(put.shape, bool if put.type == "tensor(bool)" else np.float32)
        for put in session.get_inputs()
        if put.name in ("statistics", "frozen")
    }
    names = [put.name for put in session.get_outputs() if len(put.shape) == 4]
    return [session.run(names, {**zeros, **each}) for each in feeds]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence ONNX Runtime's tools: they log every step and leave a file open."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    finally:
        logging.disable(before)


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # the base has no types
    def __init__(self, feeds: Sequence[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


def quantize(source: Path, target: Path, feeds: Sequence[Feeds], exact: Sequence[str]) -> None:
    """Make a model compute its convolutions in 8 bits.

    Activations are unsigned, in the ranges that they have for ``feeds``, see `paint`. Weights are
    signed, and each channel has a scale.

    exact   nodes that stay in float32
    Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient
            integer-arithmetic-only inference", by ONNX Runtime's static quantisation.
    """
    with _quiet():  # it advises to optimise the model first, which changes nothing here
        quantization.quantize_static(
            source,
            target,
            _Reader(feeds),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "ConvTranspose"],
            nodes_to_exclude=list(exact),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


def convert_to_ort(source: Path, target: Path) -> None:
    """Write a model in ONNX Runtime's own format, which its smaller builds read.

    The list of operators that such a build needs is written beside it: ``target`` with the suffix
    ``.operators.config``.
    """
    from onnxruntime.tools.ort_format_model import create_config_from_models

    options = session_options()
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    # Higher levels optimise for this processor. Constant folding would store 16-bit kernels in 32.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    open_session(source, options, ["ConstantFolding"])
    config = target.with_suffix(".operators.config")
    with _quiet():
        create_config_from_models([target], config, enable_type_reduction=False)
    rows = [row for row in config.read_text().splitlines() if not row.startswith("#")]
    config.write_text("\n".join([f"# {target.name}", *rows]) + "\n")
