"""Write picture files, with all that the format can hold: 16 bits, alpha, colour profile, EXIF.

libvips writes PNG and TIFF, since Pillow cannot write 16-bit colour. Pillow writes the other
formats. A picture is encoded in memory first: encoders do not report a full disk well.
"""

from __future__ import annotations

import io
import logging
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image as Pillow

from neuralart.errors import EngineError, OutputError
from neuralart.machine.files import check_place, written_aside
from neuralart.pictures import exif as exifs
from neuralart.pictures.formats import LOSSY, WRITABLE
from neuralart.pictures.phones import prepare
from neuralart.pictures.pixels import Image, Picture, on_white, to_8_bits
from neuralart.pictures.vips import encode, is_srgb, to_srgb

log = logging.getLogger(__name__)

_WITH_ALPHA = {"AVIF", "HEIF", "JPEG2000", "PNG", "TIFF", "WEBP"}

_WITH_16_BITS = {"PNG", "TIFF"}

_WITH_PROFILE = {"AVIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP"}

# Pixels. JPEG: libjpeg's JPEG_MAX_DIMENSION.
_LONGEST_EDGE = {"JPEG": 65500, "WEBP": 16383}

# A segment of JPEG has 65,535 bytes, two of which are its length.
_MOST_EXIF = {"JPEG": 65533}

# Bytes of pixels, above which a TIFF file may need offsets of 64 bits.
_LARGE_TIFF = 3_900_000_000

DEFAULT_QUALITY = 95


def check_writable(path: Path, overwrite: bool, *, make_folders: bool = False) -> None:
    """Check before the work that `write_picture` can write there.

    Raises OutputError for a suffix of no known format, and as `check_place` does.
    """
    check_format(path)
    prepare_format(path)
    check_place(path, overwrite, make_folders=make_folders)


def check_format(place: Path | str) -> None:
    """Raise OutputError if a path or an address has a suffix of no known format."""
    if Path(place).suffix.lower() not in WRITABLE:
        known = " ".join(sorted(WRITABLE))
        raise OutputError(
            f"{place}: no picture format of that suffix; use one of {known}, "
            "or a folder's name with / after it"
        )


def prepare_format(path: Path) -> None:
    """Raise OutputError if the library that writes the suffix's format is not installed."""
    name = WRITABLE[path.suffix.lower()]
    if name in ("AVIF", "HEIF"):
        try:
            prepare(name)
        except EngineError as error:
            raise OutputError(f"{path}: {error}") from None


def check_size(suffix: str, size: tuple[int, int]) -> None:
    """Raise OutputError if the suffix's format cannot hold a picture of that (height, width)."""
    name = WRITABLE[suffix.lower()]
    longest = _LONGEST_EDGE.get(name)
    if longest and max(size) > longest:
        raise OutputError(
            f"{name} holds at most {longest} pixels an edge, not {max(size)}; write a .png or .tiff"
        )


def write_picture(
    path: Path, picture: Picture, quality: int = DEFAULT_QUALITY, *, overwrite: bool = True
) -> None:
    """Write a picture in the format of the suffix; the file appears when it is whole.

    PNG and TIFF keep 16 bits. AVIF, HEIC, JPEG 2000, PNG, TIFF and WebP keep alpha; other formats
    put the picture on white. Raises OutputError if it cannot be encoded or written, or if the file
    exists and not ``overwrite``, and leaves nothing behind.
    """
    with written_aside(path, overwrite=overwrite) as file:
        encode_picture(file, picture, path.suffix, quality)


def encode_picture(
    file: BinaryIO, picture: Picture, suffix: str, quality: int = DEFAULT_QUALITY
) -> None:
    """Encode a picture in the suffix's format into ``file``.

    ``quality`` is that of lossy formats, 1..100. A format without profiles gets the colours in
    sRGB. Raises OutputError, or OSError from ``file``.
    """
    name = WRITABLE[suffix.lower()]
    check_size(suffix, picture.size)
    pixels, alpha, icc = picture.pixels, picture.alpha, picture.icc
    if name not in _WITH_16_BITS:
        pixels = to_8_bits(pixels)
        alpha = None if alpha is None else to_8_bits(alpha)
    if icc and name not in _WITH_PROFILE:
        converted = None if is_srgb(icc) else to_srgb(pixels, icc)
        pixels, icc = pixels if converted is None else converted, None
    if alpha is not None and name not in _WITH_ALPHA:
        if picture.is_transparent:
            log.warning("note: %s holds no transparency: the picture is put on white", name)
        pixels, alpha = on_white(Picture(pixels, alpha)), None
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    exif = exifs.with_size(picture.exif, *picture.size) if picture.exif else b""
    if len(exif) > _MOST_EXIF.get(name, len(exif)):
        log.warning(
            "note: %s holds at most 64 kB of EXIF: these %d kB are left out",
            name,
            len(exif) // 1000,
        )
        exif = b""
    if name == "PNG":
        encoded = _encode_png(pixels, icc, exif)
    elif name == "TIFF":
        encoded = _encode_tiff(pixels, icc, exif)
    else:
        encoded = _encode_by_pillow(pixels, name, quality, icc, exif)
    file.write(encoded.getbuffer())


def _encode_by_pillow(
    pixels: Image, name: str, quality: int, icc: bytes | None, exif: bytes
) -> io.BytesIO:
    options: dict[str, Any] = {}
    if name in LOSSY:
        options = {"quality": quality, "icc_profile": icc, "exif": exif}
    if name == "JPEG":
        # Brush strokes have sharp colour edges: chroma is halved for small files only.
        options["subsampling"] = 0 if quality >= 90 else 2
    elif name == "JPEG2000":
        options["irreversible"] = False
    buffer = io.BytesIO()
    if name in ("AVIF", "HEIF"):
        prepare(name)
        options = {key: value for key, value in options.items() if value}
        # Phones show HEIC with halved chroma only.
        full = name == "AVIF" and quality >= 90
        options["subsampling"] = "4:4:4" if full else "4:2:0"
    Pillow.fromarray(pixels).save(buffer, name, **options)
    return buffer


def _encode_png(pixels: Image, icc: bytes | None, exif: bytes) -> io.BytesIO:
    """PNG with its EXIF chunk. libvips' own EXIF would lose what its library does not know."""
    encoded = encode(pixels, ".png", icc, compression=2, filter="sub")
    if exif:
        header_end = 33  # the signature and the IHDR chunk (PNG, third edition, 11.2.1)
        data = encoded.getbuffer()
        whole = io.BytesIO(data[:header_end])
        whole.seek(0, io.SEEK_END)
        whole.write(_chunk(b"eXIf", exif.removeprefix(exifs.PREFIX)))
        whole.write(data[header_end:])
        return whole
    return encoded


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _encode_tiff(pixels: Image, icc: bytes | None, exif: bytes) -> io.BytesIO:
    """TIFF with EXIF, which libvips does not write."""
    large = pixels.nbytes > _LARGE_TIFF
    encoded = encode(
        pixels, ".tiff", icc, compression="deflate", predictor="horizontal", bigtiff=large
    )
    if exif and large:
        log.warning("note: TIFF over 4 GB: EXIF is left out")
    elif exif:
        exifs.add_to_tiff(encoded, exif)
    return encoded


def encode_image(image: Image, suffix: str, quality: int = DEFAULT_QUALITY) -> bytes:
    """Encode an image in the suffix's format; ``quality`` is that of lossy ones, 1..100."""
    buffer = io.BytesIO()
    encode_picture(buffer, Picture(image), suffix, quality)
    return buffer.getvalue()


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB as `write_picture` does."""
    write_picture(path, Picture(image))
