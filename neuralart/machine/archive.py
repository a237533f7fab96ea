"""Zip archives of arrays, the file format of models, features and checkpoints.

An archive is a plain zip file: ``header.json``, one ``.npy`` for each array, and other files
(blobs). ``unzip`` opens it, nothing in it is a pickle, and its checksums reveal damage.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.errors import NeuralArtError
from neuralart.machine.files import write_aside

Arrays = dict[str, npt.NDArray[Any]]
"""Arrays by name."""


def write_archive(
    path: Path,
    header: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    blobs: Mapping[str, bytes] | None = None,
) -> None:
    """Write header, arrays and blobs as one zip file. Equal contents give equal bytes.

    Raises OutputError if it cannot be written, and leaves nothing behind.
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
    """Read header, arrays and blobs from a file of `write_archive`.

    Raises ``error`` if the file is missing, damaged or no archive; ``what`` is the kind of file in
    the message.
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
