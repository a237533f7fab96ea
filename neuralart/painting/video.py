"""``neuralart stylize in.mp4 out.mp4``: paint a video, or what a camera sees, frame by frame.

A frame's own statistics change with everything that enters the picture, and the whole painting
flickers with them. So frames are painted on the average of the last second's statistics, which are
measured twice a second.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from neuralart.chain.specs import NORM_EPSILON
from neuralart.errors import EngineError, ImageError, Interrupted, OutputError
from neuralart.machine.archive import Arrays
from neuralart.machine.files import check_place, written_aside
from neuralart.machine.installation import install_command
from neuralart.machine.signals import deferred_signals
from neuralart.machine.terminal import counting
from neuralart.options.paint import VIDEO_SUFFIXES, StylizeConfig
from neuralart.painting.jobs import same_file
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.regions import Weights
from neuralart.painting.stylizer import Stylizer
from neuralart.pictures.pixels import Picture, Pixels, on_white
from neuralart.pictures.video.animation import (
    FOREVER,
    SUFFIXES,
    AnimationReader,
    AnimationWriter,
    check_room,
    kind_of,
)
from neuralart.pictures.video.containers import CONTAINERS

if TYPE_CHECKING:
    from neuralart.pictures.video.frames import TimedFrame
    from neuralart.pictures.video.reading import VideoReader
    from neuralart.pictures.video.writing import VideoWriter

# Time constant of the moving average: a frame's weight in it falls to 1/e.
SMOOTHING_SECONDS = 1.0

# The least time between two frames whose statistics are measured, which takes longer than painting
# a frame of 640x360.
MEASURED_SECONDS = 0.5

# A smaller drift of the statistics changes a painting of `masters` by 0.2 to 0.5 levels in the
# mean. Until then frames share a bound graph, which saves a sixth of a frame's time at 640x360.
NOTICED_DRIFT = 0.001

# As `SMOOTHING_SECONDS`, of the weights of faces: the detector misses one in a frame now and then.
FACE_SECONDS = 0.3


class SmoothedStatistics:
    """An exponential moving average, over frames, of every norm's mean and variance.

    A frame is measured when `MEASURED_SECONDS` have passed since the last one that was. From frame
    to frame, the average moves towards what was measured last.
    """

    def __init__(self, painter: PhotoPainter, frames_per_second: float) -> None:
        self._painter = painter
        self._seconds = 1 / frames_per_second
        self._measured: Arrays | None = None
        self._since = 0.0  # seconds since a frame was measured
        self._average: Arrays = {}
        self._returned: Arrays = {}

    def __call__(self, frame: Pixels, seconds: float | None = None) -> Arrays:
        """Return the average, or the same arrays as before where it has hardly moved since.

        ``seconds`` is the time since the last frame, by default that of a constant rate.
        Shape:  (H, W, 3) RGB -> arrays by name
        """
        if self._measured is None:
            self._measured = self._average = self._returned = self._painter.measure(frame)
            return self._returned
        gap = self._seconds if seconds is None else seconds
        self._since += gap
        if self._since >= MEASURED_SECONDS:
            self._measured, self._since = self._painter.measure(frame), 0.0
        keep = math.exp(-gap / SMOOTHING_SECONDS)
        self._average = {
            name: keep * array + (1 - keep) * self._measured[name]
            for name, array in self._average.items()
        }
        if _drift(self._returned, self._average) >= NOTICED_DRIFT:
            self._returned = self._average
        return self._returned


def _drift(before: Arrays, after: Arrays) -> float:
    """How far statistics have moved, in deviations of their channels: the mean over the norms."""
    moved = []
    for name in before:
        if name.endswith("_mean"):
            variance = f"{name.removesuffix('mean')}var"
            deviation = np.sqrt(before[variance] + NORM_EPSILON)
            moved.append(np.mean(abs(after[name] - before[name]) / deviation))
            moved.append(np.mean(abs(np.sqrt(after[variance] + NORM_EPSILON) / deviation - 1)))
    return float(np.mean(moved)) if moved else 0.0


class SteadyFaces:
    """An exponential moving average, over frames, of the weights of faces."""

    def __init__(self, frames_per_second: float) -> None:
        self._seconds = 1 / frames_per_second
        self._average: Weights | None = None

    def __call__(self, weights: Weights, seconds: float | None = None) -> Weights:
        """Add a frame's (H, W), ``seconds`` after the last one, and return the average."""
        keep = math.exp(-(self._seconds if seconds is None else seconds) / FACE_SECONDS)
        if self._average is None:
            self._average = weights
        self._average = np.float32(keep) * self._average + np.float32(1 - keep) * weights
        return self._average


def is_moving(source: str, target: str) -> bool:
    """Whether the painting is an animation: a GIF, or a WebP of something that moves."""
    suffix = Path(target).suffix.lower()
    if suffix not in SUFFIXES or target.endswith(("/", os.sep)) or os.path.isdir(target):
        return False
    if Path(source).suffix.lower() in VIDEO_SUFFIXES or _is_camera(source):
        return True
    kind, frames = kind_of(source)
    return bool(kind) and (suffix == ".gif" or frames != 1)


def _is_camera(source: str) -> bool:
    return source.isdigit() and not os.path.exists(source)


def _check_target(source: str, target: Path, overwrite: bool) -> None:
    """Raise OutputError if the video cannot be written, or would replace a file without leave."""
    if target.suffix.lower() in SUFFIXES and _is_camera(source):
        raise OutputError(f"{target}: a camera is painted into a video; name an .mp4")
    if target.suffix.lower() not in (*CONTAINERS, *SUFFIXES):
        raise OutputError(f"{target}: no video format of that suffix; use {' '.join(CONTAINERS)}")
    if same_file(Path(source), target):
        raise OutputError(f"{target}: is the video itself; name another file")
    check_place(target, overwrite)


def _open(source: str, target: Path, max_pixels: float) -> VideoReader | AnimationReader:
    """Open a video file, an animation, or a camera by its number.

    FFmpeg reads GIF, but without transparency and number of plays, and no animated WebP.
    Raises ImageError, or EngineError.
    """
    kind, _ = kind_of(source)
    to_animation = target.suffix.lower() in SUFFIXES
    if kind and to_animation:
        return AnimationReader(source, max_pixels)
    try:
        from neuralart.pictures.video.reading import VideoReader
    except ImportError as error:
        if error.name != "av":
            raise
        raise EngineError(f"videos need PyAV; {install_command('video')}") from None
    return AnimationReader(source, max_pixels) if kind == "WEBP" else VideoReader(source)


def stylize_video(
    source: str, target: Path, config: StylizeConfig, note: Callable[[str], None]
) -> Path:
    """Paint a video into one of the same size, with the times of its frames and its sound.

    Ctrl-C ends a camera's video. A file's is ended with the frames so far, and Interrupted is
    raised. A file that ends early or is damaged is painted as far as it goes, and ImageError is
    raised after all.

    Raises NeuralArtError if video or model cannot be read, or the target must not or cannot be
    written; then no file is left behind, and an earlier one is as it was.
    """
    _check_target(source, target, config.overwrite)
    with _open(source, target, config.max_pixels * 1e6) as video:
        stylizer = Stylizer(config)
        with (
            deferred_signals() as interrupts,
            written_aside(target, overwrite=config.overwrite) as file,
        ):
            count = _Painting(video, stylizer, file, target, config.quality, note).run(interrupts)
            if not count and interrupts:
                raise Interrupted("stopped before the first frame was painted", interrupts[0])
            if not count:
                raise ImageError(f"{source}: there is no frame in it that FFmpeg can read")
    if interrupts and video.path is not None:
        raise Interrupted(f"stopped: {target} has the frames so far: {count}", interrupts[0])
    if video.ends_early:
        raise ImageError(f"{source}: ends early; {target} has the frames that are there: {count}")
    if video.damaged_parts:
        raise ImageError(
            f"{source}: is damaged, packets: {video.damaged_parts}; {target} has the frames that "
            f"can be read: {count}"
        )
    return target


class _Painting:
    """A video in work: one frame is read while another is painted and a third is written."""

    def __init__(
        self,
        video: VideoReader | AnimationReader,
        stylizer: Stylizer,
        file: BinaryIO,
        target: Path,
        quality: int,
        note: Callable[[str], None],
    ) -> None:
        self._video = video
        self._stylizer = stylizer
        self._file = file
        self._target = target
        self._quality = quality
        self._note = note
        self._name = str(video.path or "the camera")
        self._writer: VideoWriter | AnimationWriter | None = None
        self._statistics: dict[str, SmoothedStatistics] = {}
        self._faces = SteadyFaces(float(video.rate))
        self._with_faces = 0  # frames
        self._last: Fraction | None = None

    def run(self, interrupts: Sequence[int]) -> int:
        """Paint all frames, or until ``interrupts`` holds a signal; return their number."""
        try:
            count = self._paint_all(interrupts)
            if self._stylizer.keeps_faces:
                self._note(f"note: faces found in {self._with_faces} of {count} frames")
            if self._writer is not None:
                whole = not (interrupts or self._video.ends_early or self._video.path is None)
                self._writer.finish(whole=whole)
            return count
        finally:
            if self._writer is not None:
                self._writer.close()

    def _paint_all(self, interrupts: Sequence[int]) -> int:
        frames = self._video.frames()
        count = 0
        with (
            counting(self._video.frame_count, 0, "frame") as bar,
            ThreadPoolExecutor(1) as reading,
            ThreadPoolExecutor(1) as writing,
        ):
            written: Future[None] | None = None
            read = reading.submit(next, frames, None)
            while (frame := read.result()) is not None and not interrupts:
                read = reading.submit(next, frames, None)
                painted = self._paint(frame)
                if written is not None:
                    written.result()
                written = writing.submit(self._write, painted, frame)
                count += 1
                bar.update()
            if written is not None:
                written.result()
        return count

    def _paint(self, frame: TimedFrame) -> Picture:
        gap = None if self._last is None else max(0.0, float(frame.time - self._last))
        self._last = frame.time
        picture = Picture(frame.pixels, frame.alpha)
        if gap is None:
            self._stylizer.check(self._name, picture.size)
            if self._target.suffix.lower() in SUFFIXES:
                size = self._stylizer.final_size(picture.size)
                check_room(self._target, size, self._video.frame_count)
        measure = partial(self._measure, gap)
        steady = partial(self._faces, seconds=gap)
        painting = self._stylizer.paint(picture, measure, steady)
        self._with_faces += bool(self._stylizer.faces)
        return painting

    def _measure(
        self, gap: float | None, painter: PhotoPainter, coat: str, pixels: Pixels
    ) -> Arrays:
        """The statistics of one of a frame's coats, each of which has an average of its own."""
        if coat not in self._statistics:
            self._statistics[coat] = SmoothedStatistics(painter, float(self._video.rate))
        return self._statistics[coat](pixels, gap)

    def _write(self, painted: Picture, frame: TimedFrame) -> None:
        if self._writer is None:
            self._writer = self._make_writer(painted.size)
        if isinstance(self._writer, AnimationWriter):
            self._writer.write(painted, frame)
        else:
            self._writer.write(on_white(painted), frame)

    def _make_writer(self, size: tuple[int, int]) -> VideoWriter | AnimationWriter:
        suffix = self._target.suffix.lower()
        if suffix in SUFFIXES:
            plays = self._video.plays if isinstance(self._video, AnimationReader) else FOREVER
            exact = isinstance(self._video, AnimationReader)
            return AnimationWriter(self._file, self._target, self._quality, plays, exact=exact)
        from neuralart.pictures.video.writing import VideoWriter

        container = CONTAINERS[suffix]
        return VideoWriter(self._file, self._target, container, self._video, size, self._note)
