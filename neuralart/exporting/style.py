"""What is exported: the stages of a model, and the metadata of the exported file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from neuralart.chain.model import Model
from neuralart.chain.specs import Generator
from neuralart.pictures.pixels import Image


@dataclass(frozen=True)
class Style:
    """The first ``stages`` of a model, under a name that may be a file's.

    size        (height, width) of the only pictures that the export accepts; None for any size
    calibrate   photos that the ranges of int8 are taken from
    """

    name: str
    model: Model
    stages: int
    size: tuple[int, int] | None
    calibrate: Sequence[Image] = ()

    @property
    def specs(self) -> Sequence[Generator]:
        return self.model.specs[: self.stages]

    @property
    def metadata(self) -> dict[str, str]:
        """Text that is stored in the exported file."""
        return {
            "style": self.name,
            "title": self.title,
            "licence": str(self.model.card.get("licence", "")),
            "card": json.dumps(self.model.card),
            "stages": str(self.stages),
            "pixels": "RGB 0..255, (N, 3, H, W)",
        }

    @property
    def title(self) -> str:
        words = self.name.replace("-", " ").replace("_", " ").capitalize()
        return str(self.model.card.get("title", words))
