"""HEIC and AVIF photos, and raw files, through the real command line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import fails, files_below, picture, run_cli, stylize
from picture_files import SRGB, exif, holes, stored, waves
from PIL import Image as Pillow
from PIL import features

from neuralart.machine.installation import install_command
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile, read_image
from neuralart.pictures.writing import write_image, write_picture

pillow_heif = pytest.importorskip("pillow_heif")

SUFFIXES = [".heic", ".heif", ".avif"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_photos_of_phones_are_painted(run_dir: Path, tmp_path: Path, suffix: str) -> None:
    whole = Picture(picture(1, 48, 64), None, SRGB, exif())
    write_picture(tmp_path / f"in{suffix}", whole)
    stylize(run_dir, tmp_path / f"in{suffix}", tmp_path / "out.png")
    stylize(run_dir, tmp_path / f"in{suffix}", tmp_path / f"out{suffix}")
    photo = PictureFile(tmp_path / f"in{suffix}").read()
    painting, same = (PictureFile(tmp_path / f"out{s}").read() for s in (".png", suffix))
    assert abs(photo.pixels.astype(int) - whole.pixels).mean() < 12
    assert painting.size == same.size == (48, 64)
    assert painting.icc == same.icc == SRGB and b"Maker" in painting.exif and b"Maker" in same.exif
    assert abs(painting.pixels.astype(int) - same.pixels).mean() < 12
    assert abs(painting.pixels.astype(int) - photo.pixels).mean() > 3
    stylize(run_dir, tmp_path / f"in{suffix}", tmp_path / "0.png", "--strength", 0)
    np.testing.assert_array_equal(read_image(tmp_path / "0.png"), photo.pixels)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_alpha_and_small_sizes(tmp_path: Path, suffix: str) -> None:
    write_picture(tmp_path / f"a{suffix}", Picture(waves(), holes()))
    assert abs(PictureFile(tmp_path / f"a{suffix}").read().alpha.astype(int) - holes()).max() < 4
    for size in [(1, 1), (1, 17), (3, 31), (33, 2)]:
        write_image(tmp_path / f"b{suffix}", waves(*size))
        assert read_image(tmp_path / f"b{suffix}").shape == (*size, 3)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_turned_photos_are_made_upright(tmp_path: Path, kind: str) -> None:
    pillow_heif.register_heif_opener()
    for orientation in (1, 3, 6, 8):
        image = Pillow.fromarray(stored(waves(), orientation))
        image.save(tmp_path / "a", kind, exif=exif(orientation), quality=100)
        found = PictureFile(tmp_path / "a").read()
        assert found.size == waves().shape[:2]
        assert abs(found.pixels.astype(int) - waves()).mean() < 5
        assert b"Maker" in found.exif


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_and_too_large_files(run_dir: Path, tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"in{suffix}", picture(1, 48, 64))
    data = (tmp_path / f"in{suffix}").read_bytes()
    words = ("stylize", tmp_path / f"in{suffix}", tmp_path / "out.png", "--model", run_dir)
    fails(run_cli(*words, "--max-pixels", 0.001), 1, f"in{suffix}: 64x48 is 0 megapixels")
    for end in (16, 40, len(data) // 2, len(data) - 20):
        (tmp_path / f"in{suffix}").write_bytes(data[:end])
        fails(run_cli(*words), 1, f"in{suffix}: ", "damaged")
    assert files_below(tmp_path) == [f"in{suffix}"]


def test_a_folder_of_heic(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "IMG_1.HEIC", picture(1, 48, 64))
    write_image(tmp_path / "in" / "b.avif", picture(2, 48, 64))
    (tmp_path / "in" / "raw.nef").write_bytes(b"II*\0")
    result = stylize(run_dir, tmp_path / "in", tmp_path / "out")
    assert files_below(tmp_path / "out") == ["IMG_1.HEIC", "b.avif"]
    assert "passed over: 1 .nef" in result.stderr
    stylize(run_dir, tmp_path / "in", tmp_path / "heic", "--format", "heic")
    assert files_below(tmp_path / "heic") == ["IMG_1.heic", "b.heic"]


def test_without_the_libraries(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "a.heic", picture(1))
    write_image(tmp_path / "a.avif", picture(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(features, "check", lambda name: False)
    a, out = tmp_path / "a.heic", tmp_path / "out.png"
    needs = f"HEIC needs pillow-heif; {install_command('heic')}"
    fails(run_cli("stylize", a, out, "--model", run_dir), 1, f"{a}: {needs}")
    a, out = tmp_path / "a.avif", tmp_path / "out.heic"
    fails(run_cli("stylize", a, out, "--model", run_dir), 1, f"{out}: {needs}")
    needs = f"{a}: AVIF needs Pillow 11.3 or later; pip install"
    fails(run_cli("stylize", a, tmp_path / "out.png", "--model", run_dir), 1, needs)
    result = run_cli("stylize", tmp_path, tmp_path / "all", "--format", "png", "--model", run_dir)
    assert result.exit_code == 1 and "2 failed" in result.stderr
    assert files_below(tmp_path) == ["a.avif", "a.heic"]


RAW = {
    "canon.cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(60),
    "canon.cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(60),
    "canon.crw": b"II\x1a\0\0\0HEAPCCDR" + bytes(60),
    "fuji.raf": b"FUJIFILMCCD-RAW 0201" + bytes(60),
    "olympus.orf": b"IIRO\x08\0\0\0" + bytes(60),
    "panasonic.rw2": b"IIU\0\x18\0\0\0" + bytes(60),
    "minolta.mrw": b"\0MRM" + bytes(60),
    "sigma.x3f": b"FOVb" + bytes(60),
}


@pytest.mark.parametrize("name", [*RAW, "nikon.NEF", "sony.arw", "adobe.dng", "renamed.tif"])
def test_raw_files_are_refused(run_dir: Path, tmp_path: Path, name: str) -> None:
    """Also where the file is a TIFF with a small preview, which must not be taken for the photo."""
    if name in RAW:
        (tmp_path / name).write_bytes(RAW[name])
    else:
        version = [(0xC612, "B", 4, (1, 4, 0, 0), True)] if name == "renamed.tif" else []
        preview = waves()
        tifffile.imwrite(tmp_path / name, preview, photometric="rgb", extratags=version)
    words = ("stylize", tmp_path / name, tmp_path / "out.png", "--model", run_dir)
    fails(run_cli(*words), 1, f"{name}: is a camera's raw file; export it as TIFF or JPEG first")
    assert files_below(tmp_path) == [name]


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", waves())
    (tmp_path / "a.jpg").rename(tmp_path / "a.nef")
    assert read_image(tmp_path / "a.nef").shape == waves().shape
