"""How much a painted video flickers, on statistics of each frame and on their average over time.

python benchmarks/flicker.py --model starry-night --photo photo.jpg

A window pans over a photo by whole pixels. Where the window does not move against the photo, a painting that
did not flicker would not change; the number is the mean difference of two frames there, in 0..255 units,
beside that of the photo's own frames, which is 0.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from neuralart.engine import mx
from neuralart.images import read_image, resize_shorter_edge
from neuralart.model import load_model
from neuralart.painting import Painting
from neuralart.shipped import find_model
from neuralart.video import Calm


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="starry-night")
    parser.add_argument("--photo", required=True)
    parser.add_argument("--edge", type=int, default=192, help="height of a frame, pixels")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument(
        "--pan", type=int, default=8, help="pixels a frame; 8 keeps the strides' phase"
    )
    options = parser.parse_args()
    model = load_model(find_model(options.model))
    painting = Painting(model, mx.cpu(), len(model.specs))
    wide = resize_shorter_edge(read_image(Path(options.photo)), options.edge)
    width = wide.shape[1] - options.pan * (options.frames - 1)
    frames = [wide[:, options.pan * i :][:, :width] for i in range(options.frames)]
    calm = Calm(painting, frames_per_second=25)
    edge = 2 * options.pan  # the frames' own borders are not compared
    for name, measure in (("each frame's statistics", painting.measure), ("averaged", calm)):
        painted = [painting.paint(frame, measure(frame)).astype(np.float32) for frame in frames]
        changes = [
            abs(after[:, : -options.pan] - before[:, options.pan :])[edge:-edge, edge:-edge].mean()
            for before, after in itertools.pairwise(painted)
        ]
        print(f"{name}: {np.mean(changes):.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
