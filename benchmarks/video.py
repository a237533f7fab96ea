"""Measure frames a second of painted videos, beside Johnson et al.'s network alone.

python benchmarks/video.py --sizes 640x360 1280x720
python benchmarks/video.py --before ../earlier-checkout

neuralart's time is that of the whole command, from its start to the finished file: decoding,
statistics, painting and encoding. Johnson's is that of the network in ONNX Runtime, one frame after
the other. All take turns with the same number of threads, since other work may share the machine.
The fastest round counts.

FFmpeg has a filter that runs a network, dnn_processing. Debian builds it without TensorFlow and
OpenVINO, so it runs no network of this kind, and there is no row for it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

PEER = "Johnson, ONNX Runtime"


def write_video(path: Path, size: tuple[int, int], count: int, rate: int) -> None:
    """A video of coloured waves and noise that move, H.264."""
    height, width = size
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 12, (height, width + 2 * count, 3))
    rows, columns = np.mgrid[0:height, 0 : width + 2 * count]
    waves = [np.sin(columns / 31), np.cos(rows / 23 + columns / 57), np.sin((rows + columns) / 41)]
    wide = (127 + 90 * np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(count):
            pixels = np.ascontiguousarray(wide[:, 2 * i : 2 * i + width])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))


def command_rate(
    source: Path, count: int, words: list[str], environment: dict[str, str]
) -> Callable[[], float]:
    """A function that paints the video by the command line, and returns frames a second."""
    target = source.with_stem("painted")
    command = [sys.executable, "-m", "neuralart", "stylize", str(source), str(target)]

    def run() -> float:
        start = time.perf_counter()
        subprocess.run(
            [*command, "--overwrite", *words],
            env=environment,
            cwd=source.parent,
            check=True,
            capture_output=True,
        )
        return count / (time.perf_counter() - start)

    return run


def peer_rate(size: tuple[int, int], environment: dict[str, str]) -> Callable[[], float]:
    """A function that runs Johnson's network in a process of its own, and returns frames a second."""
    height, width = size
    command = [sys.executable, str(Path(__file__).with_name("stylize.py")), "--child"]
    command += ["--sizes", f"{width}x{height}", "--engines", PEER]
    command += ["--threads", environment["OMP_NUM_THREADS"]]

    def run() -> float:
        done = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return 1 / float(json.loads(done.stdout.splitlines()[-1])["wall"])

    return run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["640x360", "1280x720"])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rate", type=int, default=25, help="frames a second of the video")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path, help="an earlier checkout, to compare with")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--model", help="a trained style; by default the one that is shipped")
    options = parser.parse_args()
    words = ["--precision", options.precision]
    words += ["--model", options.model] if options.model else []
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    here = Path(__file__).resolve().parents[1]
    print("| video | size | frames a second | against the peer |")  # noqa: T201
    print("|---|---|---|---|")  # noqa: T201
    for word in options.sizes:
        width, height = map(int, word.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "video.mp4"
            write_video(source, (height, width), options.frames, options.rate)
            runs: dict[str, Callable[[], float]] = {}
            for name, root in (("neuralart", here), ("neuralart before", options.before)):
                if root is not None:
                    path = {**environment, "PYTHONPATH": str(root.resolve())}
                    runs[name] = command_rate(source, options.frames, words, path)
            if importlib.util.find_spec("onnxruntime") is not None:
                runs[PEER] = peer_rate((height, width), environment)
            rates: dict[str, list[float]] = {name: [] for name in runs}
            for _ in range(options.rounds):
                for name, run in runs.items():
                    rates[name].append(run())
        best = {name: max(values) for name, values in rates.items()}
        for name, value in best.items():
            against = f"{value / best[PEER]:.2f}" if PEER in best else ""
            print(f"| {name} | {word} | {value:.2f} | {against} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
