"""Videos through the real command line: frames, times, colours, sound, and errors."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import Result
from helpers import fails, files_below, picture, run_cli
from video_files import (
    HERTZ,
    RATE,
    SIZE,
    Tone,
    look,
    loudest_hertz,
    make_video,
    scene,
    silence,
    sound_packets,
)

from neuralart.chain.model import load_model
from neuralart.engine.devices import open_device
from neuralart.options.paint import VIDEO_SUFFIXES
from neuralart.painting import video
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.painting.video import SmoothedStatistics
from neuralart.pictures.pixels import Picture

CODECS = {".webm": "libvpx-vp9"}

UNEVEN = [0.0, 0.1, 0.25, 0.3, 1.3, 1.4]

Painting = Callable[..., Result]


@pytest.fixture
def paint(run_dir: Path) -> Painting:
    """Run the command; it must succeed."""

    def run(*words: object) -> Result:
        result = run_cli("stylize", *words, "--model", run_dir)
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture
def copy(paint: Painting) -> Painting:
    """The command at strength 0, which gives the frames as they were read."""
    return lambda *words: paint(*words, "--strength", 0)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4")


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_video_keeps_its_size_rate_and_length(
    paint: Painting, clip: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    assert paint(clip, out).stdout == f"{out}\n"
    found, source = look(out), look(clip)
    assert found.times == pytest.approx(source.times, abs=1e-3)
    assert {frame.shape for frame in found.frames} == {(*SIZE, 3)}
    assert found.duration == pytest.approx(source.duration, abs=0.11)
    for painted, frame in zip(found.frames, source.frames, strict=True):
        assert abs(painted.astype(float) - frame).mean() > 5
    assert files_below(tmp_path) == ["clip.mp4", out.name]


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_strength_0_gives_back_the_frames(
    copy: Painting, clip: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    copy(clip, out)
    for copied, frame in zip(look(out).frames, look(clip).frames, strict=True):
        assert abs(copied.astype(float) - frame).mean() < 4


@pytest.mark.parametrize(
    ("source", "target"),
    [("a.mp4", "b.mp4"), ("a.mp4", "b.mov"), ("a.mp4", "b.mkv"), ("a.webm", "b.webm"), ("a.mkv", "b.mp4")],
)  # fmt: skip
def test_frames_keep_uneven_times(copy: Painting, tmp_path: Path, source: str, target: str) -> None:
    a, b = tmp_path / source, tmp_path / target
    make_video(a, times=UNEVEN, codec=CODECS.get(a.suffix, "libx264"))
    copy(a, b)
    assert look(b).times == pytest.approx(UNEVEN, abs=1e-3)


def test_avi_takes_the_nearest_times_of_its_rate(copy: Painting, tmp_path: Path) -> None:
    copy(make_video(tmp_path / "a.mkv", times=UNEVEN), tmp_path / "b.avi")
    found = look(tmp_path / "b.avi")
    assert len(found.frames) == len(UNEVEN)
    assert found.times == pytest.approx(UNEVEN, abs=0.5 / RATE + 1e-3)


def test_frames_of_avi_in_another_order_keep_their_times(copy: Painting, tmp_path: Path) -> None:
    """AVI has decoding times only, which differ from those of B-frames."""
    frames = [np.full((*SIZE, 3), 20 + 10 * i, np.uint8) for i in range(12)]
    source = make_video(tmp_path / "a.avi", frames, options={"bf": "3", "b-adapt": "0"})
    copy(source, tmp_path / "b.mp4")
    found = look(tmp_path / "b.mp4")
    assert np.diff(found.times) == pytest.approx(1 / RATE, abs=2e-3)
    assert [f.mean() for f in found.frames] == pytest.approx([f.mean() for f in frames], abs=4)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_late_start_is_kept(copy: Painting, tmp_path: Path, suffix: str) -> None:
    times = [0.5 + i / RATE for i in range(6)]
    source = make_video(tmp_path / "late.mp4", times=times, tone=Tone(seconds=1.1))
    out = tmp_path / f"out{suffix}"
    copy(source, out)
    found = look(out)
    assert found.times == pytest.approx(times, abs=1e-3)
    assert found.sound_start == pytest.approx(0, abs=0.01)
    silent = make_video(tmp_path / "silent.mkv", times=times)
    copy(silent, out, "--overwrite")
    assert look(out).times == pytest.approx(times, abs=1e-3)


def test_the_clock_of_a_transport_stream_starts_at_its_first_frame(
    copy: Painting, tmp_path: Path
) -> None:
    source = make_video(tmp_path / "a.ts", times=[5 + i / RATE for i in range(6)])
    assert look(source).times[0] >= 5
    copy(source, tmp_path / "b.mp4")
    assert look(tmp_path / "b.mp4").times == pytest.approx([i / RATE for i in range(6)], abs=1e-3)


def test_webm_of_a_browser(copy: Painting, tmp_path: Path) -> None:
    """It has uneven times, and no duration of the video or of a frame."""
    source = tmp_path / "a.webm"
    make_video(
        source,
        times=UNEVEN,
        codec="libvpx",
        tone=Tone("libopus", 1.5),
        container={"live": "1"},
    )
    data = bytearray(source.read_bytes())
    place = data.index(b"\x23\xe3\x83")  # DefaultDuration, which becomes an element to skip
    length = 4 + (data[place + 3] & 0x7F)
    data[place : place + length] = bytes([0xEC, 0x80 | (length - 2)]) + bytes(length - 2)
    source.write_bytes(data)
    before = look(source)
    assert before.duration is None
    for name in ("b.webm", "b.mp4"):
        copy(source, tmp_path / name)
        found = look(tmp_path / name)
        assert np.diff(found.times) == pytest.approx(np.diff(UNEVEN), abs=2e-3)
        assert found.times == pytest.approx(before.times, abs=0.02)
        assert found.sounds == ["opus"]
        assert sound_packets(tmp_path / name) == sound_packets(source)


def test_aspect_of_pixels_is_kept(copy: Painting, tmp_path: Path) -> None:
    source = make_video(tmp_path / "wide.mp4", aspect=Fraction(4, 3))
    for name in ("b.mp4", "b.mov", "b.mkv", "b.avi"):
        copy(source, tmp_path / name)
        assert look(tmp_path / name).aspect == Fraction(4, 3)
    for aspect, size in ((Fraction(5, 4), (48, 80)), (Fraction(3, 4), (64, 64))):
        make_video(source, aspect=aspect)
        copy(source, tmp_path / "b.webm", "--overwrite")
        found = look(tmp_path / "b.webm")
        assert (found.aspect, found.frames[0].shape[:2]) == (1, size)


# The nine numbers of a display matrix as fractions of 65,536, and what makes stored pixels upright.
TURNS = {
    "90 degrees": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "180 degrees": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "270 degrees": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "mirrored and 90 degrees": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
}


def turned(source: Path, numbers: tuple[int, int, int, int]) -> Path:
    """Write a matrix into the track header of an MP4 (ISO/IEC 14496-12, section 8.3.2)."""
    data = bytearray(source.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    for i, number in zip((0, 1, 3, 4), numbers, strict=True):
        data[place + 4 * i : place + 4 * i + 4] = (number << 16).to_bytes(4, "big", signed=True)
    source.write_bytes(data)
    return source


@pytest.mark.parametrize("turn", TURNS)
def test_rotation_is_applied(copy: Painting, tmp_path: Path, turn: str) -> None:
    numbers, upright = TURNS[turn]
    stored = scene()[0]
    source = make_video(tmp_path / "phone.mp4", [stored] * 3, aspect=Fraction(4, 3))
    copy(turned(source, numbers), tmp_path / "out.mp4")
    found = look(tmp_path / "out.mp4")
    expected = upright(stored)
    assert found.frames[0].shape == expected.shape and found.rotation == 0
    assert abs(found.frames[0].astype(float) - expected).mean() < 5
    swaps = expected.shape != stored.shape or "and" in turn
    assert found.aspect == (Fraction(3, 4) if swaps else Fraction(4, 3))


@pytest.mark.parametrize("size", [(49, 64), (48, 65), (49, 65)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_odd_sizes(copy: Painting, tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    source = make_video(tmp_path / "odd.mp4", scene(3, size), pixel_format="yuv444p")
    out = tmp_path / f"out{suffix}"
    copy(source, out)
    found = look(out)
    assert {frame.shape[:2] for frame in found.frames} == {size}
    assert abs(found.frames[0].astype(float) - scene(3, size)[0]).mean() < 5


def test_a_size_and_a_strength(paint: Painting, clip: Path, tmp_path: Path) -> None:
    paint(clip, tmp_path / "small.mp4", "--size", 31, "--strength", 0.5)
    assert look(tmp_path / "small.mp4").frames[0].shape == (23, 31, 3)


def test_sound_is_copied_where_the_container_holds_it(copy: Painting, tmp_path: Path) -> None:
    for codec, name, target in [
        ("aac", "a.mp4", "b.mov"),
        ("aac", "a.mp4", "b.mkv"),
        ("mp2", "a.avi", "b.mp4"),
        ("pcm_s16le", "a.mov", "b.avi"),
        ("libopus", "a.webm", "b.mkv"),
    ]:
        source = tmp_path / name
        make_video(
            source, codec=CODECS.get(source.suffix, "libx264"), tone=Tone(codec, rate=48_000)
        )
        copy(source, tmp_path / target, "--overwrite")
        kept, before = sound_packets(tmp_path / target), sound_packets(source)
        if (codec, target) == ("aac", "b.mkv") and len(kept) < len(before):
            del before[0]  # what the encoder put before time 0, which FFmpeg 8 cannot say there
        assert b"".join(kept) == b"".join(before), (codec, name, target)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize(
    ("codec", "name", "target", "becomes", "rate"),
    [
        ("pcm_s16le", "a.mov", "b.mp4", "aac", 8000),
        ("aac", "a.mp4", "b.webm", "opus", 48_000),
        ("aac", "a.mp4", "b.avi", "mp3", 8000),
    ],
)
def test_other_sound_is_encoded_again(
    copy: Painting, tmp_path: Path, layout: str, codec: str, name: str, target: str, becomes: str, rate: int
) -> None:  # fmt: skip
    source = make_video(tmp_path / name, tone=Tone(codec, 0.6, layout=layout))
    result = copy(source, tmp_path / target)
    found = look(tmp_path / target)
    assert found.sounds == [becomes] and "note" not in result.stderr
    samples = found.samples[0]
    assert loudest_hertz(samples.astype(float), rate) == pytest.approx(HERTZ, abs=4)
    assert samples.size / rate == pytest.approx(0.6, abs=0.2)


def test_sound_that_a_container_refuses_is_encoded_again(copy: Painting, tmp_path: Path) -> None:
    """MP4 has no MP3 below 16 kHz."""
    source = make_video(tmp_path / "a.mkv", tone=Tone("libmp3lame"))
    copy(source, tmp_path / "b.mp4")
    found = look(tmp_path / "b.mp4")
    assert found.sounds == ["aac"]
    assert loudest_hertz(found.samples[0], 8000) == pytest.approx(HERTZ, abs=4)


@pytest.mark.parametrize("seconds", [0.3, 1.2])
def test_sound_of_another_length_is_kept_whole(
    copy: Painting, tmp_path: Path, seconds: float
) -> None:
    """It is as long as before, and costs no frames."""
    source = make_video(tmp_path / "a.mp4", tone=Tone(seconds=seconds))
    copy(source, tmp_path / "b.mp4")
    assert len(look(tmp_path / "b.mp4").frames) == 6
    assert sound_packets(tmp_path / "b.mp4") == sound_packets(source)


def test_a_video_without_sound(copy: Painting, clip: Path, tmp_path: Path) -> None:
    result = copy(clip, tmp_path / "b.mp4")
    assert look(tmp_path / "b.mp4").sounds == [] and result.stderr == ""


def part_of(source: Path, share: float) -> Path:
    data = source.read_bytes()
    cut = source.with_stem("cut")
    cut.write_bytes(data[: int(share * len(data))])
    return cut


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm"])
def test_a_truncated_video_is_painted_as_far_as_it_goes(
    run_dir: Path, tmp_path: Path, suffix: str
) -> None:
    codec = CODECS.get(suffix, "libx264")
    sound = {".avi": "pcm_s16le", ".webm": "libopus"}.get(suffix, "aac")
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    whole = make_video(
        tmp_path / f"whole{suffix}",
        scene(30),
        codec=codec,
        container=options,
        options={"g": "1"},
        tone=Tone(sound, 3.0),
    )
    out = tmp_path / f"out{suffix}"
    result = run_cli("stylize", part_of(whole, 0.6), out, "--model", run_dir, "--strength", 0)
    fails(result, 1, "cut", "ends early", out.name)
    found, before = look(out), look(whole)
    assert 5 < len(found.frames) < 30
    assert result.stderr.endswith(f": {len(found.frames)}\n")
    assert found.times == pytest.approx(before.times[: len(found.times)], abs=0.03)
    rate = 48_000 if suffix == ".webm" else 8000
    assert len(found.samples[0]) / rate == pytest.approx(found.times[-1] + 0.1, abs=0.3)
    for copied, frame in zip(found.frames, before.frames, strict=False):
        assert abs(copied.astype(float) - frame).mean() < 6
    result = run_cli("stylize", whole, out, "--overwrite", "--model", run_dir, "--strength", 0)
    assert result.exit_code == 0, result.stderr


def test_a_video_without_its_index_is_an_error(run_dir: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    result = run_cli("stylize", part_of(clip, 0.5), out, "--model", run_dir)
    fails(result, 1, "cut.mp4", "ends early, before its index")
    assert not out.exists()


def test_a_damaged_video_is_painted_where_it_can_be_read(run_dir: Path, tmp_path: Path) -> None:
    """Each frame is a picture of its own, and one of them is overwritten."""
    source = make_video(tmp_path / "a.mov", codec="png", pixel_format="rgb24")
    data = bytearray(source.read_bytes())
    place = [i for i in range(len(data)) if data.startswith(b"\x89PNG", i)][2]
    data[place + 4 : place + 40] = bytes(36)
    source.write_bytes(data)
    out = tmp_path / "out.mp4"
    result = run_cli("stylize", source, out, "--model", run_dir, "--strength", 0)
    fails(result, 1, "a.mov", "is damaged, packets: 1", out.name)
    assert look(out).times == pytest.approx([0, 0.1, 0.3, 0.4, 0.5], abs=1e-3)


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 5,000 bytes, not even the log of these tests."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_full_disk_leaves_the_earlier_file(run_dir: Path, tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, *SIZE, 3), np.uint8)
    source = make_video(tmp_path / "noise.mp4", list(noise), tone=Tone())
    out = tmp_path / f"out{suffix}"
    out.write_bytes(b"an earlier painting")
    with small_disk():
        result = run_cli("stylize", source, out, "--overwrite", "--model", run_dir)
    fails(result, 1, out.name, "cannot be written", "File too large")
    assert out.read_bytes() == b"an earlier painting"
    assert files_below(tmp_path) == ["noise.mp4", out.name]


@pytest.fixture
def interrupted_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have Ctrl-C pressed while frame number N is painted."""

    def prepare(number: int) -> None:
        real, painted = video.Stylizer.paint, []

        def paint(*words: Any) -> Picture:
            painted.append(words)
            if len(painted) == number:
                os.kill(os.getpid(), signal.SIGINT)
            return real(*words)

        monkeypatch.setattr(video.Stylizer, "paint", paint)

    return prepare


def test_ctrl_c_ends_a_video_with_the_frames_so_far(
    run_dir: Path, tmp_path: Path, interrupted_after: Callable[[int], None]
) -> None:
    source = make_video(tmp_path / "a.mp4", scene(12), tone=Tone(seconds=1.2))
    out = tmp_path / "out.mp4"
    interrupted_after(3)
    handler = signal.getsignal(signal.SIGINT)
    fails(run_cli("stylize", source, out, "--model", run_dir), 130, out.name, "so far: 3")
    found = look(out)
    assert found.times == pytest.approx([0, 0.1, 0.2], abs=1e-3)
    assert len(found.samples[0]) == pytest.approx(0.3 * 8000, abs=1.1 * 1024)
    assert files_below(tmp_path) == ["a.mp4", "out.mp4"]
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture
def camera(clip: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The clip is what camera 1 sees; the list is what was opened as a device."""
    real, asked = av.open, []

    def opened(source: object, *words: Any, **more: Any) -> Any:
        if more.get("format") not in ("v4l2", "avfoundation"):
            return real(source, *words, **more)
        asked.append(source)
        if "1" not in str(source):
            raise av.error.FileNotFoundError(2, "No such file or directory")
        return real(str(clip), *words)

    monkeypatch.setattr(av, "open", opened)
    return asked


def test_a_camera_is_a_number(
    paint: Painting,
    run_dir: Path,
    tmp_path: Path,
    camera: list[object],
    interrupted_after: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint(1, "seen.mp4").stdout == "seen.mp4\n"
    assert len(look(tmp_path / "seen.mp4").frames) == 6
    fails(run_cli("stylize", 7, "none.mp4", "--model", run_dir), 1, "7: no such camera")
    assert [str(name)[-1] for name in camera] == ["1", "7"]
    interrupted_after(2)
    assert paint(1, "short.mp4").stdout == "short.mp4\n"
    assert len(look(tmp_path / "short.mp4").frames) == 2


@pytest.fixture
def statistics(run_dir: Path) -> SmoothedStatistics:
    model = load_model(run_dir)
    return SmoothedStatistics(PhotoPainter(model, open_device("cpu"), len(model.specs)), 25)


def test_statistics_are_measured_now_and_then(
    statistics: SmoothedStatistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, real = [], PhotoPainter.measure
    monkeypatch.setattr(
        PhotoPainter, "measure", lambda self, frame: measured.append(frame) or real(self, frame)
    )
    frames = [picture(number) for number in range(30)]
    for frame in frames:
        statistics(frame)
    assert [next(i for i, f in enumerate(frames) if f is m) for m in measured] == [0, 13, 26]


def test_a_still_video_keeps_its_arrays_and_another_scene_moves_them_each_frame(
    statistics: SmoothedStatistics,
) -> None:
    """Paintings on the same arrays share a graph, so none may change after it was returned."""
    first = statistics(picture(1))
    kept = {name: array.copy() for name, array in first.items()}
    assert all(statistics(picture(1)) is first for _ in range(20))
    moving = [statistics(255 - picture(2) // 3) for _ in range(14)][-7:]
    assert len({id(arrays) for arrays in moving}) == 7
    assert all(np.array_equal(first[name], array) for name, array in kept.items())
    name = next(name for name in first if name.endswith("_mean"))
    path = [abs(arrays[name] - first[name]).max() for arrays in moving]
    steps = np.diff(path)
    assert (steps > 0).all() and steps.max() < 1.5 * steps.min()  # no jump where one is measured


def test_statistics_move_slowly(run_dir: Path) -> None:
    model = load_model(run_dir)
    painter = PhotoPainter(model, open_device("cpu"), len(model.specs))
    first, second = picture(1), picture(2) // 3
    alone = painter.measure(second)
    moved = []
    for seconds in (None, 0.8, 5.0):
        smoothed = SmoothedStatistics(painter, frames_per_second=1.25)
        before = {name: array.copy() for name, array in smoothed(first).items()}
        after = smoothed(second, seconds)
        far = {name: abs(alone[name] - before[name]).max() for name in before}
        shares = [abs(after[name] - before[name]).max() / far[name] for name in before]
        moved.append(shares)
    assert moved[0] == moved[1] == pytest.approx([1 - np.exp(-0.8)] * len(moved[0]), rel=0.01)
    assert moved[2] == pytest.approx([1 - np.exp(-5)] * len(moved[2]), rel=0.01)


def test_progress_counts_frames(
    paint: Painting, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, bars = video.counting, []

    def counting(total: int, done: int, unit: str) -> Any:
        bars.append((total, done, unit))
        return real(total, done, unit)

    monkeypatch.setattr(video, "counting", counting)
    paint(clip, tmp_path / "b.mp4")
    assert bars == [(6, 0, "frame")]


def test_without_pyav_one_line_says_what_to_install(
    run_dir: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.startswith("neuralart.pictures.video.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    result = run_cli("stylize", clip, tmp_path / "out.mp4", "--model", run_dir)
    fails(result, 1, "PyAV", "pip install", "[video]")
    assert files_below(tmp_path) == ["clip.mp4"]


def test_an_error_is_one_line(run_dir: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    model = ("--model", run_dir)
    fails(run_cli("stylize", tmp_path / "gone.mp4", out, *model), 1, "gone.mp4", "no such video")
    fails(run_cli("stylize", text, out, *model), 1, "notes.mp4", "not a video")
    fails(run_cli("stylize", clip, clip, *model, "--overwrite"), 1, "is the video itself")
    fails(run_cli("stylize", clip, text, *model), 1, "exists", "--overwrite")
    fails(run_cli("stylize", clip, tmp_path / "no" / "out.mp4", *model), 1, "no such folder")
    sound = silence(tmp_path / "sound.mka")
    fails(run_cli("stylize", sound, out, *model), 1, "sound.mka", "no video in it")
    assert text.read_text() == "no video" and not out.exists()
