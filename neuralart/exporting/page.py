"""The folder of ``--format web``: the page built from web/, and a list of the styles for it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from neuralart.chain.receptive_field import MEASURED_PIXELS, receptive_margins, size_multiple
from neuralart.errors import ConfigError, OutputError
from neuralart.exporting.style import Style
from neuralart.machine.files import DATA
from neuralart.options.export import SMALLEST_PX, ExportConfig

FORMAT = 1

BUILT = DATA / "web"
"""The page as scripts/build_web makes it, with ONNX Runtime in its folder ``ort``."""

MODELS, RUNTIME = "models", "ort"


def check(config: ExportConfig) -> None:
    """Raise ConfigError for an option that the page cannot meet, OutputError if it is not built."""
    if config.static is not None:
        raise ConfigError("--format web does not take --static")
    if not (BUILT / "index.html").is_file():
        raise OutputError(f"--format web: no page in {BUILT}: run scripts/build_web")
    if not any((BUILT / RUNTIME).glob("*.wasm")):
        raise OutputError(
            f"--format web: no ONNX Runtime in {BUILT / RUNTIME}: run scripts/build_web"
        )


def finish(styles: Sequence[Style], folder: Path) -> None:
    """Copy the page into the folder that has the models, and write the list of styles."""
    shutil.copytree(BUILT, folder, dirs_exist_ok=True)
    rows = []
    for style in styles:
        file = folder / MODELS / f"{style.name}.onnx"
        thumbnail = folder / MODELS / f"{style.name}.png"
        thumbnail.write_bytes(style.model.thumbnail)
        rows.append(
            {
                "name": style.name,
                "title": style.title,
                "licence": style.metadata["licence"],
                "file": file.name,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "thumbnail": thumbnail.name,
                "stages": style.stages,
                "statistics": _norm_channels(style),
                "measured_pixels": MEASURED_PIXELS,
                "minimum": SMALLEST_PX,
                "multiple": size_multiple(style.specs),
                "reach": max(receptive_margins(style.specs)),
            }
        )
    manifest = {"format": FORMAT, "styles": rows}
    (folder / MODELS / "models.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _norm_channels(style: Style) -> int:
    return sum(layer.channels for spec in style.specs for layer in spec.layers if layer.norm)
