"""Put the style of a training run into the package.

python scripts/ship_model.py RUN NAME

Measures two things on the photos that training held out: what `neuralart evaluate` measures, by
default with the features of the training; and how close `--precision` int8 and bfloat16 come to
float32. Adds the results to the model's card and writes neuralart/data/models/NAME.neuralart, with
weights in half precision.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean

from neuralart.chain.model import Model, load_model
from neuralart.chain.shipped import MODELS, SUFFIX
from neuralart.engine.devices import open_device
from neuralart.loss.layers import CONTENT_LAYER
from neuralart.machine.processor import faster_precisions
from neuralart.measuring.artefacts import psnr
from neuralart.measuring.evaluate import evaluate
from neuralart.measuring.tables import evaluation_heading, evaluation_table
from neuralart.options.measure import EvaluateConfig
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.pictures.editing import resize_shorter_edge
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import encode_image
from neuralart.training.result import without_folders

LARGEST_BYTES = 2_000_000


def closeness(model: Model, photos: Photos) -> dict[str, dict[str, float]]:
    """Peak signal-to-noise ratio of each precision against float32, in dB, on held-out photos."""
    squares = [square for _, square in photos.squares(320, held_out=True, count=20)]
    exact = PhotoPainter(model, open_device("cpu"), len(model.specs))
    measured = [(square, exact.measure(square)) for square in squares]
    paintings = [exact.paint(*photo) for photo in measured]
    ratios = {}
    for precision in faster_precisions():
        other = PhotoPainter(model, open_device("cpu"), len(model.specs), precision=precision)
        decibels = [
            psnr(other.paint(*photo), painting)
            for photo, painting in zip(measured, paintings, strict=True)
        ]
        ratios[precision] = {"mean": round(mean(decibels), 1), "worst": round(min(decibels), 1)}
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run, with its config.json")
    parser.add_argument("name")
    parser.add_argument("--features")
    parser.add_argument("--content-layer", help="by default that of the training")
    parser.add_argument("--iterations", type=int, default=60)
    options = parser.parse_args()
    record = json.loads((options.run / "config.json").read_text())["options"]
    model = load_model(options.run)
    style_image = model.style_image or encode_image(
        resize_shorter_edge(read_image(Path(record["style"])), record["style_scale"]), ".jpg"
    )
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / f"{options.name}{SUFFIX}"
        dataclasses.replace(model, style_image=style_image).save(half, half=True)
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
        precisions = closeness(load_model(half), photos)
    card = {
        **model.card,
        "options": without_folders(model.card["options"]),
        "held_out": result,
        "precisions": precisions,
    }
    path = MODELS / f"{options.name}{SUFFIX}"
    MODELS.mkdir(exist_ok=True)
    dataclasses.replace(model, card=card, style_image=style_image).save(path, half=True)
    lines = evaluation_heading(result), evaluation_table(result), precisions, path
    print(*lines, sep="\n")  # noqa: T201
    if path.stat().st_size > LARGEST_BYTES:
        sys.exit(f"{path}: {path.stat().st_size:,} bytes, and at most {LARGEST_BYTES:,} may ship")


if __name__ == "__main__":
    main()
