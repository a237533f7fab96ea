"""Where photos lie: a folder, or a RecordIO file that `neuralart pack` or MXNet's im2rec made.

Either is a row of pictures with a number and a name each. The photos in it are opened one at a time, so a
source takes no more memory than its names.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from neuralart.engine import mx
from neuralart.errors import ImageError, PhotosError
from neuralart.images import Image, decode_image, read_image
from neuralart.pictures import READABLE

RECORDS = ".rec"


class Source(Protocol):
    """Pictures by number, from 0.

    ``skipped`` has why a file is no picture, by its name; ``digest`` is a checksum that tells whether the
    source has changed.
    """

    skipped: dict[str, str]
    digest: str

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """What to call a picture in a message."""

    def read(self, number: int) -> Image:
        """The picture; from any thread. Raises ImageError with the bare reason if it cannot be read."""


def open_source(path: Path) -> Source:
    """What ``--data`` names. Raises PhotosError if it is missing, damaged, or holds no pictures."""
    return Records(path) if path.suffix.lower() == RECORDS else Folder(path)


class Folder:
    """The pictures below a folder, in the order of their paths."""

    def __init__(self, path: Path, option: str = "--data ") -> None:
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
            return read_image(path)
        except ImageError as error:
            raise ImageError(str(error).removeprefix(f"{path}: ")) from None


class Records:
    """The pictures in a RecordIO file, by the index that lies beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped: dict[str, str] = {}
        index = path.with_suffix(".idx")
        for file, hint in ((path, "name a file of records"), (index, "pack the photos again")):
            if not file.is_file():
                raise PhotosError(f"--data {path}: there is no {file.name}; {hint}")
        try:
            self._reader = mx.recordio.MXIndexedRecordIO(str(index), str(path), "r")
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
                f"--data {path}: shorter than its index says, or damaged at its end; pack the photos again"
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
        """The file of a picture as it was packed; None if there is no whole record."""
        with self._lock:
            try:
                record = self._reader.read_idx(key)
            except mx.MXNetError:
                return None
        try:
            return bytes(mx.recordio.unpack(record)[1]) if record else None
        except struct.error:
            return None
