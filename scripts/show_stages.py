"""Write a sheet with a row for each photo: the photo and x1 .. xn.

python scripts/show_stages.py MODEL OUT.jpg PHOTO ...
"""

from __future__ import annotations

import sys
from pathlib import Path

from neuralart.chain.choice import load_style
from neuralart.chain.reference import ReferencePainter
from neuralart.engine.devices import open_device
from neuralart.pictures.editing import centre_crop, contact_sheet, resize_shorter_edge
from neuralart.pictures.pixels import to_image, to_x
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

EDGE_PX = 256


def main(name: str, out: str, *photos: str) -> None:
    model = load_style(name)
    painter = ReferencePainter(model.specs, model.params, open_device("cpu"))
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
