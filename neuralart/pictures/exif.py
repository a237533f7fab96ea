"""EXIF of paintings: the photo's entries byte for byte, without what describes the old file.

EXIF is a TIFF file without pixels (EXIF 2.32, 4.5; TIFF 6.0, section 2), so EXIF of a TIFF file is
read and written in the same way. A directory maps a tag to its type and the bytes of its value.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import numpy as np

Directory = dict[int, tuple[int, bytes]]

PREFIX = b"Exif\0\0"

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}

# Type: bytes of a number and numbers of a value (TIFF 6.0, page 15).
_TYPES = {
    1: (1, 1), 2: (1, 1), 3: (2, 1), 4: (4, 1), 5: (4, 2), 6: (1, 1), 7: (1, 1), 8: (2, 1),
    9: (4, 1), 10: (4, 2), 11: (4, 1), 12: (8, 1),
}  # fmt: skip

_SHORT, _LONG = 3, 4

_ORIENTATION, _CAMERA, _PLACE = 0x0112, 0x8769, 0x8825

# Texts, camera, time and resolution (EXIF 2.32, tables 4 and 7). The other tags of the main
# directory describe the layout of the old file.
_KEPT_TAGS = {
    0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
}  # fmt: skip

_INTEROPERABILITY = 0xA005  # the place of another directory in the old file

_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003

_LARGEST_VALUE = 16_000_000  # bytes; a larger one is taken for damaged


def kept_exif(file: BinaryIO) -> tuple[int, bytes | None]:
    """Read the EXIF of an upright painting, and the orientation of the photo, 1 to 8.

    ``file`` is a TIFF file, or EXIF without its prefix. None if there is nothing to keep. Entries
    that are damaged are left out.
    """
    try:
        order, main = _read_main(file)
        camera, place = (_read_part(file, order, main, tag) for tag in (_CAMERA, _PLACE))
    except (KeyError, OSError, ValueError, struct.error):
        return 1, None
    kind, value = main.get(_ORIENTATION, (0, b""))
    orientation = struct.unpack(f"{order}H", value)[0] if (kind, len(value)) == (_SHORT, 2) else 1
    main = {tag: entry for tag, entry in main.items() if tag in _KEPT_TAGS}
    camera.pop(_INTEROPERABILITY, None)
    if not (main or camera or place):
        return orientation, None
    main[_ORIENTATION] = (_SHORT, struct.pack(f"{order}H", 1))
    return orientation, _joined(order, main, camera, place)


def tags_of(file: BinaryIO) -> frozenset[int]:
    """The tags in the main directory of a TIFF file; none if it is damaged."""
    try:
        return frozenset(_read_main(file)[1])
    except (KeyError, OSError, ValueError, struct.error):
        return frozenset()


def with_size(exif: bytes, height: int, width: int) -> bytes:
    """The EXIF of a picture of that size in pixels."""
    file = io.BytesIO(exif.removeprefix(PREFIX))
    order, main = _read_main(file)
    camera, place = (_read_part(file, order, main, tag) for tag in (_CAMERA, _PLACE))
    if camera:
        for tag, px in ((_PIXEL_WIDTH, width), (_PIXEL_HEIGHT, height)):
            camera[tag] = (_LONG, struct.pack(f"{order}I", px))
    return _joined(order, main, camera, place)


def add_to_tiff(file: BinaryIO, exif: bytes) -> None:
    """Append EXIF to a little-endian TIFF file: a new main directory takes the old one's place."""
    source = io.BytesIO(exif.removeprefix(PREFIX))
    order, main = _read_main(source)
    directories = [main, *(_read_part(source, order, main, tag) for tag in (_CAMERA, _PLACE))]
    if order == ">":
        directories = [
            {
                tag: (kind, _little_endian(kind, value))
                for tag, (kind, value) in directory.items()
            }
            for directory in directories
        ]  # fmt: skip
    main, camera, place = directories
    _, layout = _read_main(file)
    at = file.seek(0, io.SEEK_END)
    file.write(b"\0" * (at % 2))
    at += at % 2
    file.write(_placed(at, "<", main | {_ORIENTATION: (_SHORT, b"\1\0")} | layout, camera, place))
    file.seek(4)
    file.write(struct.pack("<I", at))


def _little_endian(kind: int, value: bytes) -> bytes:
    number_bytes = _TYPES[kind][0]
    return np.frombuffer(value, f">u{number_bytes}").astype(f"<u{number_bytes}").tobytes()


def _read_main(file: BinaryIO) -> tuple[str, Directory]:
    """The byte order and the main directory of a TIFF file. Raises KeyError or struct.error."""
    file.seek(0)
    head = file.read(8)
    order = _ORDERS[head[:4]]
    return order, _read_directory(file, order, *struct.unpack(f"{order}I", head[4:]))


def _read_part(file: BinaryIO, order: str, main: Directory, tag: int) -> Directory:
    """The directory that an entry of the main one points to; empty if it is damaged."""
    value = main.pop(tag, (0, b""))[1]
    if len(value) != 4:
        return {}
    try:
        return _read_directory(file, order, *struct.unpack(f"{order}I", value))
    except struct.error:
        return {}


def _read_directory(file: BinaryIO, order: str, at: int) -> Directory:
    file.seek(at)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    rows = file.read(12 * count)
    found: Directory = {}
    for start in range(0, len(rows) - 11, 12):
        tag, kind, count, inline = struct.unpack_from(f"{order}HHI4s", rows, start)
        number_bytes, numbers = _TYPES.get(kind, (0, 0))
        size = number_bytes * numbers * count
        if not 0 < size <= _LARGEST_VALUE:
            continue
        if size > 4:
            file.seek(struct.unpack(f"{order}I", inline)[0])
            inline = file.read(size)
        if len(inline) >= size:
            found[tag] = (kind, inline[:size])
    return found


def _joined(order: str, main: Directory, camera: Directory, place: Directory) -> bytes:
    """EXIF with its prefix."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return PREFIX + head + _placed(8, order, main, camera, place)


def _placed(at: int, order: str, main: Directory, camera: Directory, place: Directory) -> bytes:
    """The three directories as they are written at the offset ``at``, which is even."""
    parts = {tag: part for tag, part in ((_CAMERA, camera), (_PLACE, place)) if part}
    main = main | {tag: (_LONG, bytes(4)) for tag in parts}
    end, written = at + len(_directory(at, order, main)), b""
    for tag, part in parts.items():
        main[tag] = (_LONG, struct.pack(f"{order}I", end + len(written)))
        written += _directory(end + len(written), order, part)
    return _directory(at, order, main) + written


def _directory(at: int, order: str, directory: Directory) -> bytes:
    """A directory and its values as they are written at the offset ``at``."""
    rows, values = struct.pack(f"{order}H", len(directory)), b""
    behind = at + 2 + 12 * len(directory) + 4
    for tag, (kind, value) in sorted(directory.items()):
        count = len(value) // (_TYPES[kind][0] * _TYPES[kind][1])
        where = value
        if len(value) > 4:
            where = struct.pack(f"{order}I", behind + len(values))
            values += value + b"\0" * (len(value) % 2)
        rows += struct.pack(f"{order}HHI", tag, kind, count) + where.ljust(4, b"\0")
    return rows + bytes(4) + values
