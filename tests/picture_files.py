"""Tiny picture files of every kind, made by code, and what reading them must give."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms

Array = np.ndarray[Any, Any]

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# The sides of the upright picture where row 0 and column 0 of the stored pixels are (EXIF 2.32,
# 4.6.4 A, tag 274).
ORIENTATIONS = {
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A file, and what reading it must give: upright pixels and the rest.

    rgb    (H, W, 3) uint8 or uint16
    alpha  (H, W) or None
    near   largest mean difference of pixels, 0..255 units; 0 for lossless formats
    icc    whether there is a colour profile
    exif   whether there is EXIF
    """

    name: str
    rgb: Array
    alpha: Array | None = None
    near: float = 0
    icc: bool = False
    exif: bool = False


def waves(height: int = 18, width: int = 25, depth: int = 8) -> Array:
    """Smooth colours without symmetry, so that any turn or mirroring shows."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = 40 + 180 * columns / max(1, width - 1)
    green = 220 - 190 * rows / max(1, height - 1)
    blue = 128 + 90 * np.sin((rows + 2 * columns) / 9)
    rgb = np.stack([red, green, blue], axis=-1) / 255
    return np.rint(rgb * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def holes(height: int = 18, width: int = 25, depth: int = 8) -> Array:
    """An alpha channel with values from transparent to opaque."""
    rows, columns = np.mgrid[0:height, 0:width]
    share = ((rows * 3 + columns * 5) % 17) / 16
    return np.rint(share * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def gray_of(rgb: Array) -> Array:
    """The green channel, as a gray picture."""
    return np.ascontiguousarray(rgb[..., 1])


def repeated(gray: Array) -> Array:
    """Gray as three equal channels."""
    return np.repeat(gray[..., None], 3, axis=2)


def stored(upright: Array, orientation: int) -> Array:
    """The pixels as a file with this EXIF orientation stores them."""
    row_side, column_side = ORIENTATIONS[orientation]
    pixels = upright.swapaxes(0, 1) if row_side in ("left", "right") else upright
    if row_side in ("bottom", "right"):
        pixels = pixels[::-1]
    if column_side in ("bottom", "right"):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def exif(orientation: int = 1) -> bytes:
    """EXIF with camera, place and orientation, and a size that is wrong."""
    made = Image.Exif()
    made[0x010F], made[0x0110], made[0x0112] = "Maker", "Model", orientation
    made[0x8769] = {0x9003: "2026:01:02 03:04:05", 0xA002: 999, 0xA003: 999}
    made[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    return made.tobytes()


def png(pixels: Array, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A 16-bit PNG, also of kinds that neither Pillow nor OpenCV writes, as gray with alpha."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC profile (ICC.1:2001-04) of gray or CMYK."""
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = 128 + 4 + len(table) + len(body)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    connection = b"Lab " if space == b"CMYK" else b"XYZ "
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, kind, space, connection)
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28
    header += struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def gray_profile(gamma: float) -> bytes:
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)
    return profile(b"GRAY", {b"wtpt": white, b"kTRC": curve})


def green_ink_profile() -> bytes:
    """A CMYK profile that no default conversion matches: green paper, and only black ink counts."""
    identity = b"".join(struct.pack(">i", 0x10000 * (i % 4 == 0)) for i in range(9))
    ramp = bytes(range(256))
    paper, black = bytes([200, 60, 180]), bytes([0, 128, 128])
    table = b"".join(black if corner & 1 else paper for corner in range(16))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    return profile(b"CMYK", {b"A2B0": lut, b"wtpt": b"XYZ \0\0\0\0" + b"\0" * 12})


def _plain(folder: Path) -> Iterator[Made]:
    """The usual formats and modes, written by Pillow."""
    rgb, alpha = waves(), holes()
    gray = gray_of(rgb)
    modes = {
        "rgb": (Image.fromarray(rgb), rgb, None),
        "gray": (Image.fromarray(gray), repeated(gray), None),
        "rgba": (Image.fromarray(np.dstack([rgb, alpha])), rgb, alpha),
        "la": (Image.fromarray(np.dstack([gray, alpha]), "LA"), repeated(gray), alpha),
    }
    one_bit = Image.fromarray(gray).convert("1")
    modes["bit"] = (one_bit, np.asarray(one_bit.convert("RGB")), None)
    palette = Image.fromarray(rgb).quantize(16)
    modes["palette"] = (palette, np.asarray(palette.convert("RGB")), None)
    kinds: dict[str, tuple[list[str], dict[str, Any]]] = {
        "png": (["rgb", "gray", "rgba", "la", "bit", "palette"], {}),
        "bmp": (["rgb", "gray", "bit", "palette"], {}),
        "tiff": (["rgb", "gray", "rgba", "la", "bit", "palette"], {}),
        "webp": (["rgb", "rgba"], {"lossless": True, "exact": True}),
        "jp2": (["rgb", "gray", "rgba"], {}),
        "tga": (["rgb", "rgba"], {}),
        "gif": (["palette"], {}),
        "ppm": (["rgb"], {}),
        "pgm": (["gray"], {}),
        "pbm": (["bit"], {}),
    }
    for suffix, (names, options) in kinds.items():
        for mode in names:
            image, pixels, mask = modes[mode]
            name = f"{mode}-{suffix}.{suffix}"
            image.save(folder / name, **options)
            yield Made(name, pixels, mask)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        name = f"{compression}.tif"
        Image.fromarray(rgb).save(folder / name, compression=compression)
        yield Made(name, rgb)
    palette.save(folder / "key.png", transparency=3)
    palette.save(folder / "key-gif.gif", transparency=3)
    clear = np.where(np.asarray(palette) == 3, 0, 255).astype(np.uint8)
    for name in ("key.png", "key-gif.gif"):
        yield Made(name, np.asarray(palette.convert("RGB")), clear)
    Image.fromarray(rgb).save(folder / "colour-key.png", transparency=tuple(rgb[0, 0].tolist()))
    keyed = np.where((rgb == rgb[0, 0]).all(axis=2), 0, 255).astype(np.uint8)
    yield Made("colour-key.png", rgb, keyed)
    frames = [Image.fromarray(frame) for frame in (rgb, rgb[::-1])]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    yield Made("moving.webp", rgb)
    frames[0].save(folder / "pages.tiff", save_all=True, append_images=frames[1:])
    yield Made("pages.tiff", rgb)
    frames[0].save(folder / "profile.png", icc_profile=SRGB, exif=exif())
    yield Made("profile.png", rgb, icc=True, exif=True)
    frames[0].save(folder / "profile.webp", icc_profile=SRGB, exif=exif(), lossless=True)
    yield Made("profile.webp", rgb, icc=True, exif=True)
    frames[0].save(folder / "profile.tiff", icc_profile=SRGB, exif=exif())
    yield Made("profile.tiff", rgb, icc=True, exif=True)
    (folder / "wrong.jpg").write_bytes((folder / "rgb-png.png").read_bytes())
    yield Made("wrong.jpg", rgb)
    (folder / "LOUD.PNG").write_bytes((folder / "rgb-png.png").read_bytes())
    yield Made("LOUD.PNG", rgb)
    (folder / "ünïcode \N{SNOWMAN}.png").write_bytes((folder / "rgb-png.png").read_bytes())
    yield Made("ünïcode \N{SNOWMAN}.png", rgb)


def _jpegs(folder: Path) -> Iterator[Made]:
    """JPEG and CMYK, edge cases of size, and damaged EXIF."""
    rgb = waves()
    gray = gray_of(rgb)
    Image.fromarray(rgb).save(folder / "rgb.jpg", quality=95)
    yield Made("rgb.jpg", rgb, near=4)
    Image.fromarray(rgb).save(
        folder / "progressive.jpg", quality=95, progressive=True, subsampling=0
    )
    yield Made("progressive.jpg", rgb, near=4)
    Image.fromarray(gray).save(folder / "gray.jpeg", quality=95)
    yield Made("gray.jpeg", repeated(gray), near=4)
    Image.fromarray(gray).save(
        folder / "gray-profile.jpg", icc_profile=gray_profile(1.0), quality=95
    )
    linear = gray / 255.0
    encoded = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    yield Made("gray-profile.jpg", repeated(np.rint(encoded * 255)), near=4)
    inks = Image.fromarray(rgb).convert("CMYK")
    inks.save(folder / "cmyk.jpg", quality=95)
    yield Made("cmyk.jpg", rgb, near=4)
    inks.save(folder / "cmyk.tiff")
    yield Made("cmyk.tiff", rgb)
    white = Image.new("CMYK", (9, 7))
    white.save(folder / "cmyk-profile.jpg", icc_profile=green_ink_profile(), quality=95)
    # Lab (200 / 2.55, 60 - 128, 180 - 128) is outside sRGB: no red and much green.
    yield Made("cmyk-profile.jpg", np.full((7, 9, 3), (0, 219, 91), np.uint8), near=12)
    Image.fromarray(rgb).save(folder / "profile.jpg", icc_profile=SRGB, exif=exif(), quality=95)
    yield Made("profile.jpg", rgb, near=4, icc=True, exif=True)
    for height, width in [(1, 1), (1, 17), (19, 1), (2, 2), (3, 31), (33, 21)]:
        pixels = waves(height, width)
        Image.fromarray(pixels).save(folder / f"{width}x{height}.png")
        yield Made(f"{width}x{height}.png", pixels)
    Image.fromarray(waves(1, 1)).save(folder / "1x1.jpg", quality=95)
    yield Made("1x1.jpg", waves(1, 1), near=4)
    broken = b"Exif\0\0MM\0*" + b"\xff" * 40
    Image.fromarray(rgb).save(folder / "broken-exif.jpg", exif=broken, quality=95)
    yield Made("broken-exif.jpg", rgb, near=4)


def _turned(folder: Path) -> Iterator[Made]:
    """All EXIF orientations."""
    rgb, deep = waves(), waves(depth=16)
    for orientation in ORIENTATIONS:
        image = Image.fromarray(stored(rgb, orientation))
        for suffix, options in {
            "jpg": {"quality": 95, "subsampling": 0}, "png": {},
            "webp": {"lossless": True}, "tiff": {},
        }.items():  # fmt: skip
            name = f"turned-{orientation}.{suffix}"
            image.save(folder / name, exif=exif(orientation), **options)
            yield Made(name, rgb, near=4 if suffix == "jpg" else 0, exif=True)
        tags = [(274, "H", 1, orientation, True)]
        name = f"turned-{orientation}-16.tiff"
        pixels = stored(deep, orientation)
        tifffile.imwrite(folder / name, pixels, photometric="rgb", extratags=tags, metadata=None)
        yield Made(name, deep)
    alpha = holes()
    image = Image.fromarray(stored(np.dstack([rgb, alpha]), 6))
    image.save(folder / "turned-rgba.png", exif=exif(6))
    yield Made("turned-rgba.png", rgb, alpha, exif=True)


def _deep(folder: Path) -> Iterator[Made]:
    """Pixels of 16 bits."""
    rgb, alpha = waves(depth=16), holes(depth=16)
    gray = gray_of(rgb)
    pngs: dict[str, tuple[Array, int, Array, Array | None]] = {
        "rgb-16.png": (rgb, 2, rgb, None),
        "rgba-16.png": (np.dstack([rgb, alpha]), 6, rgb, alpha),
        "gray-16.png": (gray[..., None], 0, repeated(gray), None),
        "la-16.png": (np.dstack([gray, alpha]), 4, repeated(gray), alpha),
    }
    for name, (pixels, kind, upright, mask) in pngs.items():
        (folder / name).write_bytes(png(pixels, kind))
        yield Made(name, upright, mask)
    icc = (b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB))
    turned = (b"eXIf", exif(8).removeprefix(b"Exif\0\0"))
    (folder / "all-16.png").write_bytes(png(stored(rgb, 8), 2, icc, turned))
    yield Made("all-16.png", rgb, icc=True, exif=True)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    unassociated = {"extrasamples": ["unassalpha"]}
    tiffs: dict[str, tuple[Array, dict[str, Any], Array, Array | None]] = {
        "rgb-16.tiff": (rgb, {"iccprofile": SRGB}, rgb, None),
        "rgba-16.tiff": (np.dstack([rgb, alpha]), unassociated, rgb, alpha),
        "tiled-16.tiff": (rgb, {"tile": (16, 16)}, rgb, None),
        "planes-16.tiff": (planes, {"planarconfig": "separate"}, rgb, None),
        "big-endian-16.tiff": (rgb.astype(">u2"), {"byteorder": ">"}, rgb, None),
        "deflate-16.tiff": (rgb, {"compression": "zlib", "predictor": 2}, rgb, None),
    }
    for name, (pixels, options, upright, mask) in tiffs.items():
        tifffile.imwrite(folder / name, pixels, photometric="rgb", metadata=None, **options)
        yield Made(name, upright, mask, icc="iccprofile" in options)
    for orientation in (1, 6, 7):
        name = f"lzw-{orientation}-16.tiff"
        bgr = stored(rgb, orientation)[..., ::-1]
        written = cv2.imencode(".tiff", bgr, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
        # OpenCV writes no orientation: put it in place of the tag "planar configuration", whose
        # value is the default.
        planes_tag, tag = (
            struct.pack("<HHII", 284, 3, 1, 1),
            struct.pack("<HHII", 274, 3, 1, orientation),
        )
        assert written.count(planes_tag) == 1
        (folder / name).write_bytes(written.replace(planes_tag, tag))
        yield Made(name, rgb)
    tifffile.imwrite(folder / "gray-16.tif", gray, photometric="minisblack", metadata=None)
    yield Made("gray-16.tif", repeated(gray))


def make_fixtures(folder: Path) -> list[Made]:
    """Write all files, a folder for each family, and return what they are."""
    families: dict[str, Callable[[Path], Iterator[Made]]] = {
        "plain": _plain, "jpegs": _jpegs, "turned": _turned, "deep": _deep,
    }  # fmt: skip
    made = []
    for family, make in families.items():
        (folder / family).mkdir(parents=True)
        for one in make(folder / family):
            made.append(Made(f"{family}/{one.name}", *list(vars(one).values())[1:]))
    return made
