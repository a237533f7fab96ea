"""Put the chain of a training run into the package.

python scripts/ship_model.py RUN NAME

Measures every style on the photos that training held out, whole, as `neuralart evaluate --whole`
does, by default with the features of the training; and how close `--precision` int8 and bfloat16
come to float32 in the first style. Adds the results to the styles' cards and writes
neuralart/data/models/NAME.neuralart, with weights in half precision.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean

from neuralart.chain.model import Model, Style, StyledChain, load_chain
from neuralart.chain.shipped import MODELS, SUFFIX
from neuralart.engine.devices import open_device
from neuralart.errors import ModelError, NeuralArtError
from neuralart.machine.processor import faster_precisions
from neuralart.measuring.artefacts import psnr
from neuralart.measuring.evaluate import evaluate
from neuralart.measuring.tables import evaluation_heading, evaluation_table
from neuralart.options.measure import EvaluateConfig
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.reading import decode_image
from neuralart.pictures.writing import encode_image
from neuralart.training.result import without_folders

LARGEST_BYTES = 2_000_000
STYLE_IMAGE_QUALITY = 60


def closeness(model: Model, photos: Photos) -> dict[str, dict[str, float]]:
    """Peak signal-to-noise ratio of each precision against float32, in dB, on held-out photos."""
    squares = [square for _, square in photos.squares(320, held_out=True, count=20)]
    exact = PhotoPainter(model, open_device("cpu"), len(model.specs))
    paintings = [exact.paint(square) for square in squares]
    ratios = {}
    for precision in faster_precisions():
        other = PhotoPainter(model, open_device("cpu"), len(model.specs), precision=precision)
        decibels = [
            psnr(other.paint(square, other.measure(square)), painting)
            for square, painting in zip(squares, paintings, strict=True)
        ]
        ratios[precision] = {"mean": round(mean(decibels), 1), "worst": round(min(decibels), 1)}
    return ratios


def smaller_picture(style: Style) -> Style:
    """The style with its image as a smaller JPEG."""
    image = decode_image(style.style_image, style.name)
    return dataclasses.replace(style, style_image=encode_image(image, ".jpg", STYLE_IMAGE_QUALITY))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run, with its config.json")
    parser.add_argument("name")
    parser.add_argument("--features")
    parser.add_argument("--photos", type=int, help="at most so many for each style")
    parser.add_argument(
        "--iterations", type=int, default=0, help="of the optimiser to compare with"
    )
    parser.add_argument(
        "--began-with", default="", help="words for the cards: where weights are from"
    )
    options = parser.parse_args()
    chain = load_chain(options.run)
    if not options.run.is_dir():
        raise ModelError(f"{options.run}: a model by itself; name the folder of its training")
    record = json.loads((options.run / "config.json").read_text())["options"]
    chain = dataclasses.replace(chain, styles=tuple(map(smaller_picture, chain.styles)))
    with tempfile.TemporaryDirectory() as folder:
        half = Path(folder) / f"{options.name}{SUFFIX}"
        chain.save(half, half=True)
        config = EvaluateConfig(
            data=Path(record["data"]),
            held_out=True,
            whole=True,
            every_style=len(chain.styles) > 1,
            features=options.features or record["features"],
            content_layer=record["content_layer"],
            photos=options.photos,
            iterations=options.iterations,
        )
        result = evaluate(str(half), config)
        results = result.get("styles", {chain.names[0]: result})
        photos = Photos(config.data, record["crop"], record["seed"], record["holdout"])
        precisions = closeness(load_chain(half).model(), photos)
    styles = []
    for style in chain.styles:
        card = {
            **style.card,
            "options": without_folders(style.card["options"]),
            "held_out": results[style.name],
            "precisions": precisions,
        }
        if options.began_with:
            card["began_with"] = options.began_with
        styles.append(dataclasses.replace(style, card=card))
        print(evaluation_heading(results[style.name]), style.name)  # noqa: T201
        print(evaluation_table(results[style.name]))  # noqa: T201
    path = MODELS / f"{options.name}{SUFFIX}"
    MODELS.mkdir(exist_ok=True)
    StyledChain(chain.specs, chain.params, tuple(styles)).save(path, half=True)
    print(precisions, path, f"{path.stat().st_size:,} bytes", sep="\n")  # noqa: T201
    if path.stat().st_size > LARGEST_BYTES:
        sys.exit(f"{path}: {path.stat().st_size:,} bytes, and at most {LARGEST_BYTES:,} may ship")


if __name__ == "__main__":
    try:
        main()
    except NeuralArtError as error:
        sys.exit(f"ship_model: {error}")
