"""Write a file whole or not at all: under another name beside its place, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from neuralart.errors import OutputError
from neuralart.machine import leftovers

DATA = Path(__file__).parents[1] / "data"
"""What ships with neuralart: models, features, photos and the page."""

PART = ".part"
"""The suffix of a file while it is written. A killed process may leave one behind."""


class Together:
    """Files that appear together, see `written_together`."""

    def __init__(self) -> None:
        self._files: list[tuple[Path, Path, BinaryIO]] = []

    def open(self, path: Path) -> BinaryIO:
        """A new file that becomes ``path``. Raises OutputError."""
        # The name is short, since that of ``path`` may be as long as the file system allows, and
        # random, so that nobody can have put a link in its place.
        aside = path.with_name(f".{secrets.token_hex(8)}{PART}")
        with _about(path):
            file = aside.open("x+b")
        leftovers.add(aside)
        self._files.append((aside, path, file))
        return file

    def finish(self, *, overwrite: bool) -> None:
        """Put all files in their places, once all are on the disk."""
        for _, path, file in self._files:
            with _about(path):
                file.flush()
                _keep_mode(file, path)
                os.fsync(file.fileno())
                file.close()
        if not overwrite:
            self._claim()
        elif len(self._files) > 1:
            _, last, _ = self._files[-1]
            with _about(last):
                last.unlink(missing_ok=True)
        for aside, path, _ in self._files:
            with _about(path):
                aside.replace(path)

    def _claim(self) -> None:
        claimed: list[Path] = []
        try:
            for aside, path, _ in self._files:
                _claim(aside, path)
                claimed.append(path)
        except BaseException:
            for path in claimed:
                path.unlink()
            raise

    def close(self) -> None:
        """Delete what was not put in its place."""
        for aside, _, file in self._files:
            with contextlib.suppress(OSError):  # on a full disk, for what is in the buffer still
                file.close()
            with contextlib.suppress(OSError):
                aside.unlink()
            leftovers.discard(aside)


@contextlib.contextmanager
def _about(path: Path) -> Iterator[None]:
    """Make errors of the system OutputError that name ``path``."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _keep_mode(file: BinaryIO, path: Path) -> None:
    """Give a file the permissions of the one that it is going to replace; not on Windows."""
    if not hasattr(os, "fchmod"):
        return
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            os.fchmod(file.fileno(), stat.S_IMODE(mode))


def _claim(aside: Path, path: Path) -> None:
    """Make ``path`` a second name of the file ``aside``: then renaming changes nothing.

    Raises OutputError if ``path`` exists, or cannot be written.
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


@contextlib.contextmanager
def written_together(*, overwrite: bool = True) -> Iterator[Together]:
    """Give files to write in the block, which all get their places when it ends.

    The last one is the index of the others: if a kill falls between two renamings, it is missing.
    Files keep the permissions of what they replace.

    Raises OutputError if one cannot be written, or exists by then and not ``overwrite``. After any
    exception, what was there before is unchanged.
    """
    together = Together()
    try:
        yield together
        together.finish(overwrite=overwrite)
    finally:
        together.close()


@contextlib.contextmanager
def written_aside(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open a new file beside ``path``, and rename it to ``path`` when the block ends.

    Raises OutputError as `written_together` does.
    """
    with written_together(overwrite=overwrite) as together:
        file = together.open(path)
        with _about(path):
            yield file


def write_aside(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` with `written_aside`."""
    with written_aside(path) as file:
        file.write(data)


def sync_folder(folder: Path) -> None:
    """Wait until all files in a folder and below are on the disk. Raises OSError."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def is_in_the_way(place: Path | str) -> OutputError:
    """The error of a path or address that exists and must not be replaced."""
    return OutputError(f"{place}: exists; add --overwrite to replace it")


def check_place(path: Path, overwrite: bool, *, make_folders: bool = False) -> None:
    """Check before the work that `write_aside` can write to ``path``.

    Raises OutputError if ``path`` is a folder, or a file and not ``overwrite``; or if its folder is
    not writable, or missing and not ``make_folders``.
    """
    if os.path.isdir(path):
        raise OutputError(f"{path}: is a folder; name a file in it")
    if os.path.lexists(path) and not overwrite:
        raise is_in_the_way(path)
    folder = path.parent
    while make_folders and not os.path.exists(folder):
        folder = folder.parent
    if not os.path.isdir(folder):
        is_there = os.path.exists(folder)
        problem = "is a file, not a folder" if is_there else "no such folder; make it first"
        raise OutputError(f"{folder}: {problem}")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder}: not writable; choose another folder")
    if not hasattr(os, "pathconf"):  # Windows
        return
    longest = os.pathconf(folder, "PC_NAME_MAX")
    if len(os.fsencode(path.name)) > longest:
        raise OutputError(f"{path}: the name is longer than {longest} bytes; choose a shorter one")
