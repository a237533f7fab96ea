"""Put the style of a training run into the package: python scripts/ship_model.py RUN NAME

Writes neuralart/data/models/NAME.neuralart, weights in half precision.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from neuralart.config import without_folders
from neuralart.model import load_model
from neuralart.shipped import MODELS, SUFFIX

LARGEST_BYTES = 2_000_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    options = parser.parse_args()
    model = load_model(options.run)
    card = {**model.card, "options": without_folders(model.card["options"])}
    path = MODELS / f"{options.name}{SUFFIX}"
    MODELS.mkdir(exist_ok=True)
    dataclasses.replace(model, card=card).save(path, half=True)
    if path.stat().st_size > LARGEST_BYTES:
        sys.exit(f"{path}: {path.stat().st_size:,} bytes, and at most {LARGEST_BYTES:,} may ship")
    print(path)  # noqa: T201


if __name__ == "__main__":
    main()
