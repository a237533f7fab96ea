"""The styles that come with neuralart, and what a MODEL on the command line stands for."""

from __future__ import annotations

from pathlib import Path

from neuralart.errors import ModelError

SUFFIX = ".neuralart"

MODELS = Path(__file__).parent / "data" / "models"


def shipped() -> dict[str, Path]:
    """The files of the shipped styles by name."""
    return {path.stem: path for path in sorted(MODELS.glob(f"[!.]*{SUFFIX}"))}


def find_model(name: str) -> Path:
    """The file, or the run's folder, that ``name`` stands for: a shipped style, or else a path.

    A shipped style's name means the same in every folder; ``./wave`` is a path.
    Raises ModelError that lists the names if it is neither.
    """
    known = shipped()
    if name in known:
        return known[name]
    path = Path(name)
    try:
        there = path.exists()
    except OSError:  # a name too long for a file
        there = False
    if not there:
        names = ", ".join(known) or "none in this installation"
        raise ModelError(f"model {name}: no such file or run, and no shipped style ({names})")
    return path
