"""The folder of ``--format web``: the built page of web/, and what it has to know of the styles."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from neuralart.config import SMALLEST_PX, ExportConfig
from neuralart.errors import ConfigError, OutputError
from neuralart.parity import Style
from neuralart.tiles import MEASURED_PIXELS, chain_multiple, chain_reach

FORMAT = 1

BUILT = Path(__file__).parent / "data" / "web"
"""The page as scripts/build_web makes it; ONNX Runtime's files are in its folder ``ort``."""

MODELS, RUNTIME = "models", "ort"

CDN = "https://cdn.jsdelivr.net/npm/onnxruntime-web@{version}/dist/"


def check(config: ExportConfig) -> None:
    """Raises OutputError if the page, or the runtime that shall go with it, is not built; ConfigError for
    options that the page cannot do."""
    if config.statistics != "picture" or config.static is not None:
        raise ConfigError("--format web takes neither --statistics average nor --static")
    if not (BUILT / "index.html").is_file():
        raise OutputError(f"--format web: no page in {BUILT}: run scripts/build_web")
    if config.runtime == "folder" and not any((BUILT / RUNTIME).glob("*.wasm")):
        raise OutputError(
            f"--format web: no ONNX Runtime in {BUILT / RUNTIME}: run scripts/build_web, or add "
            "--runtime cdn"
        )


def finish(styles: Sequence[Style], folder: Path, config: ExportConfig) -> None:
    """Put the page around the models that are in the folder, and list them for it."""
    without = shutil.ignore_patterns("*.wasm", "*.mjs") if config.runtime == "cdn" else None
    shutil.copytree(BUILT, folder, dirs_exist_ok=True, ignore=without)
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
                "statistics": _channels(style),
                "measured_pixels": MEASURED_PIXELS,
                "minimum": SMALLEST_PX,
                "multiple": chain_multiple(style.specs),
                "reach": max(chain_reach(style.specs)),
            }
        )
    runtime = "folder"
    if config.runtime == "cdn":
        runtime = CDN.format(version=(BUILT / RUNTIME / "version.txt").read_text().strip())
    manifest = {"format": FORMAT, "runtime": runtime, "styles": rows}
    (folder / MODELS / "models.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _channels(style: Style) -> int:
    return sum(layer.channels for spec in style.specs for layer in spec.layers if layer.norm)
