"""Files that are whole or not there: written aside and renamed, and zip archives of arrays.

An archive is a plain zip: a JSON text, pictures, and one ``.npy`` for each array. Nothing in it is a
pickle, ``unzip`` shows it, and its checksums tell a damaged file from a whole one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from neuralart.errors import NeuralArtError, OutputError

PART = ".part"
"""The suffix of a file that is being written; one that is found was left by a killed process."""

Arrays = dict[str, npt.NDArray[Any]]


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A new file to write beside its place, renamed there at the end: it is whole or it is not there.

    Raises OutputError; then the earlier file, if any, is as it was.
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
    """Write a whole file, as `written_aside` does."""
    with written_aside(path) as file:
        file.write(data)


def check_place(path: Path, overwrite: bool, *, make_folders: bool = False) -> None:
    """Raise now what `write_aside` would raise after the work is done.

    Raises OutputError for a missing folder (unless ``make_folders`` says that folders will be made), a
    folder in the file's place, or an existing file without ``overwrite``.
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


def write_archive(
    path: Path,
    header: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    blobs: Mapping[str, bytes] | None = None,
) -> None:
    """Write ``header.json``, named blobs and arrays as one zip; equal contents give equal bytes.

    Raises OutputError if it cannot be written; nothing is left behind then.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, compresslevel=6)

        add("header.json", json.dumps(header, indent=2).encode())
        for name, blob in (blobs or {}).items():
            add(name, blob)
        for name, array in arrays.items():
            npy = io.BytesIO()
            np.save(npy, array, allow_pickle=False)
            add(f"{name}.npy", npy.getvalue())
    write_aside(path, buffer.getvalue())


def read_archive(
    path: Path, error: type[NeuralArtError], what: str
) -> tuple[dict[str, Any], Arrays, dict[str, bytes]]:
    """What `write_archive` wrote: header, arrays, blobs.

    Raises ``error`` if the file is missing, cut short, damaged, or not such an archive; ``what``
    names the kind of file in the message.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            header = json.loads(archive.read("header.json"))
            arrays = {
                name[: -len(".npy")]: np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in names
                if name.endswith(".npy")
            }
            blobs = {
                name: archive.read(name)
                for name in names
                if name != "header.json" and not name.endswith(".npy")
            }
    except OSError as reason:
        raise error(f"{path}: cannot be read: {reason.strerror or reason}") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError, zlib.error):
        raise error(f"{path}: damaged, or not {what}") from None
    if not isinstance(header, dict):
        raise error(f"{path}: damaged, or not {what}")
    return header, arrays, blobs
