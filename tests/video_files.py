"""Tiny videos, made and inspected by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from neuralart.pictures.pixels import Image

RATE = 10
SIZE = (48, 64)
HERTZ = 440


def scene(count: int = 6, size: tuple[int, int] = SIZE) -> list[Image]:
    """Coloured waves that move, smooth enough for every codec to keep them."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    frames = []
    for i in range(count):
        right = columns + 2 * i
        waves = [np.sin(right / 11), np.cos(rows / 13 + right / 29), np.sin((rows + right) / 17)]
        frames.append((127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8))
    return frames


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
        heard: list[av.Packet] = []
        sound = output.add_stream(tone.codec, tone.rate, layout=tone.layout) if tone else None
        if tone and sound:
            ticks = np.arange(round(tone.seconds * tone.rate))
            wave = (np.sin(2 * np.pi * HERTZ * ticks / tone.rate) * 12_000).astype(np.int16)
            for start in range(0, len(wave), 1024):
                samples = np.repeat(wave[start : start + 1024], sound.layout.nb_channels)[None]
                frame = av.AudioFrame.from_ndarray(samples, "s16", tone.layout)
                frame.sample_rate, frame.time_base = tone.rate, Fraction(1, tone.rate)
                frame.pts = start
                heard += sound.encode(frame)
            heard += sound.encode(None)
        for frame, time in zip(encoded, times, strict=True):
            frame.pts, frame.time_base = round(time / grid), grid
            while heard and heard[0].pts * heard[0].time_base <= time:
                output.mux(heard.pop(0))
            output.mux(stream.encode(frame))
        output.mux([*heard, *stream.encode(None)])
    return path


@dataclass(frozen=True)
class Found:
    """What is in a video.

    tags   matrix, range, primaries and transfer of the first frame
    samples  of the first channel of every sound track
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
            # Players take AVI's decoding times.
            times=[
                float((f.dts if path.suffix == ".avi" else f.pts) * f.time_base) for f in frames
            ],
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
            found.samples.append(np.concatenate([first_channel(f) for f in heard]))
    return Found(**{**found.__dict__, "sound_start": start})


def first_channel(frame: av.AudioFrame) -> np.ndarray:
    samples = frame.to_ndarray()[0]
    return samples if frame.format.is_planar else samples[:: frame.layout.nb_channels]


def sound_packets(path: Path) -> list[bytes]:
    """The encoded sound, packet by packet."""
    with av.open(str(path)) as file:
        return [bytes(p) for p in file.demux(file.streams.audio[0]) if p.size]


def silence(path: Path) -> Path:
    """A file of sound alone."""
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 64), np.int16), "s16", "mono")
    frame.sample_rate = 8000
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", 8000, layout="mono")
        output.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def loudest_hertz(samples: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax()) * rate / len(samples)
