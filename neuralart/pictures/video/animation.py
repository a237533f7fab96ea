"""Animated GIF and WebP: frames with their durations, transparency and number of plays.

Pillow reads and writes them. All painted frames are in memory until the end: one byte a pixel for
GIF, three or four for WebP.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image as Pillow

from neuralart.errors import ImageError, OutputError
from neuralart.pictures.pixels import Image, Picture, to_8_bits
from neuralart.pictures.video.frames import TimedFrame

if TYPE_CHECKING:
    from neuralart.pictures.video.colours import Colours

SUFFIXES = (".gif", ".webp")
"""The suffixes of animations."""

FOREVER = 0
"""The number of plays of an animation that begins again and again."""

# More pixels in all frames together would take gigabytes.
MOST_PIXELS = 500_000_000

_LONGEST_EDGE = {".gif": 65535, ".webp": 16383}

# Times are multiples of this, milliseconds.
_UNIT = {".gif": 10, ".webp": 1}

# Browsers show frames of no duration for this long, and those of GIF below 20 ms, too. Seconds.
_DEFAULT_DURATION = Fraction(1, 10)
_SHORTEST_OF_GIF = Fraction(1, 50)


def kind_of(source: str) -> tuple[str, int]:
    """``GIF`` or ``WEBP`` and the number of frames, 0 if it is damaged; ``""`` for other files."""
    try:
        path = Path(source)
        if not path.is_file():
            return "", 0
        with Pillow.open(path, formats=("GIF", "WEBP")) as picture:
            return picture.format or "", _count(picture)
    except Exception:  # noqa: BLE001  # decoders raise anything on damaged files
        return "", 0


def _count(picture: Pillow.Image) -> int:
    """The number of frames; 0 if it is unknown, since the file is damaged."""
    try:
        return int(getattr(picture, "n_frames", 1))
    except Exception:  # noqa: BLE001
        return 0


class AnimationReader:
    """Decodes the frames of a GIF or WebP file: see `VideoReader`, whose attributes it has.

    plays  how often it is shown; `FOREVER` for no end
    """

    damaged_parts = 0
    aspect: Fraction | None = None
    time_base = Fraction(1, 1000)
    sound = None

    def __init__(self, source: str, max_pixels: float) -> None:
        """Read the header. Raises ImageError if it is damaged, or a frame has over ``max_pixels``."""
        self.path = Path(source)
        self.ends_early = False
        try:
            self._pillow = Pillow.open(self.path, formats=("GIF", "WEBP"))
            self.frame_count = _count(self._pillow)
        except Exception:  # noqa: BLE001
            raise ImageError(f"{source}: not an animation, or damaged") from None
        self.size = self._pillow.height, self._pillow.width
        if self.size[0] * self.size[1] > max_pixels:
            self._pillow.close()
            raise ImageError(
                f"{source}: {self.size[1]}x{self.size[0]} is over the limit of "
                f"{max_pixels / 1e6:.0f} megapixels; if that is true, raise --max-pixels"
            )
        loop = self._pillow.info.get("loop")
        # GIF says how often it is repeated, or nothing; WebP how often it is shown.
        self.plays = loop or FOREVER
        if self._pillow.format == "GIF" and loop != 0:
            self.plays = 1 if loop is None else loop + 1

    def __enter__(self) -> AnimationReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pillow.close()

    @property
    def colours(self) -> Colours:
        """The colours of a video that is made of the animation."""
        from neuralart.pictures.video.colours import Colours

        return Colours.of_rgb(*self.size)

    @property
    def rate(self) -> Fraction:
        """Frames a second, as far as the first frame shows."""
        return 1 / (self._duration() or _DEFAULT_DURATION)

    @property
    def grid_rate(self) -> Fraction:
        """A rate whose frames can have about all times of this animation."""
        return Fraction(100)

    def _duration(self) -> Fraction:
        return Fraction(round(self._pillow.info.get("duration") or 0), 1000)

    def frames(self) -> Iterator[TimedFrame]:
        """The frames up to the end, or to where the file breaks off."""
        time = Fraction(0)
        for index in range(self.frame_count) if self.frame_count else itertools.count():
            try:
                self._pillow.seek(index)
                if (self._pillow.height, self._pillow.width) != self.size:
                    raise ValueError("a frame that is larger than the animation")
                self._pillow.load()
                mode = "RGBA" if self._pillow.has_transparency_data else "RGB"
                pixels = np.asarray(self._pillow.convert(mode))
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001
                self.ends_early = True
                return
            alpha = np.ascontiguousarray(pixels[..., 3]) if mode == "RGBA" else None
            if alpha is not None and alpha.min() == 255:
                alpha = None
            duration = self._duration()
            yield TimedFrame(np.ascontiguousarray(pixels[..., :3]), time, duration, alpha)
            time += duration or _DEFAULT_DURATION


class AnimationWriter:
    """Collects painted frames, and encodes them as one GIF or WebP file at the end."""

    def __init__(
        self, file: BinaryIO, target: Path, quality: int, plays: int, *, exact: bool
    ) -> None:
        """Begin to write to ``file``, which becomes ``target``.

        quality  of WebP, 1..100
        plays    how often the animation is shown; `FOREVER` for no end
        exact    keep every frame; otherwise frames that follow too fast for GIF are left out
        """
        self._file, self._target = file, target
        self._suffix = target.suffix.lower()
        self._quality, self._plays, self._exact = quality, plays, exact
        self._frames: list[Pillow.Image] = []
        self._times: list[tuple[Fraction, Fraction | None]] = []
        self._clear = False

    def write(self, painted: Picture, frame: TimedFrame) -> None:
        """Add a frame, painted of ``frame``. Raises OutputError for too many or too large ones."""
        check_room(self._target, painted.size, len(self._frames) + 1)
        is_gif = self._suffix == ".gif"
        if is_gif and self._times and not self._exact:
            gap = frame.time - self._times[-1][0]
            if gap < _SHORTEST_OF_GIF - Fraction(1, 1000):
                return
        pixels = to_8_bits(painted.pixels)
        alpha = (
            to_8_bits(painted.alpha)
            if painted.is_transparent and painted.alpha is not None
            else None
        )
        self._clear = self._clear or alpha is not None
        made = _gif_frame(pixels, alpha) if is_gif else _webp_frame(pixels, alpha)
        self._frames.append(made)
        self._times.append((frame.time, frame.duration))

    def finish(self, *, whole: bool) -> None:
        """Write the file. ``whole`` changes nothing: an animation of some frames is whole, too.

        Raises OutputError if it cannot be encoded, OSError if it cannot be written.
        """
        options: dict[str, Any] = {"duration": self._durations()}
        if self._suffix == ".webp":
            options |= {"loop": self._plays, "quality": self._quality}
        else:
            if self._plays != 1:
                options["loop"] = max(0, self._plays - 1)
            if self._clear:
                options["disposal"] = 2  # or what is transparent would show the frame before
        buffer = io.BytesIO()
        first, *others = self._frames
        name = self._suffix.removeprefix(".").upper()
        try:
            first.save(buffer, name, save_all=True, append_images=others, **options)
        except (OSError, ValueError) as error:
            raise OutputError(f"{self._target}: cannot be encoded: {error}") from None
        self._file.write(buffer.getbuffer())

    def close(self) -> None:
        """Let go of the frames."""
        self._frames.clear()

    def _durations(self) -> list[int]:
        """Milliseconds of each frame. Times are rounded, so that rounding does not add up."""
        unit = _UNIT[self._suffix]
        times = [time for time, _ in self._times]
        gaps = [later - time for time, later in itertools.pairwise(times)]
        last = self._times[-1][1]
        end = times[-1] + (last or (gaps[-1] if gaps else _DEFAULT_DURATION))
        ticks = [round(time * 1000 / unit) for time in (*times, end)]
        return [
            0 if given == 0 else max(1, later - tick) * unit
            for (tick, later), (_, given) in zip(
                itertools.pairwise(ticks), self._times, strict=True
            )
        ]


def check_room(target: Path, size: tuple[int, int], frames: int) -> None:
    """Raise OutputError if an animation cannot hold so many frames of (height, width)."""
    height, width = size
    longest = _LONGEST_EDGE[target.suffix.lower()]
    if max(size) > longest:
        raise OutputError(
            f"{target}: an animation holds at most {longest} pixels an edge, not {max(size)}; "
            "paint at a smaller --size"
        )
    if frames * height * width > MOST_PIXELS:
        raise OutputError(
            f"{target}: {frames} frames of {width}x{height} are over the {MOST_PIXELS / 1e6:.0f} "
            "megapixels of an animation; write a video as .mp4, or paint at a smaller --size"
        )


def _gif_frame(pixels: Image, alpha: Image | None) -> Pillow.Image:
    """A frame in 256 colours of its own, or 255 if more than half of a pixel may be transparent."""
    if alpha is None:
        return Pillow.fromarray(pixels).quantize(256)
    hidden = alpha < 128
    shown = np.where(hidden[..., None], np.uint8(255), pixels)
    colours = Pillow.fromarray(shown).quantize(255)
    indices = np.where(hidden, np.uint8(255), np.asarray(colours))
    frame = Pillow.fromarray(indices, mode="P")
    palette = colours.getpalette() or []
    frame.putpalette(palette + [0] * (768 - len(palette)))
    frame.info["transparency"] = 255
    return frame


def _webp_frame(pixels: Image, alpha: Image | None) -> Pillow.Image:
    return Pillow.fromarray(pixels if alpha is None else np.dstack([pixels, alpha]))
