"""Measure how much faster two processes of ``stylize --cluster`` paint a batch than one.

python benchmarks/cluster.py [--count 1000] [--photos FOLDER]

Cuts small pictures at random from the photos and paints them with `--cluster local:1` and
`local:2`, one thread for each process. The seconds are those of the whole command, start of the
processes included; the command's own report is of painting alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from neuralart.machine.files import DATA
from neuralart.pictures.editing import resize_shorter_edge
from neuralart.pictures.formats import READABLE
from neuralart.pictures.pixels import Image
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image


def make_pictures(photos: list[Image], folder: Path, count: int, edge_px: int) -> None:
    """Write squares of the photos, at random places and up to twice as small, half mirrored."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        photo = photos[number % len(photos)]
        scaled = resize_shorter_edge(photo, int(random.integers(edge_px, 2 * edge_px)))
        top = random.integers(scaled.shape[0] - edge_px + 1)
        left = random.integers(scaled.shape[1] - edge_px + 1)
        square = scaled[top : top + edge_px, left : left + edge_px]
        write_image(folder / f"{number:06}.jpg", square[:, :: random.choice([-1, 1])].copy())


def paint(source: Path, target: Path, workers: int, more: list[str]) -> tuple[float, str]:
    """Paint a folder with the command, and return the seconds that it takes and its report."""
    command = [sys.executable, "-m", "neuralart", "stylize", str(source), str(target)]
    command += ["--cluster", f"local:{workers}", "--threads", "1", *more]
    begin = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    taken = time.perf_counter() - begin
    if done.returncode:
        sys.exit(done.stderr.rstrip())
    return taken, done.stderr.splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--edge", type=int, default=256, metavar="PX")
    parser.add_argument("--photos", type=Path, default=DATA / "photos", metavar="FOLDER")
    options, more = parser.parse_known_args()
    files = sorted(p for p in options.photos.iterdir() if p.suffix.lower() in READABLE)
    if not files:
        sys.exit(f"{options.photos}: holds no pictures")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = [read_image(path) for path in files]
        make_pictures(photos, folder / "in", options.count, options.edge)
        print(f"{options.count} pictures of {options.edge}x{options.edge}")  # noqa: T201
        first = None
        for workers in (1, 2):
            taken, report = paint(folder / "in", folder / f"out-{workers}", workers, more)
            first = first or taken
            print(  # noqa: T201
                f"local:{workers} | {taken:7.1f} s | {options.count / taken:6.2f} pictures/s | "
                f"{first / taken:.2f} times | {report}",
                flush=True,
            )


if __name__ == "__main__":
    main()
