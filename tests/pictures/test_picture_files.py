"""Picture files: what is read, what is written, and files that are damaged or hostile."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import picture
from picture_files import SRGB, Made, exif, holes, waves
from PIL import Image as Pillow
from PIL.ExifTags import IFD

from neuralart.errors import ImageError, OutputError
from neuralart.pictures.formats import WRITABLE
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile, read_image
from neuralart.pictures.writing import encode_image, encode_picture, write_image, write_picture


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The mean absolute difference; infinite for other shapes."""
    return float(np.abs(a.astype(float) - b).mean()) if a.shape == b.shape else np.inf


def test_every_kind_of_file_is_read(
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
    """A picture with alpha, profile and EXIF."""
    return Picture(waves(depth=depth), holes(depth=depth), SRGB, exif())


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("suffix", sorted(WRITABLE))
def test_a_file_keeps_what_its_format_holds(tmp_path: Path, suffix: str, depth: int) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    write_picture(path, whole(depth), quality=100)
    back = PictureFile(path).read()
    name = WRITABLE[suffix]
    deep = depth == 16 and name in ("PNG", "TIFF")
    assert back.pixels.dtype == (np.uint16 if deep else np.uint8)
    modern = ("AVIF", "HEIF", "PNG", "TIFF", "WEBP")
    assert (back.alpha is not None) == (name in (*modern, "JPEG2000"))
    if name in ("AVIF", "HEIF"):
        assert difference(back.alpha, holes()) <= 2
    elif back.alpha is not None:
        np.testing.assert_array_equal(back.alpha, holes(depth=16 if deep else 8))
    shown = waves(depth=16 if deep else 8).astype(float)
    if back.alpha is None:
        share = holes()[..., None] / 255
        shown = shown * share + 255 * (1 - share)
    near = {"AVIF": 1, "HEIF": 8, "JPEG": 4, "WEBP": 8}.get(name, 0.5 if back.alpha is None else 0)
    assert difference(back.pixels, shown) <= near
    assert bool(back.icc) == (name in ("JPEG", *modern))
    assert (b"Maker" in (back.exif or b"")) == (name in ("JPEG", *modern))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm", ".PNG"])
def test_lossless_files_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    image = picture(0, 7, 11)
    write_image(tmp_path / f"a{suffix}", image)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), image)


def test_jpeg_is_nearly_the_same(tmp_path: Path) -> None:
    smooth = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    write_image(tmp_path / "a.jpg", smooth)
    near = read_image(tmp_path / "a.jpg").astype(int)
    assert abs(near - smooth).max() <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_exif_is_kept_with_the_size_of_the_new_file(tmp_path: Path, suffix: str) -> None:
    source = Pillow.fromarray(waves())
    old = Pillow.Exif()
    old.load(exif(6))
    source.save(tmp_path / "in.jpg", exif=old)
    photo = PictureFile(tmp_path / "in.jpg").read()
    write_picture(tmp_path / f"out{suffix}", photo)
    with Pillow.open(tmp_path / f"out{suffix}") as painting:
        found = painting.getexif()
        camera, place = found.get_ifd(IFD.Exif), found.get_ifd(IFD.GPSInfo)
        assert found.get(0x0112, 1) == 1 and found[0x010F] == "Maker"
    assert camera[0x9003] == "2026:01:02 03:04:05"
    assert (camera[0xA002], camera[0xA003]) == (photo.size[1], photo.size[0]) == (18, 25)
    assert place[1] == "N"


def test_quality_applies_to_jpeg_and_webp() -> None:
    def size(suffix: str, quality: int) -> int:
        file = io.BytesIO()
        encode_picture(file, Picture(picture(0, 64, 64)), suffix, quality)
        return len(file.getvalue())

    for suffix in (".jpg", ".webp"):
        assert size(suffix, 30) < size(suffix, 80) < size(suffix, 95)
    assert size(".png", 30) == size(".png", 95)


def test_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    whole_file = tmp_path / "whole.png"
    write_picture(whole_file, whole(8))
    for name, data in {
        "empty.jpg": b"",
        "cut.jpg": encode_image(picture(0), ".jpg")[:-40],
        "cut.png": whole_file.read_bytes()[:300],
        "header.png": whole_file.read_bytes()[:30],
        "text.png": b"hello",
        "zero.bmp": b"BM"
        + struct.pack("<IIIIIIHHIIIIII", 54, 0, 54, 40, 0, 0, 1, 24, 0, 0, 0, 0, 0, 0),
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match="No such file"):
        PictureFile(tmp_path / "none.png")
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
    """A small file whose header claims 60000 x 60000 pixels."""
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
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"bomb{suffix}").write_bytes(bomb(suffix))
    with pytest.raises(ImageError, match="60000x60000 is 3600 megapixels, over the limit of 120"):
        PictureFile(tmp_path / f"bomb{suffix}")


def test_a_damaged_file_is_an_error_or_a_picture(every_picture: tuple[Path, list[Made]]) -> None:
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


def test_a_picture_too_large_for_its_format_is_refused(tmp_path: Path) -> None:
    wide = Picture(np.zeros((1, 16384, 3), np.uint8))
    with pytest.raises(OutputError, match="WEBP holds at most 16383 pixels an edge, not 16384"):
        write_picture(tmp_path / "a.webp", wide)
    write_picture(tmp_path / "a.jpg", wide)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_image(tmp_path / "no" / "a.png", picture(0))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError):
        write_image(tmp_path / "folder.png", picture(0))
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
def test_a_full_disk_keeps_the_earlier_file(tmp_path: Path, suffix: str) -> None:
    """A size limit on the process stops a write in the middle, as a full disk does."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    noise = Picture(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OutputError, match=r"a.* cannot be written: File too large"):
            write_picture(path, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]
