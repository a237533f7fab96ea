"""Compare what `neuralart plan` predicts with what `neuralart stylize` takes.

    .venv/bin/python benchmarks/plan.py MODEL [WIDTHxHEIGHT ...]

Each runs in a process of its own. Memory is the process's largest resident size, time is from its
start to its end. Run it on a quiet machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from neuralart.pictures.editing import resize
from neuralart.pictures.writing import write_image

SIZES = ("256x256", "1000x700", "1920x1080", "4000x3000")
NEURALART = Path(sys.executable).with_name("neuralart")


def photo(width: int, height: int) -> np.ndarray:
    """A made-up photo: smooth colours with noise."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
    image = resize(small, (height, width))
    return (image * 0.8 + rng.integers(0, 40, image.shape)).astype(np.uint8)


def run(*words: object) -> tuple[str, float, float]:
    """Run neuralart; return its stdout, its largest resident bytes, and its seconds."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([str(NEURALART), *map(str, words)], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        assert status == 0, words
        return out.read(), usage.ru_maxrss * 1024, time.perf_counter() - start


def main(model: str, *sizes: str) -> None:
    print("| photo | memory planned | taken | ratio | time planned | taken | ratio |")  # noqa: T201
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes or SIZES:
            width, height = map(int, size.split("x"))
            source, target = Path(folder) / f"{size}.jpg", Path(folder) / "out.jpg"
            write_image(source, photo(width, height))
            said, _, _ = run("plan", source, "--model", model)
            _, memory, seconds = run("stylize", source, target, "--overwrite", "--model", model)
            planned = float(re.search(r"memory +([\d,]+) MB", said)[1].replace(",", "")) * 1e6
            whole = sum(map(float, re.search(r"time +([\d.]+) s, and ([\d.]+) s", said).groups()))
            print(  # noqa: T201
                f"| {size} | {planned / 1e6:.0f} MB | {memory / 1e6:.0f} MB "
                f"| {planned / memory:.2f} "
                f"| {whole:.1f} s | {seconds:.1f} s | {whole / seconds:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
