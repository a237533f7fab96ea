"""`stylize --stroke` through the real command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import fails, files_below, picture, run_cli, stylize
from video_files import SIZE, look, make_video

from neuralart.machine.archive import Arrays
from neuralart.options.paint import StylizeConfig
from neuralart.painting import strokes
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.strokes import (
    DETAIL_SHARE,
    OVER_SHARE,
    coat_sizes,
    fitting_stroke,
    underpainting,
)
from neuralart.painting.stylizer import Stylizer
from neuralart.pictures.editing import resize
from neuralart.pictures.pixels import Picture, Pixels
from neuralart.pictures.reading import PictureFile, read_image
from neuralart.pictures.writing import write_image, write_picture


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", picture(3, 49, 65))
    return tmp_path / "photo.png"


def test_finer_strokes_are_painted_larger_and_brought_back(
    run_dir: Path, photo: Path, tmp_path: Path
) -> None:
    stylize(run_dir, photo, tmp_path / "out.png", "--stroke", 0.5)
    write_image(tmp_path / "resized.png", resize(read_image(photo), (98, 130)))
    stylize(run_dir, tmp_path / "resized.png", tmp_path / "painted.png")
    expected = resize(read_image(tmp_path / "painted.png"), (49, 65))
    np.testing.assert_array_equal(read_image(tmp_path / "out.png"), expected)
    assert run_cli("plan", photo, "--stroke", 0.5, "--model", run_dir).exit_code == 0


@pytest.mark.parametrize(("stroke", "size"), [(2, (24, 32)), (1.3, (38, 50))])
def test_the_first_stage_goes_over_broad_strokes(
    run_dir: Path, photo: Path, tmp_path: Path, stroke: float, size: tuple[int, int]
) -> None:
    stylize(run_dir, photo, tmp_path / "out.png", "--stroke", stroke)
    copy = resize(read_image(photo), size)
    write_image(tmp_path / "copy.png", copy)
    stylize(run_dir, tmp_path / "copy.png", tmp_path / "broad.png")
    under = underpainting(read_image(tmp_path / "broad.png"), copy, read_image(photo))
    write_image(tmp_path / "under.png", under)
    over = ("--stage", 1, "--strength", OVER_SHARE, "--grain", 0)
    stylize(run_dir, tmp_path / "under.png", tmp_path / "over.png", *over)
    # Here stage and underpainting are mixed after rounding.
    difference = read_image(tmp_path / "out.png").astype(int) - read_image(tmp_path / "over.png")
    assert abs(difference).max() <= 1
    plan = run_cli("plan", photo, "--stroke", stroke, "--model", run_dir)
    assert f"painted at {size[1]}x{size[0]}, then 65x49" in plan.stdout


def test_an_underpainting_has_some_of_the_detail() -> None:
    """Constant pictures come out by hand; a photo that is its enlarged copy adds nothing."""

    def constant(level: int, *size: int) -> np.ndarray:
        return np.full((*size, 3), level, np.uint8)

    under = underpainting(constant(100, 2, 3), constant(60, 2, 3), constant(80, 4, 6))
    np.testing.assert_array_equal(under, constant(round(100 + DETAIL_SHARE * 20), 4, 6))
    assert (underpainting(constant(250, 2, 3), constant(0, 2, 3), constant(90, 4, 6)) == 255).all()
    painting, copy = picture(1, 20, 30), picture(2, 20, 30)
    under = underpainting(painting, copy, resize(copy, (37, 51)))
    np.testing.assert_array_equal(under, resize(painting, (37, 51)))
    deep = [each.astype(np.uint16) * 257 for each in (painting, copy, picture(3, 37, 51))]
    under = underpainting(*deep)
    assert under.dtype == np.uint16 and under.shape == (37, 51, 3)


def test_strokes_fit_the_size_of_a_picture() -> None:
    assert fitting_stroke((256, 9000)) == fitting_stroke((460, 460)) == 1
    assert fitting_stroke((461, 700)) == pytest.approx(1.2, abs=1e-3)
    assert fitting_stroke((1280, 2000)) == fitting_stroke((2000, 1280)) == 2
    assert fitting_stroke((2560, 5120)) == 4


@pytest.mark.parametrize(
    ("stroke", "expected"),
    [
        (0.5, [(200, 400)]),
        (1, [(100, 200)]),
        (2, [(50, 100), (100, 200)]),
        (4, [(25, 50), (50, 100), (100, 200)]),
    ],
)
def test_coats_lead_to_the_size_of_the_picture(
    stroke: float, expected: list[tuple[int, int]]
) -> None:
    assert coat_sizes((100, 200), stroke) == expected
    assert coat_sizes((1, 1), stroke)[-1] == ((2, 2) if stroke < 1 else (1, 1))


@pytest.fixture
def large_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits a photo of 49x65 is a stroke of 3.5, in three coats."""
    monkeypatch.setattr(strokes, "LEARNED_PX", 4)


@pytest.mark.usefixtures("large_photos")
def test_a_large_photo_has_the_strokes_that_fit_it(
    run_dir: Path, photo: Path, tmp_path: Path
) -> None:
    stylize(run_dir, photo, tmp_path / "fits.png")
    stylize(run_dir, photo, tmp_path / "one.png", "--stroke", 1)
    fits, one = (read_image(tmp_path / f"{name}.png") for name in ("fits", "one"))
    assert fits.shape == one.shape and abs(fits.astype(int) - one).mean() > 1
    plan = run_cli("plan", photo, "--model", run_dir)
    assert "painted at 19x14, then 35x26, then 65x49" in plan.stdout
    for options in (("--tile", 40), ("--max-memory", "330MB"), ("--threads", 1)):
        stylize(run_dir, photo, tmp_path / "again.png", *options, "--overwrite")
        difference = read_image(tmp_path / "again.png").astype(int) - fits
        assert abs(difference).max() <= 1, options
    for options in (("--strength", 0.3), ("--colors", "photo"), ("--size", 40), ("--stage", 1)):
        stylize(run_dir, photo, tmp_path / "more.png", *options, "--overwrite")


def test_stroke_1_changes_nothing(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    stylize(run_dir, photo, tmp_path / "plain.png")
    stylize(run_dir, photo, tmp_path / "one.png", "--stroke", 1)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_strokes_with_sizes_depth_and_alpha(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    stylize(run_dir, photo, tmp_path / "small.png", "--size", 32, "--stroke", 2)
    assert read_image(tmp_path / "small.png").shape == (24, 32, 3)
    options = ("--size", 32, "--keep-size", "--stroke", 2)
    stylize(run_dir, photo, tmp_path / "kept.png", *options)
    assert read_image(tmp_path / "kept.png").shape == (49, 65, 3)
    alpha = picture(5, 49, 65)[..., 0].astype(np.uint16) * 257
    deep = read_image(photo).astype(np.uint16) * 257
    write_picture(tmp_path / "deep.tiff", Picture(deep, alpha))
    stylize(run_dir, tmp_path / "deep.tiff", tmp_path / "out.tiff", "--stroke", 0.7)
    painting = PictureFile(tmp_path / "out.tiff").read()
    assert painting.pixels.dtype == np.uint16 and painting.size == (49, 65)
    np.testing.assert_array_equal(painting.alpha, alpha)
    write_image(tmp_path / "dot.png", picture(1, 1, 1))
    stylize(run_dir, tmp_path / "dot.png", tmp_path / "dot-out.png", "--stroke", 2)
    assert read_image(tmp_path / "dot-out.png").shape == (1, 1, 3)


def test_strokes_of_a_video(run_dir: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4")
    stylize(run_dir, clip, tmp_path / "out.mkv", "--stroke", 1.5)
    found = look(tmp_path / "out.mkv")
    assert len(found.frames) == 6 and found.frames[0].shape == (*SIZE, 3)


def test_wrong_strokes(run_dir: Path, photo: Path, tmp_path: Path) -> None:
    words = ("stylize", photo, tmp_path / "out.png", "--model", run_dir)
    for wrong in (0, 0.49, 2.1, -1, "nan", "wide"):
        fails(run_cli(*words, "--stroke", wrong), 2, "--stroke")
    megapixels = 49 * 65 / 1e6
    message = "photo.png: --stroke 0.5 makes 130x98, over --max-pixels"
    fails(run_cli(*words, "--stroke", 0.5, "--max-pixels", megapixels), 1, message)
    words = ("plan", photo, "--model", run_dir)
    fails(run_cli(*words, "--stroke", 0.5, "--max-pixels", megapixels), 1, message)
    assert files_below(tmp_path) == ["photo.png"]


@pytest.mark.usefixtures("large_photos")
def test_coats_share_the_memory(run_dir: Path) -> None:
    """Within a limit, what painted one coat gives its memory back for the next."""
    for limit, keeps in ((None, True), ("400MB", False)):
        stylizer = Stylizer(StylizeConfig(model=str(run_dir), max_memory=limit))
        stylizer.paint(Picture(picture(3, 49, 65)))
        assert (stylizer.painter.kept_bytes > 0) == keeps
        assert stylizer.over.kept_bytes > 0


@pytest.mark.usefixtures("large_photos")
def test_every_coat_of_a_frame_has_statistics_of_its_own(run_dir: Path) -> None:
    stylizer = Stylizer(StylizeConfig(model=str(run_dir)))
    measured: dict[str, tuple[int, ...]] = {}

    def measure(painter: PhotoPainter, coat: str, pixels: Pixels) -> Arrays:
        assert painter is (stylizer.over if measured else stylizer.painter)
        assert coat not in measured
        measured[coat] = pixels.shape[:2]
        return painter.measure(pixels)

    frame = Picture(picture(3, 49, 65))
    painting = stylizer.paint(frame, measure)
    assert list(measured.values()) == [(14, 19), (26, 35), (49, 65)]
    # Its own statistics are those that a photo is painted on.
    difference = painting.pixels.astype(int) - stylizer.paint(frame).pixels
    assert abs(difference).max() <= 1
