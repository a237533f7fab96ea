"""Read picture files: pixels of 8 or 16 bits, alpha, colour profile and EXIF.

Pillow reads most files. It would cut 16-bit colour to 8 bits, so OpenCV reads 16-bit PNG, and
tifffile or OpenCV 16-bit TIFF. The header is read and checked before any pixel is decoded.
"""

from __future__ import annotations

import io
import logging
import stat
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

from neuralart.errors import ImageError
from neuralart.pictures.formats import MAX_PIXELS, WRITABLE
from neuralart.pictures.pixels import Image, Picture, Pixels, strips, to_8_bits

log = logging.getLogger(__name__)

# Pillow tries only these on a file: it knows other formats whose readers start programs.
_FORMATS = (*dict.fromkeys(WRITABLE.values()), "DIB", "GIF", "SUN", "TGA")

Pillow.MAX_IMAGE_PIXELS = None  # `PictureFile` has a limit of its own, which the user can raise

warnings.filterwarnings("ignore", module="PIL")  # it warns of damaged EXIF, which is left out

logging.getLogger("tifffile").setLevel(logging.CRITICAL)

# The EXIF tags that a painting keeps: texts, camera, time, place, resolution (EXIF 2.32, tables 4,
# 7 and 15). The others describe the layout of the old file, or hold its thumbnail.
_ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825

_KEPT_TAGS = (
    0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
)  # fmt: skip


class PictureFile:
    """A picture file whose header has been read.

    name    what messages call it
    size    (height, width), upright
    suffix  of its own format if that can be written, else ``.png``
    """

    def __init__(
        self, source: Path | bytes, name: str = "", max_pixels: float = MAX_PIXELS
    ) -> None:
        """Open ``source``, a path or the bytes of a file, and read its header.

        Raises ImageError if it is missing, not a picture, or has more than ``max_pixels`` pixels.
        """
        self.name = name or str(source)
        self._file = _open(source, self.name)
        try:
            self._pillow = Pillow.open(self._file, formats=_FORMATS)
            self._orientation = int(self._exif_of(self._pillow).get(_ORIENTATION, 1))
            width, height = self._pillow.size
            self._is_16_bit = self._has_16_bits()
        except Exception as error:  # noqa: BLE001  # decoders raise anything on damaged files
            self.close()
            raise ImageError(f"{self.name}: not a picture, or damaged{_reason(error)}") from None
        if self._pillow.format == "TIFF":  # Pillow turns these and their size by itself
            self._tiff_orientation, self._orientation = self._orientation, 1
        elif self._orientation in (5, 6, 7, 8):
            height, width = width, height
        if min(height, width) < 1:
            self.close()
            raise ImageError(f"{self.name}: has no pixels: {width}x{height}")
        if height * width > max_pixels:
            self.close()
            raise ImageError(
                f"{self.name}: {width}x{height} is {height * width / 1e6:.0f} megapixels, "
                f"over the limit of {max_pixels / 1e6:.0f}; if that is true, "
                "raise stylize's --max-pixels"
            )
        self.size = height, width
        suffixes = {name: suffix for suffix, name in WRITABLE.items()}
        suffixes |= {"MPO": ".jpg", "JPEG": ".jpg"}
        self.suffix = suffixes.get(self._pillow.format or "", ".png")

    def close(self) -> None:
        self._file.close()

    def read(self) -> Picture:
        """Decode the picture and close its file. Raises ImageError if it is damaged."""
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
                decoded, icc = _decode_8_bit(self._pillow, icc)
        except ImageError as error:
            raise ImageError(f"{self.name}: {error}") from None
        except Exception as error:  # noqa: BLE001
            raise ImageError(f"{self.name}: cut short or damaged{_reason(error)}") from None
        finally:
            self.close()
            self._pillow.close()  # frees its copy of the pixels, four bytes each
        alpha = decoded[..., 3] if decoded.shape[2] == 4 else None
        return Picture(
            _turn_upright(decoded[..., :3], self._orientation),
            None if alpha is None else _turn_upright(alpha, self._orientation),
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
        return _decode_by_opencv(self._file.read())

    def _decode_tiff_16(self) -> Pixels:
        import tifffile

        with tifffile.TiffFile(self._file) as tiff:
            page: Any = tiff.pages[0]
            if page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
                raise ImageError(
                    "a 16-bit TIFF that is neither gray nor RGB; convert it to RGB or to 8 bits"
                )
            if page.compression == tifffile.COMPRESSION.LZW and page.planarconfig == 1:
                # tifffile has no LZW decoder. OpenCV has one, and turns the picture upright.
                self._file.seek(0)
                return _decode_by_opencv(self._file.read())
            pixels = page.asarray()
            if page.planarconfig == 2:
                pixels = pixels.transpose(1, 2, 0)
        self._orientation = self._tiff_orientation
        return _gray_to_rgb(pixels) if pixels.ndim == 2 else pixels


def _decode_by_opencv(data: bytes) -> Pixels:
    """Decode a 16-bit picture to (H, W, 3 or 4) RGB or RGBA, uint16."""
    pixels: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("not decoded")
    if pixels.ndim == 2:
        return _gray_to_rgb(pixels)
    code = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(pixels, code)


def _gray_to_rgb(gray: Pixels) -> Pixels:
    """Repeat (H, W) as three equal channels, (H, W, 3)."""
    return np.repeat(gray[..., None], 3, axis=2)


def _open(source: Path | bytes, name: str) -> BinaryIO:
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


def _reason(error: Exception) -> str:
    """``": REASON"`` where the library gives one that a user can read, else an empty text."""
    if isinstance(error, OSError) and error.strerror:
        return f": {error.strerror}"
    text = str(error).split("\n")[0]
    return f": {text}" if text.startswith("image file is truncated") else ""


def _decode_8_bit(picture: Pillow.Image, icc: bytes | None) -> tuple[Pixels, bytes | None]:
    """The pixels, (H, W, 3 or 4) uint8, and the profile if it still describes them."""
    # 16-bit gray of formats other than PNG and TIFF.
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        gray = (np.asarray(picture).clip(0, 65535) / 257).round().astype(np.uint8)
        return _gray_to_rgb(gray), None
    if picture.mode in ("F", "LAB", "HSV"):
        raise ImageError(f"has pixels of kind {picture.mode}; convert it to RGB with 8 or 16 bits")
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    if icc and picture.mode in ("CMYK", "L", "LA"):
        picture, icc = _to_srgb(picture, icc), None
    if picture.mode != mode:
        picture = picture.convert(mode)
    # Strip by strip: Pillow would make two more copies of the picture, with four bytes a pixel.
    pixels = np.empty((picture.height, picture.width, len(mode)), np.uint8)
    for rows in strips(picture.height, picture.width):
        strip = picture.crop((0, rows.start, picture.width, rows.stop))
        pixels[rows] = np.asarray(strip)
    return pixels, icc


def _to_srgb(picture: Pillow.Image, icc: bytes) -> Pillow.Image:
    """Convert CMYK or gray to sRGB by its profile. A bad profile leaves the picture as it is."""
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


def _turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo EXIF's orientation, 1 to 8 (EXIF 2.32, 4.6.4)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _kept_exif(exif: Any) -> bytes | None:
    """The EXIF that a painting keeps, with the orientation upright; None if there is none."""
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


def read_image(path: Path) -> Image:
    """Read a picture as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Gray becomes three equal channels, alpha is dropped, 16 bits become 8.
    Raises ImageError if there is no such file, or it is not a whole picture.
    """
    return to_8_bits(PictureFile(path).read().pixels)


def decode_image(data: bytes, where: str) -> Image:
    """Decode the bytes of a picture file as `read_image` does; ``where`` names it in the error."""
    return to_8_bits(PictureFile(data, where).read().pixels)
