"""Tables of an evaluation's result, as the commands print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuralart.machine.terminal import number, table

TERMS = ("style", "half", "content", "layout", "palette", "tv", "total")
"""The sums and terms of a loss that tables show, where they are there."""


def evaluation_heading(result: Mapping[str, Any]) -> str:
    """How many photos of which size were measured, and the terms of the total loss."""
    edge = result["edge_px"]
    size = f"at most {edge} px" if result.get("whole") else f"{edge}x{edge} px"
    text = f"{result['photos']} {'whole ' if result.get('whole') else ''}photos, {size}"
    if "weights" in result:
        weights = result["weights"]
        scales = ", mean of two sizes" if "half" in next(iter(result["losses"].values())) else ""
        names = {
            "style": f"style (each of 5 layers{scales})",
            "content": f"content ({result['content_layer']})",
            "layout": "layout",
            "palette": "palette",
            "tv": "total variation",
        }
        terms = [f"{weights[key]:g} x {name}" for key, name in names.items() if weights.get(key)]
        text += f"; total = {' + '.join(terms)}; features {result['features']['name']}"
    return text


def equivalent(result: Mapping[str, Any], name: str) -> str:
    """The iterations in which the optimiser reaches a stage's total: "12", "> 60", or "-".

    "-" is for a result without iterations. ``name`` is the stage's, such as ``x4``.
    """
    if name not in result.get("iterations", {}):
        return "-"
    iterations = result["iterations"][name]
    return f"> {result['iterations_limit']}" if iterations is None else f"{iterations:g}"


def evaluation_table(result: Mapping[str, Any]) -> str:
    """A table of means over photos: a row for the photos themselves, and one for each stage.

    - the losses; ``half`` is the style at half the picture's size
    - ``style left``: the style loss relative to the photos' own
    - ``iterations`` in which the optimiser reaches the same total, if they were counted
    - ``spots``: what the painting puts where the photo is flat, in 0..255 units
    - ``checkerboard``: the power of the finest stripes relative to the style image's own
    - ``border``: the strength of marks along the border, in 0..255 units
    """
    losses = result["losses"]
    start = losses["photo"]["style"]
    terms = [term for term in TERMS if any(row.get(term) for row in losses.values())]
    columns: dict[str, dict[str, str]] = {
        term: {name: number(row.get(term)) for name, row in losses.items()} for term in terms
    }
    columns["style left"] = {name: f"{row['style'] / start:.1%}" for name, row in losses.items()}
    if "iterations" in result:
        columns["iterations"] = {name: equivalent(result, name) for name in losses}
    if "spots" in result:
        columns["spots"] = {name: number(value) for name, value in result["spots"].items()}
    if "checkerboard" in result:
        stripes = result["checkerboard"]
        own = stripes["painting"]  # the style image's
        columns["checkerboard"] = {name: number(stripes[name] / own) for name in losses}
        columns["border"] = {name: number(value) for name, value in result["border_error"].items()}
    rows = [["", *columns]]
    rows += [[name, *(column.get(name, "-") for column in columns.values())] for name in losses]
    return table(rows)
