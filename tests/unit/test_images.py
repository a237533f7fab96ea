from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from neuralart import images
from neuralart.errors import ImageError, OutputError


def test_image_to_x_and_back_is_exact() -> None:
    every_value = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    x = images.to_x(every_value)
    assert x.shape == (1, 3, 16, 16) and x.dtype == np.float32
    np.testing.assert_array_equal(images.to_image(x), every_value)


def test_x_is_rgb_minus_mean() -> None:
    red = np.zeros((2, 3, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_allclose(images.to_x(red)[0, :, 0, 0], [76.32, -116.779, -103.939], rtol=1e-6)


def test_to_image_rounds_and_clips() -> None:
    x = np.array([1.4, 1.6, 300.0], np.float32) - images.PIXEL_MEAN
    assert images.to_image(x.reshape(1, 3, 1, 1)).tolist() == [[[1, 2, 255]]]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm", ".PNG"])
def test_lossless_files_come_back(tmp_path: Path, suffix: str) -> None:
    image = picture(0, 7, 11)
    images.write_image(tmp_path / f"a{suffix}", image)
    np.testing.assert_array_equal(images.read_image(tmp_path / f"a{suffix}"), image)


def test_jpeg_is_near(tmp_path: Path) -> None:
    smooth = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    images.write_image(tmp_path / "a.jpg", smooth)
    near = images.read_image(tmp_path / "a.jpg").astype(int)
    assert abs(near - smooth).max() <= 2


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    whole = images.encode_image(picture(0), ".jpg")
    for name, data in {"empty.jpg": b"", "cut.jpg": whole[:-40], "text.png": b"hello"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=name):
            images.read_image(tmp_path / name)
    with pytest.raises(ImageError, match="No such file"):
        images.read_image(tmp_path / "none.png")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        images.write_image(tmp_path / "no" / "a.png", picture(0))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError):
        images.write_image(tmp_path / "folder.png", picture(0))
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_resize_shorter_edge_keeps_proportions() -> None:
    assert images.resize_shorter_edge(picture(0, 40, 80), 20).shape == (20, 40, 3)
    assert images.resize_shorter_edge(picture(0, 33, 21), 42).shape == (66, 42, 3)


def test_contact_sheet_places_pictures() -> None:
    black, grey = np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 3), 9, np.uint8)
    sheet = images.contact_sheet([[black, grey], [grey]], gap_px=2)
    assert sheet.shape == (10, 14, 3)
    assert (
        (sheet[:4, :6] == 0).all() and (sheet[:4, 8:] == 9).all() and (sheet[6:, 8:] == 255).all()
    )
