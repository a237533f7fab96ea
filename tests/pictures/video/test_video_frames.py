"""Frames as they are read: colours of every kind, transparency, depth, and where files end."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from helpers import run_cli
from video_files import SIZE, look, make_video, scene

from neuralart.options.paint import VIDEO_SUFFIXES
from neuralart.pictures.pixels import Image
from neuralart.pictures.video.containers import CONTAINERS
from neuralart.pictures.video.endings import ends_early
from neuralart.pictures.video.reading import VideoReader

GREEN = (32, 192, 64)

# Shares of red and blue in brightness, by matrix: H.273, table 4.
SHARES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}  # fmt: skip


def yuv(rgb: tuple[int, int, int], matrix: int, full: bool) -> list[int]:
    """Brightness and two differences of colours: H.273, section 8.3."""
    red, blue = SHARES[matrix]
    r, g, b = (value / 255 for value in rgb)
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    scales = [(255, 0), (255, 128), (255, 128)] if full else [(219, 16), (224, 128), (224, 128)]
    return [round(s * x + zero) for x, (s, zero) in zip((y, u, v), scales, strict=True)]


def flat(
    values: list[int], format: str = "yuv420p", size: tuple[int, int] = SIZE
) -> list[av.VideoFrame]:
    """Three frames of one colour."""
    height, width = size
    frames = []
    for _ in range(3):
        frame = av.VideoFrame(width, height, format)
        for plane, value in zip(frame.planes, values, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frames.append(frame)
    return frames


def first_frame(path: Path) -> Image:
    with VideoReader(str(path)) as video:
        return next(video.frames()).pixels


TAGS = {
    "601": (6, 1, 6, 6),
    "601 of 625 lines": (5, 1, 5, 6),
    "709": (1, 1, 1, 1),
    "709 full": (1, 2, 1, 1),
    "601 full": (6, 2, 6, 6),
    "240M": (7, 1, 7, 7),
    "2020 HLG": (9, 1, 9, 18),
    "sRGB curve": (1, 1, 1, 13),
}


@pytest.mark.parametrize("name", TAGS)
def test_colours_are_read_by_matrix_and_range(tmp_path: Path, name: str) -> None:
    matrix, luma, *_ = TAGS[name]
    encoded = flat(yuv(GREEN, matrix, luma == 2))
    source = make_video(tmp_path / "a.mp4", encoded=encoded, tags=TAGS[name], options={"qp": "0"})
    assert first_frame(source).reshape(-1, 3).mean(0) == pytest.approx(GREEN, abs=2)


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_colours_and_their_tags_are_kept(
    run_dir: Path, tmp_path: Path, name: str, suffix: str
) -> None:
    matrix, luma, *_ = TAGS[name]
    encoded = flat(yuv(GREEN, matrix, luma == 2))
    source = make_video(tmp_path / "a.mp4", encoded=encoded, tags=TAGS[name], options={"qp": "0"})
    out = tmp_path / f"out{suffix}"
    result = run_cli("stylize", source, out, "--model", run_dir, "--strength", 0)
    assert result.exit_code == 0, result.output
    assert look(out).tags == look(source).tags == TAGS[name]
    assert first_frame(out).reshape(-1, 3).mean(0) == pytest.approx(GREEN, abs=3)


def test_webm_keeps_the_tags_that_vp9_has(run_dir: Path, tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "a.mp4", encoded=flat(yuv(GREEN, 1, True)), tags=TAGS["709 full"]
    )
    out = tmp_path / "out.webm"
    result = run_cli("stylize", source, out, "--model", run_dir, "--strength", 0)
    assert result.exit_code == 0, result.output
    assert look(out).tags == TAGS["709 full"]
    assert first_frame(out).reshape(-1, 3).mean(0) == pytest.approx(GREEN, abs=3)


@pytest.mark.parametrize(("size", "matrix"), [(SIZE, 6), ((720, 1280), 1)])
def test_an_untagged_video_is_read_as_players_do(
    run_dir: Path, tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    encoded = flat(yuv(GREEN, matrix, False), size=size)
    source = make_video(tmp_path / "a.mp4", encoded=encoded)
    assert look(source).tags == (2, 0, 2, 2)
    assert first_frame(source).reshape(-1, 3).mean(0) == pytest.approx(GREEN, abs=2)
    for words, tag in (((), 2), (("--size", 64), 2 if matrix == 6 else 1)):
        out = tmp_path / "out.mp4"
        result = run_cli(
            "stylize", source, out, "--overwrite", "--model", run_dir, "--strength", 0, *words
        )
        assert result.exit_code == 0, result.output
        # A player would take another matrix for the small painting, so it is written.
        assert look(out).tags == (tag, int(tag != 2), 2, 2)
        assert first_frame(out).reshape(-1, 3).mean(0) == pytest.approx(GREEN, abs=3)


@pytest.mark.parametrize(
    ("codec", "format"),
    [("libx264", "yuv420p10le"), ("libx264", "yuv422p"), ("png", "rgb24"), ("png", "gray"), ("ffv1", "yuv420p16le"), ("ffv1", "bgr0"), ("mjpeg", "yuvj420p"), ("png", "rgba")],
)  # fmt: skip
def test_every_depth_and_format(run_dir: Path, tmp_path: Path, codec: str, format: str) -> None:
    name = "a.mov" if codec == "png" else "a.mkv"
    source = make_video(tmp_path / name, scene(3), codec=codec, pixel_format=format)
    out = tmp_path / "out.mp4"
    result = run_cli("stylize", source, out, "--model", run_dir, "--strength", 0)
    assert result.exit_code == 0, result.output
    expected = scene(3)[0].astype(float)
    if format == "gray":
        expected = (expected @ [0.299, 0.587, 0.114])[..., None]
    assert abs(look(out).frames[0] - expected).mean() < 6


def test_transparent_frames_are_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((*SIZE, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, 16:32, 3], rgba[:, 32:, 3] = 128, 255
    encoded = [av.VideoFrame.from_ndarray(rgba, "rgba") for _ in range(2)]
    source = make_video(tmp_path / "a.mov", encoded=encoded, codec="png", pixel_format="rgba")
    row = first_frame(source)[0]
    assert row[[0, 20, 40]].tolist() == [[255, 255, 255], [227, 127, 127], [200, 0, 0]]


def test_frames_that_change_their_size_take_that_of_the_first(tmp_path: Path) -> None:
    """As in what a browser records of a window."""
    path = tmp_path / "a.webm"
    small = make_video(tmp_path / "small.webm", scene(3, (24, 32)), codec="libvpx")
    large = make_video(tmp_path / "large.webm", scene(3), codec="libvpx")
    with av.open(str(path), "w") as output, av.open(str(large)) as a, av.open(str(small)) as b:
        stream = output.add_stream_from_template(a.streams.video[0], opaque=True)
        for shift, part in ((0, a), (300, b)):
            for packet in part.demux(part.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    output.mux(packet)
    with VideoReader(str(path)) as video:
        frames = list(video.frames())
    assert [frame.pixels.shape[:2] for frame in frames] == [SIZE] * 6
    assert float(frames[-1].time) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("suffix", [*VIDEO_SUFFIXES, ".ts"])
def test_what_ends_early(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx" if suffix == ".webm" else "libx264"
    whole = make_video(tmp_path / f"a{suffix}", codec=codec)
    cut = tmp_path / f"cut{suffix}"
    assert not ends_early(whole)
    for bytes_off in (1, 1000):
        cut.write_bytes(whole.read_bytes()[:-bytes_off])
        assert ends_early(cut) == (suffix != ".ts")  # which is made to be cut
    cut.write_bytes(whole.read_bytes() + bytes(100))
    assert not ends_early(cut)
    cut.write_bytes(b"")
    assert not ends_early(cut)


def test_the_containers_are_those_of_the_command() -> None:
    assert tuple(CONTAINERS) == VIDEO_SUFFIXES
