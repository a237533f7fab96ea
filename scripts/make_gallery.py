"""Paint the gallery: every shipped style on photographs that may be shown.

python scripts/make_gallery.py [DOCS]

Writes DOCS/gallery.md, DOCS/pictures/gallery/*.jpg and the README's first picture,
DOCS/pictures/opening.jpg: a photo and its paintings in four styles. DOCS is docs/ by default. The
photographs come with scikit-image.
"""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import skimage

from neuralart.chain.model import Model, load_chain
from neuralart.chain.shipped import shipped
from neuralart.engine.devices import open_device
from neuralart.machine.files import write_aside
from neuralart.measuring.tables import evaluation_heading, evaluation_table
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.pictures.editing import centre_crop, contact_sheet, resize, resize_shorter_edge
from neuralart.pictures.pixels import Image, Picture
from neuralart.pictures.reading import decode_image, read_image
from neuralart.pictures.writing import encode_picture

# Photographs and who made them, from the README of scikit-image's data folder. Every new painting
# stays in the history of the repository, so there are two.
PHOTOS = {
    "astronaut.png": "Eileen Collins, NASA, public domain",
    "coffee.png": "Rachel Michetti, CC0",
}
LONGER_EDGE_PX = 512
STYLE_EDGE_PX = 160
OPENING = "chelsea.png"
OPENING_STYLES = ("starry-night", "night-cafe", "composition-vii", "wave")
MOST_BYTES, OPENING_BYTES = 32_000, 110_000
QUALITIES = range(92, 40, -4)
LINE = 100  # characters


def photograph(name: str) -> Image:
    image = read_image(Path(skimage.__file__).parent / "data" / name)
    height, width = image.shape[:2]
    scale = LONGER_EDGE_PX / max(height, width)
    return resize(image, (round(height * scale), round(width * scale)))


def write_small(path: Path, image: Image, most_bytes: int = MOST_BYTES) -> None:
    """Write a JPEG of the best of `QUALITIES` that takes at most so many bytes."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        encode_picture(buffer, Picture(image), ".jpg", quality)
        if buffer.tell() <= most_bytes:
            break
    write_aside(path, buffer.getvalue())


def strip(photo: Image, models: Sequence[Model]) -> Image:
    """The photo and its paintings in a row, their middles as squares."""
    painters = [PhotoPainter(model, open_device("cpu"), len(model.specs)) for model in models]
    pictures = [photo, *(painter.paint(photo) for painter in painters)]
    edge_px = min(photo.shape[:2])
    return contact_sheet([[centre_crop(picture, edge_px) for picture in pictures]])


def section(name: str, model: Model, folder: Path) -> str:
    """Write the style's pictures and return its section of the page."""
    style = decode_image(model.style_image or model.thumbnail, name)
    write_small(folder / f"{name}.jpg", resize_shorter_edge(style, STYLE_EDGE_PX))
    painter = PhotoPainter(model, open_device("cpu"), len(model.specs))
    for photo in PHOTOS:
        write_small(folder / f"{name}-{Path(photo).stem}.jpg", painter.paint(photograph(photo)))
    held_out = model.card["held_out"]
    return "\n".join(
        [
            f"## {name}",
            "",
            f"![{model.card['style']}](pictures/gallery/{name}.jpg)",
            "",
            *side_by_side(f"{name}-"),
            "",
            paragraph(f"Measured on {evaluation_heading(held_out)}."),
            "",
            "```",
            evaluation_table(held_out),
            "```",
            "",
        ]
    )


def side_by_side(prefix: str) -> list[str]:
    """The lines of a table with one picture for each photograph."""
    stems = [Path(photo).stem for photo in PHOTOS]
    cells = [f"![{stem}](pictures/gallery/{prefix}{stem}.jpg)" for stem in stems]
    return [f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"]


def paragraph(text: str) -> str:
    """The text in lines of at most `LINE` characters."""
    return textwrap.fill(text, LINE, break_long_words=False, break_on_hyphens=False)


def main(docs: Path) -> None:
    folder = docs / "pictures" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    chains = [load_chain(path) for path in shipped().values()]
    models = {name: chain.model(name) for chain in chains for name in chain.names}
    for photo in PHOTOS:
        write_small(folder / f"{Path(photo).stem}.jpg", photograph(photo))
    text = [
        "# Gallery",
        "",
        paragraph(
            "Every shipped style, painted by `neuralart stylize PHOTO PAINTING --style NAME "
            f"--stroke 1` at {LONGER_EDGE_PX} pixels. The table under each style is part of what "
            "`neuralart info NAME` shows: means over photos that were kept out of training. "
            "[measuring.md](measuring.md) explains the columns. "
            "`scripts/make_gallery.py` makes this page."
        ),
        "",
        "## The photographs",
        "",
        *side_by_side(""),
        "",
        *[f"- {Path(photo).stem}: {credit}" for photo, credit in PHOTOS.items()],
        "",
        *[section(name, model, folder) for name, model in models.items()],
    ]
    write_aside(docs / "gallery.md", ("\n".join(text).rstrip() + "\n").encode())
    shown = [models[style] for style in OPENING_STYLES if style in models]
    opening = strip(photograph(OPENING), shown)
    write_small(docs / "pictures" / "opening.jpg", opening, OPENING_BYTES)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs")
