"""The video files that are written, by suffix: container, codecs, and the sound they can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Sources of the settings: FFmpeg's documentation of libx264 and libvpx-vp9. Both keep few frames
# in memory; a painting is too rough for a longer look ahead to pay. Nor does x264's usual search: of
# a pan over two paintings, ``medium`` at crf 18 makes a file of the same size, 0.2 dB nearer, in more
# than twice the time, 13 % of what painting a frame of 640x360 takes.
_H264 = {"preset": "veryfast", "crf": "17", "rc-lookahead": "10"}
_VP9 = {"crf": "24", "b": "0", "cpu-used": "4", "row-mt": "1", "lag-in-frames": "10"}


@dataclass(frozen=True)
class VideoContainer:
    """A container as it is written.

    muxer          FFmpeg's name of the container
    codec          FFmpeg's name of the encoder of frames
    options        options of that encoder
    holds          codecs of sound that common players find in this container; they are copied
    sound          the encoder for all other sound
    any_time       whether a frame may have any time; otherwise times are multiples of 1 / rate
    any_aspect     whether pixels may be other than square
    before_zero    whether players skip what encoders put before time 0 of the sound
    muxer_options  options of the container
    """

    muxer: str
    codec: str
    options: Mapping[str, str]
    holds: frozenset[str]
    sound: str
    any_time: bool = True
    any_aspect: bool = True
    before_zero: bool = False
    muxer_options: Mapping[str, str] = field(default_factory=dict)


_MPEG_SOUND = {"aac", "mp3", "ac3", "eac3", "alac"}
_PCM = {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"}
_PCM_BIG_ENDIAN = {"pcm_s8", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be"}

CONTAINERS = {
    # PCM in MP4 is a standard, ISO/IEC 23003-5, that few players know.
    ".mp4": VideoContainer(
        "mp4",
        "libx264",
        _H264,
        frozenset(_MPEG_SOUND | {"opus", "flac", "mp2"}),
        "aac",
        before_zero=True,
    ),
    ".mov": VideoContainer(
        "mov",
        "libx264",
        _H264,
        frozenset(_MPEG_SOUND | _PCM | _PCM_BIG_ENDIAN),
        "aac",
        before_zero=True,
    ),
    ".mkv": VideoContainer(
        "matroska",
        "libx264",
        _H264,
        frozenset(_MPEG_SOUND | _PCM | {"opus", "vorbis", "flac", "mp2", "dts", "truehd"}),
        "aac",
        before_zero=True,
    ),
    # AVI has decoding times only, so no frame may refer to a later one.
    ".avi": VideoContainer(
        "avi",
        "libx264",
        {**_H264, "bf": "0"},
        frozenset(_PCM | {"mp3", "mp2", "ac3"}),
        "libmp3lame",
        any_time=False,
        # Sound that an encoder puts before time 0 would move the frames by a whole one.
        muxer_options={"avoid_negative_ts": "disabled"},
    ),
    # WebM can say the aspect of pixels, but not through PyAV, and VP9 cannot.
    ".webm": VideoContainer(
        "webm", "libvpx-vp9", _VP9, frozenset({"opus", "vorbis"}), "libopus", any_aspect=False
    ),
}
"""The containers by suffix."""
