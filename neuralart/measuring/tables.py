"""Tables of an evaluation's result, as the commands print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuralart.machine.terminal import number, table

_TERMS = ("style", "content", "tv", "total")


def evaluation_heading(result: Mapping[str, Any]) -> str:
    """How many photos of which size were measured, and the terms of the total loss."""
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
    """The iterations in which the optimiser reaches a stage's total: "12", "> 60", or "-".

    "-" is for a result without iterations. ``name`` is the stage's, such as ``x4``.
    """
    if name not in result.get("iterations", {}):
        return "-"
    iterations = result["iterations"][name]
    return f"> {result['iterations_limit']}" if iterations is None else f"{iterations:g}"


def evaluation_table(result: Mapping[str, Any]) -> str:
    """A table of means over photos: a row for the photos themselves, and one for each stage.

    - the losses
    - ``style left``: the style loss relative to the photos' own
    - ``iterations`` in which the optimiser reaches the same total, if they were counted
    - ``checkerboard``: the power of the finest stripes relative to the style image's own
    - ``border``: the strength of marks along the border, in 0..255 units
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
        stripes = result["checkerboard"]
        own = stripes["painting"]  # the style image's
        columns["checkerboard"] = {name: number(stripes[name] / own) for name in losses}
        columns["border"] = {name: number(value) for name, value in result["border_error"].items()}
    rows = [["", *columns]]
    rows += [[name, *(column.get(name, "-") for column in columns.values())] for name in losses]
    return table(rows)
