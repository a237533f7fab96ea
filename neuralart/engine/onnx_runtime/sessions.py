"""Opens ONNX Runtime's sessions on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _state

from neuralart.machine.processor import computing_threads

ERRORS: tuple[type[Exception], ...] = (_state.RuntimeException, _state.Fail)
"""What ONNX Runtime raises when it cannot go on, mostly for lack of memory."""


def session_options() -> Any:
    """Options with the threads of OMP_NUM_THREADS, or one for each core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = computing_threads()
    options.log_severity_level = 3  # errors only; its warnings tell of optimisations not applied
    # A plan of all maps' places took a third more memory than maps that are freed after use, and no
    # less time (default model, tiles of 2 megapixels).
    options.enable_mem_pattern = False
    return options


def open_session(
    model: Path | bytes, options: Any = None, disabled_optimizers: Sequence[str] = ()
) -> Any:
    """A session of a model that is in a file or in memory."""
    return onnxruntime.InferenceSession(
        model,
        options or session_options(),
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(disabled_optimizers) or None,
    )


def version() -> str:
    """ONNX Runtime's version."""
    return str(onnxruntime.__version__)
