"""The folder of ``--format web``: the page built from web/, and a list of models and styles."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from neuralart.chain.receptive_field import MEASURED_PIXELS, receptive_margins, size_multiple
from neuralart.errors import ConfigError, OutputError
from neuralart.exporting.graph import smallest_px
from neuralart.exporting.subject import Subject, file_names
from neuralart.machine.files import DATA
from neuralart.options.export import ExportConfig

FORMAT = 2

BUILT = DATA / "web"
"""The page as scripts/build_web makes it, with ONNX Runtime in its folder ``ort``."""

MODELS, RUNTIME = "models", "ort"

_BUILD = "run scripts/build_web in neuralart's folder, or install again where there is npm"


def check(config: ExportConfig) -> None:
    """Raise ConfigError for an option that the page cannot meet, OutputError if it is not built."""
    if config.static is not None:
        raise ConfigError("--format web does not take --static")
    if not (BUILT / "index.html").is_file():
        raise OutputError(f"--format web: no page in {BUILT}: {_BUILD}")
    if not any((BUILT / RUNTIME).glob("*.wasm")):
        raise OutputError(f"--format web: no ONNX Runtime in {BUILT / RUNTIME}: {_BUILD}")


def finish(subjects: Sequence[Subject], folder: Path) -> None:
    """Copy the page into the folder that has the models, and write the list of models."""
    shutil.copytree(BUILT, folder, dirs_exist_ok=True)
    models = []
    for subject in subjects:
        file = folder / MODELS / f"{subject.name}.onnx"
        models.append(
            {
                "file": file.name,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "stages": subject.stages,
                "statistics": sum(subject.norm_channels),
                "measured_pixels": MEASURED_PIXELS,
                "minimum": smallest_px(subject.specs),
                "multiple": size_multiple(subject.specs),
                "reach": max(receptive_margins(subject.specs)),
                "styles": _write_styles(subject, folder / MODELS),
            }
        )
    manifest = {"format": FORMAT, "models": models}
    (folder / MODELS / "models.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _write_styles(subject: Subject, folder: Path) -> list[dict[str, str]]:
    """Write the thumbnails, and return the rows of the styles in the order of ``mixture``.

    A style without a thumbnail has an empty name for it.
    """
    names, thumbnails = [subject.name], [f"{subject.name}.png"]
    if subject.styles > 1:
        names = file_names(subject.chain.names)
        thumbnails = [f"{subject.name}/{name}.png" for name in names]
    rows = []
    for style, name, thumbnail in zip(subject.chain.styles, names, thumbnails, strict=True):
        if style.thumbnail:
            (folder / thumbnail).parent.mkdir(exist_ok=True)
            (folder / thumbnail).write_bytes(style.thumbnail)
        rows.append(
            {
                "name": name,
                "title": subject.title_of(style),
                "licence": str(style.card.get("licence", "")),
                "thumbnail": thumbnail if style.thumbnail else "",
            }
        )
    return rows
