"""Tiny videos, made and inspected by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from helpers import picture

from neuralart.pictures.pixels import Image

RATE = 10
SIZE = (48, 64)
HERTZ = 440


def scene(count: int = 6, size: tuple[int, int] = SIZE) -> list[Image]:
    """Coloured waves that move."""
    height, width = size
    wide = picture(3, height, width + 4 * count)
    # Smooth, so that codecs keep it.
    wide = (wide // 2 + np.roll(wide, 1, 0) // 4 + np.roll(wide, 1, 1) // 4).astype(np.uint8)
    return [np.ascontiguousarray(wide[:, 4 * i : 4 * i + width]) for i in range(count)]


@dataclass(frozen=True)
class Tone:
    """A sound to make: a sine of `HERTZ`."""

    codec: str = "aac"
    seconds: float = 0.6
    rate: int = 8000
    layout: str = "mono"


def make_video(
    path: Path,
    frames: Sequence[Image] | None = None,
    *,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    encoded: Sequence[av.VideoFrame] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    muxer: str | None = None,
    tags: tuple[int, int, int, int] | None = None,
    aspect: Fraction | None = None,
    tone: Tone | None = None,
) -> Path:
    """Write a video.

    frames   by default `scene`; or ``encoded``, frames of ``pixel_format``
    times    seconds, by default those of `RATE`
    tags     matrix, range, primaries and transfer as numbers of H.273
    """
    if encoded is None:
        encoded = [av.VideoFrame.from_ndarray(f, "rgb24") for f in frames or scene()]
        encoded = [
            f if pixel_format == "rgb24" else f.reformat(format=pixel_format) for f in encoded
        ]
    times = times or [i / RATE for i in range(len(encoded))]
    with av.open(str(path), "w", format=muxer, container_options=container or {}) as output:
        grid = Fraction(1, RATE) if path.suffix == ".avi" else Fraction(1, 1000)
        stream = output.add_stream(codec, RATE, {"crf": "6", **(options or {})}, time_base=grid)
        stream.width, stream.height = encoded[0].width, encoded[0].height
        stream.pix_fmt = pixel_format
        context = stream.codec_context
        if tags:
            context.colorspace, context.color_range = tags[:2]
            context.color_primaries, context.color_trc = tags[2:]
        if aspect:
            context.sample_aspect_ratio = aspect
        sound = output.add_stream(tone.codec, tone.rate, layout=tone.layout) if tone else None
        if tone and sound:
            channels = sound.layout.nb_channels
            wave = np.sin(
                2 * np.pi * HERTZ * np.arange(round(tone.seconds * tone.rate)) / tone.rate
            )
            samples = np.repeat((wave * 12_000).astype(np.int16), channels)[None]
            frame = av.AudioFrame.from_ndarray(samples, "s16", tone.layout)
            frame.sample_rate, frame.pts, frame.time_base = tone.rate, 0, Fraction(1, tone.rate)
            output.mux([*sound.encode(frame), *sound.encode(None)])
        for frame, time in zip(encoded, times, strict=True):
            frame.pts, frame.time_base = round(time / grid), grid
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@dataclass(frozen=True)
class Found:
    """What is in a video.

    tags   matrix, range, primaries and transfer of the first frame
    sound  codec and mono samples of every sound track, and their rates
    """

    frames: list[Image]
    times: list[float]
    codec: str
    pixel_format: str
    tags: tuple[int, int, int, int]
    aspect: Fraction | None
    rotation: int
    sounds: list[str]
    samples: list[np.ndarray]
    sound_start: float | None
    duration: float | None


def look(path: Path) -> Found:
    """Decode a video whole."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = list(file.decode(stream))
        first = frames[0]
        tags = (first.colorspace, first.color_range, first.color_primaries, first.color_trc)
        images = [f.reformat(format="rgb24", dst_color_range=2).to_ndarray() for f in frames]
        tracks = [s.codec_context.codec.canonical_name for s in file.streams.audio]
        found = Found(
            frames=images,
            times=[float(f.time) for f in frames],
            codec=stream.codec_context.codec.canonical_name,
            pixel_format=first.format.name,
            tags=tags,
            aspect=stream.sample_aspect_ratio,
            rotation=first.rotation,
            sounds=tracks,
            samples=[],
            sound_start=None,
            duration=file.duration / av.time_base if file.duration else None,
        )
    start = None
    for index in range(len(tracks)):
        with av.open(str(path)) as file:
            heard = list(file.decode(file.streams.audio[index]))
            start = heard[0].time if start is None else start
            found.samples.append(np.concatenate([f.to_ndarray().reshape(-1) for f in heard]))
    return Found(**{**found.__dict__, "sound_start": start})


def sound_packets(path: Path) -> list[bytes]:
    """The encoded sound, packet by packet."""
    with av.open(str(path)) as file:
        return [bytes(p) for p in file.demux(file.streams.audio[0]) if p.size]


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax()) * rate / len(samples)
