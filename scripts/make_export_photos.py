"""Make neuralart/data/photos: what an export is compared on and calibrated with.

python scripts/make_export_photos.py
takes photographs of scikit-image's package (public domain or CC0) and shrinks them.
"""

from __future__ import annotations

from pathlib import Path

import skimage

from neuralart.images import encode_image, read_image, resize_shorter_edge
from neuralart.parity import PHOTOS

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
