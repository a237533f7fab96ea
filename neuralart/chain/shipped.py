"""The shipped styles, and how a MODEL on the command line is looked up."""

from __future__ import annotations

from pathlib import Path

from neuralart.errors import ModelError
from neuralart.machine.files import DATA

SUFFIX = ".neuralart"

MODEL_NAME = "model.neuralart"
"""The file name of the model in a run's folder."""

DEFAULT_MODEL = "starry-night"

MODELS = DATA / "models"


def shipped() -> dict[str, Path]:
    """Files of the shipped styles by name."""
    return {path.stem: path for path in sorted(MODELS.glob(f"[!.]*{SUFFIX}"))}


def find_model(name: str) -> Path:
    """The path of the model called ``name``: a shipped style, or else a file or a run's folder.

    Shipped styles come first: where there is one called ``wave``, a file is ``./wave``.
    Raises ModelError that lists the shipped styles if it is neither.
    """
    known = shipped()
    if name in known:
        return known[name]
    path = Path(name)
    try:
        exists = path.exists()
    except OSError:  # a name too long for a file
        exists = False
    if not exists:
        names = ", ".join(known) or "none in this installation"
        raise ModelError(f"model {name}: no such file or run, and no shipped style ({names})")
    return path
