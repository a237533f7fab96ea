"""Zip archives of arrays, the file format of models, features and checkpoints.

An archive is a plain zip file: ``header.json``, one ``.npy`` for each array, and other files
(blobs). ``unzip`` opens it, nothing in it is a pickle, and its checksums reveal damage.

A small zip file may expand to any size. So a reader first sees the header and the shapes of the
arrays, and reads the arrays only if these are what the header calls for.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from neuralart.errors import NeuralArtError
from neuralart.machine.documents import parse_json
from neuralart.machine.files import write_aside

Arrays = dict[str, npt.NDArray[Any]]
"""Arrays by name."""

Shapes = dict[str, tuple[int, ...]]
"""Shapes of arrays by name."""

HEADER = "header.json"

NPY = ".npy"

MOST_HEADER = 4_000_000  # bytes; that of 13 styles has 50,000

MOST_BLOB = 64_000_000  # bytes; a blob is a JPEG or PNG of a style image

# What damaged bytes raise in zipfile and numpy; RuntimeError for an encrypted member.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, ArithmeticError, AttributeError, EOFError, LookupError,
    MemoryError, NotImplementedError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


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

        add(HEADER, json.dumps(header, indent=2).encode())
        for name, blob in (blobs or {}).items():
            add(name, blob)
        for name, array in arrays.items():
            npy = io.BytesIO()
            np.save(npy, array, allow_pickle=False)
            add(f"{name}{NPY}", npy.getvalue())
    write_aside(path, buffer.getvalue())


class ZipOfArrays:
    """The ``.npy`` files and other members of a zip file. Each is read when it is asked for.

    Methods raise one of `DAMAGE` where the file is damaged, or holds more than it says.

    shapes  of the arrays by name, from the first bytes of each
    """

    def __init__(self, file: Path | BinaryIO) -> None:
        self._zip = zipfile.ZipFile(file)
        self._members = {info.filename: info for info in self._zip.infolist()}
        self._kinds: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        for name in self._members:
            if name.endswith(NPY):
                with self._open(name) as member:
                    shape, dtype, _ = _npy_header(member)
                    self._kinds[name.removesuffix(NPY)] = shape, dtype
        self.shapes: Shapes = {name: shape for name, (shape, _) in self._kinds.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of every member by its name, as the archive's directory says."""
        return {name: info.file_size for name, info in self._members.items()}

    def close(self) -> None:
        self._zip.close()

    def array(self, name: str) -> npt.NDArray[Any]:
        """Read an array. It takes the memory that its shape says."""
        shape, dtype = self._kinds[name]
        with self._open(f"{name}{NPY}") as member:
            _, _, in_columns = _npy_header(member)
            data = _read(member, math.prod(shape) * dtype.itemsize)
        array: npt.NDArray[Any] = np.frombuffer(bytearray(data), dtype)
        if in_columns:
            return np.ascontiguousarray(array.reshape(shape[::-1]).transpose())
        return array.reshape(shape)

    def blob(self, name: str, most: int = MOST_BLOB) -> bytes:
        """Read a member; empty if there is none. Raises ValueError if over ``most`` bytes."""
        if name not in self._members:
            return b""
        size = self._members[name].file_size
        if size > most:
            raise ValueError(f"{name} has {size:,} bytes")
        with self._open(name) as member:
            return _read(member, size)

    def _open(self, name: str) -> Any:
        info = self._members[name]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError("another compression, which may take any memory")
        return self._zip.open(info)


def _npy_header(member: Any) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Shape, kind of numbers, and whether columns come first. Raises one of `DAMAGE`."""
    # Later versions are for tables with many named columns.
    form: Any = np.lib.format
    if form.read_magic(member) != (1, 0):
        raise ValueError("an array of another version")
    try:
        shape, in_columns, dtype = form.read_array_header_1_0(member)
    except tokenize.TokenError:
        raise ValueError("a header that cannot be read") from None
    if dtype.hasobject or dtype.kind not in "biuf" or not all(n >= 0 for n in shape):
        raise ValueError("not an array of numbers")
    return shape, dtype, in_columns


def _read(member: Any, size: int) -> bytes:
    """All bytes of a member, which must be ``size``. A read of no given size may expand to any."""
    data: bytes = member.read(size)
    if len(data) != size or member.read(1):
        raise ValueError("of another length than it says")
    return data


class Archive(ZipOfArrays):
    """A file of `write_archive`; its ``header`` is read at once."""

    def __init__(self, file: Path | BinaryIO) -> None:
        super().__init__(file)
        self.header: dict[str, Any] = parse_json(self.blob(HEADER, MOST_HEADER))
        if not isinstance(self.header, dict):
            raise ValueError("a header without names")

    def arrays(self) -> Arrays:
        """Read all arrays. Check `shapes` before, since they take as much memory as these say."""
        return {name: self.array(name) for name in self.shapes}


@contextlib.contextmanager
def open_archive(
    path: Path, error: type[NeuralArtError], what: str, file: BinaryIO | None = None
) -> Iterator[Archive]:
    """Open a file of `write_archive`; ``file`` is that file if it has been opened already.

    Raises ``error`` if the file is missing, damaged or no archive, now or in the block; ``what`` is
    the kind of file in the message.
    """
    try:
        with contextlib.closing(Archive(file or path)) as archive:
            yield archive
    except OSError as reason:
        raise error(f"{path}: cannot be read: {reason.strerror or reason}") from None
    except DAMAGE:
        raise error(f"{path}: damaged, or not {what}") from None
