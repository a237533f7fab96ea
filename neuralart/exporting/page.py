"""The folder of ``--format web``: the page built from web/, and a list of models and styles."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from neuralart.chain.model import Style
from neuralart.chain.receptive_field import (
    MEASURED_PIXELS,
    WHOLE_PIXELS,
    receptive_margins,
    size_multiple,
)
from neuralart.errors import ConfigError, OutputError
from neuralart.exporting.graph import smallest_px
from neuralart.exporting.subject import Subject, file_names
from neuralart.machine.files import DATA
from neuralart.options.export import ExportConfig
from neuralart.painting import strokes
from neuralart.pictures.editing import centre_crop
from neuralart.pictures.grain import UNITS, fields
from neuralart.pictures.reading import decode_image
from neuralart.pictures.writing import encode_image

FORMAT = 5

BUILT = DATA / "web"
"""The page as scripts/build_web makes it, with ONNX Runtime in its folder ``ort``."""

MODELS, RUNTIME = "models", "ort"

_BUILD = "run scripts/build_web in neuralart's folder, or install again where there is npm"


def check(config: ExportConfig) -> None:
    """Raise ConfigError for an option that the page cannot meet, OutputError if it is not built."""
    if config.static is not None:
        raise ConfigError("--format web does not take --static; leave it away")
    if not (BUILT / "index.html").is_file():
        raise OutputError(f"--format web: no page in {BUILT}: {_BUILD}")
    if not any((BUILT / RUNTIME).glob("*.wasm.gz")):
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
                "whole_pixels": WHOLE_PIXELS,
                "measured_pixels": MEASURED_PIXELS,
                "grain": subject.specs[0].grain,
                "minimum": smallest_px(subject.specs),
                "multiple": size_multiple(subject.specs),
                "reach": max(receptive_margins(subject.specs)),
                "styles": _styles(subject),
            }
        )
    noise = [base64.b64encode(field.tobytes()).decode() for field in fields()]
    manifest = {
        "format": FORMAT,
        "grain": {"units": UNITS, "fields": noise},
        "strokes": {
            "learned_px": strokes.LEARNED_PX,
            "seen_px": strokes.SEEN_PX,
            "least_broad": strokes.LEAST_BROAD,
            "most_enlarged": strokes.MOST_ENLARGED,
            "over_share": strokes.OVER_SHARE,
            "detail_share": strokes.DETAIL_SHARE,
        },
        "models": models,
    }
    (folder / MODELS / "models.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _styles(subject: Subject) -> list[dict[str, str]]:
    """The rows of a model's styles, in the order of ``mixture``."""
    names = file_names(subject.chain.names) if subject.styles > 1 else [subject.name]
    return [
        {
            "name": name,
            "title": subject.title_of(style),
            "licence": str(style.card.get("licence", "")),
            "thumbnail": _thumbnail(style),
        }
        for style, name in zip(subject.chain.styles, names, strict=True)
    ]


def _thumbnail(style: Style) -> str:
    """A square of the style image as a data: URL, or an empty string if the model has none.

    In the list itself, the pictures of all styles take the page no request.
    """
    if not style.thumbnail:
        return ""
    image = decode_image(style.thumbnail, f"the thumbnail of {style.name}")
    jpeg = encode_image(centre_crop(image, min(image.shape[:2])), ".jpg", 80)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
