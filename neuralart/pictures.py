"""Picture files → pixels, with what else a picture file holds: alpha, 16 bits, a colour profile, EXIF.

Pillow reads; where it would cut 16-bit colour to 8 bits, OpenCV (PNG) and tifffile (TIFF) do. A header is
read and judged before a pixel is decoded.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from neuralart.errors import ImageError

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # a damaged photo is reported by us, once
import cv2
from PIL import Image as Pillow
from PIL import ImageCms

# Of uint8 or uint16, over their whole range.
Pixels = npt.NDArray[Any]

log = logging.getLogger(__name__)

# What is written, by suffix, and Pillow's name of the format.
WRITABLE = {
    ".bmp": "BMP", ".jpe": "JPEG", ".jpeg": "JPEG", ".jpg": "JPEG", ".jp2": "JPEG2000", ".png": "PNG",
    ".ppm": "PPM", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip
# Only these are tried on a file: Pillow knows formats whose readers start other programs.
_FORMATS = (*dict.fromkeys(WRITABLE.values()), "DIB", "GIF", "SUN", "TGA")
READABLE = frozenset([*WRITABLE, ".dib", ".gif", ".mpo", ".pbm", ".pgm", ".pnm", ".ras", ".tga"])

# A header that claims more is taken for damaged or hostile; 120 megapixels decode to 360 MB.
MAX_PIXELS = 120_000_000

Pillow.MAX_IMAGE_PIXELS = None  # judged here, with a flag to lift it
warnings.filterwarnings("ignore", module="PIL")  # of damaged EXIF, which is left out
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

# What is copied of a picture's EXIF: texts, camera, time, place, resolution (EXIF 2.32, tables 4, 7, 15).
# The rest describes how the old file was laid out, or is a thumbnail of the old picture.
_ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
_KEPT_TAGS = (
    0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A picture, upright.

    pixels  (H, W, 3) RGB, uint8 or uint16
    alpha   (H, W) of the same type, or None
    icc     the colour profile of the pixels, an RGB one, or None
    exif    EXIF as bytes, or None
    """

    pixels: Pixels
    alpha: Pixels | None = None
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)"""
        return self.pixels.shape[0], self.pixels.shape[1]


class PictureFile:
    """A picture file whose header has been read. Attributes: ``name`` for messages; ``size`` as (height,
    width), upright; ``suffix``, of its own format if that can be written, or ``.png``.
    """

    def __init__(
        self, source: Path | bytes, name: str = "", max_pixels: float = MAX_PIXELS
    ) -> None:
        """Raises ImageError if it is missing, not a picture, or has more than ``max_pixels`` pixels."""
        self.name = name or str(source)
        self._file = _opened(source, self.name)
        try:
            self._pillow = Pillow.open(self._file, formats=_FORMATS)
            self._orientation = int(self._exif_of(self._pillow).get(_ORIENTATION, 1))
            width, height = self._pillow.size
            self._is_16_bit = self._has_16_bits()
        except Exception as error:  # noqa: BLE001  # decoders raise anything on damaged files
            self.close()
            raise ImageError(f"{self.name}: not a picture, or damaged{_why(error)}") from None
        if self._pillow.format == "TIFF":  # Pillow turns these by itself, size included
            self._tiff_orientation, self._orientation = self._orientation, 1
        elif self._orientation in (5, 6, 7, 8):
            height, width = width, height
        if min(height, width) < 1:
            self.close()
            raise ImageError(f"{self.name}: has no pixels: {width}x{height}")
        if height * width > max_pixels:
            self.close()
            raise ImageError(
                f"{self.name}: {width}x{height} is {height * width / 1e6:.0f} megapixels, over the limit of "
                f"{max_pixels / 1e6:.0f}; if that is true, raise stylize's --max-pixels"
            )
        self.size = height, width
        own = {name: suffix for suffix, name in WRITABLE.items()} | {"MPO": ".jpg", "JPEG": ".jpg"}
        self.suffix = own.get(self._pillow.format or "", ".png")

    def close(self) -> None:
        self._file.close()

    def read(self) -> Picture:
        """Decode it, and close the file. Raises ImageError if it is cut short or damaged."""
        try:
            exif = _kept_exif(self._exif_of(self._pillow))
            icc = self._pillow.info.get("icc_profile")
            if getattr(self._pillow, "n_frames", 1) > 1 and self._pillow.format != "MPO":
                log.warning("note: %s: has several frames; the first is taken", self.name)
            if self._is_16_bit:
                decoded = self._decode_16_bit()
                if self._pillow.mode == "I;16":
                    icc = None
            else:
                self._pillow.load()
                decoded, icc = _decoded(self._pillow, icc)
        except ImageError as error:
            raise ImageError(f"{self.name}: {error}") from None
        except Exception as error:  # noqa: BLE001
            raise ImageError(f"{self.name}: cut short or damaged{_why(error)}") from None
        finally:
            self.close()
            self._pillow.close()  # its own copy of the pixels, of four bytes each
        alpha = decoded[..., 3] if decoded.shape[2] == 4 else None
        return Picture(
            np.ascontiguousarray(_upright(decoded[..., :3], self._orientation)),
            None if alpha is None else np.ascontiguousarray(_upright(alpha, self._orientation)),
            icc,
            exif,
        )

    @staticmethod
    def _exif_of(picture: Pillow.Image) -> Any:
        try:
            return picture.getexif()
        except Exception:  # noqa: BLE001  # damaged EXIF is no reason not to paint
            return Pillow.Exif()

    def _has_16_bits(self) -> bool:
        if self._pillow.format == "PNG":
            self._file.seek(24)  # the bit depth in the header chunk
            depth = self._file.read(1)[0]
            return depth == 16
        if self._pillow.format == "TIFF":
            bits = self._pillow.tag_v2.get(258, (1,))  # type: ignore[attr-defined]
            return bool(max(bits) == 16)
        return False

    def _decode_16_bit(self) -> Pixels:
        self._file.seek(0)
        if self._pillow.format == "TIFF":
            return self._decode_tiff_16()
        return _by_opencv(self._file.read())

    def _decode_tiff_16(self) -> Pixels:
        import tifffile

        with tifffile.TiffFile(self._file) as tiff:
            page: Any = tiff.pages[0]
            if page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
                raise ImageError(
                    "a 16-bit TIFF that is neither gray nor RGB; convert it to RGB or to 8 bits"
                )
            if page.compression == tifffile.COMPRESSION.LZW and page.planarconfig == 1:
                # tifffile has no LZW of its own; OpenCV has, and turns the picture upright by itself.
                self._file.seek(0)
                return _by_opencv(self._file.read())
            pixels = page.asarray()
            if page.planarconfig == 2:
                pixels = pixels.transpose(1, 2, 0)
        self._orientation = self._tiff_orientation
        return _repeated(pixels) if pixels.ndim == 2 else pixels


def _by_opencv(data: bytes) -> Pixels:
    """(H, W, 3 or 4) RGB, uint16"""
    pixels: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("not decoded")
    if pixels.ndim == 2:
        return _repeated(pixels)
    code = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(pixels, code)


def _repeated(gray: Pixels) -> Pixels:
    """(H, W) -> (H, W, 3)"""
    return np.repeat(gray[..., None], 3, axis=2)


def _opened(source: Path | bytes, name: str) -> BinaryIO:
    if isinstance(source, bytes):
        data: bytes | None = source
    else:
        try:
            status = source.stat()
            if stat.S_ISDIR(status.st_mode):
                raise ImageError(f"{name}: is a folder; name a picture in it")
            data = None
            if not stat.S_ISREG(status.st_mode):
                if not stat.S_ISFIFO(status.st_mode):
                    raise ImageError(f"{name}: is a device, not a picture")
                data = source.read_bytes()
            elif not status.st_size:
                data = b""
            if data is None:
                return source.open("rb")
        except OSError as error:
            raise ImageError(f"{name}: cannot be read: {error.strerror or error}") from None
    if not data:
        raise ImageError(f"{name}: the file is empty")
    return io.BytesIO(data)


def _why(error: Exception) -> str:
    """The reason, where a library gives one that a user can read."""
    if isinstance(error, OSError) and error.strerror:
        return f": {error.strerror}"
    text = str(error).split("\n")[0]
    return f": {text}" if text.startswith("image file is truncated") else ""


def _decoded(picture: Pillow.Image, icc: bytes | None) -> tuple[Pixels, bytes | None]:
    """(H, W, 3 or 4) uint8, and the profile if it still describes them."""
    if picture.mode in (
        "I;16",
        "I;16B",
        "I;16L",
        "I",
    ):  # gray of 16 bits from elsewhere than PNG or TIFF
        gray = (np.asarray(picture).clip(0, 65535) / 257).round().astype(np.uint8)
        return _repeated(gray), None
    if picture.mode in ("F", "LAB", "HSV"):
        raise ImageError(f"has pixels of kind {picture.mode}; convert it to RGB with 8 or 16 bits")
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    if icc and picture.mode in ("CMYK", "L", "LA"):
        picture, icc = _to_srgb(picture, icc), None
    if picture.mode != mode:
        picture = picture.convert(mode)
    # In strips: Pillow has four bytes a pixel, and would make two copies more of the whole picture.
    pixels = np.empty((picture.height, picture.width, len(mode)), np.uint8)
    for rows in strips(picture.height, picture.width):
        strip = picture.crop((0, rows.start, picture.width, rows.stop))
        pixels[rows] = np.asarray(strip)
    return pixels, icc


def _to_srgb(picture: Pillow.Image, icc: bytes) -> Pillow.Image:
    """From the colours of a printer's or a gray profile; as it is if the profile is no good."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        colours = picture.convert("L") if picture.mode == "LA" else picture
        rgb = ImageCms.profileToProfile(
            colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return picture
    assert rgb is not None
    if picture.mode == "LA":
        rgb.putalpha(picture.getchannel("A"))
    return rgb


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows of about a megapixel at a time."""
    step = max(1, 1_000_000 // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """As EXIF's orientation 1 to 8 wants it turned (EXIF 2.32, 4.6.4)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _kept_exif(exif: Any) -> bytes | None:
    """What another file may say too, as bytes, with the orientation upright."""
    kept = Pillow.Exif()
    try:
        for tag in _KEPT_TAGS:
            if tag in exif:
                kept[tag] = exif[tag]
        for directory in (EXIF_IFD, GPS_IFD):
            if entries := dict(exif.get_ifd(directory)):
                kept[directory] = entries
        if not len(kept):
            return None
        kept[_ORIENTATION] = 1
        return kept.tobytes()
    except Exception:  # noqa: BLE001  # damaged EXIF is no reason not to paint
        return None


def to_8_bits(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """0..65535 -> 0..255, rounded; 8 bits as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    eight = np.empty(pixels.shape, np.uint8)
    for rows in strips(*pixels.shape[:2]):
        eight[rows] = (pixels[rows].astype(np.uint32) + 128) // 257
    return eight
