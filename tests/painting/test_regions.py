"""`stylize --mask`, `--keep faces` and `--colors` through the real command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage
from helpers import fails, files_below, picture, run_cli, stylize
from PIL import Image as Pillow
from video_files import SIZE, look, make_video, scene

from neuralart.pictures.matching import colour_statistics
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile, read_image
from neuralart.pictures.writing import write_image, write_picture

Array = np.ndarray[Any, Any]

PORTRAIT = Path(skimage.__file__).parent / "data" / "astronaut.png"

Paint = Callable[..., Array]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", picture(3, 48, 64))
    return tmp_path / "photo.png"


@pytest.fixture
def paint(run_dir: Path, photo: Path) -> Paint:
    """The painting of a photo, with the options given."""

    def run(*options: object, of: Path = photo) -> Array:
        target = photo.with_name(f"p{of.suffix}")
        stylize(run_dir, of, target, "--overwrite", *options)
        return PictureFile(target).read().pixels

    return run


def mask_of(path: Path, gray: Array) -> Path:
    Pillow.fromarray(gray).save(path)
    return path


def halves(height: int = 48, width: int = 64, left: int = 255) -> Array:
    """White, or as light as ``left``, on the left; black on the right."""
    gray = np.zeros((height, width), np.uint8)
    gray[:, : width // 2] = left
    return gray


def test_white_is_painted_and_black_stays_the_photo(
    paint: Paint, photo: Path, tmp_path: Path
) -> None:
    mask = mask_of(tmp_path / "mask.png", halves())
    for options in [(), ("--strength", 0.6), ("--strength", 0.2), ("--preserve-colors",)]:
        plain, masked = paint(*options), paint("--mask", mask, *options)
        np.testing.assert_array_equal(masked[:, :32], plain[:, :32])
        np.testing.assert_array_equal(masked[:, 32:], read_image(photo)[:, 32:])
    white = mask_of(tmp_path / "white.png", np.full((48, 64), 255, np.uint8))
    np.testing.assert_array_equal(paint("--mask", white), paint())
    black = mask_of(tmp_path / "black.png", np.zeros((48, 64), np.uint8))
    np.testing.assert_array_equal(paint("--mask", black), read_image(photo))


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_gray_is_that_share_of_the_strength(paint: Paint, tmp_path: Path, strength: float) -> None:
    for level in (51, 102, 153, 204):
        mask = mask_of(tmp_path / "mask.png", np.full((48, 64), level, np.uint8))
        masked = paint("--mask", mask, "--strength", strength).astype(float)
        plain = paint("--strength", strength * level / 255)
        assert abs(masked - plain).max() <= 1
    ramp = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(48, axis=0)
    masked = paint("--mask", mask_of(tmp_path / "ramp.png", ramp)).astype(float)
    for column in (8, 24, 40, 56):
        plain = paint("--strength", ramp[0, column] / 255)
        assert abs(masked - plain)[:, column].max() <= 1


def test_masks_are_scaled_and_have_any_depth(paint: Paint, photo: Path, tmp_path: Path) -> None:
    expected = paint("--mask", mask_of(tmp_path / "mask.png", halves()))
    write_picture(
        tmp_path / "deep.tiff", Picture(np.dstack([halves().astype(np.uint16) * 257] * 3))
    )
    np.testing.assert_array_equal(paint("--mask", tmp_path / "deep.tiff"), expected)
    clear = np.dstack([np.full((48, 64, 3), 255, np.uint8), halves()])
    np.testing.assert_array_equal(
        paint("--mask", mask_of(tmp_path / "a.png", clear)), expected, "transparent is black"
    )
    large = mask_of(tmp_path / "large.png", halves(96, 128))
    np.testing.assert_array_equal(paint("--mask", large), expected)
    small = paint("--mask", mask_of(tmp_path / "small.png", halves(12, 16)))
    np.testing.assert_array_equal(small[:, 40:], read_image(photo)[:, 40:])
    np.testing.assert_array_equal(small[:, :24], paint()[:, :24])


def test_masks_with_tiles_sizes_depth_and_alpha(paint: Paint, photo: Path, tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 160).astype(np.uint8)[None].repeat(120, axis=0)
    mask = mask_of(tmp_path / "mask.png", ramp)
    write_image(tmp_path / "large.png", picture(4, 120, 160))
    whole = paint("--mask", mask, of=tmp_path / "large.png").astype(float)
    tiled = paint("--mask", mask, "--tile", 128, of=tmp_path / "large.png")
    assert abs(whole - tiled).max() <= 1
    kept = paint("--mask", mask, "--size", 32, "--keep-size")
    assert kept.shape == (48, 64, 3)
    assert paint("--mask", mask, "--size", 32).shape == (24, 32, 3)
    alpha = picture(5, 48, 64)[..., 0].astype(np.uint16) * 257
    deep = Picture(read_image(photo).astype(np.uint16) * 257 + 3, alpha)
    write_picture(tmp_path / "deep.png", deep)
    half = mask_of(tmp_path / "half.png", halves())
    masked = paint("--mask", half, of=tmp_path / "deep.png")
    np.testing.assert_array_equal(masked[:, 32:], deep.pixels[:, 32:])
    assert abs(masked[:, :32].astype(int) - deep.pixels[:, :32]).mean() > 600
    np.testing.assert_array_equal(PictureFile(tmp_path / "p.png").read().alpha, alpha)


def test_strength_0_is_the_photo_whatever_else_is_asked_for(
    paint: Paint, photo: Path, tmp_path: Path
) -> None:
    """The photo's own pixels, 8 and 16 bits, with alpha and tiles."""
    mask = mask_of(tmp_path / "mask.png", halves())
    rng = np.random.default_rng(0)
    for kind, name in ((np.uint8, "8.png"), (np.uint16, "16.png"), (np.uint16, "16.tiff")):
        pixels = rng.integers(0, np.iinfo(kind).max, (48, 64, 4), kind, endpoint=True)
        write_picture(tmp_path / name, Picture(pixels[..., :3].copy(), pixels[..., 3].copy()))
        for options in [
            ("--tile", 32), ("--mask", mask), ("--colors", "photo"), ("--preserve-colors",),
            ("--keep", "faces"), ("--stroke", 2), ("--stroke", 0.5),
        ]:  # fmt: skip
            painting = paint("--strength", 0, *options, of=tmp_path / name)
            np.testing.assert_array_equal(painting, pixels[..., :3], f"{name} {options}")
            alpha = PictureFile((tmp_path / "p.png").with_suffix(Path(name).suffix)).read().alpha
            np.testing.assert_array_equal(alpha, pixels[..., 3])


def test_one_mask_for_a_batch(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    """It is for all photos of its proportions; the others fail."""
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a.png", picture(1, 48, 64))
    write_image(tmp_path / "in" / "b.png", picture(2, 64, 48))
    write_image(tmp_path / "in" / "c.png", picture(3, 24, 32))
    mask = mask_of(tmp_path / "mask.png", halves())
    result = run_cli(
        "stylize", tmp_path / "in", tmp_path / "out", "--mask", mask, "--model", run_dir
    )
    assert result.exit_code == 1
    assert files_below(tmp_path / "out") == ["a.png", "c.png"]
    assert f"error: --mask {mask}: is 64x48, of other proportions than" in result.stderr
    assert "b.png, 48x64; crop it" in result.stderr and "2 painted" in result.stderr


def test_a_mask_of_a_video(run_dir: Path, tmp_path: Path) -> None:
    clip, mask = make_video(tmp_path / "clip.mp4"), mask_of(tmp_path / "m.png", halves(*SIZE))
    stylize(run_dir, clip, tmp_path / "out.mkv", "--mask", mask)
    for painted, frame in zip(look(tmp_path / "out.mkv").frames, scene(), strict=True):
        change = abs(painted.astype(float) - frame)
        assert change[:, 40:].mean() < 4 < change[:, :24].mean()
    wrong = mask_of(tmp_path / "wrong.png", halves(10, 64))
    words = ("stylize", clip, tmp_path / "no.mp4", "--model", run_dir, "--mask", wrong)
    fails(run_cli(*words), 1, "wrong.png: is 64x10, of other proportions than", "clip.mp4, 64x48")
    assert not (tmp_path / "no.mp4").exists()


def test_wrong_masks(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    words = ("stylize", photo, tmp_path / "out.png", "--model", run_dir, "--mask")
    wrong = mask_of(tmp_path / "wrong.png", halves(48, 60))
    fails(run_cli(*words, wrong), 1, f"--mask {wrong}: is 60x48", f"than {photo}, 64x48")
    (tmp_path / "text.png").write_text("hello")
    fails(run_cli(*words, tmp_path / "text.png"), 1, "--mask", "text.png: not a picture")
    fails(run_cli(*words, tmp_path / "none.png"), 1, "--mask", "none.png: cannot be read: No such")
    fails(run_cli(*words, tmp_path), 1, "--mask", "is a folder")
    assert files_below(tmp_path) == ["photo.png", "text.png", "wrong.png"]


FACE, CORNER = (slice(70, 190), slice(170, 270)), (slice(300, 512), slice(0, 512))


def test_faces_are_painted_weakly_with_a_soft_edge(
    run_dir: Path, tmp_path: Path, paint: Paint
) -> None:
    half = np.asarray(Pillow.open(PORTRAIT).convert("RGB").reduce(2))
    write_image(tmp_path / "in.png", half)
    inside, outside = (tuple(slice(s.start // 2, s.stop // 2) for s in p) for p in (FACE, CORNER))
    plain, weak = paint(of=tmp_path / "in.png"), paint("--strength", 0.4, of=tmp_path / "in.png")
    result = stylize(run_dir, tmp_path / "in.png", tmp_path / "k.png", "--keep", "faces")
    assert (
        "note: " in result.stderr
        and "in.png: 1 face found, painted with strength 0.4" in result.stderr
    )
    kept = read_image(tmp_path / "k.png").astype(float)
    np.testing.assert_array_equal(kept[outside], plain[outside])
    centre = tuple(slice(s.start + 15, s.stop - 15) for s in inside)
    assert abs(kept - weak)[centre].max() <= 1
    steps = abs(np.diff(abs(kept - plain).mean(axis=2), axis=1)).max()
    assert 0 < steps < 2 * abs(np.diff(plain.astype(float).mean(axis=2), axis=1)).max()
    result = stylize(run_dir, tmp_path / "in.png", tmp_path / "n.png", "--keep", "faces=0")
    assert "strength 0\n" in result.stderr
    photo = read_image(tmp_path / "in.png")
    np.testing.assert_array_equal(read_image(tmp_path / "n.png")[centre], photo[centre])
    gray = np.full(half.shape[:2], 51, np.uint8)
    masked = paint(
        "--mask", mask_of(tmp_path / "m.png", gray), "--keep", "faces", of=tmp_path / "in.png"
    )
    alone = paint("--mask", tmp_path / "m.png", of=tmp_path / "in.png")
    np.testing.assert_array_equal(masked, alone, "a mask may be weaker than --keep")


def test_photos_without_faces_and_the_report(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    stylize(run_dir, photo, tmp_path / "plain.png")
    result = stylize(run_dir, photo, tmp_path / "kept.png", "--keep", "faces")
    assert "photo.png: no face found" in result.stderr
    assert (tmp_path / "kept.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    result = stylize(
        run_dir, photo, PORTRAIT, tmp_path / "out", "--size", 200, "--keep", "faces=0.2"
    )
    assert "photo.png: no face found" in result.stderr
    assert "astronaut.png: 1 face found, painted with strength 0.2" in result.stderr
    assert "2 painted (0.3 megapixels), 1 face found in" in result.stderr


def test_faces_of_a_video(run_dir: Path, tmp_path: Path) -> None:
    portrait = np.asarray(Pillow.open(PORTRAIT).convert("RGB").crop((100, 0, 356, 256)).reduce(2))
    clip = make_video(tmp_path / "clip.mp4", [portrait] * 2)
    result = stylize(run_dir, clip, tmp_path / "out.mp4", "--keep", "faces")
    assert "note: faces found in 2 of 2 frames" in result.stderr


def test_wrong_words_of_keep(
    run_dir: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("stylize", photo, tmp_path / "out.png", "--model", run_dir, "--keep")
    fails(run_cli(*words, "hands"), 2, "--keep hands: only faces can be kept")
    fails(run_cli(*words, "face"), 2, "did you mean faces?")
    for wrong in ("faces=", "faces=2", "faces=-1", "faces=nan", "faces=x"):
        fails(run_cli(*words, wrong), 2, f"--keep {wrong}: write a strength from 0 to 1")
    monkeypatch.delattr(cv2, "CascadeClassifier")
    fails(run_cli(*words, "faces"), 1, "comes without its face detector; pip install")
    assert files_below(tmp_path) == ["photo.png"]


def test_colours_are_matched_to_the_photo(paint: Paint, photo: Path) -> None:
    shown, own = read_image(photo), paint()
    np.testing.assert_array_equal(paint("--colors", "painting"), own)
    np.testing.assert_array_equal(paint("--colors", 1), own)
    matched = paint("--colors", "photo")
    np.testing.assert_array_equal(paint("--colors", 0), matched)

    def distances(pixels: Array) -> tuple[float, float]:
        (mean, spread), (goal, wanted) = (colour_statistics(Picture(p)) for p in (pixels, shown))
        return float(abs(mean - goal).max()), float(np.linalg.norm(spread - wanted))

    assert distances(matched)[0] < min(3, distances(own)[0] / 3)
    assert distances(matched)[1] < distances(own)[1] / 3
    between = paint("--colors", 0.5).astype(float)
    assert abs(between - (matched.astype(float) + own) / 2).max() <= 1


def test_a_gray_photo_has_a_gray_painting(paint: Paint, tmp_path: Path) -> None:
    gray = picture(3, 48, 64)[..., :1].repeat(3, axis=2)
    for kind, scale in ((np.uint8, 1), (np.uint16, 257)):
        write_picture(tmp_path / "gray.png", Picture(gray.astype(kind) * kind(scale)))
        painting = paint("--colors", "photo", of=tmp_path / "gray.png") / scale
        assert painting.std(axis=2).max() < 3 < painting.std()
    write_image(tmp_path / "flat.png", np.full((48, 64, 3), 90, np.uint8))
    flat = paint("--colors", "photo", of=tmp_path / "flat.png").astype(int)
    assert abs(flat - 90).max() <= 1


def test_hidden_pixels_do_not_colour_the_painting(paint: Paint, tmp_path: Path) -> None:
    shown = picture(3, 48, 64)
    alpha = halves()
    for name, hidden in (("a", 0), ("b", 255)):
        pixels = np.where(alpha[..., None] > 0, shown, np.uint8(hidden))
        write_picture(tmp_path / f"{name}.png", Picture(pixels, alpha))
        painting = paint("--colors", "photo", of=tmp_path / f"{name}.png")
        mean = painting[:, :32].mean(axis=(0, 1))
        assert abs(mean - shown[:, :32].mean(axis=(0, 1))).max() < 6


def test_wrong_words_of_colors(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    words = ("stylize", photo, tmp_path / "out.png", "--model", run_dir, "--colors")
    for wrong in ("red", "1.5", "-0.1", "nan", ""):
        fails(run_cli(*words, wrong), 2, f"--colors {wrong}: write photo, painting, or a number")
    fails(run_cli(*words, "photo", "--preserve-colors"), 2, "give one of them")
    assert files_below(tmp_path) == ["photo.png"]
