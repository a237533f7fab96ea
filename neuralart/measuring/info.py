"""``neuralart models`` and ``neuralart info``: list the shipped styles, and describe one model."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.model import Model, load_model
from neuralart.chain.shipped import find_model, shipped
from neuralart.machine.files import write_aside
from neuralart.machine.terminal import number, table
from neuralart.measuring.tables import equivalent, evaluation_heading, evaluation_table
from neuralart.options.train import TrainConfig
from neuralart.pictures.reading import decode_image
from neuralart.pictures.writing import check_writable, encode_image


def list_models() -> str:
    """A table of the shipped styles: their stages, cost, losses, and the size of their files."""
    rows = [["name", "stages", "MAC/px", "content", "total", "iterations", "size"]]
    for name, path in shipped().items():
        model = load_model(path)
        held_out = model.card.get("held_out", {})
        losses = held_out.get("losses", {}).get(f"x{len(model.specs)}", {})
        rows.append(
            [
                name,
                str(len(model.specs)),
                f"{model.card.get('multiply_adds_per_pixel', 0):,}",
                number(losses.get("content")),
                number(losses.get("total")),
                equivalent(held_out, f"x{len(model.specs)}"),
                f"{path.stat().st_size / 1e6:.1f} MB",
            ]
        )
    return table(rows)


def describe(name: str, thumbnail: Path | None = None) -> list[str]:
    """The lines of a model's card. ``thumbnail`` is where to write the style image's thumbnail.

    Raises ModelError if there is no such model, OutputError if the thumbnail cannot be written.
    """
    if thumbnail is not None:
        check_writable(thumbnail, overwrite=False)
    path = find_model(name)
    model = load_model(path)
    if thumbnail is not None:
        write_aside(
            thumbnail,
            encode_image(
                decode_image(model.thumbnail, f"{path}: style.png"), thumbnail.suffix.lower()
            ),
        )
    rows = [[key, value] for key, value in _facts(model).items() if value]
    width = max(len(key) for key, _ in rows)
    lines = [f"{key:{width}}  {value}" for key, value in rows]
    held_out = model.card.get("held_out", {})
    if "losses" in held_out:
        lines += ["", f"Kept out of training: {evaluation_heading(held_out)}"]
        lines += evaluation_table(held_out).splitlines()
    return lines


def _facts(model: Model) -> dict[str, str]:
    """The card as names and values; what it does not say is empty."""
    card = model.card
    features = card.get("features", {})
    parameters = sum(array.size for array in model.params.values())
    return {
        "style": str(card.get("style", "")),
        "stages": ", ".join(spec.name for spec in model.specs),
        "cost": f"{card.get('multiply_adds_per_pixel', 0):,} multiply-adds a pixel, "
        f"{parameters:,} parameters",
        "trained by": command_line(card["options"]) if "options" in card else "",
        "features": " ".join(
            [features.get("name", ""), f"(SHA-256 {features.get('sha256', '')[:16]}...)"]
        ),
        "data": f"{card['photos']} photos" if "photos" in card else "",
        "steps": ", ".join(map(str, card.get("steps", []))),
        "time": f"{card['seconds'] / 60:.0f} minutes" if "seconds" in card else "",
        "version": str(card.get("neuralart", "")),
        "precisions": ", ".join(
            f"{name} {near['mean']:.0f} dB (worst {near['worst']:.0f}) to float32"
            for name, near in card.get("precisions", {}).items()
        ),
        "licence": str(card.get("licence", "")),
    }


def command_line(options: Mapping[str, Any]) -> str:
    """The command that trains a model again: its card's options, without those at default."""
    words = ["neuralart train"]
    for field_ in dataclasses.fields(TrainConfig):
        value = options.get(field_.name, field_.default)
        of_machine = field_.name in ("device", "threads")
        if not field_.metadata or of_machine or value == field_.default:
            continue
        words.append(f"--{field_.name.replace('_', '-')}")
        if value is not True:
            words.append(shlex.quote(str(value)))
    if any(spec["name"] not in GENERATORS for spec in options.get("generators", [])):
        words.append("--config FILE.toml")
    return " ".join(words)
