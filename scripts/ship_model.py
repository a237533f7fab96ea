"""Put the style of a training run into the package: python scripts/ship_model.py RUN NAME

Measures it on the photos that training kept out, as `neuralart evaluate` does, with the features it was
trained with unless others are named, and how near `--precision` int8 and bfloat16 are to float32 there; puts the
results into its card; and writes neuralart/data/models/NAME.neuralart, weights in half precision.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean

from neuralart.cards import without_folders
from neuralart.config import EvaluateConfig
from neuralart.engine import mx
from neuralart.evaluate import evaluate
from neuralart.images import encode_image, read_image, resize_shorter_edge
from neuralart.measure import psnr
from neuralart.model import Model, load_model
from neuralart.painting import Painting
from neuralart.photos import Photos
from neuralart.processor import faster_precisions
from neuralart.shipped import MODELS, SUFFIX
from neuralart.specs import CONTENT_LAYER
from neuralart.tables import evaluation_heading, evaluation_table

LARGEST_BYTES = 2_000_000


def nearness(model: Model, photos: Photos) -> dict[str, dict[str, float]]:
    """Decibels between the paintings of each precision and those of float32, of the photos kept out."""
    squares = [square for _, square in photos.squares(320, held_out=True, count=20)]
    exact = Painting(model, mx.cpu(), len(model.specs))
    measured = [(square, exact.measure(square)) for square in squares]
    paintings = [exact.paint(*photo) for photo in measured]
    near = {}
    for precision in faster_precisions():
        other = Painting(model, mx.cpu(), len(model.specs), precision=precision)
        decibels = [
            psnr(other.paint(*photo), painting)
            for photo, painting in zip(measured, paintings, strict=True)
        ]
        near[precision] = {"mean": round(mean(decibels), 1), "worst": round(min(decibels), 1)}
    return near


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run, with its config.json")
    parser.add_argument("name")
    parser.add_argument("--features")
    parser.add_argument("--content-layer", help="by default as it was trained")
    parser.add_argument("--iterations", type=int, default=60)
    options = parser.parse_args()
    record = json.loads((options.run / "config.json").read_text())["options"]
    model = load_model(options.run)
    painting = model.painting or encode_image(
        resize_shorter_edge(read_image(Path(record["style"])), record["style_scale"]), ".jpg"
    )
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / f"{options.name}{SUFFIX}"
        dataclasses.replace(model, painting=painting).save(half, half=True)
        config = EvaluateConfig(
            data=Path(record["data"]),
            style=Path(record["style"]),
            held_out=True,
            features=options.features or record["features"],
            content_layer=options.content_layer or record.get("content_layer", CONTENT_LAYER),
            iterations=options.iterations,
        )
        result = evaluate(str(half), config)
        photos = Photos(config.data, record["crop"], record["seed"], record["holdout"])
        near = nearness(load_model(half), photos)
    card = {
        **model.card,
        "options": without_folders(model.card["options"]),
        "held_out": result,
        "precisions": near,
    }
    path = MODELS / f"{options.name}{SUFFIX}"
    MODELS.mkdir(exist_ok=True)
    dataclasses.replace(model, card=card, painting=painting).save(path, half=True)
    print(f"{evaluation_heading(result)}\n{evaluation_table(result)}\n{near}\n{path}")  # noqa: T201
    if path.stat().st_size > LARGEST_BYTES:
        sys.exit(f"{path}: {path.stat().st_size:,} bytes, and at most {LARGEST_BYTES:,} may ship")


if __name__ == "__main__":
    main()
