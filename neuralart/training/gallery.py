"""``index.html`` of a run: a gallery that needs no server and no script.

It shows the style images, the loss curves, the last contact sheets and the held-out losses. The
pictures stay in the run's folder; the page links to them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuralart.errors import RunError
from neuralart.machine.documents import parse_json
from neuralart.machine.files import write_aside
from neuralart.pictures.editing import contact_sheet, resize
from neuralart.pictures.pixels import Image
from neuralart.pictures.writing import write_image
from neuralart.training.curves import curves, read_entries, term_series, text, total_series
from neuralart.training.run import RunFolder
from neuralart.training.schedule import named_steps

LAST_SHEETS = 6

SHEET = re.compile(r"(\d+)-(\d{8})\.png")
"""The name of a contact sheet: the index of the phase, and the step."""

STYLE_PX = 240  # edge of the square that a style image is shown in
STYLES_IN_ROW = 4

COLUMNS = ("style", "half", "content", "layout", "palette", "tv", "total")

MOST_JSON = 4_000_000  # bytes of evaluation.json that are read

# No script may run in the page, whatever is in the names of a run.
_POLICY = "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif;
  background: light-dark(#f4f1ea, #14161b); color: light-dark(#23211d, #ece7dc) }
body { max-width: 62rem; margin: 0 auto; padding: 1.5rem }
h1, h2 { font-family: Palatino, Georgia, serif; line-height: 1.2 }
img, svg { max-width: 100%; height: auto }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem }
figure { margin: 0 0 1.5rem; overflow-x: auto }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .8rem; text-align: right;
  border-bottom: 1px solid light-dark(#dcd6c9, #343944) }
th:first-child { text-align: left }
"""


def write_style_sheet(run: RunFolder, images: Sequence[Image]) -> None:
    """Write ``style.jpg``: the style images side by side, each in a square of `STYLE_PX`.

    Raises OutputError.
    """
    squares = [_in_square(image) for image in images]
    rows = [squares[k : k + STYLES_IN_ROW] for k in range(0, len(squares), STYLES_IN_ROW)]
    write_image(run.style, contact_sheet(rows))


def _in_square(image: Image) -> Image:
    """The picture, shrunk into the middle of a white square."""
    height, width = image.shape[:2]
    scale = STYLE_PX / max(height, width)
    small = resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))
    square: Image = np.full((STYLE_PX, STYLE_PX, 3), 255, np.uint8)
    top, left = (STYLE_PX - small.shape[0]) // 2, (STYLE_PX - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square


def write_gallery(run: RunFolder) -> None:
    """Write ``index.html`` of what is in the run's folder now. Raises OutputError."""
    write_aside(run.gallery, _page(run).encode())


def _page(run: RunFolder) -> str:
    record: Mapping[str, Any] = {}
    with contextlib.suppress(RunError):  # a page with fewer names is no reason to stop a training
        record = run.read_record() or {}
    name = text(run.path.resolve().name)
    names = style_names(record)
    entries = read_entries(run.metrics)
    phases = list(phase_steps(record))
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} – neuralart</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{name}</h1>"
    ]
    if entries:
        last = entries[-1]
        parts.append(
            f"<p>{text(last.phase)}, step {last.step:,}: {last.photos:,} photos in "
            f"{last.seconds / 60:.1f} minutes.</p>"
        )
    if run.style.is_file():
        listed = text(", ".join(names))
        parts.append(
            f"<h2>Style image</h2><figure><img src={_quoted(run.style.name)} "
            f'alt="The style image: {listed}"><figcaption>{listed}</figcaption></figure>'
        )
    parts.append(
        f'<h2>Losses</h2><div class="curves">{curves("Total", total_series(entries))}'
        f"{curves('Terms of the last stage', term_series(entries))}</div>"
    )
    sheets = sheet_names(run)[:LAST_SHEETS]
    if sheets:
        parts.append("<h2>Contact sheets</h2><p>Each row: a photo, then it after each stage.</p>")
    for sheet in sheets:
        label = text(sheet_label(sheet, phases))
        parts.append(
            f'<figure><img src={_quoted(f"{run.samples.name}/{sheet}")} alt="Contact sheet: '
            f'{label}"><figcaption>{label}</figcaption></figure>'
        )
    parts.append(evaluation_tables(run, names))
    return "".join([*parts, "</main></body></html>\n"])


def _quoted(address: str) -> str:
    return f'"{text(address)}"'


def style_names(record: Mapping[str, Any]) -> list[str]:
    """The names of a run's styles, of its ``config.json``."""
    styles = record.get("options", {}).get("style", [])
    return [Path(str(style)).stem for style in (styles if isinstance(styles, list) else [styles])]


def phase_steps(record: Mapping[str, Any]) -> dict[str, int]:
    """The steps of a run's phases by their names, of its ``config.json``."""
    options = record.get("options", {})
    generators = options.get("generators")
    return named_steps(
        options.get("coupling", "own"),
        bool(options.get("share_weights")),
        record.get("steps", 0),
        record.get("joint_steps", 0),
        len(generators) if isinstance(generators, list) else 0,
    )


def sheet_names(run: RunFolder) -> list[str]:
    """The names of the contact sheets, newest first. Links are left out."""
    try:
        found = [
            path.name
            for path in run.samples.iterdir()
            if SHEET.fullmatch(path.name) and path.is_file() and not path.is_symlink()
        ]
    except OSError:
        return []
    return sorted(found, key=_place, reverse=True)


def _place(sheet: str) -> tuple[int, int]:
    match = SHEET.fullmatch(sheet)
    assert match is not None
    return int(match[1]), int(match[2])


def sheet_label(sheet: str, phases: Sequence[str]) -> str:
    """``stage 2, step 400`` for ``1-00000400.png``."""
    phase, step = _place(sheet)
    name = phases[phase] if phase < len(phases) else f"phase {phase + 1}"
    return f"{name}, step {step:,}"


def evaluation_tables(run: RunFolder, names: Sequence[str]) -> str:
    """The held-out losses as HTML tables; an empty text where there are none yet."""
    try:
        with run.evaluation.open("rb") as file:
            data = parse_json(file.read(MOST_JSON))
        styles = data.get("styles", {names[0] if names else "": data})
        tables = [_table(name, result) for name, result in styles.items() if result["photos"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ""
    if not tables:
        return ""
    return f"<h2>Held-out losses</h2>{''.join(tables)}"


def _table(name: str, result: Mapping[str, Any]) -> str:
    losses, spots = result["losses"], result.get("spots", {})
    columns = [key for key in COLUMNS if any(key in row for row in losses.values())]
    shown = {stage: [row.get(key) for key in columns] for stage, row in losses.items()}
    if spots:
        columns.append("spots")
        shown = {stage: [*cells, spots.get(stage)] for stage, cells in shown.items()}
    caption = f"{name}: {result['photos']} photos that were kept out of training"
    rows = "".join(
        f'<tr><th scope="row">{text(stage)}</th>'
        + "".join(f"<td>{_number(cell)}</td>" for cell in cells)
        + "</tr>"
        for stage, cells in shown.items()
    )
    heads = "".join(f'<th scope="col">{text(column)}</th>' for column in columns)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table>'
        f"<caption>{text(caption)}</caption>"
        f'<thead><tr><th scope="col">after</th>{heads}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )


def _number(value: Any) -> str:
    return f"{float(value):.2f}" if isinstance(value, (int, float)) else "–"
