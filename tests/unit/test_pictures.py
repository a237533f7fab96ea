from __future__ import annotations

import io
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from picture_files import SRGB, Made, exif, holes, waves
from PIL import Image as Pillow

from neuralart import encode, pictures
from neuralart.errors import ImageError, OutputError
from neuralart.pictures import Picture, PictureFile

CAMERA_IFD, PLACE_IFD = 0x8769, 0x8825


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean()) if a.shape == b.shape else np.inf


def test_every_kind_of_file_is_read_as_what_it_holds(
    every_picture: tuple[Path, list[Made]],
) -> None:
    folder, made = every_picture
    assert len(made) >= 60
    wrong = {}
    for one in made:
        file = PictureFile(folder / one.name)
        found = file.read()
        facts = {
            "size": file.size == one.rgb.shape[:2],
            "pixels": difference(found.pixels, one.rgb) <= one.near,
            "depth": found.pixels.dtype == (one.rgb.dtype if not one.near else np.uint8),
            "alpha": (found.alpha is None) == (one.alpha is None)
            and (one.alpha is None or np.array_equal(found.alpha, one.alpha)),
            "profile": (found.icc == SRGB) if one.icc else not found.icc,
            "exif": (b"Maker" in (found.exif or b"")) == one.exif,
        }
        wrong |= {f"{one.name}: {fact}": one for fact, holds in facts.items() if not holds}
    assert not wrong


def whole(depth: int) -> Picture:
    return Picture(waves(depth=depth), holes(depth=depth), SRGB, exif())


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", sorted(pictures.WRITABLE))
def test_a_file_keeps_what_its_format_holds(tmp_path: Path, suffix: str, depth: int) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    encode.write_picture(path, whole(depth), quality=100)
    back = PictureFile(path).read()
    name = pictures.WRITABLE[suffix]
    deep = depth == 16 and name in ("PNG", "TIFF")
    assert back.pixels.dtype == (np.uint16 if deep else np.uint8)
    assert (back.alpha is not None) == (name in ("PNG", "TIFF", "WEBP", "JPEG2000"))
    if back.alpha is not None:
        np.testing.assert_array_equal(back.alpha, holes(depth=16 if deep else 8))
    shown = waves(depth=16 if deep else 8).astype(float)
    if back.alpha is None:
        share = holes()[..., None] / 255
        shown = shown * share + 255 * (1 - share)
    near = {"JPEG": 4, "WEBP": 8}.get(name, 0.5 if back.alpha is None else 0)
    assert difference(back.pixels, shown) <= near
    assert bool(back.icc) == (name in ("JPEG", "PNG", "TIFF", "WEBP"))
    assert (b"Maker" in (back.exif or b"")) == (name in ("JPEG", "PNG", "TIFF", "WEBP"))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_exif_is_that_of_the_new_file(tmp_path: Path, suffix: str) -> None:
    source = Pillow.fromarray(waves())
    old = Pillow.Exif()
    old.load(exif(6))
    source.save(tmp_path / "in.jpg", exif=old)
    photo = PictureFile(tmp_path / "in.jpg").read()
    encode.write_picture(tmp_path / f"out{suffix}", photo)
    with Pillow.open(tmp_path / f"out{suffix}") as painting:
        found = painting.getexif()
        camera, place = found.get_ifd(CAMERA_IFD), found.get_ifd(PLACE_IFD)
        assert found.get(0x0112, 1) == 1 and found[0x010F] == "Maker"
    assert camera[0x9003] == "2026:01:02 03:04:05"
    assert (camera[0xA002], camera[0xA003]) == (photo.size[1], photo.size[0]) == (18, 25)
    assert place[1] == "N"


def test_quality_is_that_of_jpeg_and_webp() -> None:
    def size(suffix: str, quality: int) -> int:
        file = io.BytesIO()
        encode.encode_picture(file, Picture(picture(0, 64, 64)), suffix, quality)
        return len(file.getvalue())

    for suffix in (".jpg", ".webp"):
        assert size(suffix, 30) < size(suffix, 80) < size(suffix, 95)
    assert size(".png", 30) == size(".png", 95)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    whole_file = tmp_path / "whole.png"
    encode.write_picture(whole_file, whole(8))
    for name, data in {
        "empty.jpg": b"",
        "cut.png": whole_file.read_bytes()[:300],
        "header.png": whole_file.read_bytes()[:30],
        "text.png": b"hello",
        "zero.bmp": b"BM"
        + struct.pack("<IIIIIIHHIIIIII", 54, 0, 54, 40, 0, 0, 1, 24, 0, 0, 0, 0, 0, 0),
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=name):
            PictureFile(tmp_path / name).read()
    with pytest.raises(ImageError, match="is a folder"):
        PictureFile(tmp_path)
    with pytest.raises(ImageError, match="is a device"):
        PictureFile(Path("/dev/zero"))


def test_two_gigabytes_of_zeros_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "zeros.png"
    with path.open("wb") as file:
        file.truncate(2_000_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match=r"zeros\.png: not a picture"):
        PictureFile(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def bomb(suffix: str) -> bytes:
    """A small file that says it is 60000 pixels an edge."""
    file = io.BytesIO()
    if suffix == ".png":
        Pillow.new("1", (8, 8)).save(file, "PNG")
        data = bytearray(file.getvalue())
        data[16:24] = struct.pack(">II", 60000, 60000)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        return bytes(data)
    Pillow.new("L", (8, 8)).save(file, {".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF"}[suffix])
    data = bytearray(file.getvalue())
    if suffix == ".bmp":
        data[18:26] = struct.pack("<II", 60000, 60000)
    elif suffix == ".gif":
        data[6:10] = struct.pack("<HH", 60000, 60000)
    else:
        for tag in (256, 257):
            at = data.index(struct.pack("<HHI", tag, 4, 1))
            data[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 60000)
    return bytes(data)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".gif"])
def test_a_bomb_is_known_by_its_header(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"bomb{suffix}").write_bytes(bomb(suffix))
    with pytest.raises(ImageError, match="60000x60000 is 3600 megapixels, over the limit of 120"):
        PictureFile(tmp_path / f"bomb{suffix}")


def test_damaged_bytes_are_an_error_or_a_picture(every_picture: tuple[Path, list[Made]]) -> None:
    folder, made = every_picture
    rng = np.random.default_rng(0)
    outcomes = {"error": 0, "picture": 0}
    for one in made[::2]:
        data = bytearray((folder / one.name).read_bytes())
        for at in rng.integers(0, len(data), 6):
            data[at] = rng.integers(256)
        try:
            PictureFile(bytes(data), one.name).read()
            outcomes["picture"] += 1
        except ImageError as error:
            assert str(error).startswith(one.name) and "\n" not in str(error)
            outcomes["error"] += 1
    assert all(outcomes.values())


def test_a_format_that_is_too_small(tmp_path: Path) -> None:
    wide = Picture(np.zeros((1, 16384, 3), np.uint8))
    with pytest.raises(OutputError, match="WEBP holds at most 16383 pixels an edge, not 16384"):
        encode.write_picture(tmp_path / "a.webp", wide)
    encode.write_picture(tmp_path / "a.jpg", wide)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    """The size limit of a process fails a write in the middle as a full disk does."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    noise = Picture(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OutputError, match=r"a.* cannot be written: File too large"):
            encode.write_picture(path, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]
