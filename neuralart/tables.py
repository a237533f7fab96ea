"""Numbers in columns, as the commands print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TERMS = ("style", "content", "tv", "total")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first of them the heading, as lines; names on the left, numbers on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def number(value: float | None, digits: int = 2) -> str:
    """The value to so many digits after the point, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def evaluation_heading(result: Mapping[str, Any]) -> str:
    """What was measured, and what the total is the sum of."""
    edge = result["edge_px"]
    text = f"{result['photos']} photos, {edge}x{edge} px"
    if "weights" in result:
        weights = result["weights"]
        terms = [f"{weights['style']:g} x style (each of 5 layers)"]
        terms.append(f"{weights['content']:g} x content ({result['content_layer']})")
        terms += [f"{weights['tv']:g} x total variation"] if weights["tv"] else []
        text += f"; total = {' + '.join(terms)}; features {result['features']['name']}"
    return text


def equivalent(result: Mapping[str, Any], name: str) -> str:
    """Iterations of the optimiser that reach the total after a stage, if they were counted."""
    if name not in result.get("iterations", {}):
        return "-"
    iterations = result["iterations"][name]
    return f"> {result['iterations_limit']}" if iterations is None else f"{iterations:g}"


def evaluation_table(result: Mapping[str, Any]) -> str:
    """Means over photos, of the photos themselves and after each stage.

    Losses; what is left of the photos' distance to the style; where they were counted, the iterations
    of the optimiser that reach the same total; the finest stripes relative to the painting's own, and
    marks along the border in 0..255 units.
    """
    losses = result["losses"]
    start = losses["photo"]["style"]
    terms = [term for term in _TERMS if any(row[term] for row in losses.values())]
    columns: dict[str, dict[str, str]] = {
        term: {name: number(row[term]) for name, row in losses.items()} for term in terms
    }
    columns["style left"] = {name: f"{row['style'] / start:.1%}" for name, row in losses.items()}
    if "iterations" in result:
        columns["iterations"] = {name: equivalent(result, name) for name in losses}
    if "checkerboard" in result:
        grain = result["checkerboard"]
        columns["checkerboard"] = {name: number(grain[name] / grain["painting"]) for name in losses}
        columns["border"] = {name: number(value) for name, value in result["border_error"].items()}
    rows = [["", *columns]]
    rows += [[name, *(column.get(name, "-") for column in columns.values())] for name in losses]
    return table(rows)
