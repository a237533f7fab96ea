"""What is exported: the stages of a chain in its styles, and the metadata of the exported file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neuralart.chain.model import Style, StyledChain
from neuralart.chain.specs import Generator
from neuralart.machine.archive import Arrays
from neuralart.pictures.pixels import Image


@dataclass(frozen=True)
class Subject:
    """The first ``stages`` of a chain in all of its styles, under a valid file name.

    With several styles the exported graph has the input ``mixture``.

    size        (height, width) of the only pictures that the export accepts; None for any size
    calibrate   photos that the ranges of int8 are taken from
    """

    name: str
    chain: StyledChain
    stages: int
    size: tuple[int, int] | None
    calibrate: Sequence[Image] = ()

    @property
    def specs(self) -> Sequence[Generator]:
        return self.chain.specs[: self.stages]

    @property
    def styles(self) -> int:
        """The number of styles."""
        return len(self.chain.styles)

    @property
    def params(self) -> Arrays:
        """The parameters: scales and shifts are (C,) of one style, (styles, C) of several."""
        return self.chain.params if self.styles > 1 else self.chain.model().params

    @property
    def norm_channels(self) -> list[int]:
        """The number of channels of every norm, in the order of the graph."""
        return [layer.channels for spec in self.specs for layer in spec.layers if layer.norm]

    @property
    def metadata(self) -> dict[str, str]:
        """Text that is stored in the exported file.

        With several styles, ``styles`` lists their names in the order of the input ``mixture``, and
        ``card`` has their cards by name.
        """
        several = {"styles": json.dumps(self.chain.names)} if self.styles > 1 else {}
        return {
            "style": self.name,
            **several,
            "title": self.title,
            "licence": self.licence,
            "card": json.dumps(self.card),
            "stages": str(self.stages),
            "pixels": "RGB 0..255, (N, 3, H, W)",
            "grain": f"{self.specs[0].grain:g}",
        }

    @property
    def card(self) -> dict[str, object]:
        """The card of the only style, or the cards of several by their names."""
        if self.styles == 1:
            return self.chain.styles[0].card
        return {style.name: style.card for style in self.chain.styles}

    @property
    def licence(self) -> str:
        """The licence of the styles; several different ones with commas between them."""
        licences = [str(style.card.get("licence", "")) for style in self.chain.styles]
        return ", ".join(dict.fromkeys(filter(None, licences)))

    @property
    def title(self) -> str:
        if self.styles > 1:
            return _in_words(self.name)
        return str(self.chain.styles[0].card.get("title", _in_words(self.name)))

    def title_of(self, style: Style) -> str:
        """The title of a style, for people."""
        return (
            str(style.card.get("title", _in_words(style.name))) if self.styles > 1 else self.title
        )


_ROMAN = re.compile(r"(?=[ivx])x{0,3}(ix|iv|v?i{0,3})")
"""Roman numerals to 39, as painters count their works; larger ones are words, as mix and dim."""


def _in_words(name: str) -> str:
    """A title made of a name: ``Composition VII`` of ``composition-vii``."""
    first, *others = name.replace("-", " ").replace("_", " ").capitalize().split(" ")
    return " ".join([first, *(w.upper() if _ROMAN.fullmatch(w) else w for w in others)])


def file_names(names: Iterable[str]) -> list[str]:
    """Make names valid as file names, and different from each other.

    Characters that a file name should not have become hyphens. A name that is taken gets a number:
    ``wave``, ``wave-2``.
    """
    taken: list[str] = []
    for name in names:
        stem = plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "style"
        number = 1
        while plain in taken:
            number += 1
            plain = f"{stem}-{number}"
        taken.append(plain)
    return taken
