"""Sources of photos: a folder, or a RecordIO file that `neuralart pack` or MXNet's im2rec made.

A source numbers its pictures from 0. It opens one when it is asked for, and holds only their names
in memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from neuralart.errors import ImageError, PhotosError
from neuralart.pictures.formats import READABLE
from neuralart.pictures.photos.records import RecordFile
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
        if not os.path.isdir(path):
            what = "is not a folder" if os.path.exists(path) else "no such folder"
            raise PhotosError(f"{option}{path}: {what}; name a folder of photos")
        self.files = self._list_files()
        if not self.files:
            raise PhotosError(f"{option}{path}: holds no pictures; name a folder of photos")
        rows = (f"{file} {os.stat(path / file).st_size}" for file in self.files)
        self.digest = hashlib.sha256(os.fsencode("\n".join(rows))).hexdigest()

    def _list_files(self) -> Sequence[str]:
        files = []
        for path in sorted(self.path.rglob("*")):
            relative = path.relative_to(self.path)
            if path.is_dir() or any(part.startswith(".") for part in relative.parts):
                continue
            if path.suffix.lower() not in READABLE:
                self.skipped[relative.as_posix()] = "no picture's suffix"
            elif not path.is_file():
                # Reading a pipe or a device may wait for ever.
                why = "a pipe or a device" if path.exists() else "a link to nothing"
                self.skipped[relative.as_posix()] = why
            else:
                files.append(relative.as_posix())
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
        self.path = path
        self.skipped: dict[str, str] = {}
        index = path.with_suffix(".idx")
        for file, hint in ((path, "name a file of records"), (index, "pack the photos again")):
            if not os.path.isfile(file):
                raise PhotosError(f"--data {path}: there is no {file.name}; {hint}")
        try:
            self._file = RecordFile(path, index)
        except OSError as error:
            raise PhotosError(f"--data {path}: cannot be read: {error.strerror or error}") from None
        except ValueError:
            raise PhotosError(
                f"--data {path}: {index.name} is no index of records; pack the photos again"
            ) from None
        if not self._file.keys:
            raise PhotosError(f"--data {path}: holds no pictures; pack a folder of photos")
        rows = f"{self._file.size} {self._file.index}"
        self.digest = hashlib.sha256(rows.encode()).hexdigest()
        if self._file.read(self._file.last) is None:
            raise PhotosError(
                f"--data {path}: shorter than its index says, or damaged at its end; "
                "pack the photos again"
            )

    def __len__(self) -> int:
        return len(self._file.keys)

    def name(self, number: int) -> str:
        return f"record {self._file.keys[number]}"

    def read(self, number: int) -> Image:
        try:
            data = self._file.read(self._file.keys[number])
        except OSError as error:
            raise ImageError(f"cannot be read: {error.strerror or error}") from None
        if data is None:
            raise ImageError("the record is damaged or cut short")
        try:
            return decode_image(data, "")
        except ImageError as error:
            raise ImageError(str(error).removeprefix(": ")) from None
