"""A pipeline of photos: threads read the next and write the last ones while one is painted.

The engine runs in the calling thread alone.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neuralart.errors import EngineError, NeuralArtError, OutputError
from neuralart.machine.crash import reason as reason_of
from neuralart.machine.files import written_aside
from neuralart.machine.terminal import PictureBar
from neuralart.options.paint import StylizeConfig
from neuralart.painting.jobs import STANDARD, Job, Jobs, file_ids
from neuralart.painting.stylizer import Stylizer
from neuralart.pictures.formats import LOSSY, WRITABLE
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile
from neuralart.pictures.writing import check_size, check_writable, encode_picture, write_picture

# The photos in the pipeline have no more pixels together than this; a larger one is in it alone.
PIXELS_IN_HAND = 50_000_000

THREADS = 2

# At most this many photos wait to be painted, and as many paintings to be written.
QUEUED = 4

# What engines say that cannot get memory.
_OUT_OF_MEMORY = re.compile("alloc|out of memory|could not create a")


@dataclass
class Report:
    """How many photos of a batch were painted, had a painting already, or failed.

    pixels  those of the photos that were painted
    faces   found in them, None if none were looked for
    """

    painted: int = 0
    existing: int = 0
    failed: int = 0
    pixels: int = 0
    seconds: float = 0.0
    faces: int | None = None

    def __str__(self) -> str:
        parts = [f"{self.painted:,} painted ({self.pixels / 1e6:,.1f} megapixels)"]
        if self.faces is not None:
            parts.append(f"{self.faces:,} {'face' if self.faces == 1 else 'faces'} found")
        if self.existing:
            parts.append(f"{self.existing:,} there already")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        minutes, seconds = divmod(self.seconds, 60)
        duration = f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"
        return f"{', '.join(parts)} in {duration}"


def check_target(
    job: Job, config: StylizeConfig, photo_ids: set[tuple[int, int]], *, make_folders: bool
) -> None:
    """Raise OutputError if the painting cannot be written, or would replace a file without leave.

    ``photo_ids`` are the `file_ids` of all photos of the batch, none of which is ever replaced.
    """
    if job.target == STANDARD:
        if sys.stdout.isatty():
            raise OutputError("-: standard output is a terminal; send it to a file or a program")
        return
    check_clash(job.source, job.target, job.clash)
    check_writable(job.target, config.overwrite, make_folders=make_folders)
    if file_ids([job.target]) & photo_ids:
        raise is_the_photo(job.target)


def check_clash(source: Path | str, target: Path | str, clash: Path | str | None) -> None:
    """Raise OutputError if there is a ``clash``: another photo that is painted to the target."""
    if clash:
        raise OutputError(
            f"{source}: would be painted to {target} as {clash} is; use another folder"
        )


def is_the_photo(target: Path | str) -> OutputError:
    """The error of a painting that would replace a photo of the batch."""
    return OutputError(f"{target}: is the photo itself; name another file or folder")


@dataclass
class OpenPhoto:
    """A photo whose header has been read.

    source  its path, or its bytes if they came from standard input
    suffix  the format of its painting
    """

    job: Job
    source: Path | bytes
    file: PictureFile
    suffix: str

    @property
    def pixels(self) -> int:
        return self.file.size[0] * self.file.size[1]


class Pipeline:
    """Paints the photos of a batch one after the other, while threads read and write others."""

    def __init__(
        self,
        found: Jobs,
        config: StylizeConfig,
        stylizer: Stylizer,
        written: Callable[[Path], None],
        note: Callable[[str], None],
    ) -> None:
        self._many, self._into_folder = found.many, found.into_folder
        self._config, self._stylizer = config, stylizer
        self._written, self._note = written, note
        # Without --overwrite, no existing file is replaced.
        self._photo_ids = file_ids(job.source for job in found.jobs if config.overwrite)
        self._report = Report(faces=0 if stylizer.keeps_faces else None)
        self._stopping = False
        self._pixels_in_hand = 0

    def run(self, jobs: Sequence[Job], interrupts: Sequence[int]) -> Report:
        """Paint the photos of the jobs until all are done or ``interrupts`` holds a signal.

        Raises NeuralArtError if there is a single photo and it cannot be painted.
        """
        start = time.monotonic()
        reads: deque[tuple[OpenPhoto, Future[Picture]]] = deque()
        writes: deque[tuple[OpenPhoto, Future[None]]] = deque()
        with (
            PictureBar(len(jobs) if self._many else 0) as self._bar,
            ThreadPoolExecutor(THREADS) as pool,
        ):
            photos = self._open_all(jobs)
            upcoming = next(photos, None)
            while upcoming or reads or writes:
                self._stopping = self._stopping or bool(interrupts)
                while (
                    upcoming and not self._stopping and len(reads) < QUEUED and self._fits(upcoming)
                ):
                    self._pixels_in_hand += upcoming.pixels
                    reads.append((upcoming, pool.submit(upcoming.file.read)))
                    upcoming = next(photos, None)
                if self._stopping:
                    for photo, reading in reads:
                        reading.cancel()
                        photo.file.close()
                    reads.clear()
                    upcoming = None
                if reads:
                    photo, reading = reads.popleft()
                    painting = self._paint(photo, reading)
                    if painting is not None:
                        writes.append((photo, pool.submit(self._write, photo, painting)))
                    # These would keep two pictures in memory while the next photo is painted.
                    del painting, reading
                while writes and (writes[0][1].done() or not reads or len(writes) > QUEUED):
                    self._collect(*writes.popleft())
        self._report.seconds = time.monotonic() - start
        return self._report

    def _fits(self, photo: OpenPhoto) -> bool:
        in_hand = self._pixels_in_hand
        return not in_hand or in_hand + photo.pixels <= PIXELS_IN_HAND

    def _fail(self, name: str, error: Exception) -> None:
        """Report a photo that cannot be painted. A single one raises the error.

        Of several, the others are painted, even after an error that nobody foresaw.
        """
        if not isinstance(error, NeuralArtError):
            reason = f"{type(error).__name__}: {reason_of(error)}" if self._many else ""
            if isinstance(error, self._stylizer.errors):
                reason = reason_of(error)
            if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
                reason = "out of memory; end other programs, or take a smaller --size"
            if reason:
                error = EngineError(f"{name}: cannot be painted: {reason}")
        if not self._many:
            raise error
        self._report.failed += 1
        self._stopping = self._config.on_error == "stop"
        self._note(f"error: {error}")
        self._bar.done()

    def _open_all(self, jobs: Sequence[Job]) -> Iterator[OpenPhoto]:
        """Open the photos whose paintings are wanted and can be written."""
        for job in jobs:
            if self._stopping:
                return
            if self._config.skip_existing and os.path.exists(job.target):
                self._report.existing += 1
                self._bar.done()
                continue
            try:
                photo = self._open(job)
            except Exception as error:  # noqa: BLE001
                self._fail(str(job.source), error)
            else:
                yield photo

    def _open(self, job: Job) -> OpenPhoto:
        check_target(job, self._config, self._photo_ids, make_folders=self._into_folder)
        source: Path | bytes = job.source
        if job.source == STANDARD:
            source = sys.stdin.buffer.read()
        limit = self._config.max_pixels * 1e6
        file = PictureFile(source, "standard input" if source is not job.source else "", limit)
        suffix = job.target.suffix if job.target != STANDARD else file.suffix
        if job.target == STANDARD and self._config.format:
            suffix = f".{self._config.format}"
        try:
            self._stylizer.check(file.name, file.size)
            check_size(suffix, self._stylizer.final_size(file.size))
        except Exception:
            file.close()
            raise
        return OpenPhoto(job, source, file, suffix)

    def _paint(self, photo: OpenPhoto, reading: Future[Picture]) -> Picture | None:
        """The painting, or None if the photo of a batch cannot be read or painted."""
        try:
            painting = self._stylizer.paint(reading.result())
            if self._report.faces is not None:
                self._report.faces += self._stylizer.faces
                self._note(f"note: {photo.file.name}: {self._stylizer.faces_report()}")
            return painting
        except Exception as error:  # noqa: BLE001
            photo.file.close()
            self._pixels_in_hand -= photo.pixels
            self._fail(photo.file.name, error)
        return None

    def _write(self, photo: OpenPhoto, painting: Picture) -> None:
        target, quality, copied = photo.job.target, self._config.quality, self._copied(photo)
        if target == STANDARD:
            buffer = io.BytesIO()
            if copied is None:
                encode_picture(buffer, painting, photo.suffix, quality)
            else:
                buffer.write(copied)
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
        if copied is None:
            write_picture(target, painting, quality, overwrite=self._config.overwrite)
            return
        with written_aside(target, overwrite=self._config.overwrite) as file:
            file.write(copied)

    def _copied(self, photo: OpenPhoto) -> bytes | None:
        """The photo's file if it is the painting, else None.

        It is at strength 0 and the photo's size: encoding in its own lossy format would change it.
        """
        config, kind = self._config, WRITABLE[photo.suffix.lower()]
        is_photo = config.strength == 0 and (config.size is None or config.keep_size)
        if is_photo and photo.file.plain and kind in LOSSY and kind == WRITABLE[photo.file.suffix]:
            source = photo.source
            if isinstance(source, bytes):
                return source
            return source.read_bytes() if source.is_file() else None  # a pipe has been read
        return None

    def _collect(self, photo: OpenPhoto, writing: Future[None]) -> None:
        """Wait until a painting is written, and report it."""
        try:
            writing.result()
        except Exception as error:  # noqa: BLE001
            self._fail(photo.file.name, error)
        else:
            self._report.painted += 1
            self._report.pixels += photo.pixels
            self._bar.done()
            if photo.job.target != STANDARD:
                self._written(photo.job.target)
        finally:
            self._pixels_in_hand -= photo.pixels
