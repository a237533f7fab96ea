"""Photo, x1 .. xn in a row for each photo: python scripts/show_stages.py MODEL OUT.jpg PHOTO ..."""

from __future__ import annotations

import sys
from pathlib import Path

from neuralart.engine import mx
from neuralart.images import (
    centre_crop,
    contact_sheet,
    read_image,
    resize_shorter_edge,
    to_image,
    to_x,
    write_image,
)
from neuralart.model import load_model
from neuralart.shipped import find_model

EDGE_PX = 256


def main(model: str, out: str, *photos: str) -> None:
    painter = load_model(find_model(model)).painter(mx.cpu())
    rows = []
    for photo in photos:
        image = centre_crop(resize_shorter_edge(read_image(Path(photo)), EDGE_PX), EDGE_PX)
        x = to_x(image)
        rows.append(
            [image, *(to_image(painted) for painted in painter.paint(x, painter.measure(x)))]
        )
    write_image(Path(out), contact_sheet(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
