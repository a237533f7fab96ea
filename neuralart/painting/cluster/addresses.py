"""Pictures at addresses such as ``s3://bucket/photos``. Only this file uses fsspec.

Credentials and settings are fsspec's: its configuration files and environment variables.
"""

from __future__ import annotations

import contextlib
import glob
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from neuralart.errors import ConfigError, EngineError, ImageError, NeuralArtError, OutputError
from neuralart.machine.crash import reason as reason_of
from neuralart.machine.installation import install_command

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")

_OF_ONE_PROCESS = "memory"
"""The protocol of files that only the process that wrote them can read."""


def is_address(word: str) -> bool:
    """Whether a word names a place for fsspec, and not a path on this machine's disk."""
    return _ADDRESS.match(word) is not None


def _split(place: str) -> tuple[Any, str]:
    """fsspec's file system of a place, and the path in it.

    Raises EngineError if a library is missing, ConfigError for an unknown protocol.
    """
    try:
        import fsspec
    except ImportError:
        raise EngineError(f"{place}: addresses need fsspec; {install_command('cluster')}") from None
    try:
        files, path = fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise EngineError(f"{place}: {reason_of(error)}") from None
    except Exception as error:  # noqa: BLE001  # each protocol has errors of its own
        raise ConfigError(f"{place}: not an address that can be opened: {_why(error)}") from None
    return files, path


def _why(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {reason_of(error)}"


@contextlib.contextmanager
def _about(place: str, kind: type[NeuralArtError], what: str) -> Iterator[None]:
    """Make any error of a file system one line that names the place."""
    try:
        yield
    except NeuralArtError:
        raise
    except Exception as error:  # noqa: BLE001  # each protocol has errors of its own
        raise kind(f"{place}: cannot be {what}: {_why(error)}") from None


def is_of_one_process(place: str) -> bool:
    """Whether only this process can read and write the place."""
    return place.startswith(f"{_OF_ONE_PROCESS}://")


def exists(place: str) -> bool:
    """Whether there is a file or folder. Raises OutputError if its server does not say."""
    files, path = _split(place)
    with _about(place, OutputError, "looked up"):
        return bool(files.exists(path))


def is_folder(place: str) -> bool:
    """Whether there is a folder. Raises ImageError if its server does not say."""
    files, path = _split(place)
    with _about(place, ImageError, "looked up"):
        return bool(files.isdir(path))


def files_below(folder: str) -> list[str]:
    """The files in a folder and below, as sorted paths relative to it; empty if there is none.

    Raises ImageError if they cannot be listed.
    """
    files, path = _split(folder)
    with _about(folder, ImageError, "listed"):
        if not files.isdir(path):
            return []
        root = path.rstrip("/") + "/"
        return sorted(name.removeprefix(root) for name in files.find(path))


def matches(pattern: str) -> list[tuple[str, str]]:
    """The files that a pattern matches, each with its path below the pattern's fixed folders.

    Raises ImageError if there is none, or they cannot be listed.
    """
    files, path = _split(pattern)
    fixed = re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    with _about(pattern, ImageError, "listed"):
        found = sorted(name for name in files.glob(path) if files.isfile(name))
    if not found:
        raise ImageError(f"{pattern}: matches no file")
    return [(_address(files, name), name.removeprefix(fixed).lstrip("/")) for name in found]


def has_pattern(word: str) -> bool:
    """Whether a word is a pattern with ``*``, ``?`` or ``[``, and no file's name."""
    return glob.has_magic(word) and not exists(word)


def _address(files: Any, path: str) -> str:
    """The address of a path, or the path itself on this machine's disk."""
    protocols = (files.protocol,) if isinstance(files.protocol, str) else files.protocol
    return path if "file" in protocols else str(files.unstrip_protocol(path))


def fetch(place: str, file: Path) -> None:
    """Copy a picture to a file on the disk. Raises ImageError."""
    files, path = _split(place)
    with _about(place, ImageError, "read"):
        files.get_file(path, str(file))


def read(place: str) -> bytes:
    """Read a picture's bytes. Raises ImageError."""
    files, path = _split(place)
    with _about(place, ImageError, "read"):
        data: bytes = files.cat_file(path)
        return data


def put(place: str, source: BinaryIO) -> None:
    """Write what a file holds to a place, where it appears whole. Raises OutputError."""
    files, path = _split(place)
    with _about(place, OutputError, "written"):
        files.makedirs(files._parent(path), exist_ok=True)
        with files.open(path, "wb", autocommit=False) as target:
            shutil.copyfileobj(source, target)
        target.commit()
