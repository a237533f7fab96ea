"""What --model and --style stand for: a chain, and a style or mixture of it."""

from __future__ import annotations

from pathlib import Path

from neuralart.chain.model import STYLE_SUFFIX, Model, StyledChain, add_style_file, load_chain
from neuralart.chain.shipped import find_style, read_header


def load_choice(word: str | None, choice: str | None = None) -> tuple[StyledChain, str | None]:
    """Read the chain of a MODEL, and say which style or mixture of it is chosen.

    A choice may name style files, as ``mine.style`` or ``mine.style=0.7,wave=0.3``: their styles
    are added to the chain, and stand in the choice by their names. A style file as the MODEL is
    chosen in the default one.
    Raises ModelError if there is no such model or style file, or it belongs to another chain.
    """
    if word is not None and word.endswith(STYLE_SUFFIX) and choice is None:
        word, choice = None, word
    path, choice = find_style(word, choice)
    chain = load_chain(path)
    if choice is None:
        return chain, None
    parts = []
    for part in choice.split(","):
        name, equals, weight = part.strip().partition("=")
        if name.endswith(STYLE_SUFFIX):
            chain = add_style_file(chain, Path(name))
            name = str(read_header(Path(name))["name"])
        parts.append(f"{name}{equals}{weight}")
    return chain, ",".join(parts)


def load_style(word: str | None, choice: str | None = None) -> Model:
    """Read the chain of a MODEL in a style or mixture, see `load_choice`.

    Raises ModelError, or ConfigError for an unknown style or wrong weights.
    """
    chain, choice = load_choice(word, choice)
    return chain.model(choice)
