"""RecordIO, the files of MXNet's im2rec: pictures one after the other, and an index of them.

NAME.rec  records
NAME.idx  lines of key, tab, and the record's offset in NAME.rec

A record is magic number, length, data, and zeros up to a multiple of four bytes. The three upper
bits of the length are 0. Where the data have the magic number at a multiple of four, the record is
cut in parts around it: the bits are 1 in the first, 2 in the middle ones and 3 in the last.

The data are flag, label, two identities and the file of a picture. A flag of n over 0 says that n
more labels come before the picture.

Source:  dmlc-core, src/recordio.cc; mxnet, python/mxnet/recordio.py
Differs: written and read without MXNet, which fills the memory for one wrong bit in a length.
"""

from __future__ import annotations

import struct
import threading
import weakref
from pathlib import Path

MAGIC = struct.pack("<I", 0xCED7230A)

_LENGTH_BITS = 29

_HEADER = struct.Struct("<IfQQ")
"""Flag, label, identity, second identity."""


def record(key: int, picture: bytes) -> bytes:
    """The record of a picture file, with label 0. Raises ValueError if it has over 512 MB."""
    data = _HEADER.pack(0, 0.0, key, 0) + picture
    if len(data) >> _LENGTH_BITS:
        raise ValueError("a picture too long for a record")
    whole = len(data) // 4 * 4
    cuts, at = [], data.find(MAGIC, 0, whole)
    while at >= 0:
        if at % 4 == 0:
            cuts.append(at)
            at += 3
        at = data.find(MAGIC, at + 1, whole)
    begins, ends = [0, *(cut + 4 for cut in cuts)], [*cuts, len(data)]
    last = len(cuts)
    parts = []
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        flag = 0 if not last else 1 if number == 0 else 3 if number == last else 2
        parts += [MAGIC, struct.pack("<I", flag << _LENGTH_BITS | end - begin), data[begin:end]]
    return b"".join(parts) + bytes(-len(data) % 4)


def picture_of(data: bytes) -> bytes | None:
    """The picture file in a record's data; None if they are too short for what they say."""
    if len(data) < _HEADER.size:
        return None
    labels: int = _HEADER.unpack_from(data)[0]
    return data[_HEADER.size + 4 * labels :] or None


class RecordFile:
    """A file of records and its index, open for reading; any thread may read.

    keys   of the records, in the order of the index
    index  the text of the index
    """

    def __init__(self, path: Path, index: Path) -> None:
        """Raises OSError if a file cannot be read, ValueError if the index is none."""
        self._lock = threading.Lock()
        self.index = index.read_bytes().decode("ascii")
        self._offsets: dict[int, int] = {}
        for line in self.index.splitlines():
            key, offset = line.split("\t")
            self._offsets[int(key)] = int(offset)
        self.keys = list(self._offsets)
        self._file = path.open("rb")
        self.size = self._file.seek(0, 2)
        weakref.finalize(self, self._file.close)

    @property
    def last(self) -> int:
        """The key of the record that is the last in the file."""
        return max(self._offsets, key=self._offsets.__getitem__)

    def read(self, key: int) -> bytes | None:
        """The picture file of a key; None if its record is damaged. Raises OSError."""
        with self._lock:
            data = self._data(self._offsets[key])
        return None if data is None else picture_of(data)

    def _data(self, at: int) -> bytes | None:
        data = bytearray()
        while 0 <= at <= self.size - 8:
            self._file.seek(at)
            magic, length = struct.unpack("<4sI", self._file.read(8))
            flag, length = length >> _LENGTH_BITS, length & (1 << _LENGTH_BITS) - 1
            # The first part has a flag of 0 or 1, others 2 or 3.
            if (
                magic != MAGIC
                or flag > 3
                or (flag > 1) != bool(data)
                or at + 8 + length > self.size
            ):
                return None
            data += self._file.read(length)
            if flag in (0, 3):
                return bytes(data)
            data += MAGIC
            at += 8 + length + -length % 4
        return None
