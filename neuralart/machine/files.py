"""Write a file whole or not at all: under another name beside its place, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from neuralart.errors import OutputError

DATA = Path(__file__).parents[1] / "data"
"""What ships with neuralart: models, features, photos and the page."""

PART = ".part"
"""The suffix of a file while it is written. A killed process may leave one behind."""


@contextlib.contextmanager
def written_aside(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open a new file beside ``path``, and rename it to ``path`` when the block ends.

    Raises OutputError if it cannot be written, or if ``path`` exists by then and not
    ``overwrite``. After any exception, a file that was at ``path`` before is unchanged.
    """
    # The name is short, since that of ``path`` may be as long as the file system allows, and
    # random, so that nobody can have put a link in its place.
    aside = path.with_name(f".{secrets.token_hex(8)}{PART}")
    try:
        with aside.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not overwrite:
            _claim(aside, path)
        aside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _claim(aside: Path, path: Path) -> None:
    """Make ``path`` a second name of the file ``aside``: then renaming changes nothing.

    Raises OutputError if ``path`` exists.
    """
    try:
        try:
            os.link(aside, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            path.open("xb").close()
    except FileExistsError:
        raise OutputError(
            f"{path}: appeared while it was being made; add --overwrite to replace it"
        ) from None


def write_aside(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` with `written_aside`."""
    with written_aside(path) as file:
        file.write(data)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made: {error.strerror or error}") from None


def check_place(path: Path, overwrite: bool, *, make_folders: bool = False) -> None:
    """Check before the work that `write_aside` can write to ``path``.

    Raises OutputError if ``path`` is a folder, or a file and not ``overwrite``; or if its folder is
    not writable, or missing and not ``make_folders``.
    """
    if os.path.isdir(path):
        raise OutputError(f"{path}: is a folder; name a file in it")
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path}: exists; add --overwrite to replace it")
    folder = path.parent
    while make_folders and not os.path.exists(folder):
        folder = folder.parent
    if not os.path.isdir(folder):
        is_there = os.path.exists(folder)
        problem = "is a file, not a folder" if is_there else "no such folder; make it first"
        raise OutputError(f"{folder}: {problem}")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder}: not writable; choose another folder")
    longest = os.pathconf(folder, "PC_NAME_MAX")
    if len(os.fsencode(path.name)) > longest:
        raise OutputError(f"{path}: the name is longer than {longest} bytes; choose a shorter one")
