"""The options of ``export``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from neuralart.errors import ConfigError
from neuralart.options.field import THREADS_HELP, option

LARGEST_PX = 8192


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """``neuralart export``."""

    to: Path | None = option(None, help="New folder to write.", unit="FOLDER")
    format: tuple[str, ...] = option(
        ("mxnet",),
        help="What to write: mxnet (a graph and parameters for MXNet), onnx (one file for ONNX "
        "Runtime and others), ort (for phones), web (a page that paints in the browser).",
        unit="FORMAT,...",
        choices=("mxnet", "onnx", "ort", "web"),
    )
    style: str | None = option(
        None,
        help="Export this style alone, or a mixture as wave=0.7,scream=0.3; by default all styles "
        "of the model, with their weights as an input.",
        unit="NAME",
    )
    precision: str | None = option(
        None,
        help="fp16 halves the file; int8 quarters it and computes in 8 bits. By default fp16 for "
        "ort and web, fp32 for the others.",
        choices=("fp32", "fp16", "int8"),
    )
    calibrate: Path | None = option(
        None,
        help="Photos that set the ranges of int8; by default four that ship.",
        unit="FOLDER",
    )
    stage: int | None = option(
        None,
        help="End after this stage, counted from 1; by default after the last.",
        unit="K",
        range=(1, None),
    )
    static: str | None = option(
        None,
        help="Accept pictures of this size only, one at a time, for runtimes that need that.",
        unit="HxW",
    )
    overwrite: bool = option(False, help="Replace an export in --to.")
    verify: Path | None = option(
        None, help="Only run an export again and compare it with the chain.", unit="FOLDER"
    )
    threads: int | None = option(None, help=THREADS_HELP, unit="N", range=(1, 1024))

    def size(self) -> tuple[int, int] | None:
        """(height, width) of --static.

        Raises ConfigError if it is not a size or too large.
        """
        if self.static is None:
            return None
        match = re.fullmatch(r"(\d+)x(\d+)", self.static)
        size = (int(match[1]), int(match[2])) if match else (0, 0)
        if not all(1 <= edge <= LARGEST_PX for edge in size):
            raise ConfigError(
                f"--static {self.static}: not HEIGHTxWIDTH of at most {LARGEST_PX} pixels"
            )
        return size
