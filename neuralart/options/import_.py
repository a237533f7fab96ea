"""The options of ``import``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuralart.options.field import option


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Options of ``neuralart import``."""

    to: Path = option(help="Model file to write.", unit="FILE.neuralart")
    style_image: Path | None = option(
        None,
        help="The picture whose style the model learned; it is kept in the model, for evaluate.",
        unit="PICTURE",
    )
    overwrite: bool = option(False, help="Replace the model if it exists.")
