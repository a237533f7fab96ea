"""The sound of a video beside its painted frames: copied, or encoded again for its container."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from neuralart.pictures.video.containers import VideoContainer
from neuralart.pictures.video.reading import open_input, time_origin

# Channels: FFmpeg's layout of them that all encoders for surround know. Others become stereo.
_LAYOUTS = {1: "mono", 6: "5.1", 8: "7.1"}
_STEREO_CODECS = {"libmp3lame"}

_DEFAULT_RATE = 48_000  # Hz; every encoder here has it

# Before FFmpeg 9, Matroska did not say how much of the sound of AAC and MP3 precedes time 0.
_MATROSKA_SAYS = av.library_versions["libavformat"] >= (63,)

_Packet = Any  # a packet of sound, whose generic types change from one version of PyAV to the next


class Sound:
    """All sound tracks of a video file, as tracks of another."""

    def __init__(
        self,
        source: Path,
        output: OutputContainer,
        container: VideoContainer,
        note: Callable[[str], None],
    ) -> None:
        """Add the tracks to ``output``, before anything is written to it.

        ``note`` is called with a line for sound that cannot be kept.
        """
        self._source, self._note = source, note
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(source.open("rb"))
            self._input = stack.enter_context(open_input(file))
            self._stack = stack.pop_all()
        self._output = output
        self._before_zero = container.before_zero
        if container.muxer == "matroska":
            self._before_zero = _MATROSKA_SAYS
        self._origin = time_origin(self._input)
        self._tracks: dict[int, _Copied | _Encoded] = {}
        for stream in self._input.streams.audio:
            try:
                track = _track(stream, output, container)
            except (av.FFmpegError, ValueError) as error:
                note(f"note: {source}: a sound track is left out, which cannot be kept: {error}")
                continue
            for key in {"language", "title"} & set(stream.metadata):
                track.stream.metadata[key] = stream.metadata[key]
            self._tracks[stream.index] = track
        self._lost = 0
        self._packets = self._input.demux(self._input.streams.audio) if self._tracks else iter(())
        self._next: _Packet | None = None
        self._advance()

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def write_until(self, time: Fraction | None) -> None:
        """Write what begins before ``time``, seconds, or all of it if that is None.

        Raises OSError if the output cannot be written.
        """
        while self._next is not None:
            packet, track = self._next, self._tracks[self._next.stream.index]
            if time is not None and packet.pts * packet.time_base - self._origin >= time:
                return
            shift = round(self._origin / packet.time_base)
            packet.pts -= shift
            packet.dts -= shift
            self._write(track.packets, packet)
            self._advance()

    def finish(self) -> None:
        """Write what the encoders still hold. Raises OSError if the output cannot be written."""
        for track in self._tracks.values():
            self._write(track.packets, None)
        if self._lost:
            self._note(f"note: {self._source}: {self._lost} packets of its sound are damaged")

    def _write(
        self, packets: Callable[[_Packet | None], list[_Packet]], packet: _Packet | None
    ) -> None:
        """Write what becomes of a packet. Damaged sound does not end the painting."""
        try:
            made = packets(packet)
            if not self._before_zero:
                made = [each for each in made if each.pts + (each.duration or 1) > 0]
            self._output.mux(made)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, OSError):
                raise
            self._lost += 1

    def _advance(self) -> None:
        """Read the next packet of a track that is kept. The end may be a damaged place."""
        with contextlib.suppress(av.FFmpegError, OSError):
            for packet in self._packets:
                known = packet.stream.index in self._tracks
                if known and packet.pts is not None and packet.size and not packet.is_corrupt:
                    packet.dts = packet.pts if packet.dts is None else packet.dts
                    self._next = packet
                    return
        self._next = None


class _Copied:
    """A track whose packets stay as they are."""

    def __init__(self, stream: AudioStream, output: OutputContainer) -> None:
        self.stream = output.add_stream_from_template(stream)

    def packets(self, packet: _Packet | None) -> list[_Packet]:
        if packet is None:
            return []
        packet.stream = self.stream
        return [packet]


class _Encoded:
    """A track that is decoded and encoded again."""

    def __init__(self, stream: AudioStream, output: OutputContainer, codec: str) -> None:
        layout = _LAYOUTS.get(stream.layout.nb_channels, "stereo")
        if layout != "mono" and codec in _STEREO_CODECS:
            layout = "stereo"
        rates = av.Codec(codec, "w").audio_rates
        rate = stream.rate if not rates or stream.rate in rates else _DEFAULT_RATE
        self._decoder = stream
        self.stream = cast(AudioStream, output.add_stream(codec, rate=rate, layout=layout))

    def packets(self, packet: _Packet | None) -> list[_Packet]:
        """What is encoded of a packet; for None, the end."""
        frames = self._decoder.codec_context.decode(packet)
        ends = [None] if packet is None else []
        return [each for frame in [*frames, *ends] for each in self.stream.encode(frame)]


def _track(
    stream: AudioStream, output: OutputContainer, container: VideoContainer
) -> _Copied | _Encoded:
    if stream.codec_context is None:
        raise ValueError("FFmpeg has no decoder for it")
    held = stream.codec_context.codec.canonical_name in container.holds
    if held and _can_be_copied(stream, container):
        return _Copied(stream, output)
    return _Encoded(stream, output, container.sound)


def _can_be_copied(stream: AudioStream, container: VideoContainer) -> bool:
    """Whether FFmpeg writes a header for this track: MP4 has no MP3 of 8 kHz, as an example."""
    try:
        with av.open(io.BytesIO(), "w", format=container.muxer) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True
