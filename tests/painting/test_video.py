"""Videos through the real command line: size, rate, sound, smoothed statistics, and errors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import fails, picture, run_cli

from neuralart.chain.model import load_model
from neuralart.engine.devices import open_device
from neuralart.options.paint import VIDEO_SUFFIXES
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.video import SmoothedStatistics, ffmpeg

FRAMES, RATE, SIZE = 5, 12.0, (40, 64)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video that pans over coloured waves."""
    path = tmp_path / "clip.avi"
    height, width = SIZE
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (width, height))
    wide = picture(3, height, width + 4 * FRAMES)
    for i in range(FRAMES):
        writer.write(np.ascontiguousarray(wide[:, 4 * i : 4 * i + width, ::-1]))
    writer.release()
    return path


def frames(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    found = []
    while True:
        there, frame = capture.read()
        if not there:
            return found, rate
        found.append(frame)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_keeps_its_size_rate_and_length(
    run_dir: Path, clip: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    result = run_cli("stylize", clip, out, "--model", run_dir)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    painted, rate = frames(out)
    assert len(painted) == FRAMES and rate == pytest.approx(RATE)
    assert {frame.shape for frame in painted} == {(*SIZE, 3)}
    assert abs(painted[0].astype(float) - frames(clip)[0][0]).mean() > 5
    assert {path.name for path in tmp_path.iterdir()} >= {"clip.avi", out.name}
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


def run_ffmpeg(*arguments: object) -> bytes:
    program = ffmpeg()
    assert program  # it comes with the extra ``video``, which the tests need
    command = [program, "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("part", [0.5, 2.0])
def test_the_sound_is_kept(run_dir: Path, clip: Path, tmp_path: Path, part: float) -> None:
    """A sound of half or twice the video's length costs no frames."""
    times = 5
    film = times * FRAMES / RATE
    loud, out = tmp_path / "loud.mp4", tmp_path / "out.mp4"
    tone = ("-f", "lavfi", "-t", film * part, "-i", "sine=frequency=440:sample_rate=8000")
    run_ffmpeg("-stream_loop", times - 1, "-i", clip, *tone, "-c:v", "mpeg4", "-c:a", "aac", loud)
    result = run_cli("stylize", loud, out, "--model", run_dir)
    assert result.exit_code == 0 and "without sound" not in result.output
    assert len(frames(out)[0]) == times * FRAMES
    pcm = run_ffmpeg("-i", out, "-map", "0:a", "-ac", 1, "-ar", 8000, "-f", "s16le", "-")
    samples = np.frombuffer(pcm, np.int16)
    # AAC comes in packets of 1,024 samples.
    assert len(samples) == pytest.approx(8000 * film * min(part, 1), abs=2 * 1024)
    assert np.abs(np.fft.rfft(samples)).argmax() == pytest.approx(440 * len(samples) / 8000, abs=2)


def test_a_camera_is_a_number(
    run_dir: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clip is used in place of camera 1."""
    real, asked = cv2.VideoCapture, []

    def capture(source: object) -> cv2.VideoCapture:
        asked.append(source)
        return real(str(clip) if source == 1 else source)

    monkeypatch.setattr(cv2, "VideoCapture", capture)
    monkeypatch.chdir(tmp_path)
    result = run_cli("stylize", 1, "seen.mp4", "--model", run_dir)
    assert result.exit_code == 0, result.output
    assert result.stdout == "seen.mp4\n" and asked == [1]
    monkeypatch.undo()
    assert len(frames(tmp_path / "seen.mp4")[0]) == FRAMES


def test_statistics_move_slowly(run_dir: Path) -> None:
    model = load_model(run_dir)
    painter = PhotoPainter(model, open_device("cpu"), len(model.specs))
    smoothed = SmoothedStatistics(painter, frames_per_second=10)
    first, second = picture(1), picture(2) // 3
    before = {name: array.copy() for name, array in smoothed(first).items()}
    after = smoothed(second)
    alone = painter.measure(second)
    for name in before:
        moved, far = abs(after[name] - before[name]).max(), abs(alone[name] - before[name]).max()
        assert 0 < moved < 0.15 * far


def test_an_error_is_one_line(run_dir: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    model = ("--model", run_dir)
    fails(run_cli("stylize", tmp_path / "gone.mp4", out, *model), 1, "gone.mp4", "no such video")
    fails(run_cli("stylize", text, out, *model), 1, "notes.mp4", "not a video")
    fails(run_cli("stylize", clip, clip, *model, "--overwrite"), 1, "is the video itself")
    fails(run_cli("stylize", clip, text, *model), 1, "exists", "--overwrite")
    fails(run_cli("stylize", clip, tmp_path / "no" / "out.mp4", *model), 1, "no such folder")
    assert text.read_text() == "no video" and not out.exists()
    assert VIDEO_SUFFIXES[0] == ".mp4"
