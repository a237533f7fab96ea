"""Write a file whole or not at all: under another name beside its place, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from neuralart.errors import OutputError

DATA = Path(__file__).parents[1] / "data"
"""What ships with neuralart: models, features, photos and the page."""

PART = ".part"
"""The suffix of a file while it is written. A killed process may leave one behind."""


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """Open a new file beside ``path``, and rename it to ``path`` when the block ends.

    Raises OutputError if it cannot be written. After any exception, a file that was at ``path``
    before is unchanged.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with aside.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def write_aside(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` with `written_aside`."""
    with written_aside(path) as file:
        file.write(data)


def check_place(path: Path, overwrite: bool, *, make_folders: bool = False) -> None:
    """Check before the work that `write_aside` can write to ``path``.

    Raises OutputError if ``path`` is a folder, or a file and not ``overwrite``; or if its folder is
    not writable, or missing and not ``make_folders``.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists; add --overwrite to replace it")
    folder = path.parent
    while make_folders and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "no such folder; make it first"
        raise OutputError(f"{folder}: {problem}")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder}: not writable; choose another folder")
