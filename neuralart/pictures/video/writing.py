"""Painted frames into a video file, with the times, colours and sound of their source."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import av
from av.codec.context import Flags
from av.video.stream import VideoStream

from neuralart.errors import OutputError
from neuralart.pictures.pixels import Image
from neuralart.pictures.video.animation import AnimationReader
from neuralart.pictures.video.colours import from_rgb, tag
from neuralart.pictures.video.containers import VideoContainer
from neuralart.pictures.video.frames import TimedFrame
from neuralart.pictures.video.reading import VideoReader
from neuralart.pictures.video.sound import Sound

# More threads hold more frames in memory, and painting takes far longer than encoding.
_THREADS = 4


class VideoWriter:
    """Encodes the frames that are painted of one video into one file."""

    def __init__(
        self,
        file: BinaryIO,
        target: Path,
        container: VideoContainer,
        video: VideoReader | AnimationReader,
        size: tuple[int, int],
        note: Callable[[str], None],
    ) -> None:
        """Begin to write to ``file``, which becomes ``target``.

        video  what is painted; its first frame has been read
        size   (height, width) of the painted frames
        note   called with a line for each sound track that cannot be kept

        Raises OutputError if there is no such encoder.
        """
        self._target = target
        self._rate = video.rate if container.any_time else video.grid_rate
        self._time_base = video.time_base if container.any_time else 1 / self._rate
        self._colours = video.colours.at_size(*size)
        self._last: tuple[int, Fraction] | None = None  # tick and time of the last frame
        self._end = Fraction(0)
        self._sound: Sound | None = None
        with self._writing(), contextlib.ExitStack() as stack:
            self._output = av.open(
                file, "w", format=container.muxer, container_options=dict(container.muxer_options)
            )
            stack.callback(self._drop)
            self._stream = self._add_stream(container, size, video.aspect or Fraction(1))
            if video.sound is not None:
                self._sound = Sound(video.sound, self._output, container, note)
                stack.enter_context(self._sound)
            self._output.start_encoding()
            self._stack = stack.pop_all()

    def _add_stream(
        self, container: VideoContainer, size: tuple[int, int], aspect: Fraction
    ) -> VideoStream:
        stream = self._output.add_stream(
            container.codec,
            rate=self._rate,
            options=dict(container.options),
            time_base=self._time_base,
        )
        stream = cast(VideoStream, stream)
        encoder = stream.codec_context
        if not container.any_aspect:
            size, aspect = _with_square_pixels(size, aspect), Fraction(1)
        encoder.height, encoder.width = size
        # H.264 with half as many pixels of colour as of brightness has even sizes only.
        is_odd = encoder.height % 2 or encoder.width % 2
        encoder.pix_fmt = "yuv444p" if is_odd and container.codec == "libx264" else "yuv420p"
        encoder.sample_aspect_ratio = aspect
        tag(encoder, self._colours)
        encoder.thread_count = _THREADS
        encoder.flags |= Flags.frame_duration
        return stream

    def write(self, painted: Image, frame: TimedFrame) -> None:
        """Add a frame, painted of ``frame``, after the sound before it.

        Shape:  (H, W, 3) RGB, of the same size every time
        Raises OutputError if the encoder refuses it, OSError if the file cannot be written.
        """
        with self._writing():
            tick, gap = round(frame.time / self._time_base), 1 / self._rate
            if self._last is not None:
                tick, gap = max(tick, self._last[0] + 1), frame.time - self._last[1]
            duration = frame.duration or gap
            encoded = from_rgb(painted, self._colours, self._stream.format)
            encoded.pts, encoded.time_base = tick, self._time_base
            encoded.duration = max(1, round(duration / self._time_base))
            if self._sound is not None:
                self._sound.write_until(frame.time)
            self._output.mux(self._stream.encode(encoded))
            self._last = tick, frame.time
            self._end = frame.time + duration

    def finish(self, *, whole: bool) -> None:
        """Write what the encoders hold, and the end of the file.

        ``whole`` says that no frame is missing: then the sound is kept up to its own end, otherwise
        up to that of the last frame. Raises as `write`.
        """
        with self._writing():
            if self._sound is not None:
                self._sound.write_until(None if whole else self._end)
            self._output.mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.finish()
            self._output.close()

    def close(self) -> None:
        """Let go of what is open, after `finish` or after an error."""
        self._stack.close()

    def _drop(self) -> None:
        """Have FFmpeg forget the file, which may be full."""
        with contextlib.suppress(av.FFmpegError, OSError, ValueError):
            self._output.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as error:
            problem = error.strerror or error
            raise OutputError(f"{self._target}: cannot be encoded: {problem}") from None


def _with_square_pixels(size: tuple[int, int], aspect: Fraction) -> tuple[int, int]:
    """(height, width) of the same picture in pixels of aspect 1, in no fewer of them."""
    height, width = size
    if aspect > 1:
        return height, round(width * aspect)
    return round(height / aspect), width
