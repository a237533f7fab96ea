"""``neuralart stylize in.mp4 out.mp4``: paint a video, or what a camera sees, frame by frame.

A frame's own statistics change with everything that enters the picture, and the whole painting
flickers with them. So each frame is painted on the average of the last second's statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from neuralart.errors import EngineError, ImageError, Interrupted, OutputError
from neuralart.machine.archive import Arrays
from neuralart.machine.files import check_place, written_aside
from neuralart.machine.installation import install_command
from neuralart.machine.signals import deferred_signals
from neuralart.machine.terminal import counting
from neuralart.options.paint import StylizeConfig
from neuralart.painting.jobs import same_file
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.stylizer import Stylizer
from neuralart.pictures.pixels import Picture, Pixels
from neuralart.pictures.video.containers import CONTAINERS

if TYPE_CHECKING:
    from neuralart.pictures.video.reading import TimedFrame, VideoReader
    from neuralart.pictures.video.writing import VideoWriter

# Time constant of the moving average: a frame's weight in it falls to 1/e.
SMOOTHING_SECONDS = 1.0


class SmoothedStatistics:
    """An exponential moving average, over frames, of every norm's mean and variance."""

    def __init__(self, painter: PhotoPainter, frames_per_second: float) -> None:
        self._painter = painter
        self._seconds = 1 / frames_per_second
        self._average: Arrays = {}

    def __call__(self, frame: Pixels, seconds: float | None = None) -> Arrays:
        """Add a frame to the average, and return the average.

        ``seconds`` is the time since the last frame, by default that of a constant rate.
        Shape:  (H, W, 3) RGB -> arrays by name
        """
        measured = self._painter.measure(frame)
        if not self._average:
            self._average = measured
            return self._average
        keep = math.exp(-(self._seconds if seconds is None else seconds) / SMOOTHING_SECONDS)
        for name, array in measured.items():
            self._average[name] = keep * self._average[name] + (1 - keep) * array
        return self._average


def _check_target(source: str, target: Path, overwrite: bool) -> None:
    """Raise OutputError if the video cannot be written, or would replace a file without leave."""
    if target.suffix.lower() not in CONTAINERS:
        raise OutputError(f"{target}: no video format of that suffix; use {' '.join(CONTAINERS)}")
    if same_file(Path(source), target):
        raise OutputError(f"{target}: is the video itself; name another file")
    check_place(target, overwrite)


def _open(source: str) -> VideoReader:
    """Open a video file, or a camera by its number. Raises ImageError, or EngineError."""
    try:
        from neuralart.pictures.video.reading import VideoReader
    except ImportError as error:
        if error.name != "av":
            raise
        raise EngineError(f"videos need PyAV; {install_command('video')}") from None
    return VideoReader(source)


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
    with _open(source) as video:
        stylizer = Stylizer(config)
        with (
            deferred_signals() as interrupts,
            written_aside(target, overwrite=config.overwrite) as file,
        ):
            count = _Painting(video, stylizer, file, target, note).run(interrupts)
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
        video: VideoReader,
        stylizer: Stylizer,
        file: BinaryIO,
        target: Path,
        note: Callable[[str], None],
    ) -> None:
        self._video = video
        self._stylizer = stylizer
        self._file = file
        self._target = target
        self._note = note
        self._writer: VideoWriter | None = None
        self._statistics = SmoothedStatistics(stylizer.painter, float(video.rate))
        self._last: Fraction | None = None

    def run(self, interrupts: Sequence[int]) -> int:
        """Paint all frames, or until ``interrupts`` holds a signal; return their number."""
        try:
            count = self._paint_all(interrupts)
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

    def _paint(self, frame: TimedFrame) -> Pixels:
        gap = None if self._last is None else max(0.0, float(frame.time - self._last))
        self._last = frame.time
        measure = partial(self._statistics, seconds=gap)
        return self._stylizer.paint(Picture(frame.pixels), measure).pixels

    def _write(self, painted: Pixels, frame: TimedFrame) -> None:
        if self._writer is None:
            from neuralart.pictures.video.writing import VideoWriter

            container = CONTAINERS[self._target.suffix.lower()]
            size = Picture(painted).size
            self._writer = VideoWriter(
                self._file, self._target, container, self._video, size, self._note
            )
        self._writer.write(painted, frame)
