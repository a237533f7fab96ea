"""ONNX Runtime: paint with an exported file, on the CPU. The only place that knows onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from neuralart.images import X


def _session(file: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    options.log_severity_level = 3  # errors; warnings are about optimisations that did not apply
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def paint(file: Path, pictures: Sequence[X]) -> list[list[X]]:
    """The outputs that are pictures, of each picture.

    Shape:  (N, 3, H, W) RGB 0..255 -> the same
    """
    session = _session(file)
    feeds = {
        put.name: np.zeros(put.shape, bool if put.type == "tensor(bool)" else np.float32)
        for put in session.get_inputs()
        if put.name != "image"
    }
    names = [put.name for put in session.get_outputs() if len(put.shape) == 4]
    return [session.run(names, {"image": picture, **feeds}) for picture in pictures]
