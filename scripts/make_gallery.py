"""Paint the gallery: every shipped style on photographs that may be shown, and the README's opening strip.

python scripts/make_gallery.py [DOCS]
writes DOCS/gallery.md, DOCS/pictures/gallery/*.jpg and DOCS/pictures/opening.jpg (photo, then every
stage of starry-night); DOCS is docs/ unless named. The photographs are scikit-image's.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import skimage

from neuralart.encode import encode_picture
from neuralart.engine import mx
from neuralart.files import write_aside
from neuralart.images import (
    Image,
    centre_crop,
    contact_sheet,
    decode_image,
    read_image,
    resize,
    resize_shorter_edge,
    to_image,
    to_x,
)
from neuralart.model import Model, load_model
from neuralart.painting import Painting
from neuralart.pictures import Picture
from neuralart.shipped import shipped
from neuralart.tables import evaluation_heading, evaluation_table

# Who made them, from the README of scikit-image's data folder.
PHOTOS = {
    "astronaut.png": "Eileen Collins, NASA, public domain",
    "coffee.png": "Rachel Michetti, CC0",
    "chelsea.png": "Stéfan van der Walt, CC0",
    "rocket.jpg": "SpaceX, public domain",
}
LONGER_EDGE_PX = 512
STYLE_EDGE_PX = 160
OPENING = ("starry-night", "chelsea.png", 256)  # style, photo, edge of the squares in pixels
MOST_BYTES = 80_000
QUALITIES = range(92, 40, -4)


def photograph(name: str) -> Image:
    image = read_image(Path(skimage.__file__).parent / "data" / name)
    height, width = image.shape[:2]
    scale = LONGER_EDGE_PX / max(height, width)
    return resize(image, (round(height * scale), round(width * scale)))


def write_small(path: Path, image: Image) -> None:
    """As a JPEG of the best quality that is small enough."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        encode_picture(buffer, Picture(image), ".jpg", quality)
        if buffer.tell() <= MOST_BYTES:
            break
    write_aside(path, buffer.getvalue())


def strip(model: Model, photo: Image) -> Image:
    """Photo, x1 .. xn in a row."""
    edge_px = OPENING[2]
    square = centre_crop(resize_shorter_edge(photo, edge_px), edge_px)
    painter, x = model.painter(mx.cpu()), to_x(square)
    stages = painter.paint(x, painter.measure(x))
    return contact_sheet([[square, *map(to_image, stages)]])


def section(name: str, model: Model, folder: Path) -> str:
    """The style's part of the page; its pictures are written."""
    style = decode_image(model.painting or model.thumbnail, name)
    write_small(folder / f"{name}.jpg", resize_shorter_edge(style, STYLE_EDGE_PX))
    painting = Painting(model, mx.cpu(), len(model.specs))
    for photo in PHOTOS:
        write_small(folder / f"{name}-{Path(photo).stem}.jpg", painting.paint(photograph(photo)))
    held_out = model.card["held_out"]
    return "\n".join(
        [
            f"## {name}",
            "",
            f"![{model.card['style']}](pictures/gallery/{name}.jpg)",
            "",
            *two_by_two(f"{name}-"),
            "",
            f"Photos kept out of training: {evaluation_heading(held_out)}.",
            "",
            "```",
            evaluation_table(held_out),
            "```",
            "",
        ]
    )


def two_by_two(prefix: str) -> list[str]:
    """The lines of a table with one picture for each photograph."""
    stems = [Path(photo).stem for photo in PHOTOS]
    cells = [f"![{stem}](pictures/gallery/{prefix}{stem}.jpg)" for stem in stems]
    rows = [f"| {a} | {b} |" for a, b in zip(cells[::2], cells[1::2], strict=True)]
    return [rows[0], "|---|---|", *rows[1:]]


def main(docs: Path) -> None:
    folder = docs / "pictures" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    models = {name: load_model(path) for name, path in shipped().items()}
    for photo in PHOTOS:
        write_small(folder / f"{Path(photo).stem}.jpg", photograph(photo))
    text = [
        "# Gallery",
        "",
        "Every style that comes with neuralart, painted by `neuralart stylize PHOTO PAINTING --model NAME` at "
        f"{LONGER_EDGE_PX} pixels. Under each: what `neuralart info NAME` says of photos it never learned on. "
        "This page is made by `scripts/make_gallery.py`.",
        "",
        "## The photographs",
        "",
        *two_by_two(""),
        "",
        *[f"- {Path(photo).stem}: {credit}" for photo, credit in PHOTOS.items()],
        "",
        *[section(name, model, folder) for name, model in models.items()],
    ]
    write_aside(docs / "gallery.md", ("\n".join(text).rstrip() + "\n").encode())
    style, photo, _ = OPENING
    if style in models:
        write_small(docs / "pictures" / "opening.jpg", strip(models[style], photograph(photo)))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs")
