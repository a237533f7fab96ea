"""`neuralart stylize` on one picture: all kinds of pictures, the options, and errors."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from helpers import fails, files_below, noise, picture, run_cli, stylize
from picture_files import Made, holes, waves
from PIL import Image as Pillow

from neuralart.cli import main
from neuralart.painting import batch
from neuralart.pictures.editing import resize
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile, read_image
from neuralart.pictures.writing import write_image, write_picture


def painting_of(one: Made, folder: Path) -> Path:
    """The painting of a picture in a folder: of the same suffix, or a PNG."""
    path = folder / one.name
    return path if path.exists() else path.with_suffix(".png")


def wrong_facts(one: Made, path: Path) -> list[str]:
    """What a painting should have kept of its photo, but did not."""
    painting = PictureFile(path).read()
    can_alpha = path.suffix not in (".bmp", ".jpg", ".jpeg", ".ppm")
    facts = {
        "size": painting.pixels.shape == one.rgb.shape,
        "depth": painting.pixels.dtype == (np.uint16 if one.rgb.dtype == np.uint16 else np.uint8),
        "alpha": (painting.alpha is None) == (one.alpha is None or not can_alpha)
        and (painting.alpha is None or np.array_equal(painting.alpha, one.alpha)),
        "profile": bool(painting.icc) == one.icc,
        "exif": (b"Maker" in (painting.exif or b"")) == one.exif,
    }
    with Pillow.open(path) as file:
        facts["orientation"] = file.getexif().get(0x0112, 1) == 1
    return [f"{one.name}: {fact}" for fact, holds in facts.items() if not holds]


def test_strength_0_gives_back_every_kind_of_picture(
    run_dir: Path, every_picture: tuple[Path, list[Made]], tmp_path: Path
) -> None:
    folder, made = every_picture
    result = stylize(run_dir, folder, tmp_path, "--strength", 0)
    assert len(result.stdout.splitlines()) == len(made) >= 60
    wrong = []
    for one in made:
        path = painting_of(one, tmp_path)
        wrong += wrong_facts(one, path)
        lossless = path.suffix.lower() in (".bmp", ".jp2", ".png", ".ppm", ".tif", ".tiff")
        if lossless and not one.near:
            np.testing.assert_array_equal(PictureFile(path).read().pixels, one.rgb, one.name)
    assert not wrong


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_strength_0_keeps_the_bits_of_lossy_formats(
    run_dir: Path, tmp_path: Path, name: str
) -> None:
    """The file itself is the painting, also where tiles, colours and a quality are asked for."""
    photo = tmp_path / name
    write_picture(photo, Picture(picture(2, 61, 83)), 70)
    for more in ([], ["--tile", 64], ["--preserve-colors", "--quality", 50, "--size", 40]):
        out = tmp_path / "out" / name
        out.parent.mkdir(exist_ok=True)
        sized = ["--keep-size"] if "--size" in more else []
        stylize(run_dir, photo, out, "--strength", 0, "--overwrite", *more, *sized)
        assert out.read_bytes() == photo.read_bytes()
    stylize(run_dir, photo, out, "--strength", 0, "--overwrite", "--size", 40)
    assert read_image(out).shape == (29, 40, 3)
    stylize(run_dir, photo, tmp_path / "a.png", "--strength", 0)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), read_image(photo))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_strength_0_keeps_pixels_and_alpha_in_tiles(
    run_dir: Path, tmp_path: Path, kind: type
) -> None:
    photo = Picture(noise(150, 210, kind), noise(150, 210, kind)[..., 0])
    write_picture(tmp_path / "photo.png", photo)
    stylize(run_dir, tmp_path / "photo.png", tmp_path / "p.tiff", "--strength", 0, "--tile", 96)
    painting = PictureFile(tmp_path / "p.tiff").read()
    np.testing.assert_array_equal(painting.pixels, photo.pixels)
    assert painting.alpha is not None and photo.alpha is not None
    np.testing.assert_array_equal(painting.alpha, photo.alpha)


def test_every_kind_of_pixel_is_painted(
    run_dir: Path, every_picture: tuple[Path, list[Made]], tmp_path: Path
) -> None:
    folder, made = every_picture
    names = [
        "deep/rgba-16.tiff", "deep/la-16.png", "deep/all-16.png", "turned/turned-6.jpg",
        "jpegs/cmyk.jpg", "plain/palette-gif.gif", "plain/rgba-webp.webp", "jpegs/1x1.png",
    ]  # fmt: skip
    stylize(run_dir, *(folder / name for name in names), tmp_path)
    for one in made:
        if one.name in names:
            flat = Made(Path(one.name).name, *list(vars(one).values())[1:])
            path = painting_of(flat, tmp_path)
            assert not wrong_facts(flat, path)
            scale = 257 if one.rgb.dtype == np.uint16 else 1
            change = PictureFile(path).read().pixels / scale - one.rgb / scale
            assert np.abs(change).mean() > 3, one.name


def test_16_bits_are_painted_as_8_are_but_finer(run_dir: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "8.png", picture(0))
    write_picture(tmp_path / "16.png", Picture(picture(0).astype(np.uint16) * 257))
    for name in ("8", "16"):
        stylize(run_dir, tmp_path / f"{name}.png", tmp_path / f"{name}.tiff")
    coarse, fine = (PictureFile(tmp_path / f"{name}.tiff").read().pixels for name in ("8", "16"))
    assert abs(fine / 257 - coarse).max() < 0.51 and len(np.unique(fine % 257)) > 200


class OnePhoto:
    """A photo that is painted, when called, with the options given."""

    def __init__(self, run_dir: Path, folder: Path) -> None:
        self.run_dir, self.folder = run_dir, folder
        self.photo = picture(3, 48, 64)
        write_image(folder / "photo.png", self.photo)

    def __call__(self, *options: object) -> np.ndarray[Any, Any]:
        target = self.folder / "p.png"
        stylize(self.run_dir, self.folder / "photo.png", target, "--overwrite", *options)
        return read_image(target).astype(float)


@pytest.fixture
def paint(run_dir: Path, tmp_path: Path) -> OnePhoto:
    return OnePhoto(run_dir, tmp_path)


def test_strength_leads_through_the_stages(paint: OnePhoto) -> None:
    first, last = paint("--stage", 1), paint()
    np.testing.assert_array_equal(paint("--strength", 0), paint.photo)
    np.testing.assert_array_equal(paint("--strength", 1), last)
    np.testing.assert_array_equal(paint("--strength", 0.5), first)
    assert abs(paint("--strength", 0.25) - (paint.photo + first) / 2).max() <= 1
    assert abs(paint("--strength", 0.75) - (first + last) / 2).max() <= 1
    assert abs(paint("--strength", 0.5, "--stage", 1) - (paint.photo + first) / 2).max() <= 1
    fails(run_cli("stylize", "a.png", "b.png", "--strength", 1.1), 2, "--strength")


LUMA = np.array([0.299, 0.587, 0.114])


def test_the_photos_colours_are_kept(paint: OnePhoto) -> None:
    plain, kept = paint(), paint("--preserve-colors")
    inside = ((kept > 0) & (kept < 255)).all(axis=2)
    assert inside.mean() > 0.5
    assert abs((kept - plain) @ LUMA)[inside].max() <= 1.5
    chroma = (kept - paint.photo)[inside]
    assert abs(chroma - chroma.mean(axis=1, keepdims=True)).max() <= 1
    halfway = paint("--preserve-colors", "--strength", 0.25)
    assert abs((halfway - paint("--strength", 0.25)) @ LUMA)[inside].max() <= 1.5


def test_size_and_keep_size(paint: OnePhoto, run_dir: Path) -> None:
    assert paint("--size", 32).shape == (24, 32, 3)
    assert paint("--size", 100).shape == (75, 100, 3)
    small = resize(paint.photo, (24, 32))
    write_image(paint.folder / "small.png", small)
    stylize(run_dir, paint.folder / "small.png", paint.folder / "q.png")
    np.testing.assert_array_equal(paint("--size", 32), read_image(paint.folder / "q.png"))
    back = paint("--size", 32, "--keep-size")
    assert back.shape == paint.photo.shape
    assert abs(back - resize(read_image(paint.folder / "q.png"), (48, 64))).max() == 0
    np.testing.assert_array_equal(paint("--size", 32, "--keep-size", "--strength", 0), paint.photo)
    one = ("stylize", paint.folder / "photo.png", paint.folder / "r.png", "--model", run_dir)
    fails(run_cli(*one, "--size", 20000), 1, "photo.png: --size 20000 makes 20000x15000")
    fails(run_cli(*one, "--size", 0), 2, "--size")


def test_alpha_has_the_size_of_the_painting(
    run_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alpha = holes()
    Pillow.fromarray(np.dstack([waves(), alpha])).save(tmp_path / "in.png")
    stylize(run_dir, tmp_path / "in.png", tmp_path / "small.png", "--size", 10)
    assert PictureFile(tmp_path / "small.png").read().alpha.shape == (7, 10)
    stylize(run_dir, tmp_path / "in.png", tmp_path / "kept.png", "--size", 10, "--keep-size")
    np.testing.assert_array_equal(PictureFile(tmp_path / "kept.png").read().alpha, alpha)
    stylize(run_dir, tmp_path / "in.png", tmp_path / "flat.jpg")
    assert "note: JPEG holds no transparency" in caplog.text


def test_standard_input_and_output(run_dir: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.jpg", picture(0))
    stylize(run_dir, tmp_path / "in.jpg", tmp_path / "out.jpg")

    def piped(*words: object, data: bytes | None = None) -> Result:
        arguments = ["stylize", *words, "--model", run_dir]
        return CliRunner().invoke(main, [str(word) for word in arguments], input=data)

    data = (tmp_path / "in.jpg").read_bytes()
    result = piped("-", "-", data=data)
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes == (tmp_path / "out.jpg").read_bytes()
    result = piped(tmp_path / "in.jpg", "-", "--format", "png")
    with Pillow.open(io.BytesIO(result.stdout_bytes)) as image:
        assert image.format == "PNG"
    assert piped("-", tmp_path / "from.png", data=data).stdout == f"{tmp_path / 'from.png'}\n"
    assert read_image(tmp_path / "from.png").shape == (40, 48, 3)
    fails(piped("-", "-", data=b""), 1, "standard input: the file is empty")
    fails(piped("-", "-", data=b"hello"), 1, "standard input: not a picture")
    fails(piped("-", tmp_path / "in.jpg", tmp_path / "out", data=data), 2, "one picture")


def test_a_folder_that_is_not_writable(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, every folder is writable, so os.access is replaced."""
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    words = ("stylize", photos / "a.png", tmp_path / "out" / "a.png", "--model", run_dir)
    fails(run_cli(*words), 1, "out: not writable; choose another folder")


def test_too_little_memory(
    run_dir: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(stylizer: batch.Stylizer, photo: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(batch.Stylizer, "paint", no_memory)
    words = ("stylize", photos / "a.png", tmp_path / "a.png", "--model", run_dir)
    fails(run_cli(*words), 1, "a.png: cannot be painted: out of memory")


@pytest.mark.parametrize(
    ("redirections", "exit_code", "words"),
    [
        (">/dev/full", 1, "error: standard output: No space left on device"),
        (">&-", 0, "painted"),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
    ],
)
def test_a_command_whose_lines_nobody_reads(
    run_dir: Path,
    photos: Path,
    tmp_path: Path,
    redirections: str,
    exit_code: int,
    words: str,
) -> None:
    """The whole command, with warnings as errors and settings that libraries do not take."""
    command = [sys.executable, "-W", "error", "-m", "neuralart", "stylize", photos, tmp_path / "out",
               "--model", run_dir]  # fmt: skip
    result = subprocess.run(
        ["/bin/sh", "-c", f"{shlex.join(map(str, command))} {redirections}"],
        env={**os.environ, "OMP_NUM_THREADS": "1,1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == exit_code, result.stderr
    assert len(files_below(tmp_path / "out")) == 3
    assert words in result.stderr and len(result.stderr.splitlines()) <= 2
