"""A file of JSON lines that grows while a process works, and goes on after the process was killed.

A kill may leave the last line cut. After a power cut the file may be shorter than what was written,
or end in zeros.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neuralart.errors import OutputError
from neuralart.machine.documents import parse_json
from neuralart.machine.files import write_aside


class Metrics:
    """JSON lines in the file ``path``, or to a pipe or device.

    Methods raise OutputError if the file cannot be read or written, or is a link.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Keep the whole lines in the first ``size`` bytes of the file, and nothing else of it."""
        self._path = path
        with self._errors():
            self._file = self._open()
            self.rewind(size)

    def record(self, entry: Mapping[str, Any]) -> None:
        """Add a line. Others that follow the file see it at once; a full disk leaves no half."""
        line = json.dumps(entry).encode() + b"\n"
        with self._errors():
            before = self._size()
            try:
                written = 0
                while written < len(line):
                    written += os.write(self._file, line[written:])
            except OSError:
                self._cut(before)
                raise

    def synced_size(self) -> int:
        """The length of the file in bytes, once all of it is on the disk."""
        with self._errors():
            if self._is_file():
                os.fsync(self._file)
            return self._size()

    def rewind(self, size: int) -> None:
        """Keep the whole lines in the first ``size`` bytes."""
        with self._errors():
            if not size or not self._is_file():
                self._cut(0)
                return
            with os.fdopen(os.dup(self._file), "rb") as file:
                file.seek(0)
                data = file.read(size)
            whole = b"".join(_whole_lines(data))
            if whole == data:
                self._cut(len(data))
                return
            write_aside(self._path, whole)
            os.close(self._file)
            self._file = self._open()

    def _is_file(self) -> bool:
        return stat.S_ISREG(os.fstat(self._file).st_mode)

    def _size(self) -> int:
        return os.fstat(self._file).st_size if self._is_file() else 0

    def _cut(self, size: int) -> None:
        if self._is_file():
            os.ftruncate(self._file, size)

    def close(self) -> None:
        """Close the file; what was recorded is in it already."""
        with contextlib.suppress(OSError):
            os.close(self._file)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        return os.open(self._path, flags, 0o666)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = "is a link" if self._path.is_symlink() else error.strerror or error
            raise OutputError(f"{self._path}: cannot be written: {why}") from None


def _whole_lines(data: bytes) -> Iterator[bytes]:
    """The lines that are whole JSON, each with its end. Zeros before a line are left out."""
    for line in data.split(b"\n")[:-1]:
        line = line.lstrip(b"\0")
        with contextlib.suppress(ValueError):
            parse_json(line)
            yield line + b"\n"
