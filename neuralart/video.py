"""``neuralart stylize in.mp4 out.mp4``: paint a video, or what a camera sees, frame by frame.

Statistics of a frame alone change with everything that enters the picture, and the whole painting flickers
with them; so each frame is painted on their average over the last second.
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

from neuralart.config import VIDEO_SUFFIXES, StylizeConfig
from neuralart.errors import ImageError, OutputError
from neuralart.files import PART, Arrays
from neuralart.painting import Painting
from neuralart.pictures import Picture, Pixels
from neuralart.progress import PictureBar
from neuralart.signals import deferred_signals
from neuralart.stylize import Dials

# Codecs that OpenCV's own library writes, in the order of `VIDEO_SUFFIXES`.
CODECS = dict(zip(VIDEO_SUFFIXES, ("mp4v", "mp4v", "mp4v", "MJPG", "VP80"), strict=True))

# Time in which the average of the statistics forgets all but 1/e of what it was.
CALM_SECONDS = 1.0

# Of cameras and files that do not say.
USUAL_RATE = 25.0


class Calm:
    """Statistics of frames, averaged over time: an exponential moving average of means and variances."""

    def __init__(self, painting: Painting, frames_per_second: float) -> None:
        self._painting = painting
        self._keep = math.exp(-1 / (frames_per_second * CALM_SECONDS))
        self._average: Arrays = {}

    def __call__(self, frame: Pixels) -> Arrays:
        """The average with one more frame in it.

        Shape:  (H, W, 3) RGB -> arrays by name
        """
        if not self._average:
            self._average = self._painting.measure(frame)
            return self._average
        for name, array in self._painting.measure(frame).items():
            self._average[name] = self._keep * self._average[name] + (1 - self._keep) * array
        return self._average


def _open(source: str) -> Any:
    """A capture of a file, or of a camera by its number. Raises ImageError."""
    camera = source.isdigit() and not Path(source).exists()
    if not camera and not Path(source).is_file():
        raise ImageError(f"{source}: no such video; name a file, or a camera by its number")
    capture = cv2.VideoCapture(int(source) if camera else source)
    if not capture.isOpened():
        what = "no such camera" if camera else "not a video that OpenCV can read"
        raise ImageError(f"{source}: {what}")
    return capture


def _frames(capture: Any, stopped: Sequence[int]) -> Iterator[Pixels]:
    while not stopped:
        there, bgr = capture.read()
        if not there:
            return
        yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def ffmpeg() -> str | None:
    """The program on the path, or that of the extra ``video``."""
    program = shutil.which("ffmpeg")
    if program is None:
        with contextlib.suppress(ImportError, RuntimeError):
            from imageio_ffmpeg import get_ffmpeg_exe

            program = get_ffmpeg_exe()
    return program


def _with_sound(silent: Path, seconds: float, source: str, target: Path) -> bool:
    """Write the painted frames and so much of the source's sound into a file; False where ffmpeg cannot."""
    program = ffmpeg() if Path(source).is_file() else None
    if program is None:
        return False
    command = [program, "-nostdin", "-v", "error", "-y", "-i", str(silent), "-i", source]
    # A sound that is shorter than the film does not cut it (-shortest would), and a longer one ends with it.
    command += ["-map", "0:v", "-map", "1:a?", "-c", "copy", "-t", f"{seconds:.6f}", str(target)]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def check_target(source: str, target: Path, overwrite: bool) -> None:
    """Raises OutputError if a video must not or cannot be written here."""
    if target.suffix.lower() not in CODECS:
        raise OutputError(f"{target}: no video format of that suffix; use {' '.join(CODECS)}")
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; name a video in it")
    if target.exists() and Path(source).exists() and target.samefile(source):
        raise OutputError(f"{target}: is the video itself; name another file")
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists; add --overwrite to replace it")
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent}: no such folder; make it first")
    if not os.access(target.parent, os.W_OK):
        raise OutputError(f"{target.parent}: not writable; choose another folder")


def stylize_video(
    source: str, target: Path, config: StylizeConfig, note: Callable[[str], None]
) -> Path:
    """Paint a video into another of the same size and rate, with its sound where there is an `ffmpeg`.

    Ctrl-C ends the painting early, and what there is of it is written: so a camera is stopped.
    Raises NeuralArtError if the video cannot be read, the model not be used, or the target must not or
    cannot be written; then nothing is left behind.
    """
    check_target(source, target, config.overwrite)
    capture = _open(source)
    silent, joined = (
        target.with_name(f".{target.stem}.{os.getpid()}.{kind}{PART}{target.suffix}")
        for kind in ("silent", "joined")
    )
    try:
        with deferred_signals() as stopped:
            frames, rate = _paint_frames(capture, silent, config, stopped)
        if not frames:
            raise ImageError(f"{source}: there is no frame in it that OpenCV can read")
        sound = _with_sound(silent, frames / rate, source, joined)
        if not sound and Path(source).is_file():
            note(
                "note: without sound, for which ffmpeg must be installed (or neuralart[video]) and know the format"
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
    capture: Any, silent: Path, config: StylizeConfig, stopped: Sequence[int]
) -> tuple[int, float]:
    """Write the painted frames without sound; returns how many there were, and how many a second."""
    dials = Dials(config)
    rate = capture.get(cv2.CAP_PROP_FPS) or USUAL_RATE
    calm = Calm(dials.painting, rate)
    writer = None
    count = 0
    with PictureBar(max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))) as bar:
        for frame in _frames(capture, stopped):
            painted = dials.paint(Picture(frame), calm).pixels
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
