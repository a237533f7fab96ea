"""Kinds of picture files that public bug reports name: their colours, compared by value."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import picture
from picture_files import SRGB, gray_profile, holes, png, profile, repeated, waves
from PIL import Image as Pillow
from PIL import ImageCms

from neuralart.errors import ImageError
from neuralart.pictures.formats import WRITABLE
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile, read_image
from neuralart.pictures.vips import is_srgb
from neuralart.pictures.writing import check_size, encode_image, encode_picture

# Half of the light is this sample of sRGB (IEC 61966-2-1).
HALF_LIGHT = 1.055 * 0.5 ** (1 / 2.4) - 0.055

HALF = np.full((6, 8), 32768, np.uint16)

LINEAR = gray_profile(1.0)


def read(data: bytes) -> Picture:
    return PictureFile(data, "a").read()


def encoded(shown: Picture, suffix: str) -> bytes:
    file = io.BytesIO()
    encode_picture(file, shown, suffix)
    return file.getvalue()


def display_p3() -> bytes:
    """A profile of Display P3: sRGB's curve with wider primaries (SMPTE EG 432-1)."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    levels = np.linspace(0, 1, 1024)
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 1024)
    curve += np.rint(light * 65535).astype(">u2").tobytes()
    tags = {
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.51512, 0.2412, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.1571, 0.06657, 0.78407),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    return profile(b"RGB ", tags)


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def chunk(profile_bytes: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"p\0\0" + zlib.compress(profile_bytes)


GRAYS = {
    "gray.png": png(HALF[..., None], 0, chunk(LINEAR)),
    "gray-alpha.png": png(np.dstack([HALF, HALF]), 4, chunk(LINEAR)),
    "little.tif": tiff(HALF, photometric="minisblack", iccprofile=LINEAR),
    "big.tif": tiff(HALF, photometric="minisblack", iccprofile=LINEAR, byteorder=">"),
}


@pytest.mark.parametrize("name", GRAYS)
def test_gray_of_16_bits_is_brought_to_srgb_by_its_profile(name: str) -> None:
    found = read(GRAYS[name])
    assert found.pixels.dtype == np.uint16 and found.icc is None
    np.testing.assert_allclose(found.pixels / 65535, HALF_LIGHT, atol=0.002)
    assert (found.alpha is None) != ("alpha" in name)
    if found.alpha is not None:
        np.testing.assert_array_equal(found.alpha, HALF)


def test_no_profile_of_gray_is_written_beside_rgb() -> None:
    """Nor is one of RGB lost that a gray picture has: its three channels are RGB of the profile."""
    file = io.BytesIO()
    Pillow.fromarray(waves()).save(file, "PNG", icc_profile=LINEAR)
    assert read(file.getvalue()).icc is None
    gray = waves()[..., 1]
    file = io.BytesIO()
    Pillow.fromarray(gray).save(file, "JPEG", quality=100, icc_profile=SRGB)
    found = read(file.getvalue())
    assert found.icc == SRGB and abs(found.pixels.astype(int) - repeated(gray)).max() <= 2


def test_a_transparent_colour_of_16_bits() -> None:
    gray = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    found = read(png(gray[..., None], 0, (b"tRNS", struct.pack(">H", 7000))))
    np.testing.assert_array_equal(found.pixels, repeated(gray))
    np.testing.assert_array_equal(found.alpha, np.where(gray == 7000, 0, 65535))
    rgb = waves(depth=16)
    key = (b"tRNS", struct.pack(">3H", *rgb[2, 3].tolist()))
    found = read(png(rgb, 2, key))
    np.testing.assert_array_equal(found.alpha == 0, (rgb == rgb[2, 3]).all(axis=2))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_premultiplied_tiff_gets_its_colours_back(kind: type) -> None:
    depth, highest = (8, 255) if kind == np.uint8 else (16, 65535)
    rgb, alpha = waves(depth=depth), holes(depth=depth).clip(highest // 2)
    share = alpha[..., None] / highest
    stored = np.dstack([np.rint(rgb * share).astype(kind), alpha])
    found = read(tiff(stored, photometric="rgb", extrasamples=["assocalpha"]))
    np.testing.assert_array_equal(found.alpha, alpha)
    assert found.pixels.dtype == kind and abs(found.pixels.astype(int) - rgb).max() <= 2


RAMP = np.tile(np.linspace(0, 1, 16), (8, 1))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        ((RAMP * (2**32 - 1)).astype(np.uint32), "32-bit integers"),
        ((RAMP * 65535 - 32768).astype(np.int16), "signed 16-bit integers"),
        (RAMP.astype(np.float32), "floating-point"),
        (RAMP.astype(np.float16), "floating-point"),
        (RAMP, "whole numbers"),
        ((RAMP * 1e9).astype(np.uint64), "whole numbers"),
        (np.dstack([RAMP.astype(np.float32)] * 3), "floating-point"),
        (np.dstack([(RAMP * 255).astype(np.uint8)] * 6), "neither gray, RGB nor CMYK"),
    ],
)
def test_other_kinds_of_tiff_are_refused_by_their_header(pixels: np.ndarray, words: str) -> None:
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        options["photometric"] = "rgb"
    if pixels.ndim == 2:
        del options["planarconfig"]
    with pytest.raises(ImageError, match=rf"^a: .*{words}.*; convert it to RGB with 8 or 16 bits$"):
        PictureFile(tiff(pixels, **options), "a")


def test_cmyk_of_16_bits_and_light_on_white_are_read() -> None:
    inks = np.dstack([HALF] * 4)
    found = read(tiff(inks, photometric="separated"))
    np.testing.assert_allclose(found.pixels / 65535, 0.25, atol=0.001)
    dark = waves()[..., 1]
    found = read(tiff(255 - dark, photometric="miniswhite"))
    np.testing.assert_array_equal(found.pixels, repeated(dark))


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([(b"gAMA", 100_000)], HALF_LIGHT),
        ([(b"gAMA", 45_455)], 0.5),
        ([(b"gAMA", 100_000), (b"sRGB", 0)], 0.5),
        ([], 0.5),
    ],
)
@pytest.mark.parametrize("depth", [8, 16])
def test_gamma_of_png_is_applied_unless_it_is_that_of_srgb(
    chunks: list[tuple[bytes, int]], expected: float, depth: int
) -> None:
    parts = [
        (name, struct.pack(">I", value) if name == b"gAMA" else bytes(1)) for name, value in chunks
    ]
    data = png(np.dstack([HALF] * 3), 2, *parts)
    if depth == 8:
        data = data.replace(data[16:33], _header_of_8_bits(data))
        rows = zlib.compress((b"\0" + b"\x80" * 24) * 6)
        at = data.index(b"IDAT") - 4
        data = data[:at] + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")
    found = read(data)
    assert found.pixels.dtype == (np.uint8 if depth == 8 else np.uint16)
    np.testing.assert_allclose(
        found.pixels / np.iinfo(found.pixels.dtype).max, expected, atol=0.004
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _header_of_8_bits(data: bytes) -> bytes:
    header = data[16:24] + b"\x08" + data[25:29]
    return header + struct.pack(">I", zlib.crc32(b"IHDR" + header))


@pytest.mark.parametrize("suffix", sorted(set(WRITABLE) - {".jpe", ".jpeg", ".tif"}))
def test_a_wide_gamut_looks_the_same_in_every_format(suffix: str) -> None:
    """Formats with profiles keep the samples; the others get those of sRGB."""
    shown = Picture(np.full((16, 16, 3), (230, 80, 60), np.uint8), icc=display_p3())
    found = read(encoded(shown, suffix))
    holding = (".avif", ".heic", ".heif", ".jpg", ".png", ".tiff", ".webp")
    assert bool(found.icc) == (suffix in holding)
    srgb = Pillow.fromarray(found.pixels)
    if found.icc:
        p3 = ImageCms.ImageCmsProfile(io.BytesIO(found.icc))
        srgb = ImageCms.profileToProfile(srgb, p3, ImageCms.createProfile("sRGB"))
    # Display P3 (230, 80, 60) is (251, 63, 48) in sRGB.
    assert abs(np.asarray(srgb)[8, 8].astype(int) - (251, 63, 48)).max() <= 4


def test_srgb_is_known_by_what_it_does() -> None:
    assert is_srgb(SRGB) and not is_srgb(display_p3())
    assert is_srgb(b"no profile" * 20)  # a damaged one changes nothing either


@pytest.mark.parametrize(("suffix", "longest"), [(".jpg", 65500), (".webp", 16383)])
def test_the_longest_edge_of_a_format_is_one_that_it_holds(suffix: str, longest: int) -> None:
    longest_picture = Picture(np.zeros((1, longest, 3), np.uint8))
    check_size(suffix, longest_picture.size)
    assert read(encoded(longest_picture, suffix)).size == (1, longest)


def test_every_damaged_byte_of_a_png_is_noticed() -> None:
    """Pillow checks the chunks before the pixels, libvips those with the pixels."""
    rng = np.random.default_rng(0)
    for shown in (Picture(picture(0), holes(40, 48)), Picture(waves(depth=16))):
        whole = encoded(shown, ".png")
        for at in rng.integers(8, len(whole) - 12, 40):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << int(rng.integers(8))
            with pytest.raises(ImageError):
                read(bytes(damaged))


def test_a_damaged_tiff_is_an_error_without_other_words(capfd: pytest.CaptureFixture[str]) -> None:
    whole = encode_image(picture(0), ".tiff")
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError, match=r"a: .*damaged"):
            read(whole[: int(len(whole) * share)])
    assert capfd.readouterr() == ("", "")


def test_what_is_transparent_is_read_on_white_with_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A logo as style image: nobody sees the black that it hides."""
    logo = np.zeros((16, 16, 4), np.uint8)
    logo[4:12, 4:12] = (255, 60, 0, 255)
    logo[4:12, 8:12, 3] = 128
    Pillow.fromarray(logo).save(tmp_path / "logo.png")
    image = read_image(tmp_path / "logo.png")
    assert image[0, 0].tolist() == [255] * 3 and image[6, 5].tolist() == [255, 60, 0]
    assert image[6, 9].tolist() == [255, 157, 127]
    assert "logo.png: is transparent in parts, and put on white" in caplog.text
    caplog.clear()
    read_image(tmp_path / "logo.png", with_notes=False)
    assert not caplog.text
