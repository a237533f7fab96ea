"""Animated GIF and WebP through the real command line: durations, plays, transparency, errors."""

from __future__ import annotations

import signal
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import fails, files_below, picture, run_cli, stylize
from PIL import Image as Pillow
from video_files import SIZE, look, make_video, scene

from neuralart.painting import video
from neuralart.pictures.video import animation
from neuralart.pictures.writing import write_image

Array = np.ndarray[Any, Any]

DURATIONS = [100, 150, 50, 1000, 100, 70]


def make(path: Path, loop: int | None = None, alpha: bool = False, **options: Any) -> Path:
    """An animation of six frames; with ``alpha``, a hole wanders over it."""
    frames = [Pillow.fromarray(frame) for frame in scene()]
    if alpha:
        for i, frame in enumerate(frames):
            frame.putalpha(Pillow.fromarray(hole(i)))
    options = {"duration": DURATIONS, **options}
    if loop is not None:
        options["loop"] = loop
    if path.suffix == ".webp":
        options["lossless"] = True
    frames[0].save(path, save_all=True, append_images=frames[1:], disposal=2, **options)
    return path


def hole(index: int) -> Array:
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[10:30, 8 * index : 8 * index + 16] = 0
    return alpha


@dataclass
class Shown:
    frames: list[Array]
    durations: list[int]
    loop: int | None


def shown(path: Path) -> Shown:
    with Pillow.open(path) as file:
        assert file.format == path.suffix.removeprefix(".").upper()
        frames, durations = [], []
        for index in range(file.n_frames):
            file.seek(index)
            frames.append(np.asarray(file.convert("RGBA")))
            durations.append(file.info.get("duration", 0))
        return Shown(frames, durations, file.info.get("loop"))


@pytest.mark.parametrize("target", [".gif", ".webp"])
@pytest.mark.parametrize("source", [".gif", ".webp"])
def test_durations_and_plays_are_kept(
    run_dir: Path, tmp_path: Path, source: str, target: str
) -> None:
    # Source's word for a loop: target's. GIF counts repetitions, WebP plays.
    loops: dict[int | None, int | None] = {0: 0, 3: 3}
    if source != target:
        loops = {0: 0, None: 1, 2: 3} if source == ".gif" else {0: 0, 1: None, 3: 2}
    elif source == ".gif":
        loops[None] = None
    out = tmp_path / f"out{target}"
    for given, expected in loops.items():
        clip = make(tmp_path / f"in{source}", given)
        result = stylize(run_dir, clip, out, "--overwrite")
        assert result.stdout == f"{out}\n"
        found = shown(out)
        assert found.durations == DURATIONS and found.loop == expected
    assert found.frames[0].shape == (*SIZE, 4)
    for painted, frame in zip(found.frames, scene(), strict=True):
        assert abs(painted[..., :3].astype(float) - frame).mean() > 5
    stylize(run_dir, clip, out, "--overwrite", "--strength", 0)
    for copied, frame in zip(shown(out).frames, scene(), strict=True):
        assert abs(copied[..., :3].astype(float) - frame).mean() < 8
    assert files_below(tmp_path) == [f"in{source}", f"out{target}"]


@pytest.mark.parametrize("target", [".gif", ".webp"])
@pytest.mark.parametrize("source", [".gif", ".webp"])
def test_transparency_is_kept(run_dir: Path, tmp_path: Path, source: str, target: str) -> None:
    clip, out = make(tmp_path / f"in{source}", 0, alpha=True), tmp_path / f"out{target}"
    stylize(run_dir, clip, out)
    found = shown(out)
    assert found.durations == DURATIONS
    for index, frame in enumerate(found.frames):
        np.testing.assert_array_equal(frame[..., 3], hole(index))
    stylize(run_dir, clip, tmp_path / f"small{target}", "--size", 32)
    small = shown(tmp_path / f"small{target}").frames
    assert small[0].shape == (24, 32, 4) and small[0][..., 3].min() == 0


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_to_and_from_a_video(run_dir: Path, tmp_path: Path, suffix: str) -> None:
    clip = make(tmp_path / f"in{suffix}")
    stylize(run_dir, clip, tmp_path / "out.mp4", "--strength", 0)
    found = look(tmp_path / "out.mp4")
    assert found.times == pytest.approx([0.0, 0.1, 0.25, 0.3, 1.3, 1.4], abs=1e-3)
    for frame, expected in zip(found.frames, scene(), strict=True):
        assert abs(frame.astype(float) - expected).mean() < 8
    stylize(run_dir, tmp_path / "out.mp4", tmp_path / f"back{suffix}")
    back = shown(tmp_path / f"back{suffix}")
    assert back.loop == 0 and back.durations[:-1] == pytest.approx(DURATIONS[:-1], abs=10)
    thirty = make_video(tmp_path / "30.mp4", times=[i / 30 for i in range(6)])
    stylize(run_dir, thirty, tmp_path / f"30{suffix}")
    durations = shown(tmp_path / f"30{suffix}").durations
    assert sum(durations[:5]) == pytest.approx(5000 / 30, abs=11) and min(durations) >= 20


def test_gif_leaves_out_frames_that_browsers_would_show_slowly(
    run_dir: Path, tmp_path: Path
) -> None:
    fast = make_video(tmp_path / "fast.mp4", times=[i / 100 for i in range(6)])
    stylize(run_dir, fast, tmp_path / "fast.gif")
    assert shown(tmp_path / "fast.gif").durations[:2] == [20, 20]
    assert len(shown(tmp_path / "fast.gif").frames) == 3


def test_still_pictures_and_batches_are_as_ever(run_dir: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", picture(1))
    words = ("stylize", tmp_path / "in.png", tmp_path / "out.gif", "--model", run_dir)
    fails(run_cli(*words), 1, "out.gif: no picture format of that suffix")
    write_image(tmp_path / "in.webp", picture(1))
    stylize(run_dir, tmp_path / "in.webp", tmp_path / "out.webp")
    assert len(shown(tmp_path / "out.webp").frames) == 1
    clip = make(tmp_path / "clip.gif")
    stylize(run_dir, clip, tmp_path / "first.png")
    with Pillow.open(tmp_path / "first.png") as first:
        assert first.size == SIZE[::-1]
    Pillow.fromarray(scene()[0]).save(tmp_path / "still.gif")
    stylize(run_dir, tmp_path / "still.gif", tmp_path / "still-out.gif")
    assert len(shown(tmp_path / "still-out.gif").frames) == 1


def test_errors_leave_nothing_behind(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, out = make(tmp_path / "in.gif"), tmp_path / "out.gif"
    words = ("stylize", clip, out, "--model", run_dir)
    fails(run_cli("stylize", clip, clip, "--model", run_dir), 1, "is the video itself")
    fails(run_cli("stylize", 0, out, "--model", run_dir), 1, "a camera is painted into a video")
    fails(run_cli(*words, "--max-pixels", 0.001), 1, "in.gif: 64x48 is over the limit")
    monkeypatch.setattr(animation, "MOST_PIXELS", 15_000)
    fails(run_cli(*words), 1, "out.gif: 6 frames of 64x48 are over", "write a video as .mp4")
    monkeypatch.undo()
    assert files_below(tmp_path) == ["in.gif"]
    out.write_bytes(b"old")
    fails(run_cli(*words), 1, "out.gif: exists")
    assert run_cli(*words, "--skip-existing").exit_code == 0 and out.read_bytes() == b"old"


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_damaged_animation_is_painted_as_far_as_it_goes(
    run_dir: Path, tmp_path: Path, suffix: str
) -> None:
    clip = make(tmp_path / f"in{suffix}")
    data = clip.read_bytes()
    clip.write_bytes(data[: int(len(data) * 0.7)])
    words = ("stylize", clip, tmp_path / "out.gif", "--model", run_dir)
    result = run_cli(*words)
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
    if suffix == ".gif":
        assert "in.gif: ends early; " in result.stderr
        assert 1 <= len(shown(tmp_path / "out.gif").frames) < 6
    else:  # WebP says its length at the beginning: the file is not one any more
        assert files_below(tmp_path) == [clip.name]


def test_a_frame_that_claims_to_be_larger_ends_the_animation(run_dir: Path, tmp_path: Path) -> None:
    clip = make(tmp_path / "in.gif")
    frame = b"\x2c" + struct.pack("<4H", 0, 0, *SIZE[::-1])
    parts = clip.read_bytes().split(frame)
    assert len(parts) == 7
    large = b"\x2c" + struct.pack("<4H", 0, 0, 60_000, 60_000)
    clip.write_bytes(frame.join(parts[:3]) + large + frame.join(parts[3:]))
    result = run_cli("stylize", clip, tmp_path / "out.gif", "--model", run_dir)
    assert result.exit_code == 1 and "out.gif has the frames that are there: 2" in result.stderr
    assert len(shown(tmp_path / "out.gif").frames) == 2


def test_ctrl_c_leaves_the_frames_so_far(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = video.Stylizer.paint
    count = 0

    def stop(self: video.Stylizer, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            signal.raise_signal(signal.SIGINT)
        return paint(self, *arguments)

    monkeypatch.setattr(video.Stylizer, "paint", stop)
    clip, out = make(tmp_path / "in.gif", 0), tmp_path / "out.gif"
    fails(run_cli("stylize", clip, out, "--model", run_dir), 130, "has the frames so far: 3")
    assert shown(out).durations[:2] == DURATIONS[:2] and shown(out).loop == 0
