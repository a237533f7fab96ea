"""Make neuralart/data/photos: the photos to compare and calibrate exports with.

    python scripts/make_export_photos.py

They are photographs from scikit-image's package (public domain or CC0), shrunk.
"""

from __future__ import annotations

from pathlib import Path

import skimage

from neuralart.exporting.parity import PHOTOS
from neuralart.pictures.editing import resize_shorter_edge
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import encode_image

SOURCES = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "rocket.jpg")
EDGE_PX = 144


def main() -> None:
    folder = Path(skimage.__file__).parent / "data"
    PHOTOS.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        photo = resize_shorter_edge(read_image(folder / name), EDGE_PX)
        (PHOTOS / f"{Path(name).stem}.jpg").write_bytes(encode_image(photo, ".jpg"))


if __name__ == "__main__":
    main()
