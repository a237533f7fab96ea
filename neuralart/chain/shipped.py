"""The shipped chains and their styles, and how a MODEL on the command line is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuralart.errors import ModelError
from neuralart.machine.archive import open_archive
from neuralart.machine.files import DATA
from neuralart.machine.words import did_you_mean

SUFFIX = ".neuralart"

MODEL_NAME = "model.neuralart"
"""The file name of the model in a run's folder."""

DEFAULT_MODEL = "starry-night"
"""What paints where no MODEL is named: a shipped file, or a style of a shipped chain."""

MODELS = DATA / "models"


def shipped() -> dict[str, Path]:
    """Files of the shipped chains by name."""
    return {path.stem: path for path in sorted(MODELS.glob(f"[!.]*{SUFFIX}"))}


def shipped_styles() -> dict[str, Path]:
    """Files of the shipped chains by the names of their styles. Reads only the files' headers."""
    files: dict[str, Path] = {}
    for path in shipped().values():
        for name in style_names(path):
            files.setdefault(name, path)
    return files


def style_names(path: Path) -> list[str]:
    """The names of the styles in a model file; none if it is damaged, which loading it reports."""
    try:
        header = read_header(path)
        if header["format"] == 1:
            return [path.stem]
        return [str(row["name"]) for row in header["styles"]]
    except (KeyError, TypeError, ModelError):
        return []


def read_header(path: Path) -> Mapping[str, Any]:
    """The header of a model or style file, without its arrays.

    Raises ModelError if the file cannot be read.
    """
    with open_archive(path, ModelError, "of neuralart") as archive:
        return archive.header


def find_model(word: str) -> Path:
    """The file or the run's folder of the chain that ``word`` stands for, see `find_style`."""
    return find_style(word)[0]


def find_style(word: str | None, choice: str | None = None) -> tuple[Path, str | None]:
    """The path of a chain, and the style or mixture to choose in it; None is its first style.

    word    a MODEL: the name of a shipped file, else of a style that a shipped chain knows, else a
            model file or a run's folder. Where there is a shipped ``wave``, a file is ``./wave``.
            None is the first shipped style in ``choice``, else `DEFAULT_MODEL`.
    choice  what --style says: ``wave``, or ``wave=0.7,scream=0.3``

    Raises ModelError that lists the shipped chains and styles if there is no such model.
    """
    known = shipped()
    styles = shipped_styles() if word not in known else {}
    if word is None:
        named = [part.partition("=")[0].strip() for part in (choice or "").split(",")]
        word = next((name for name in named if name in styles), DEFAULT_MODEL)
    if word in known:
        return known[word], choice
    if word in styles:
        return styles[word], word if choice is None else choice
    path = Path(word)
    try:
        exists = path.exists()
    except OSError:  # a name too long for a file
        exists = False
    if not exists:
        names = dict.fromkeys([*known, *styles])
        listed = ", ".join(names) or "none in this installation"
        raise ModelError(
            f"model {word}: no such file or run, and no shipped model or style ({listed})"
            f"{did_you_mean(word, names)}"
        )
    return path, choice
