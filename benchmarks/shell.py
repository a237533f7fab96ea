"""Measure how long painting a small photo takes from the shell, beside importing MXNet alone.

The times are the shortest of several rounds, in turn, since other work may share the machine.

python benchmarks/shell.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from neuralart.exporting.parity import COMPARED_PHOTO, PHOTOS

# numpy 1.24 removed numpy.bool, which MXNet 1.9.1 uses.
IMPORT = "import numpy; numpy.bool = bool; import mxnet"


def seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photo", type=Path, default=PHOTOS / COMPARED_PHOTO)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        painting = str(Path(folder) / "painting.jpg")
        stylize = [
            *(sys.executable, "-m", "neuralart", "stylize"),
            *(str(options.photo), painting, "--overwrite"),
        ]
        commands = {
            "import mxnet": [sys.executable, "-W", "ignore", "-c", IMPORT],
            "neuralart stylize": stylize,
        }
        for engine, package in (("onnx", "onnxruntime"), ("torch", "torch")):
            if find_spec(package) is not None:
                commands[f"neuralart stylize --engine {engine}"] = [*stylize, "--engine", engine]
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                times[name].append(seconds(command))
    shortest = {name: min(values) for name, values in times.items()}
    for name, value in shortest.items():
        print(f"{name} | {value:.2f} s | {value / shortest['import mxnet']:.2f} times")  # noqa: T201


if __name__ == "__main__":
    main()
