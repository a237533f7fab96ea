"""Read picture files: pixels of 8 or 16 bits, alpha, colour profile and EXIF.

Pillow reads headers and 8-bit pixels, libvips reads TIFF, and PNG of any depth. The header is read
and checked before any pixel is decoded.
"""

from __future__ import annotations

import io
import logging
import stat
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image as Pillow

from neuralart.errors import ImageError
from neuralart.pictures.colours import painted_colours
from neuralart.pictures.exif import PREFIX, kept_exif
from neuralart.pictures.formats import MAX_PIXELS, WRITABLE
from neuralart.pictures.phones import check_kind
from neuralart.pictures.pixels import Image, Picture, Pixels, on_white, strips
from neuralart.pictures.vips import VipsFile

log = logging.getLogger(__name__)

# Pillow tries only these on a file: it knows other formats whose readers start programs.
_FORMATS = (
    *sorted({*WRITABLE.values()} - {"AVIF", "HEIF", "TIFF"}), "DIB", "GIF", "SUN", "TGA",
)  # fmt: skip

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Every 8x8 block has a bit at least (ITU-T T.81, F.1.2). libjpeg decodes what is missing as gray.
_JPEG_PIXELS_IN_BYTE = 512

Pillow.MAX_IMAGE_PIXELS = None  # `PictureFile` has a limit of its own, which the user can raise

warnings.filterwarnings("ignore", module="PIL")  # it warns of damaged EXIF, which is left out


class PictureFile:
    """A picture file whose header has been read.

    name    what messages call it
    size    (height, width), upright
    suffix  of its own format if that can be written, else ``.png``
    plain   whether the stored pixels are the picture: of one frame, and not turned by EXIF
    """

    def __init__(
        self, source: Path | bytes, name: str = "", max_pixels: float = MAX_PIXELS
    ) -> None:
        """Open ``source``, a path or the bytes of a file, and read its header.

        Raises ImageError if it is missing, not a picture, of a kind that is not painted or whose
        library is not installed, or has more than ``max_pixels`` pixels.
        """
        self.name = name or str(source)
        self._file = _open(source, self.name)
        try:
            kind = check_kind(self._file, Path(self.name).suffix)
            is_tiff = self._file.read(4) in _TIFF
            self._file.seek(0)
            formats = (kind,) if kind else _FORMATS
            self._header = (
                _TiffHeader(self._file) if is_tiff else _PillowHeader(self._file, formats)
            )
            height, width = self._header.size
            if self._header.orientation in (5, 6, 7, 8):
                height, width = width, height
            if min(height, width) < 1:
                raise ImageError(f"has no pixels: {width}x{height}")
            if height * width > max_pixels:
                raise ImageError(
                    f"{width}x{height} is {height * width / 1e6:.0f} megapixels, "
                    f"over the limit of {max_pixels / 1e6:.0f}; if that is true, "
                    "raise stylize's --max-pixels"
                )
        except ImageError as error:
            self.close()
            raise ImageError(f"{self.name}: {error}") from None
        except MemoryError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001  # decoders raise anything on damaged files
            self.close()
            raise ImageError(f"{self.name}: not a picture, or damaged{_reason(error)}") from None
        self.size = height, width
        self.plain = self._header.orientation == 1 and self._header.frames == 1
        suffixes = {name: suffix for suffix, name in WRITABLE.items()}
        suffixes |= {"MPO": ".jpg", "JPEG": ".jpg"}
        self.suffix = suffixes.get(self._header.format, ".png")

    def close(self) -> None:
        self._file.close()

    def read(self) -> Picture:
        """Decode the picture and close its file. Raises ImageError if it is damaged."""
        header = self._header
        try:
            if header.frames > 1 and header.format != "MPO":
                log.warning("note: %s: has several frames; the first is taken", self.name)
            pixels, alpha, icc = painted_colours(*header.decode(), header.icc, header.gamma)
        except ImageError as error:
            raise ImageError(f"{self.name}: {error}") from None
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001
            raise ImageError(f"{self.name}: cut short or damaged{_reason(error)}") from None
        finally:
            self.close()
            del self._header  # with its copy of the pixels, four bytes each
        return Picture(
            _turn_upright(pixels, header.orientation),
            None if alpha is None else _turn_upright(alpha, header.orientation),
            icc,
            header.exif,
        )


class _TiffHeader:
    """The header of a TIFF file: see `_PillowHeader`."""

    format = "TIFF"
    gamma: float | None = None

    def __init__(self, file: BinaryIO) -> None:
        _, self.exif = kept_exif(file)
        self._vips = VipsFile(file, is_tiff=True)
        self.size, self.orientation = self._vips.size, self._vips.orientation
        self.icc, self.frames = self._vips.icc, self._vips.frames

    def decode(self) -> tuple[Pixels, bytes]:
        return self._vips.decode(), self._vips.space


class _PillowHeader:
    """The header of a file that Pillow knows.

    format       Pillow's name
    size         (height, width) as stored
    orientation  EXIF's, 1 to 8
    exif         what a painting keeps of it, or None
    icc          the colour profile, or None
    gamma        PNG's, if it is what says the colours, or None
    frames       number of pictures
    """

    def __init__(self, file: BinaryIO, formats: tuple[str, ...]) -> None:
        self._file = file
        self._pillow = Pillow.open(file, formats=formats)
        info = self._pillow.info
        self.format = self._pillow.format or ""
        self.size = self._pillow.height, self._pillow.width
        if self.format in ("JPEG", "MPO"):
            height, width = self.size
            if height * width > _JPEG_PIXELS_IN_BYTE * file.seek(0, io.SEEK_END):
                raise ImageError(
                    f"damaged, or cut short: it says to be {width}x{height}, "
                    "and is too short for that"
                )
        exif: bytes = info.get("exif") or b""
        if self.format == "PNG" and not exif:
            exif = _exif_of_png(file, info)
        self.orientation, self.exif = kept_exif(io.BytesIO(exif.removeprefix(PREFIX)))
        self.icc: bytes | None = info.get("icc_profile")
        self.gamma: float | None = None if "srgb" in info else info.get("gamma")
        self.frames: int = getattr(self._pillow, "n_frames", 1)

    def decode(self) -> tuple[Pixels, bytes]:
        """The pixels, (H, W, C) with alpha after the colours, and their colour space."""
        if self.format == "PNG":
            vips = VipsFile(self._file, is_tiff=False)
            if vips.size != self.size:
                raise ValueError("two headers")
            return vips.decode(), vips.space
        try:
            self._pillow.load()
            return _decode_by_pillow(self._pillow)
        finally:
            self._pillow.close()


def _exif_of_png(file: BinaryIO, info: dict[Any, Any]) -> bytes:
    """EXIF behind the pixels of a PNG, or in the text where ImageMagick once kept it."""
    if text := info.get("Raw profile type exif"):
        try:
            return bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            return b""
    at = 8  # the signature's bytes; length, kind and checksum of a chunk are 12
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return b""
        (size,) = struct.unpack(">I", head[:4])
        if head[4:] == b"eXIf":
            return file.read(size)
        at += 12 + size


def _open(source: Path | bytes, name: str) -> BinaryIO:
    """Open a file, or keep the bytes of a pipe. Raises ImageError."""
    if isinstance(source, bytes):
        data = source
    else:
        try:
            status = source.stat()
            if stat.S_ISDIR(status.st_mode):
                raise ImageError(f"{name}: is a folder; name a picture in it")
            if stat.S_ISREG(status.st_mode) and status.st_size:
                return source.open("rb")
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode)):
                raise ImageError(f"{name}: is a device, not a picture; name a file")
            data = source.read_bytes() if stat.S_ISFIFO(status.st_mode) else b""
        except OSError as error:
            hint = "; check its name" if isinstance(error, FileNotFoundError) else ""
            reason = error.strerror or error
            raise ImageError(f"{name}: cannot be read: {reason}{hint}") from None
    if not data:
        raise ImageError(f"{name}: the file is empty; get it anew")
    return io.BytesIO(data)


def _reason(error: Exception) -> str:
    """``": REASON"`` where the library gives one that a user can read, else an empty text."""
    if isinstance(error, OSError) and error.strerror:
        return f": {error.strerror}"
    text = str(error).split("\n")[0]
    return f": {text}" if text.startswith("image file is truncated") else ""


def _decode_by_pillow(picture: Pillow.Image) -> tuple[Pixels, bytes]:
    """The pixels, (H, W, C) with alpha after the colours, and their colour space."""
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        return np.asarray(picture).clip(0, 65535).astype(np.uint16)[..., None], b"GRAY"
    if picture.mode in ("F", "LAB", "HSV"):
        raise ImageError(f"has pixels of kind {picture.mode}; convert it to RGB with 8 or 16 bits")
    mode, space = "RGB", b"RGB "
    if picture.mode == "CMYK":
        mode, space = "CMYK", b"CMYK"
    elif picture.mode in ("1", "L", "LA"):
        mode, space = "L", b"GRAY"
    if picture.has_transparency_data and mode != "CMYK":
        mode += "A"
    if picture.mode != mode:
        picture = picture.convert(mode)
    # Strip by strip: Pillow would make two more copies of the picture, with four bytes a pixel.
    pixels = np.empty((picture.height, picture.width, len(mode)), np.uint8)
    for rows in strips(picture.height, picture.width):
        strip = picture.crop((0, rows.start, picture.width, rows.stop))
        pixels[rows] = np.asarray(strip).reshape(pixels[rows].shape)
    return pixels, space


def _turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo EXIF's orientation, 1 to 8 (EXIF 2.32, 4.6.4)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def read_image(path: Path, *, with_notes: bool = True) -> Image:
    """Read a picture as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Gray becomes three equal channels, 16 bits become 8, and what is transparent is put on white,
    with a note. Raises ImageError if there is no such file, or it is not a whole picture.
    """
    picture = PictureFile(path).read()
    if with_notes and picture.is_transparent:
        log.warning("note: %s: is transparent in parts, and put on white", path)
    return on_white(picture)


def decode_image(data: bytes, where: str) -> Image:
    """Decode the bytes of a picture file as `read_image` does; ``where`` names it in the error."""
    return on_white(PictureFile(data, where).read())
