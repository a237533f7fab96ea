"""``neuralart stylize``: paint photos with a trained style, one or a million of them.

While one photo is painted, the next are read and the last ones written by other threads; MXNet runs in
the calling thread alone.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from neuralart import engine
from neuralart.config import StylizeConfig
from neuralart.dials import mix, painted_size, position
from neuralart.encode import check_size, check_writable, encode_picture, write_picture
from neuralart.errors import (
    BatchError,
    ConfigError,
    EngineError,
    ImageError,
    Interrupted,
    NeuralArtError,
    OutputError,
)
from neuralart.files import Arrays
from neuralart.images import resize
from neuralart.jobs import STANDARD, Job, Jobs, find_jobs, parse_shard, shard
from neuralart.model import load_model
from neuralart.painting import Painting
from neuralart.pictures import Picture, PictureFile, Pixels
from neuralart.progress import PictureBar
from neuralart.shipped import find_model
from neuralart.signals import deferred_signals

# Pictures that are read, painted and written at the same time have together no more pixels than this,
# or there is only one.
PIXELS_IN_HAND = 50_000_000
THREADS = 2
AHEAD = 4


class Dials:
    """A painter behind its dials: strength, stage, colours and size.

    A strength of less than the first stage's mixes that stage with the photo itself, after it was painted:
    so --keep-size brings back the photo's own pixels, and strength 0 all of them.
    """

    def __init__(self, config: StylizeConfig) -> None:
        """Raises NeuralArtError if the model cannot be read or has no such stage."""
        model = load_model(find_model(config.model))
        stages = model.check_stage(config.stage)
        self._config = config
        stage, self._share = position(config.strength, stages)
        self._photo_share = 1 - self._share if stage == 1 else 0.0
        self.painting = Painting(
            model,
            engine.device(config.device),
            stage,
            share=self._share if stage > 1 else 1.0,
            tile=config.tile,
            max_memory=config.max_memory,
            precision=config.precision,
        )

    def paint(self, photo: Picture, measure: Callable[[Pixels], Arrays] | None = None) -> Picture:
        """The painting, with the photo's alpha, profile and EXIF; on other statistics if ``measure`` is given."""
        config = self._config
        full = photo.size
        size = painted_size(full, config.size)
        pixels, alpha = photo.pixels, photo.alpha
        small = pixels if size == full else resize(pixels, size)
        if not config.keep_size and size != full:
            pixels, alpha = small, None if alpha is None else resize(alpha, size)
        if config.strength == 0:
            return replace(photo, pixels=pixels, alpha=alpha)
        painting = self.painting.paint(small, measure(small) if measure else None)
        if painting.shape != pixels.shape:
            painting = resize(painting, full)
        if self._photo_share or config.preserve_colors:
            painting = mix(pixels, painting, 1 - self._photo_share, config.preserve_colors)
        return replace(photo, pixels=painting, alpha=alpha)


@dataclass
class Report:
    """What became of a batch."""

    painted: int = 0
    there: int = 0
    failed: int = 0
    pixels: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.painted:,} painted ({self.pixels / 1e6:,.1f} megapixels)"]
        if self.there:
            parts.append(f"{self.there:,} there already")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        minutes, seconds = divmod(self.seconds, 60)
        time = f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"
        return f"{', '.join(parts)} in {time}"


def stylize(
    sources: Sequence[str],
    target: str,
    config: StylizeConfig,
    written: Callable[[Path], None],
    note: Callable[[str], None],
) -> None:
    """Paint files, folders or patterns into a file or a folder (see `find_jobs`).

    ``written`` gets each painting's path, ``note`` a line for people now and then.
    Raises NeuralArtError if the model cannot be read or the one photo not be painted; of a batch, after all
    else is done, BatchError if a photo could not.
    """
    if config.skip_existing and config.overwrite:
        raise ConfigError("--skip-existing and --overwrite contradict each other; give one of them")
    part = parse_shard(config.shard)
    found = find_jobs(sources, target, config.format)
    jobs = shard(found.jobs, part)
    if found.passed:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.passed.items()))
        note(f"note: files that are no pictures are passed over: {kinds}")
    if not found.many and not (config.skip_existing and found.jobs[0].target.exists()):
        _check_target(found.jobs[0], config, set(), make_folders=found.into_folder)
    dials = Dials(config)
    line = _Line(found, config, dials, written, note)
    with contextlib.ExitStack() as stack:
        interrupts = stack.enter_context(deferred_signals()) if found.many else []
        report = line.run(jobs, interrupts)
    if interrupts:
        raise Interrupted(
            f"stopped: {report}; the same command with --skip-existing goes on", interrupts[0]
        )
    if report.failed:
        raise BatchError(str(report))
    if found.many:
        note(str(report))


def _keys(jobs: Sequence[Job]) -> set[tuple[int, int]]:
    """What the photos are on their disks, by whatever name."""
    keys = set()
    for job in jobs:
        with contextlib.suppress(OSError):
            status = job.source.stat()
            keys.add((status.st_dev, status.st_ino))
    return keys


def _check_target(
    job: Job, config: StylizeConfig, photos: set[tuple[int, int]], *, make_folders: bool
) -> None:
    """Raises OutputError if the painting must not or cannot be written."""
    if job.target == STANDARD:
        if sys.stdout.isatty():
            raise OutputError("-: standard output is a terminal; send it to a file or a program")
        return
    if job.clash:
        raise OutputError(
            f"{job.source}: would be painted to {job.target} as {job.clash} is; use another folder"
        )
    check_writable(job.target, config.overwrite, make_folders=make_folders)
    if job.target.exists():
        status = job.target.stat()
        same = job.source.exists() and job.target.samefile(job.source)
        if same or (status.st_dev, status.st_ino) in photos:
            raise OutputError(f"{job.target}: is the photo itself; name another file or folder")


@dataclass
class _Opened:
    """A photo whose header has been read."""

    job: Job
    file: PictureFile
    suffix: str

    @property
    def pixels(self) -> int:
        return self.file.size[0] * self.file.size[1]


class _Line:
    """Photos in a line: read ahead, painted one after the other, written behind."""

    def __init__(
        self,
        found: Jobs,
        config: StylizeConfig,
        dials: Dials,
        written: Callable[[Path], None],
        note: Callable[[str], None],
    ) -> None:
        self._many, self._into_folder = found.many, found.into_folder
        self._config, self._dials = config, dials
        self._written, self._note = written, note
        self._photos = _keys(found.jobs) if config.overwrite else set()
        self._report = Report()
        self._stopping = False
        self._in_hand = 0

    def run(self, jobs: Sequence[Job], interrupts: Sequence[int]) -> Report:
        """Do the jobs. Raises the error of a single one."""
        start = time.monotonic()
        ahead: deque[tuple[_Opened, Future[Picture]]] = deque()
        behind: deque[tuple[_Opened, Future[None]]] = deque()
        with (
            PictureBar(len(jobs) if self._many else 0) as self._bar,
            ThreadPoolExecutor(THREADS) as pool,
        ):
            waiting = self._open_all(jobs)
            opened = next(waiting, None)
            while opened or ahead or behind:
                self._stopping = self._stopping or bool(interrupts)
                while opened and not self._stopping and len(ahead) < AHEAD and self._fits(opened):
                    self._in_hand += opened.pixels
                    ahead.append((opened, pool.submit(opened.file.read)))
                    opened = next(waiting, None)
                if self._stopping:
                    for left, reading in ahead:
                        reading.cancel()
                        left.file.close()
                    ahead.clear()
                    opened = None
                if ahead:
                    current, reading = ahead.popleft()
                    painting = self._paint(current, reading)
                    if painting is not None:
                        behind.append((current, pool.submit(self._write, current, painting)))
                    del painting, reading
                while behind and (behind[0][1].done() or not ahead or len(behind) > AHEAD):
                    self._collect(*behind.popleft())
        self._report.seconds = time.monotonic() - start
        return self._report

    def _fits(self, opened: _Opened) -> bool:
        return not self._in_hand or self._in_hand + opened.pixels <= PIXELS_IN_HAND

    def _fail(self, error: NeuralArtError) -> None:
        if not self._many:
            raise error
        self._report.failed += 1
        self._stopping = self._config.on_error == "stop"
        self._note(f"error: {error}")
        self._bar.done()

    def _open_all(self, jobs: Sequence[Job]) -> Iterator[_Opened]:
        """The photos whose paintings are wanted and can be written."""
        for job in jobs:
            if self._stopping:
                return
            if self._config.skip_existing and job.target.exists():
                self._report.there += 1
                self._bar.done()
                continue
            try:
                yield self._open(job)
            except NeuralArtError as error:
                self._fail(error)

    def _open(self, job: Job) -> _Opened:
        _check_target(job, self._config, self._photos, make_folders=self._into_folder)
        source: Path | bytes = job.source
        if job.source == STANDARD:
            source = sys.stdin.buffer.read()
        limit = self._config.max_pixels * 1e6
        file = PictureFile(source, "standard input" if source is not job.source else "", limit)
        suffix = job.target.suffix if job.target != STANDARD else file.suffix
        if job.target == STANDARD and self._config.format:
            suffix = f".{self._config.format}"
        try:
            size = painted_size(file.size, self._config.size)
            if size[0] * size[1] > limit:
                raise ImageError(
                    f"{file.name}: --size {self._config.size} makes {size[1]}x{size[0]}, over --max-pixels"
                )
            check_size(suffix, file.size if self._config.keep_size else size)
        except NeuralArtError:
            file.close()
            raise
        return _Opened(job, file, suffix)

    def _paint(self, opened: _Opened, reading: Future[Picture]) -> Picture | None:
        try:
            return self._dials.paint(reading.result())
        except NeuralArtError as error:
            self._in_hand -= opened.pixels
            self._fail(error)
        except (MemoryError, engine.mx.base.MXNetError) as error:
            self._in_hand -= opened.pixels
            reason = str(error).strip().split("\n")[0] or "out of memory"
            self._fail(EngineError(f"{opened.file.name}: cannot be painted: {reason}"))
        return None

    def _write(self, opened: _Opened, painting: Picture) -> None:
        target, quality = opened.job.target, self._config.quality
        if target == STANDARD:
            buffer = io.BytesIO()
            encode_picture(buffer, painting, opened.suffix, quality)
            try:
                sys.stdout.buffer.write(buffer.getbuffer())
                sys.stdout.buffer.flush()
            except OSError as error:
                raise OutputError(f"standard output: {error.strerror or error}") from None
            return
        if self._into_folder:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{target.parent}: cannot be made: {error.strerror}") from None
        write_picture(target, painting, quality)

    def _collect(self, opened: _Opened, writing: Future[None]) -> None:
        try:
            writing.result()
        except NeuralArtError as error:
            self._fail(error)
        else:
            self._report.painted += 1
            self._report.pixels += opened.pixels
            self._bar.done()
            if opened.job.target != STANDARD:
                self._written(opened.job.target)
        finally:
            self._in_hand -= opened.pixels
