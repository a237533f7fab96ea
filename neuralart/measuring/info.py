"""``neuralart models`` and ``neuralart info``: list the shipped styles, and describe one model."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuralart.chain.choice import load_choice
from neuralart.chain.kinds import GENERATORS
from neuralart.chain.model import STYLE_SUFFIX, Style, StyledChain, load_chain
from neuralart.chain.params import is_row
from neuralart.chain.shipped import read_header, shipped
from neuralart.errors import ModelError
from neuralart.machine.files import write_aside
from neuralart.machine.terminal import number, table
from neuralart.measuring.tables import equivalent, evaluation_heading, evaluation_table
from neuralart.options.train import TrainConfig
from neuralart.pictures.reading import decode_image
from neuralart.pictures.writing import check_writable, encode_image

Facts = dict[str, str]

CHECKSUM_DIGITS = 12  # as many as the message about a style file of another chain shows


def list_models() -> str:
    """A table of the shipped chains, and under each with several styles a row for every style."""
    rows = [["name", "stages", "MAC/px", "content", "total", "iterations", "size"]]
    for name, path in shipped().items():
        chain = load_chain(path)
        last = f"x{len(chain.specs)}"
        cost = f"{_multiply_adds(chain):,}"
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        losses = [_losses_of(style, last) for style in chain.styles]
        if len(losses) == 1:
            rows.append([name, last[1:], cost, *losses[0], size])
            continue
        rows.append([name, last[1:], cost, "", "", "", size])
        for style, row in zip(chain.names, losses, strict=True):
            rows.append([f"  {style}", "", "", *row, ""])
    return table(rows)


def _losses_of(style: Style, stage: str) -> list[str]:
    """Content, total and iterations of a style after a stage; a dash for what its card lacks."""
    held_out = style.card.get("held_out", {})
    losses = held_out.get("losses", {}).get(stage, {})
    return [
        number(losses.get("content")),
        number(losses.get("total")),
        equivalent(held_out, stage),
    ]


def _multiply_adds(chain: StyledChain) -> int:
    """The multiply-adds of painting a pixel."""
    return round(sum(spec.multiply_adds() for spec in chain.specs))


def describe(word: str, choice: str | None = None, thumbnail: Path | None = None) -> list[str]:
    """The lines about a chain and its styles, about one style, or about a style file.

    word       a MODEL, or a style file
    choice     the style to describe; by default all, or the one that ``word`` names
    thumbnail  where to write the thumbnail of the style image: of the first style described

    Raises ModelError if there is no such model, ConfigError if it has no such style, OutputError if
    the thumbnail cannot be written.
    """
    if thumbnail is not None:
        check_writable(thumbnail, overwrite=False)
    if word.endswith(STYLE_SUFFIX):
        if thumbnail is not None:
            raise ModelError(
                f"{word}: a style file holds no picture of its style image; leave --thumbnail away"
            )
        return _describe_style_file(Path(word))
    chain, choice = load_choice(word, choice)
    try:
        return _describe_chain(chain, choice, thumbnail)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise ModelError(
            f"{word}: damaged: the card of a style cannot be read; get the model anew"
        ) from None


def _describe_chain(chain: StyledChain, choice: str | None, thumbnail: Path | None) -> list[str]:
    styles = chain.styles
    if choice is not None:
        styles = (styles[int(chain.mixture(choice).argmax())],)
    if thumbnail is not None:
        _write_thumbnail(styles[0], thumbnail)
    facts = [_facts(style.card) for style in styles]
    common = {key: value for key, value in facts[0].items() if all(f[key] == value for f in facts)}
    first = {} if len(styles) > 1 else {"style": styles[0].name}
    lines = _lines({**first, **_chain_facts(chain), **common})
    if len(styles) == 1:
        return [*lines, *_measured(styles[0].card)]
    for style, each in zip(styles, facts, strict=True):
        own = {key: value for key, value in each.items() if key not in common}
        lines += ["", style.name, *(f"  {line}" for line in _lines(own) + _measured(style.card))]
    return [line.rstrip() for line in lines]


def _describe_style_file(path: Path) -> list[str]:
    header = read_header(path)
    try:
        name, digest, card = str(header["name"]), str(header["chain"]), dict(header["card"])
        facts = {"style": name, "of chain": digest[:CHECKSUM_DIGITS], **_facts(card)}
        return [*_lines(facts), *_measured(card)]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise ModelError(f"{path}: damaged, or not a style of neuralart; get it anew") from None


def _write_thumbnail(style: Style, path: Path) -> None:
    if not style.thumbnail:
        raise ModelError(
            f"{style.name}: the model holds no picture of its style image; leave --thumbnail away"
        )
    image = decode_image(style.thumbnail, f"the thumbnail of {style.name}")
    write_aside(path, encode_image(image, path.suffix.lower()))


def _lines(facts: Facts) -> list[str]:
    """Aligned lines of names and values, without those that are empty."""
    known = {key: value for key, value in facts.items() if value}
    width = max(map(len, known), default=0)
    return [f"{key:{width}}  {value}" for key, value in known.items()]


def _measured(card: Mapping[str, Any]) -> list[str]:
    """The lines about the losses on held-out photos; none if the card has no losses."""
    held_out = card.get("held_out", {})
    if "losses" not in held_out:
        return []
    heading = f"Kept out of training: {evaluation_heading(held_out)}"
    return ["", heading, *evaluation_table(held_out).splitlines()]


def _chain_facts(chain: StyledChain) -> Facts:
    """What is true of a chain in any style; its checksum is the one that style files name."""
    rows = sum(array[0].size for name, array in chain.params.items() if is_row(name))
    shared = sum(array.size for name, array in chain.params.items() if not is_row(name))
    parameters = f"{shared + rows:,} parameters"
    if len(chain.styles) > 1:
        parameters = f"{shared:,} parameters and {rows:,} for each of {len(chain.styles)} styles"
    return {
        "stages": ", ".join(spec.name for spec in chain.specs),
        "cost": f"{_multiply_adds(chain):,} multiply-adds a pixel, {parameters}",
        "checksum": chain.digest[:CHECKSUM_DIGITS],
    }


def _facts(card: Mapping[str, Any]) -> Facts:
    """A style's card as names and values; what it does not say is empty."""
    features, options = card.get("features", {}), card.get("options", {})
    return {
        "style image": str(card.get("style", "")),
        "trained by": command_line(options) if "style" in options else "",
        "features": f"{features['name']} (SHA-256 {features['sha256'][:16]}...)"
        if features
        else "",
        "data": f"{card['photos']} photos" if "photos" in card else "",
        "steps": ", ".join(map(str, card.get("steps", []))),
        "time": f"{card['seconds'] / 60:.0f} minutes" if "seconds" in card else "",
        "started": str(card.get("started", "")),
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
        for each in value if isinstance(value, list) else [value]:
            words.append(f"--{field_.name.replace('_', '-')}")
            if each is not True:
                words.append(shlex.quote(str(each)))
    if any(spec["name"] not in GENERATORS for spec in options.get("generators", [])):
        words.append("--config FILE.toml")
    return " ".join(words)
