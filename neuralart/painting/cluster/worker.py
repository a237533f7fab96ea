"""Paints one photo in any process: from an address or a file to an address or a file.

A process keeps the model of each batch that it works on, and paints one photo at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from neuralart.chain.model import Model
from neuralart.errors import EngineError, NeuralArtError, OutputError
from neuralart.machine.crash import reason as reason_of
from neuralart.options.paint import StylizeConfig
from neuralart.painting.batch import Pipeline, Report
from neuralart.painting.cluster import addresses
from neuralart.painting.cluster.jobs import RemoteJob
from neuralart.painting.jobs import Job, Jobs
from neuralart.painting.stylizer import Stylizer
from neuralart.pictures.reading import PictureFile


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    report    of this photo; None after an error
    error     why it was not painted
    notes     lines for people
    painting  the bytes of the painting if only the process that asked can write them
    """

    report: Report | None = None
    error: NeuralArtError | None = None
    notes: tuple[str, ...] = ()
    painting: bytes = b""


class Batch:
    """The model and options of a batch, in a process that paints photos of it."""

    def __init__(self, config: StylizeConfig, model: Model) -> None:
        self._config = dataclasses.replace(config, skip_existing=False, shard=None, cluster=None)
        self._model = model
        self._stylizer: Stylizer | None = None
        self._lock = threading.Lock()  # an engine has one thread, and its executors one user

    def prepare(self) -> None:
        """Load the model into the engine. Raises NeuralArtError if that is not possible here."""
        with self._lock:
            self._ready()

    def _ready(self) -> Stylizer:
        if self._stylizer is None:
            self._stylizer = Stylizer(self._config, self._model)
        return self._stylizer

    def paint(
        self, job: RemoteJob, photo: bytes | None = None, *, returned: bool = False
    ) -> Outcome:
        """Paint a photo. A painting that is there already was made by a worker that died then.

        photo     the photo's bytes, if this process cannot read its place
        returned  return the painting's bytes, since this process cannot write to its place
        """
        with (
            self._lock,
            tempfile.TemporaryDirectory(prefix="neuralart-") as folder,
            _collected_notes() as notes,
        ):
            source, target = Path(job.source), Path(job.target)
            if photo is not None or addresses.is_address(job.source):
                source = Path(folder, "photo")
            if addresses.is_address(job.target):
                target = Path(folder, f"painting{PurePosixPath(job.target).suffix}")
            names = {str(source): job.source_name, str(target): job.target_name}
            try:
                if photo is not None:
                    source.write_bytes(photo)
                elif addresses.is_address(job.source):
                    addresses.fetch(job.source, source)
                outcome = self._paint(job, source, target, returned)
            except NeuralArtError as error:
                outcome = Outcome(error=type(error)(_renamed(str(error), names)))
            except Exception as error:  # noqa: BLE001  # the other photos are painted
                outcome = Outcome(error=self._unforeseen(job, error))
        lines = (*outcome.notes, *notes)
        return dataclasses.replace(outcome, notes=tuple(_renamed(line, names) for line in lines))

    def _paint(self, job: RemoteJob, source: Path, target: Path, returned: bool) -> Outcome:
        """Paint from file to file, and copy the painting to its address."""
        if not (self._config.overwrite or returned) and _is_there(job.target):
            return self._made_before(source)
        stylizer = self._ready()
        notes: list[str] = []
        task = Job(source, target)
        pipeline = Pipeline(
            Jobs([task], many=False, into_folder=True),
            self._config,
            stylizer,
            written=lambda path: None,
            note=notes.append,
        )
        try:
            report = pipeline.run([task], [])
        except OutputError:
            # Another worker, taken for dead, may have finished it in the meantime.
            if self._config.overwrite or not _is_there(job.target):
                raise
            return self._made_before(source)
        outcome = Outcome(report, notes=tuple(notes))
        if returned:
            return dataclasses.replace(outcome, painting=target.read_bytes())
        if addresses.is_address(job.target):
            addresses.put(job.target, target.read_bytes())
        return outcome

    def _made_before(self, source: Path) -> Outcome:
        file = PictureFile(source, max_pixels=self._config.max_pixels * 1e6)
        file.close()
        return Outcome(Report(painted=1, pixels=file.size[0] * file.size[1]))

    def _unforeseen(self, job: RemoteJob, error: Exception) -> NeuralArtError:
        kind = f"{type(error).__name__}: "
        if self._stylizer is not None and isinstance(error, self._stylizer.errors):
            kind = ""
        return EngineError(f"{job.source_name}: cannot be painted: {kind}{reason_of(error)}")


def _is_there(place: str) -> bool:
    return addresses.exists(place) if addresses.is_address(place) else os.path.lexists(place)


def _renamed(text: str, names: dict[str, str]) -> str:
    """A message with the user's names of files instead of temporary ones."""
    for temporary, name in names.items():
        text = text.replace(temporary, name)
    return text


@contextlib.contextmanager
def _collected_notes() -> Iterator[list[str]]:
    """Collect the warnings that are logged in the block, instead of writing them to stderr."""
    notes: list[str] = []
    logger = logging.getLogger("neuralart")
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield notes
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
