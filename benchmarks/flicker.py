"""Measure how much a painted video flickers, on each frame's statistics and on smoothed ones.

python benchmarks/flicker.py --model starry-night --photo photo.jpg

The frames are crops that pan over a photo by whole pixels. Two successive frames show a common part
of the photo, where their pixels are equal. Any difference of their paintings there is flicker. The
number is its mean, in 0..255 units.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from neuralart.chain.choice import load_style
from neuralart.engine.devices import open_device
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.video import SmoothedStatistics
from neuralart.pictures.editing import resize_shorter_edge
from neuralart.pictures.reading import read_image


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="starry-night")
    parser.add_argument("--photo", required=True)
    parser.add_argument("--edge", type=int, default=192, help="height of a frame, pixels")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument(
        "--pan", type=int, default=8, help="pixels a frame; multiples of 8 keep the strides' phase"
    )
    options = parser.parse_args()
    model = load_style(options.model)
    painter = PhotoPainter(model, open_device("cpu"), len(model.specs))
    wide = resize_shorter_edge(read_image(Path(options.photo)), options.edge)
    width = wide.shape[1] - options.pan * (options.frames - 1)
    frames = [wide[:, options.pan * i :][:, :width] for i in range(options.frames)]
    smoothed = SmoothedStatistics(painter, frames_per_second=25)
    edge = 2 * options.pan  # near their borders, frames are painted from other surroundings
    for name, measure in (("each frame's statistics", painter.measure), ("averaged", smoothed)):
        painted = [painter.paint(frame, measure(frame)).astype(np.float32) for frame in frames]
        changes = [
            abs(after[:, : -options.pan] - before[:, options.pan :])[edge:-edge, edge:-edge].mean()
            for before, after in itertools.pairwise(painted)
        ]
        print(f"{name}: {np.mean(changes):.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
