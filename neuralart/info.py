"""``neuralart models`` and ``neuralart info``: which styles there are, and the card of one."""

from __future__ import annotations

from pathlib import Path

from neuralart.cards import command_line
from neuralart.encode import check_writable
from neuralart.files import write_aside
from neuralart.images import decode_image, encode_image
from neuralart.model import Model, load_model
from neuralart.shipped import find_model, shipped
from neuralart.tables import equivalent, evaluation_heading, evaluation_table, number, table


def list_models() -> str:
    """The shipped styles, a line each: what they cost, how good they are, and how large the file is."""
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
    """The lines of a model's card; its painting's thumbnail goes to a picture file if one is named.

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
