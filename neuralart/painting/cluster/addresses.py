"""Pictures at addresses such as ``s3://bucket/photos``. Only this file uses fsspec.

Credentials and settings are fsspec's: its configuration files and environment variables.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import mimetypes
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neuralart.errors import ConfigError, EngineError, ImageError, NeuralArtError, OutputError
from neuralart.machine.crash import reason as reason_of
from neuralart.machine.installation import install_command

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")

_OF_ONE_PROCESS = "memory"
"""The protocol of files that only the process that wrote them can read."""

_STORES = {"s3": "ContentType", "gs": "content_type"}
"""Stores of objects, with the option of `pipe_file` that says what an object is.

An object appears whole, in a bucket that must be there, and needs no folder.
"""

ANSWERS_WITHIN = 30.0
"""Seconds until a server must have answered for the first time. Libraries try for minutes."""

_answered: set[Any] = set()
"""The file systems that have answered."""

_TALKATIVE = ("gcsfs", "google.auth")
"""Loggers that print tracebacks of what this file says in a line."""


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
    for logger in map(logging.getLogger, _TALKATIVE):
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
    try:
        files, path = fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise EngineError(f"{place}: {reason_of(error)}") from None
    except Exception as error:  # noqa: BLE001  # each protocol has errors of its own
        raise ConfigError(f"{place}: not an address that can be opened: {_why(error)}") from None
    return files, path


def _why(error: BaseException) -> str:
    """The reason, and what to do about it where that is known."""
    kind, text = type(error).__name__, reason_of(error).rstrip(".")
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    refused = "Credentials" in kind or getattr(error, "code", None) in (401, 403)
    if refused or isinstance(error, PermissionError) or "Forbidden" in text:
        return f"{text}; check the credentials"
    if re.search("Connect|Timeout|SSL", kind):
        return f"{text}; check the network and the endpoint"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{kind}: {text}"


@contextlib.contextmanager
def _asked(place: str, kind: type[NeuralArtError], what: str) -> Iterator[tuple[Any, str]]:
    """Give fsspec's file system of a place and the path in it.

    Any error in the block becomes one line that names the place.
    """
    files, path = _split(place)
    try:
        _await_answer(place, files, path)
        yield files, path
    except NeuralArtError:
        raise
    except FileNotFoundError as error:
        in_store = _store(files) is not None and what != "read"
        missing = "no such bucket; check its name" if in_store else _why(error)
        raise kind(f"{place}: cannot be {what}: {missing}") from None
    except Exception as error:  # noqa: BLE001  # each protocol has errors of its own
        raise kind(f"{place}: cannot be {what}: {_why(error)}") from None


def _await_answer(place: str, files: Any, path: str) -> None:
    """Ask a file system for the first time.

    Raises EngineError if it is silent, or the error of a connection that cannot be made.
    """
    if files in _answered:
        return
    failures: list[Exception] = []

    def ask() -> None:
        try:
            files.exists(path)
        except (FileNotFoundError, PermissionError):
            pass  # an answer, too
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    # A daemon: a library that still tries does not keep the process.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWERS_WITHIN)
    if thread.is_alive():
        raise EngineError(
            f"{place}: no server has answered for {ANSWERS_WITHIN:g} s; "
            "check the network and the endpoint"
        )
    if failures:
        raise failures[0]
    _answered.add(files)


def _store(files: Any) -> str | None:
    """The protocol of a store of objects; None for other file systems."""
    return next((name for name in _protocols(files) if name in _STORES), None)


def _protocols(files: Any) -> tuple[str, ...]:
    """The names of a file system's protocol, such as ``s3`` and ``s3a``."""
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def is_of_one_process(place: str) -> bool:
    """Whether only this process can read and write the place."""
    return place.startswith(f"{_OF_ONE_PROCESS}://")


def exists(place: str) -> bool:
    """Whether there is a file or folder. Raises OutputError if its server does not say."""
    with _asked(place, OutputError, "looked up") as (files, path):
        return bool(files.exists(path))


def is_folder(place: str) -> bool:
    """Whether there is a folder. Raises ImageError if its server does not say."""
    with _asked(place, ImageError, "looked up") as (files, path):
        return bool(files.isdir(path))


def files_below(folder: str) -> list[str]:
    """The files in a folder and below, as sorted paths relative to it; empty if there is none.

    Raises ImageError if they cannot be listed, or there is no such bucket.
    """
    with _asked(folder, ImageError, "listed") as (files, path):
        root = path.rstrip("/") + "/"
        found = [name.removeprefix(root) for name in files.find(path) if name.startswith(root)]
    # A store's console makes a folder by an empty object whose name ends in a slash.
    return sorted(name for name in found if name and not name.endswith("/"))


def matches(pattern: str) -> list[tuple[str, str]]:
    """The files that a pattern matches, each with its path below the pattern's fixed folders.

    Raises ImageError if there is none, or they cannot be listed.
    """
    with _asked(pattern, ImageError, "listed") as (files, path):
        fixed = re.split(r"[*?\[]", path)[0].rpartition("/")[0]
        details = files.glob(path, detail=True)
        found = sorted(name for name, about in details.items() if about["type"] != "directory")
    pairs = [(_address(files, name), name.removeprefix(fixed).lstrip("/")) for name in found]
    if "/." not in pattern:  # as on a disk, where * matches no hidden file
        pairs = [(place, name) for place, name in pairs if "/." not in f"/{name}"]
    if not pairs:
        raise ImageError(f"{pattern}: matches no file")
    return pairs


def has_pattern(word: str) -> bool:
    """Whether a word is a pattern with ``*``, ``?`` or ``[``, and no file's name."""
    return glob.has_magic(word) and not exists(word)


def canonical(place: str) -> str:
    """The one address of a place that has several, as ``s3a://bucket/a.jpg``."""
    return _address(*_split(place))


def _address(files: Any, path: str) -> str:
    """The address of a path, or the path itself on this machine's disk."""
    return path if "file" in _protocols(files) else str(files.unstrip_protocol(path))


def fetch(place: str, file: Path) -> None:
    """Copy a picture to a file on the disk. Raises ImageError."""
    with _asked(place, ImageError, "read") as (files, path):
        files.get_file(path, str(file))


def read(place: str) -> bytes:
    """Read a picture's bytes. Raises ImageError."""
    with _asked(place, ImageError, "read") as (files, path):
        data: bytes = files.cat_file(path)
        return data


def put(place: str, data: bytes) -> None:
    """Write a painting to a place, where it appears whole. Raises OutputError."""
    with _asked(place, OutputError, "written") as (files, path):
        store = _store(files)
        if store is not None:
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            files.pipe_file(path, data, **{_STORES[store]: kind})
            return
        files.makedirs(files._parent(path), exist_ok=True)
        with files.open(path, "wb", autocommit=False) as target:
            target.write(data)
        target.commit()
