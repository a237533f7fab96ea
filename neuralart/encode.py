"""Pixels → picture files, with what else the format holds of a picture. See `pictures` for the way back.

Pillow writes, OpenCV writes PNG and tifffile TIFF, which Pillow cannot with 16 bits.
"""

from __future__ import annotations

import io
import logging
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from neuralart.errors import OutputError
from neuralart.files import check_place, written_aside
from neuralart.pictures import (
    EXIF_IFD,
    GPS_IFD,
    WRITABLE,
    Picture,
    Pixels,
    strips,
    to_8_bits,
)

log = logging.getLogger(__name__)

_WITH_ALPHA = {"JPEG2000", "PNG", "TIFF", "WEBP"}
_WITH_16_BITS = {"PNG", "TIFF"}
_LONGEST_EDGE = {"JPEG": 65535, "WEBP": 16383}

DEFAULT_QUALITY = 95

_TEXT_TAGS = (0x010E, 0x010F, 0x0110, 0x013B, 0x8298)
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003


def _exif_for(exif: bytes, height: int, width: int) -> Any:
    """With the size of the picture that is written."""
    loaded = Pillow.Exif()
    loaded.load(exif)
    if entries := loaded.get_ifd(EXIF_IFD):
        entries.update({_PIXEL_WIDTH: width, _PIXEL_HEIGHT: height})
    return loaded


def check_writable(path: Path, overwrite: bool, *, make_folders: bool = False) -> None:
    """Raise now what `write_picture` would raise after the work is done.

    Raises OutputError for a suffix of no known format, a missing folder (unless ``make_folders`` says that
    folders will be made), or an existing file without ``overwrite``.
    """
    if path.suffix.lower() not in WRITABLE:
        known = " ".join(sorted(WRITABLE))
        raise OutputError(
            f"{path}: no picture format of that suffix; use one of {known}, or a folder's name with / after it"
        )
    check_place(path, overwrite, make_folders=make_folders)


def check_size(suffix: str, size: tuple[int, int]) -> None:
    """Raises OutputError if the format holds no picture of that (height, width)."""
    name = WRITABLE[suffix.lower()]
    longest = _LONGEST_EDGE.get(name)
    if longest and max(size) > longest:
        raise OutputError(
            f"{name} holds at most {longest} pixels an edge, not {max(size)}; write a .png or .tiff"
        )


def write_picture(path: Path, picture: Picture, quality: int = DEFAULT_QUALITY) -> None:
    """Write in the format of the suffix, aside and renamed, with all of the picture that it holds.

    16 bits stay in PNG and TIFF; alpha in those, WebP and JPEG 2000, and elsewhere the picture is put
    on white. Raises OutputError if it cannot be encoded or written; then nothing is left behind.
    """
    with written_aside(path) as file:
        encode_picture(file, picture, path.suffix, quality)


def encode_picture(
    file: BinaryIO, picture: Picture, suffix: str, quality: int = DEFAULT_QUALITY
) -> None:
    """Write the bytes of a picture file of the suffix's format. Raises OutputError, or the file's OSError."""
    name = WRITABLE[suffix.lower()]
    pixels, alpha = picture.pixels, picture.alpha
    check_size(suffix, picture.size)
    if name not in _WITH_16_BITS:
        pixels = to_8_bits(pixels)
        alpha = None if alpha is None else to_8_bits(alpha)
    if alpha is not None and name not in _WITH_ALPHA:
        if int(alpha.min()) < 255:
            log.warning("note: %s holds no transparency: the picture is put on white", name)
        pixels, alpha = _on_white(pixels, alpha), None
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    exif = picture.exif and _exif_for(picture.exif, *picture.size)
    if name == "PNG":
        _write_png(file, pixels, picture.icc, exif)
    elif name == "TIFF":
        _write_tiff(file, pixels, picture.icc, exif)
    else:
        options: dict[str, Any] = {"quality": quality} if name in ("JPEG", "WEBP") else {}
        if name == "JPEG":
            # Brush strokes have edges in their colours, so these are halved only for small files.
            options["subsampling"] = 0 if quality >= 90 else 2
        elif name == "JPEG2000":
            options["irreversible"] = False
        if name in ("JPEG", "WEBP"):
            options |= (
                {"icc_profile": picture.icc, "exif": exif} if exif else {"icc_profile": picture.icc}
            )
        Pillow.fromarray(pixels).save(cast(BinaryIO, _Stream(file)), name, **options)


class _Stream(io.BufferedIOBase):
    """A file as Pillow sees it: without a number to write to past us, so that a full disk is called so."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: Any, /) -> int:
        return self._file.write(data)

    def read(self, size: int | None = -1, /) -> bytes:
        return self._file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def _on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    flat = np.empty_like(pixels)
    for rows in strips(*pixels.shape[:2]):
        share = alpha[rows][..., None].astype(np.float32) / 255
        flat[rows] = np.rint(pixels[rows] * share + 255 * (1 - share))
    return flat


def _write_png(file: BinaryIO, pixels: Pixels, icc: bytes | None, exif: Any) -> None:
    """By OpenCV, which is four times as fast as Pillow, with the two chunks that it leaves out."""
    code = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, code))
    if not done:
        raise OutputError(f"a picture of {pixels.shape[:2]} cannot be encoded as PNG")
    header_end = 33  # the signature and the IHDR chunk (PNG, third edition, 11.2.1)
    encoded = memoryview(cast(Any, data))
    file.write(encoded[:header_end])
    if icc:
        file.write(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if exif:
        file.write(_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    file.write(encoded[header_end:])


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _write_tiff(file: BinaryIO, pixels: Pixels, icc: bytes | None, exif: Any) -> None:
    """By tifffile, which knows 16 bits; the directories of camera and place are put behind the pixels."""
    import tifffile

    # tifffile refuses the tags of those directories, so their neighbours hold the place.
    texts = [tag for tag in _TEXT_TAGS if exif and tag in exif]
    places = {tag: exif.get_ifd(tag) for tag in (EXIF_IFD, GPS_IFD)} if exif else {}
    places = {tag: entries for tag, entries in places.items() if entries}
    tifffile.imwrite(
        file,
        pixels,
        byteorder="<",
        bigtiff=False,
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
        compression="zlib",
        predictor=True,
        iccprofile=icc,
        extratags=[(tag, "s", 0, str(exif[tag]), True) for tag in texts]
        + [(tag - 1, "I", 1, 0, True) for tag in places],
        metadata=None,
        software=False,
    )
    file.seek(4)
    (start,) = struct.unpack("<I", file.read(4))
    file.seek(start)
    (count,) = struct.unpack("<H", file.read(2))
    tags = [struct.unpack("<H10x", file.read(12))[0] for _ in range(count)]
    for tag, entries in places.items():
        at = file.seek(0, io.SEEK_END)
        directory = ImageFileDirectory_v2(b"II*\0\0\0\0\0", group=tag)
        directory.update(entries)
        file.write(directory.tobytes(at))
        file.seek(start + 2 + 12 * tags.index(tag - 1))  # its entry (TIFF 6.0, section 2)
        file.write(struct.pack("<HHII", tag, 4, 1, at))
