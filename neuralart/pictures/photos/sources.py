"""Sources of photos: a folder, or a RecordIO file that `neuralart pack` or MXNet's im2rec made.

A source numbers its pictures from 0. It opens one when it is asked for, and holds only their names
in memory. Only `Records` needs MXNet.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from neuralart.errors import ImageError, PhotosError
from neuralart.pictures.formats import READABLE
from neuralart.pictures.pixels import Image
from neuralart.pictures.reading import decode_image, read_image

RECORDS = ".rec"


class Source(Protocol):
    """Pictures by number, from 0.

    skipped  name of each file that is not used, and the reason
    digest   checksum that changes with the source
    """

    skipped: dict[str, str]
    digest: str

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """The name of a picture in messages."""

    def read(self, number: int) -> Image:
        """Read a picture; any thread may. Raises ImageError with the reason, without the name."""


def open_source(path: Path) -> Source:
    """Open what ``--data`` names. Raises PhotosError if it is missing, damaged or empty."""
    return Records(path) if path.suffix.lower() == RECORDS else Folder(path)


class Folder:
    """The pictures in a folder and its subfolders, in the order of their paths."""

    def __init__(self, path: Path, option: str = "--data ") -> None:
        """``option`` stands before the path in messages."""
        self.path = path
        self.skipped: dict[str, str] = {}
        if not path.is_dir():
            what = "is not a folder" if path.exists() else "no such folder"
            raise PhotosError(f"{option}{path}: {what}; name a folder of photos")
        self.files = self._list_files()
        if not self.files:
            raise PhotosError(f"{option}{path}: holds no pictures; name a folder of photos")
        rows = (f"{file} {os.stat(path / file).st_size}" for file in self.files)
        self.digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def _list_files(self) -> Sequence[str]:
        files = []
        for path in sorted(self.path.rglob("*")):
            relative = path.relative_to(self.path)
            if path.is_dir() or any(part.startswith(".") for part in relative.parts):
                continue
            if path.suffix.lower() in READABLE:
                files.append(relative.as_posix())
            else:
                self.skipped[relative.as_posix()] = "no picture's suffix"
        return files

    def __len__(self) -> int:
        return len(self.files)

    def name(self, number: int) -> str:
        return self.files[number]

    def read(self, number: int) -> Image:
        path = self.path / self.files[number]
        try:
            return read_image(path, with_notes=False)
        except ImageError as error:
            raise ImageError(str(error).removeprefix(f"{path}: ")) from None


class Records:
    """The pictures in a RecordIO file, found by the index beside it, the file NAME.idx."""

    def __init__(self, path: Path) -> None:
        from neuralart.engine.door import mx

        self._mx = mx
        self.path = path
        self.skipped: dict[str, str] = {}
        index = path.with_suffix(".idx")
        for file, hint in ((path, "name a file of records"), (index, "pack the photos again")):
            if not file.is_file():
                raise PhotosError(f"--data {path}: there is no {file.name}; {hint}")
        try:
            self._reader = self._mx.recordio.MXIndexedRecordIO(str(index), str(path), "r")
        except (ValueError, IndexError):
            raise PhotosError(
                f"--data {path}: {index.name} is no index of records; pack the photos again"
            ) from None
        self._lock = threading.Lock()
        if not self._reader.keys:
            raise PhotosError(f"--data {path}: holds no pictures; pack a folder of photos")
        rows = f"{path.stat().st_size} {index.read_text()}"
        self.digest = hashlib.sha256(rows.encode()).hexdigest()
        last = max(self._reader.idx, key=self._reader.idx.__getitem__)
        if self._record(last) is None:
            raise PhotosError(
                f"--data {path}: shorter than its index says, or damaged at its end; "
                "pack the photos again"
            )

    def __len__(self) -> int:
        return len(self._reader.keys)

    def name(self, number: int) -> str:
        return f"record {self._reader.keys[number]}"

    def read(self, number: int) -> Image:
        data = self._record(self._reader.keys[number])
        if data is None:
            raise ImageError("the record is damaged or cut short")
        try:
            return decode_image(data, "")
        except ImageError as error:
            raise ImageError(str(error).removeprefix(": ")) from None

    def _record(self, key: int) -> bytes | None:
        """The packed picture file of a key; None if its record is damaged."""
        with self._lock:
            try:
                record = self._reader.read_idx(key)
            except self._mx.MXNetError:
                return None
        try:
            return bytes(self._mx.recordio.unpack(record)[1]) if record else None
        except struct.error:
            return None
