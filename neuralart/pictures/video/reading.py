"""Frames of a video file or a camera, upright, in RGB, each with its time."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from neuralart.errors import ImageError
from neuralart.pictures.pixels import Image
from neuralart.pictures.video.colours import Colours, to_rgb
from neuralart.pictures.video.endings import ends_early
from neuralart.pictures.video.frames import TimedFrame

DEFAULT_RATE = Fraction(25)
"""Frames a second of videos and cameras that do not give theirs."""

# AVFMT_TS_DISCONT of libavformat's flags of a format.
_ANY_CLOCK = 0x0200

# FFmpeg's name of a device and of its camera with a number, by platform.
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none")}


class VideoReader:
    """Decodes the frames of one video.

    path           the file, None for a camera
    ends_early     whether the file is shorter than it says
    damaged_parts  packets so far that could not be decoded
    aspect         width / height of an upright pixel, or None if the video does not say it; known
                   from the first frame on
    """

    def __init__(self, source: str) -> None:
        """Open a video file, or a camera by its number.

        Raises ImageError if there is none, or if it cannot be read.
        """
        is_camera = source.isdigit() and not Path(source).exists()
        self.path = None if is_camera else Path(source)
        self.ends_early = False
        self.damaged_parts = 0
        self.aspect: Fraction | None = None
        self._colours: Colours | None = None
        self._decoding_ticks: deque[int] = deque()
        with contextlib.ExitStack() as stack:
            self._container = stack.enter_context(
                _open_camera(source) if self.path is None else self._open_file(self.path, stack)
            )
            self._stream = _best_stream(self._container, source)
            self._is_avi = self._container.format.name == "avi"
            self._stack = stack.pop_all()

    def _open_file(self, path: Path, stack: contextlib.ExitStack) -> InputContainer:
        if not path.is_file():
            raise ImageError(f"{path}: no such video; name a file, or a camera by its number")
        if not path.stat().st_size:
            raise ImageError(f"{path}: the file is empty; get it anew")
        try:
            self.ends_early = ends_early(path)
            return open_input(stack.enter_context(path.open("rb")))
        except av.FFmpegError:
            if self.ends_early:
                raise ImageError(f"{path}: ends early, before its index; get it anew") from None
            raise ImageError(
                f"{path}: not a video that FFmpeg can read; convert it to mp4"
            ) from None
        except OSError as error:
            raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from None

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def sound(self) -> Path | None:
        """The file that the sound is copied from."""
        return self.path

    @property
    def colours(self) -> Colours:
        """The colours of the first frame, after it has been read."""
        if self._colours is None:
            raise ValueError("no frame has been read")
        return self._colours

    @property
    def time_base(self) -> Fraction:
        """All times are multiples of this, seconds."""
        return self._stream.time_base or 1 / DEFAULT_RATE

    @property
    def rate(self) -> Fraction:
        """Frames a second on average, as far as the beginning of the video shows."""
        return self._stream.average_rate or self.grid_rate

    @property
    def grid_rate(self) -> Fraction:
        """The lowest rate whose frames can have all times of this video; at most 120."""
        rate = self._stream.guessed_rate or self._stream.average_rate or DEFAULT_RATE
        return min(rate, Fraction(120))

    @property
    def frame_count(self) -> int:
        """About how many frames there are; 0 if that is unknown."""
        seconds = Fraction(self._container.duration or 0, av.time_base)
        # AVI counts the halves of frames of some codecs.
        counted = 0 if self._is_avi else self._stream.frames
        return counted or round(seconds * (self.grid_rate if self._is_avi else self.rate))

    def frames(self) -> Iterator[TimedFrame]:
        """The frames up to the end, or to where the file breaks off.

        Frames of another size than the first are resized to it.
        """
        size, turn = (0, 0), _Orientation()
        time = -1 / self.rate
        origin = time_origin(self._container)
        for frame in self._decoded():
            if self._colours is None:
                self._colours = Colours.of(frame)
                size, turn = (frame.height, frame.width), _orientation(frame)
                aspect = self._stream.sample_aspect_ratio
                if aspect:
                    self.aspect = 1 / aspect if turn.swaps else aspect
                if self.path is None and frame.pts is not None:
                    origin = frame.pts * self.time_base
            # AVI has decoding times. Frames are shown in another order, but at the same times.
            tick = self._decoding_ticks.popleft() if self._decoding_ticks else frame.pts
            time = time + 1 / self.rate if tick is None else tick * self.time_base - origin
            duration = frame.duration * self.time_base if frame.duration else None
            yield TimedFrame(turn.upright(to_rgb(frame, self._colours, size)), time, duration)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """The frames as they were encoded. Damaged packets are counted and passed over."""
        found = False
        for packet in itertools.chain(self._packets(), [None]):
            try:
                decoded = self._stream.decode(packet)
            except av.FFmpegError:
                # What comes before the first key frame of a cut stream is no damage.
                self.damaged_parts += found
                if self._decoding_ticks:
                    self._decoding_ticks.popleft()
                continue
            found = found or bool(decoded)
            yield from decoded

    def _packets(self) -> Iterator[Any]:
        """The packets of the video's stream up to the end, or to where the file is damaged."""
        try:
            for packet in self._container.demux():
                if packet.is_corrupt:
                    self.damaged_parts += 1
                elif packet.size and packet.stream is self._stream:
                    if self._is_avi and packet.dts is not None:
                        self._decoding_ticks.append(packet.dts)
                    yield packet
        except (av.FFmpegError, OSError):
            self.damaged_parts += 1


def open_input(file: BinaryIO) -> InputContainer:
    """Raises av.FFmpegError if the file is no video or sound."""
    return av.open(file, "r")


def _open_camera(number: str) -> InputContainer:
    device, name = _CAMERAS.get(sys.platform, ("", ""))
    try:
        return av.open(name.format(number), "r", format=device)
    except (av.FFmpegError, OSError, ValueError):
        raise ImageError(
            f"{number}: no such camera, or it is in use; name another, or a file"
        ) from None


def _best_stream(container: InputContainer, source: str) -> VideoStream:
    stream = container.streams.best("video")
    if stream is None or stream.disposition & Disposition.attached_pic:
        raise ImageError(f"{source}: there is no video in it; name another file")
    if stream.codec_context is None:
        raise ImageError(f"{source}: FFmpeg has no decoder for this video")
    return cast(VideoStream, stream)


def time_origin(container: InputContainer) -> Fraction:
    """The time in a file that is the beginning of the video, seconds.

    The clock of MPEG transport streams and their kind starts anywhere. In other files a late start
    of all streams is meant as one.
    """
    if container.format.flags & _ANY_CLOCK and container.start_time:
        return Fraction(container.start_time, av.time_base)
    return Fraction(0)


@dataclass(frozen=True)
class _Orientation:
    """How stored pixels are made upright: swap rows and columns, then mirror."""

    swaps: bool = False
    mirrors_rows: bool = False
    mirrors_columns: bool = False

    def upright(self, pixels: Image) -> Image:
        """Shape:  (H, W, 3) -> the same, or (W, H, 3) if it swaps rows and columns."""
        if self.swaps:
            pixels = pixels.swapaxes(0, 1)
        pixels = pixels[:: -1 if self.mirrors_rows else 1, :: -1 if self.mirrors_columns else 1]
        return np.ascontiguousarray(pixels)


def _orientation(frame: av.VideoFrame) -> _Orientation:
    """The orientation that the display matrix gives, to the nearest quarter of a turn.

    The matrix (a b u; c d v; x y w) maps a stored place: x' = a x + c y + x0, y' = b x + d y + y0.
    Source:  FFmpeg, libavutil/display.h
    """
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return _Orientation()
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    if abs(b) > abs(a):
        return _Orientation(swaps=True, mirrors_rows=b < 0, mirrors_columns=c < 0)
    return _Orientation(mirrors_rows=d < 0, mirrors_columns=a < 0)
