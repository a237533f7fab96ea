"""Measure how faithful and how fast a small VGG is, beside its teacher and the full VGG-19.

  python benchmarks/features.py --teacher vgg19.npz --data photos/ \\
      --style starry.jpg --style wave.jpg --model runs/starry

Faithful: the rank correlation (Spearman) of its style and content distances with the teacher's, on
the 40 photos that scripts/train_features.py holds out. The photos are taken as they are, distorted,
blurred, noisy, recoloured, and stylized by --model.

Fast: seconds for the losses and their gradient by the picture. The nets take turns. The full VGG-19
has random weights.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from neuralart.chain.choice import load_style
from neuralart.chain.reference import ReferencePainter
from neuralart.engine.devices import open_device
from neuralart.loss.features.store import Features, load_features, random_features
from neuralart.loss.objective import LossWeights
from neuralart.loss.perceptual import Perceptual
from neuralart.measuring.descent import adam
from neuralart.pictures.editing import contact_sheet, resize_shorter_edge
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.pixels import Image, to_image, to_x
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

EDGE_PX = 256
SEED, HELD_OUT = 11, 40  # as in scripts/train_features.py
FULL_WIDTHS = (64, 128, 256, 512, 512)
ROUNDS = 12
ITERATIONS = 200


def versions(
    image: Image, painter: ReferencePainter | None, seed: int
) -> Iterator[tuple[str, Image]]:
    """The photo and distorted versions of it, as (kind, picture)."""
    rng = np.random.default_rng([7, seed])
    yield "photo", image
    for sigma in (1, 3):
        yield "blurred", cv2.GaussianBlur(image, (0, 0), sigma)
    for deviation in (10, 40):
        noise = rng.normal(0, deviation, image.shape)
        yield "noisy", (image + noise).clip(0, 255).astype(np.uint8)
    for _ in range(2):
        mix = np.eye(3) + rng.normal(0, 0.3, (3, 3))
        recoloured = (image.astype(float) - 128) @ mix.T + rng.uniform(90, 170, 3)
        yield "recoloured", recoloured.clip(0, 255).astype(np.uint8)
    rows, columns = np.mgrid[0:EDGE_PX, 0:EDGE_PX].astype(np.float32)
    for strength in (3, 9):
        down = rows + strength * np.sin(columns / 17).astype(np.float32)
        right = columns + strength * np.cos(rows / 23).astype(np.float32)
        yield (
            "distorted",
            cv2.remap(image, right, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT),
        )
    if painter is not None:
        x = to_x(image)
        for painted in painter.paint(x, painter.measure(x)):
            yield "stylized", to_image(painted)


def ranks(values: list[float]) -> np.ndarray:
    return np.argsort(np.argsort(values))


def spearman(a: list[float], b: list[float]) -> float:
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


Distances = dict[str, dict[str, list[float]]]


def distances(
    features: Features, photos: Photos, styles: list[Path], painter: ReferencePainter | None
) -> Distances:
    """Style distances to every style image and content distances to the photo.

    They are lists by what is measured and by kind of picture, as `versions` names it.
    """
    found: Distances = defaultdict(lambda: defaultdict(list))
    for style in styles:
        loss = Perceptual(features, LossWeights(), open_device("cpu"))
        loss.set_style(to_x(resize_shorter_edge(read_image(style), EDGE_PX)))
        for seed, photo in enumerate(photos.held_out):
            loss.set_content(to_x(photo))
            for kind, image in versions(photo, painter, seed):
                losses, _ = loss.score(to_x(image))
                found[f"style {style.stem}"][kind].append(losses["style"])
                if style == styles[0] and kind != "photo":
                    found["content"][kind].append(losses["content"])
    return found


def seconds(nets: dict[str, Features], edge_px: int) -> dict[str, float]:
    """Median seconds of each net for the losses and the gradient. The nets take turns."""
    x = np.random.default_rng(0).normal(0, 50, (1, 3, edge_px, edge_px)).astype(np.float32)
    losses = {
        name: Perceptual(features, LossWeights(), open_device("cpu"))
        for name, features in nets.items()
    }
    for loss in losses.values():
        loss.set_style(x)
        loss.set_content(x)
        loss.score(x)
    taken = defaultdict(list)
    for _ in range(ROUNDS):
        for name, loss in losses.items():
            begin = time.perf_counter()
            loss.score(x)
            taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in taken.items()}


def optimise(features: Features, photo: Image, style: Image) -> Image:
    """The photo after `ITERATIONS` steps of Adam on its pixels (Gatys et al. 2016)."""
    loss = Perceptual(features, LossWeights(), open_device("cpu"))
    loss.set_style(to_x(style))
    x = to_x(photo)
    loss.set_content(x)
    for _, painted in itertools.islice(adam(loss, x), 1, ITERATIONS + 1):
        x = painted
    return to_image(x)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--small", default="small")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--style", required=True, type=Path, action="append", dest="styles")
    parser.add_argument("--model")
    parser.add_argument("--no-timing", action="store_true")
    parser.add_argument(
        "--photo", type=Path, help="with --picture: the photo whose pixels are optimised"
    )
    parser.add_argument(
        "--picture", type=Path, help="file for the photo and the paintings by teacher and student"
    )
    options = parser.parse_args()

    small, teacher = load_features(options.small), load_features(options.teacher)
    photos = Photos(options.data, EDGE_PX, SEED, HELD_OUT)
    painter = None
    if options.model:
        model = load_style(options.model)
        painter = ReferencePainter(model.specs, model.params, open_device("cpu"))
    got = distances(small, photos, options.styles, painter)
    want = distances(teacher, photos, options.styles, painter)
    kinds = list(got[f"style {options.styles[0].stem}"])
    lines = [f"Spearman on {len(photos.held_out)} photos | all | " + " | ".join(kinds)]
    for what in got:
        together = spearman(
            list(itertools.chain(*got[what].values())), list(itertools.chain(*want[what].values()))
        )
        each = [
            f"{spearman(got[what][k], want[what][k]):.3f}" if k in got[what] else "-" for k in kinds
        ]
        lines.append(f"{what} | {together:.3f} | " + " | ".join(each))
    if not options.no_timing:
        nets = {"small": small, "teacher": teacher, "full": random_features(widths=FULL_WIDTHS)}
        lines.append("seconds for loss and gradient | 256 px | 512 px | parameters")
        timed = {edge: seconds(nets, edge) for edge in (256, 512)}
        for name, features in nets.items():
            size = sum(array.size for array in features.weights.values())
            lines.append(f"{name} | {timed[256][name]:.3f} | {timed[512][name]:.3f} | {size:,}")
    if options.picture:
        photo = resize_shorter_edge(read_image(options.photo), EDGE_PX)
        style = resize_shorter_edge(read_image(options.styles[0]), EDGE_PX)
        painted = [optimise(features, photo, style) for features in (teacher, small)]
        write_image(options.picture, contact_sheet([[photo, *painted]]))
    print("\n".join(f"| {line} |" for line in lines))  # noqa: T201


if __name__ == "__main__":
    main()
