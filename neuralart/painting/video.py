"""``neuralart stylize in.mp4 out.mp4``: paint a video, or what a camera sees, frame by frame.

A frame's own statistics change with everything that enters the picture, and the whole painting
flickers with them. So each frame is painted on the average of the last second's statistics.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from neuralart.errors import ImageError, OutputError
from neuralart.machine.archive import Arrays
from neuralart.machine.files import PART, check_place
from neuralart.machine.signals import deferred_signals
from neuralart.machine.terminal import PictureBar
from neuralart.options.paint import VIDEO_SUFFIXES, StylizeConfig
from neuralart.painting.jobs import same_file
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.stylizer import Stylizer
from neuralart.pictures.pixels import Picture, Pixels

# Codecs that OpenCV writes without other programs, in the order of `VIDEO_SUFFIXES`.
CODECS = dict(zip(VIDEO_SUFFIXES, ("mp4v", "mp4v", "mp4v", "MJPG", "VP80"), strict=True))

# Time constant of the moving average: a frame's weight in it falls to 1/e.
SMOOTHING_SECONDS = 1.0

# Frames a second of cameras and files that do not give theirs.
DEFAULT_RATE = 25.0


class SmoothedStatistics:
    """An exponential moving average, over frames, of every norm's mean and variance."""

    def __init__(self, painter: PhotoPainter, frames_per_second: float) -> None:
        self._painter = painter
        self._keep = math.exp(-1 / (frames_per_second * SMOOTHING_SECONDS))
        self._average: Arrays = {}

    def __call__(self, frame: Pixels) -> Arrays:
        """Add a frame to the average, and return the average.

        Shape:  (H, W, 3) RGB -> arrays by name
        """
        if not self._average:
            self._average = self._painter.measure(frame)
            return self._average
        for name, array in self._painter.measure(frame).items():
            self._average[name] = self._keep * self._average[name] + (1 - self._keep) * array
        return self._average


def _open(source: str) -> Any:
    """Open a video file, or a camera by its number. Raises ImageError."""
    camera = source.isdigit() and not Path(source).exists()
    if not camera and not Path(source).is_file():
        raise ImageError(f"{source}: no such video; name a file, or a camera by its number")
    capture = cv2.VideoCapture(int(source) if camera else source)
    if not capture.isOpened():
        what = "no such camera" if camera else "not a video that OpenCV can read"
        raise ImageError(f"{source}: {what}")
    return capture


def _frames(capture: Any, interrupts: Sequence[int]) -> Iterator[Pixels]:
    """The frames up to the end, or until ``interrupts`` holds a signal: (H, W, 3) RGB."""
    while not interrupts:
        there, bgr = capture.read()
        if not there:
            return
        yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def ffmpeg() -> str | None:
    """The path of ffmpeg, from PATH or from the extra ``video``; None if there is neither."""
    program = shutil.which("ffmpeg")
    if program is None:
        with contextlib.suppress(ImportError, RuntimeError):
            from imageio_ffmpeg import get_ffmpeg_exe

            program = get_ffmpeg_exe()
    return program


def _add_sound(silent: Path, seconds: float, source: str, target: Path) -> bool:
    """Write a file of the painted frames and the first ``seconds`` of the source's sound.

    Returns False if there is no ffmpeg or it cannot.
    """
    program = ffmpeg() if Path(source).is_file() else None
    if program is None:
        return False
    command = [program, "-nostdin", "-v", "error", "-y", "-i", str(silent), "-i", source]
    # Not -shortest, which would cut the frames where the sound ends before them.
    command += ["-map", "0:v", "-map", "1:a?", "-c", "copy", "-t", f"{seconds:.6f}", str(target)]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _check_target(source: str, target: Path, overwrite: bool) -> None:
    """Raise OutputError if the video cannot be written, or would replace a file without leave."""
    if target.suffix.lower() not in CODECS:
        raise OutputError(f"{target}: no video format of that suffix; use {' '.join(CODECS)}")
    if same_file(Path(source), target):
        raise OutputError(f"{target}: is the video itself; name another file")
    check_place(target, overwrite)


def stylize_video(
    source: str, target: Path, config: StylizeConfig, note: Callable[[str], None]
) -> Path:
    """Paint a video into one of the same size and frame rate, with its sound if there is an ffmpeg.

    Ctrl-C ends it early, with the frames so far written; this is how a camera is stopped.
    Raises NeuralArtError if video or model cannot be read, or the target must not or cannot be
    written; then no file is left behind.
    """
    _check_target(source, target, config.overwrite)
    capture = _open(source)
    silent, joined = (
        target.with_name(f".{target.stem}.{os.getpid()}.{kind}{PART}{target.suffix}")
        for kind in ("silent", "joined")
    )
    try:
        with deferred_signals() as interrupts:
            frames, rate = _paint_frames(capture, silent, config, interrupts)
        if not frames:
            raise ImageError(f"{source}: there is no frame in it that OpenCV can read")
        sound = _add_sound(silent, frames / rate, source, joined)
        if not sound and Path(source).is_file():
            note(
                "note: without sound, for which ffmpeg must be installed (or neuralart[video]) "
                "and know the format"
            )
        (joined if sound else silent).replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        capture.release()
        for path in (silent, joined):
            with contextlib.suppress(OSError):
                path.unlink()
    return target


def _paint_frames(
    capture: Any, silent: Path, config: StylizeConfig, interrupts: Sequence[int]
) -> tuple[int, float]:
    """Write the painted frames without sound; return their number, and the frames a second."""
    stylizer = Stylizer(config)
    rate = capture.get(cv2.CAP_PROP_FPS) or DEFAULT_RATE
    measure = SmoothedStatistics(stylizer.painter, rate)
    writer = None
    count = 0
    with PictureBar(max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))) as bar:
        for frame in _frames(capture, interrupts):
            painted = stylizer.paint(Picture(frame), measure).pixels
            if writer is None:
                height, width = painted.shape[:2]
                codec = cv2.VideoWriter.fourcc(*CODECS[silent.suffix.lower()])
                writer = cv2.VideoWriter(str(silent), codec, rate, (width, height))
                if not writer.isOpened():
                    raise OutputError(f"{silent.suffix}: OpenCV cannot write this format; use .mp4")
            writer.write(cv2.cvtColor(painted, cv2.COLOR_RGB2BGR))
            count += 1
            bar.done()
    if writer is not None:
        writer.release()
    return count, rate
