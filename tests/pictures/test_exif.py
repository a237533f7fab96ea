"""EXIF of paintings: entries byte for byte, in every format that holds them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from picture_files import waves
from PIL import Image as Pillow
from PIL.ExifTags import IFD

from neuralart.pictures.exif import PREFIX, kept_exif
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile
from neuralart.pictures.writing import encode_picture

TEXT = "漢字 – ünïcode".encode() + b"\xff\0"  # no valid text in any encoding, and of odd length

FORMATS = [".jpg", ".png", ".webp", ".tiff"]


def made(order: str, text: bytes = TEXT) -> bytes:
    """EXIF with a text in the main directory and one in the camera's, and a thumbnail's place."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    camera_at = 8 + 2 + 3 * 12 + 4
    texts_at = camera_at + 2 + 3 * 12 + 4

    def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")

    def long(value: int) -> bytes:
        return struct.pack(f"{order}I", value)

    main = struct.pack(f"{order}H", 3)
    main += entry(0x010E, 2, len(text), long(texts_at))
    main += entry(0x0112, 3, 1, struct.pack(f"{order}H", 1))
    main += entry(0x8769, 4, 1, long(camera_at)) + long(texts_at)  # as if a thumbnail followed
    camera = struct.pack(f"{order}H", 3)
    camera += entry(0x829A, 5, 1, long(texts_at + len(text)))  # exposure time
    camera += entry(0x9286, 7, len(text), long(texts_at))  # user comment
    camera += entry(0xA002, 3, 1, struct.pack(f"{order}H", 999)) + long(0)
    return PREFIX + head + main + camera + text + struct.pack(f"{order}II", 1, 250)


def encoded(exif: bytes, suffix: str) -> bytes:
    file = io.BytesIO()
    encode_picture(file, Picture(waves(), exif=exif), suffix)
    return file.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_texts_are_kept_byte_for_byte(suffix: str, order: str) -> None:
    data = encoded(made(order), suffix)
    with Pillow.open(io.BytesIO(data)) as file:
        exif = file.getexif()
        camera = exif.get_ifd(IFD.Exif)
        assert exif[0x010E].encode("latin-1").rstrip(b"\0") == TEXT.rstrip(b"\0")
        assert camera[0x9286] == TEXT and camera[0x829A] == pytest.approx(1 / 250)
        assert (camera[0xA002], camera.get(0xA003)) == (25, 18)
        assert exif.get(0x0112, 1) == 1
        np.testing.assert_array_equal(np.asarray(file).shape, (18, 25, 3))
    again = PictureFile(data, "a").read()
    assert again.exif is not None and again.exif.count(TEXT) == 2
    assert len(again.exif) < 400  # no thumbnail, and nothing twice


@pytest.mark.parametrize("suffix", FORMATS)
def test_long_exif_is_kept_or_left_out_with_a_note(
    suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A segment of JPEG holds 64 kB; programs keep whole workflows in PNG and WebP."""
    text = b"workflow " * 8000 + b"\0"
    data = encoded(made("<", text), suffix)
    found = PictureFile(data, "a").read()
    if suffix == ".jpg":
        assert found.exif is None
        assert "note: JPEG holds at most 64 kB of EXIF" in caplog.text
    else:
        assert found.exif is not None and text in found.exif and not caplog.text


def test_exif_behind_the_pixels_of_a_png_is_found() -> None:
    data = encoded(made("<"), ".png")
    at = data.index(b"eXIf") - 4
    size = 12 + struct.unpack(">I", data[at : at + 4])[0]
    end = len(data) - 12
    moved = data[:at] + data[at + size : end] + data[at : at + size] + data[end:]
    assert PictureFile(moved, "a").read().exif == PictureFile(data, "a").read().exif


def test_damaged_exif_is_left_out() -> None:
    whole = made(">").removeprefix(PREFIX)
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(whole[: rng.integers(len(whole) + 1)])
        for at in rng.integers(0, max(1, len(damaged)), 3):
            if damaged:
                damaged[at] = rng.integers(256)
        orientation, exif = kept_exif(io.BytesIO(bytes(damaged)))
        assert isinstance(orientation, int) and len(exif or b"") < 1000
