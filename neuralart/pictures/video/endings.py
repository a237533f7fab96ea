"""Whether a video file ends early: its outermost elements say how long they are.

FFmpeg takes the end of a broken download for the end of the video, mostly without a word.

Sources: ISO/IEC 14496-12, section 4.2 (boxes of MP4 and MOV); RFC 8794, sections 4 to 6 (EBML
elements of Matroska and WebM); Microsoft, "AVI RIFF File Reference".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"

# Boxes that hold frames or describe them. What else runs past the end is padding.
_BOXES = {b"moov", b"mdat", b"moof"}


def ends_early(path: Path) -> bool:
    """Whether the file is shorter than it says. False for kinds of files that do not say it.

    Raises OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
        size = os.fstat(file.fileno()).st_size
        if start.startswith(_EBML):
            return _matroska_end(file) > size
        if start.startswith(b"RIFF"):
            return _last_riff_end(file, size) > size
        if start[4:] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _last_box_end(file, size) > size
    return False


def _last_riff_end(file: BinaryIO, size: int) -> int:
    """Where the last RIFF chunk of AVI ends. Long files have several."""
    place = 0
    while place < size:
        file.seek(place)
        header = file.read(8)
        length = int.from_bytes(header[4:], "little")
        if header[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
            break  # no chunk, or one whose writer was stopped or could not go back
        end = place + 8 + length
        if end >= size:
            return end
        place = end + length % 2
    return place


def _last_box_end(file: BinaryIO, size: int) -> int:
    """Where the last box of MP4 or MOV ends."""
    place = 0
    while place < size:
        file.seek(place)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length < 8 or (place + length > size and kind not in _BOXES):
            break  # up to the file's end (0), or no box
        place += length
    return place


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment of Matroska or WebM ends; 0 if its length was not known when written."""
    file.seek(len(_EBML))
    header = _length(file)
    file.seek(header or 0, os.SEEK_CUR)
    if header is None or file.read(4) != _SEGMENT:
        return 0
    segment = _length(file)
    return 0 if segment is None else file.tell() + segment


def _length(file: BinaryIO) -> int | None:
    """Read the length of an EBML element; None if it is unknown, all bits set."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    bits = 7 * (more + 1)
    value = int.from_bytes(first + file.read(more), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
