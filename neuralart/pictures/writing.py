"""Write picture files, with all that the format can hold: 16 bits, alpha, colour profile, EXIF.

OpenCV writes PNG and tifffile writes TIFF, since Pillow cannot write 16-bit colour. Pillow writes
the other formats.
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
from neuralart.machine.files import check_place, written_aside
from neuralart.pictures.formats import WRITABLE
from neuralart.pictures.pixels import Image, Picture, Pixels, strips, to_8_bits
from neuralart.pictures.reading import EXIF_IFD, GPS_IFD

log = logging.getLogger(__name__)

_WITH_ALPHA = {"JPEG2000", "PNG", "TIFF", "WEBP"}

_WITH_16_BITS = {"PNG", "TIFF"}

_LONGEST_EDGE = {"JPEG": 65535, "WEBP": 16383}  # pixels

DEFAULT_QUALITY = 95

# EXIF: description, maker, model, artist, copyright.
_TEXT_TAGS = (0x010E, 0x010F, 0x0110, 0x013B, 0x8298)

_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003


def _exif_for(exif: bytes, height: int, width: int) -> Any:
    """The EXIF with the size of the picture that is written."""
    loaded = Pillow.Exif()
    loaded.load(exif)
    if entries := loaded.get_ifd(EXIF_IFD):
        entries.update({_PIXEL_WIDTH: width, _PIXEL_HEIGHT: height})
    return loaded


def check_writable(path: Path, overwrite: bool, *, make_folders: bool = False) -> None:
    """Check before the work that `write_picture` can write there.

    Raises OutputError for a suffix of no known format, and as `check_place` does.
    """
    if path.suffix.lower() not in WRITABLE:
        known = " ".join(sorted(WRITABLE))
        raise OutputError(
            f"{path}: no picture format of that suffix; use one of {known}, "
            "or a folder's name with / after it"
        )
    check_place(path, overwrite, make_folders=make_folders)


def check_size(suffix: str, size: tuple[int, int]) -> None:
    """Raise OutputError if the suffix's format cannot hold a picture of that (height, width)."""
    name = WRITABLE[suffix.lower()]
    longest = _LONGEST_EDGE.get(name)
    if longest and max(size) > longest:
        raise OutputError(
            f"{name} holds at most {longest} pixels an edge, not {max(size)}; write a .png or .tiff"
        )


def write_picture(path: Path, picture: Picture, quality: int = DEFAULT_QUALITY) -> None:
    """Write a picture in the format of the suffix; the file appears when it is whole.

    PNG and TIFF keep 16 bits. PNG, TIFF, WebP and JPEG 2000 keep alpha; other formats put the
    picture on white. Raises OutputError if it cannot be encoded or written, and leaves nothing
    behind.
    """
    with written_aside(path) as file:
        encode_picture(file, picture, path.suffix, quality)


def encode_picture(
    file: BinaryIO, picture: Picture, suffix: str, quality: int = DEFAULT_QUALITY
) -> None:
    """Encode a picture in the suffix's format into ``file``.

    ``quality`` is that of JPEG and WebP, 1..100. Raises OutputError, or OSError from ``file``.
    """
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
            # Brush strokes have sharp colour edges: chroma is halved for small files only.
            options["subsampling"] = 0 if quality >= 90 else 2
        elif name == "JPEG2000":
            options["irreversible"] = False
        if name in ("JPEG", "WEBP"):
            options["icc_profile"] = picture.icc
            if exif:
                options["exif"] = exif
        Pillow.fromarray(pixels).save(cast(BinaryIO, _Stream(file)), name, **options)


class _Stream(io.BufferedIOBase):
    """Hide the file descriptor from Pillow.

    Pillow would write to the descriptor itself, and report a full disk as an encoder's error.
    """

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
    """Composite 8-bit pixels on white."""
    flat = np.empty_like(pixels)
    for rows in strips(*pixels.shape[:2]):
        share = alpha[rows][..., None].astype(np.float32) / 255
        flat[rows] = np.rint(pixels[rows] * share + 255 * (1 - share))
    return flat


def _write_png(file: BinaryIO, pixels: Pixels, icc: bytes | None, exif: Any) -> None:
    """Write PNG with OpenCV, four times as fast as Pillow, and add the profile and EXIF chunks."""
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
    """A PNG chunk with its length and checksum."""
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _write_tiff(file: BinaryIO, pixels: Pixels, icc: bytes | None, exif: Any) -> None:
    """Write TIFF with tifffile, then append the EXIF directories of camera and place."""
    import tifffile

    # tifffile refuses the tags of those directories. The tags one lower reserve their entries.
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
        file.seek(start + 2 + 12 * tags.index(tag - 1))  # the reserved entry (TIFF 6.0, section 2)
        file.write(struct.pack("<HHII", tag, 4, 1, at))


def encode_image(image: Image, suffix: str, quality: int = DEFAULT_QUALITY) -> bytes:
    """Encode an image in the suffix's format; ``quality`` is that of JPEG and WebP, 1..100."""
    buffer = io.BytesIO()
    encode_picture(buffer, Picture(image), suffix, quality)
    return buffer.getvalue()


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB as `write_picture` does."""
    write_picture(path, Picture(image))
