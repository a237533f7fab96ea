"""libvips: pixels of PNG and TIFF files with 8 or 16 bits, and colours by their profile.

Only this file uses pyvips.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyvips

from neuralart.errors import ImageError
from neuralart.machine.memory import reserve
from neuralart.pictures.pixels import Pixels, strips

pyvips.cache_set_max(0)  # it would keep the last pictures in memory

logging.getLogger("pyvips").setLevel(logging.CRITICAL)

# What libvips calls the channels, and the colour space of profiles (ICC.1:2022, table 19).
_SPACES = {
    "b-w": b"GRAY", "grey16": b"GRAY", "srgb": b"RGB ", "rgb16": b"RGB ", "cmyk": b"CMYK",
}  # fmt: skip

CHANNELS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}
"""The channels of a colour space, without alpha."""

_KINDS = {
    "char": "signed 8-bit integers", "short": "signed 16-bit integers", "int": "32-bit integers",
    "uint": "32-bit integers", "float": "floating-point numbers",
    "double": "floating-point numbers",
    "complex": "complex numbers", "dpcomplex": "complex numbers",
}  # fmt: skip

_NO_COLOURS = "neither gray, RGB nor CMYK of whole numbers; convert it to RGB with 8 or 16 bits"

# What libvips says of TIFF files that it does not decode: Lab of 8 bits, numbers of 64 bits.
_UNKNOWN_KIND = ("bad labq format", "samples out of range", "unsupported")

# Working memory of libvips beside a picture's pixels. Its library GLib aborts where there is none.
_WORKING_BYTES = 64_000_000


class VipsFile:
    """A PNG or TIFF file whose header has been read.

    size         (height, width) as stored
    orientation  EXIF's, 1 to 8; 1 for PNG
    icc          the colour profile, or None
    frames       number of pages
    """

    def __init__(self, file: BinaryIO, is_tiff: bool) -> None:
        """Read the header; raises ImageError for pixels that are not painted, or if it is damaged.

        libvips reads the descriptor behind ``file``, so nobody else may until it is decoded.
        """
        load = pyvips.Image.tiffload_source if is_tiff else pyvips.Image.pngload_source
        try:
            with _errors():
                reserve(_WORKING_BYTES)
                self._image: Any = load(_source(file), access="sequential", fail_on="error")
        except ValueError as error:
            if any(words in str(error) for words in _UNKNOWN_KIND):
                raise ImageError(f"is {_NO_COLOURS}") from None
            raise
        image = self._image
        self.size = image.height, image.width
        self.space = _SPACES.get(image.interpretation, b"")
        if kind := _KINDS.get(image.format):
            raise ImageError(f"has pixels of {kind}; convert it to RGB with 8 or 16 bits")
        if (
            image.coding != "none"
            or not self.space
            or image.bands < CHANNELS[self.space]
            or (self.space == b"GRAY" and image.bands > 2)
        ):
            raise ImageError(f"is {_NO_COLOURS}")
        self.orientation: int = self._field("orientation", 1)
        self.icc: bytes | None = self._field("icc-profile-data", None)
        self.frames: int = self._field("n-pages", 1)

    def _field(self, name: str, default: Any) -> Any:
        return self._image.get(name) if self._image.get_typeof(name) else default

    def decode(self) -> Pixels:
        """The pixels, (H, W, C) uint8 or uint16: gray, RGB or CMYK, and alpha after them."""
        image = self._image
        pixel_bytes = image.bands * (2 if image.format == "ushort" else 1)
        with _errors():
            reserve(2 * image.height * image.width * pixel_bytes + _WORKING_BYTES)
            pixels: Pixels = image.numpy()
        return pixels.reshape(image.height, image.width, image.bands)


def _source(file: BinaryIO) -> Any:
    try:
        descriptor = file.fileno()
    except io.UnsupportedOperation:
        file.seek(0)
        return pyvips.Source.new_from_memory(file.read())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return pyvips.Source.new_from_descriptor(descriptor)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn libvips' errors into ValueError, or MemoryError where memory or threads are short."""
    try:
        yield
    except pyvips.Error as error:
        if "out of memory" in str(error) or "creating thread" in str(error):
            raise MemoryError from None
        raise ValueError(str(error)) from None


def encode(pixels: Pixels, suffix: str, icc: bytes | None, **options: Any) -> io.BytesIO:
    """Encode (H, W, 3 or 4) RGB, uint8 or uint16, as ``.png`` or ``.tiff``."""
    file = io.BytesIO()
    target: Any = pyvips.TargetCustom()  # a target of GLib's own would abort where memory is short
    target.on_write(file.write)
    target.on_read(file.read)
    target.on_seek(file.seek)
    target.on_end(lambda: 0)
    with _errors():
        reserve(2 * pixels.nbytes + _WORKING_BYTES)
        inches = 72 / 25.4  # pixels a millimetre: the files say 72 dots an inch
        image = _image(pixels, b"RGB ", icc).copy(xres=inches, yres=inches)
        image.write_to_target(target, suffix, keep="icc", **options)
    return file


def to_srgb(pixels: Pixels, icc: bytes) -> Pixels | None:
    """Convert pixels of the profile's colour space to sRGB. None if the profile is no use for them.

    Shape:  (H, W, C) uint8 or uint16 -> (H, W, 3) of the same type
    """
    if CHANNELS.get(icc[16:20]) != pixels.shape[2]:
        return None
    rgb = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    depth = 8 * pixels.itemsize
    try:
        for rows in strips(*pixels.shape[:2]):
            image = _image(pixels[rows], icc[16:20], icc)
            with _errors():
                reserve(_WORKING_BYTES)
                rgb[rows] = image.icc_transform(
                    "srgb", embedded=True, intent="perceptual", depth=depth
                ).numpy()
    except ValueError:
        return None
    return rgb


def is_srgb(icc: bytes) -> bool:
    """Whether a profile of RGB changes no colour by more than rounding, or is damaged."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    converted = to_srgb(colours, icc)
    return converted is None or int(abs(converted.astype(int) - colours).max()) <= 1


def _image(pixels: Pixels, space: bytes, icc: bytes | None) -> Any:
    names = [name for name, held in _SPACES.items() if held == space]
    name = names[-1] if pixels.dtype == np.uint16 else names[0]
    image = pyvips.Image.new_from_array(pixels).copy(interpretation=name)
    if icc:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    return image
