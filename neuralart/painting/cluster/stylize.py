"""``neuralart stylize`` with ``--cluster``, or with addresses such as ``s3://bucket/photos``."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from neuralart.chain.choice import load_style
from neuralart.errors import BatchError, ImageError, Interrupted, NeuralArtError
from neuralart.machine.files import is_in_the_way
from neuralart.machine.signals import deferred_signals
from neuralart.machine.terminal import PictureBar
from neuralart.options.paint import StylizeConfig
from neuralart.painting.batch import Report, check_clash, check_target, is_the_photo
from neuralart.painting.cluster.addresses import canonical, exists, files_below, is_address
from neuralart.painting.cluster.jobs import RemoteJob, RemoteJobs, find_remote_jobs
from neuralart.painting.cluster.worker import Batch, Outcome
from neuralart.painting.jobs import Job, file_ids, parse_shard, shard
from neuralart.pictures.writing import check_format


class Painters(Protocol):
    """Whoever paints: this process, or the workers of a cluster."""

    def paint(
        self, jobs: Iterable[RemoteJob], stopping: Callable[[], bool]
    ) -> Iterator[tuple[RemoteJob, Outcome]]:
        """Yield jobs and what became of them, until all are done or ``stopping``."""

    def close(self) -> None:
        """Give back what painting took."""


class _Here:
    """This process, which paints one photo after the other."""

    def __init__(self, batch: Batch) -> None:
        batch.prepare()
        self._batch = batch

    def paint(
        self, jobs: Iterable[RemoteJob], stopping: Callable[[], bool]
    ) -> Iterator[tuple[RemoteJob, Outcome]]:
        for job in jobs:
            yield job, self._batch.paint(job)
            if stopping():
                return

    def close(self) -> None:
        pass


def stylize_remote(
    sources: Sequence[str],
    target: str,
    config: StylizeConfig,
    written: Callable[[str], None],
    note: Callable[[str], None],
) -> None:
    """Paint as `neuralart.painting.stylize.stylize` does, with its report and errors."""
    part = parse_shard(config.shard)
    found = find_remote_jobs(sources, target, config.format)
    if found.not_pictures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.not_pictures.items()))
        note(f"note: files that are no pictures are passed over: {kinds}")
    run = _Run(found, config, written, note)
    if not found.many:
        run.check_alone(found.jobs[0])
    model = load_style(config.model, config.style)
    model.check_stage(config.stage)
    with contextlib.ExitStack() as stack:
        painters: Painters
        cluster = config.cluster
        if cluster is None:
            painters = _Here(Batch(config, model))
        else:
            from neuralart.painting.cluster.crew import Crew, is_here

            if config.mask is not None:
                # Workers have working folders of their own.
                config = dataclasses.replace(config, mask=Path(os.path.abspath(config.mask)))
                if not is_here(cluster):
                    note(f"note: each worker reads --mask {config.mask}: all must see it there")
            painters = Crew(cluster, config, model)
        stack.callback(painters.close)
        interrupts = stack.enter_context(deferred_signals()) if found.many else []
        report = run.paint(painters, shard(found.jobs, part), interrupts)
    if interrupts:
        raise Interrupted(
            f"stopped: {report}; the same command with --skip-existing goes on", interrupts[0]
        )
    if report.failed:
        raise BatchError(
            f"{report}; mend what is named above, and the same command with --skip-existing goes on"
        )
    if found.many:
        note(str(report))


class _Run:
    """A batch in work: which photos are wanted, and what became of them."""

    def __init__(
        self,
        found: RemoteJobs,
        config: StylizeConfig,
        written: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        self._found, self._config = found, config
        self._written, self._note = written, note
        self._report = Report()
        self._stopping = False
        # Without --overwrite, no existing file is replaced.
        photos = [job.source for job in found.jobs if config.overwrite]
        self._photos = {canonical(name) for name in photos if is_address(name)}
        self._photo_ids = file_ids(Path(name) for name in photos if not is_address(name))
        self._existing = _existing(found)

    def paint(
        self, painters: Painters, jobs: Sequence[RemoteJob], interrupts: Sequence[int]
    ) -> Report:
        """Paint the photos of the jobs until all are done or ``interrupts`` holds a signal.

        Raises NeuralArtError if there is a single photo and it cannot be painted.
        """
        start = time.monotonic()

        def stopping() -> bool:
            return self._stopping or bool(interrupts)

        with PictureBar(len(jobs) if self._found.many else 0) as self._bar:
            for job, outcome in painters.paint(self._wanted(jobs, stopping), stopping):
                for line in outcome.notes:
                    self._note(line)
                if outcome.error is not None:
                    self._fail(outcome.error)
                elif outcome.report is not None:
                    _add(self._report, outcome.report)
                    self._bar.done()
                    self._written(job.target_name)
        self._report.seconds = time.monotonic() - start
        return self._report

    def _wanted(
        self, jobs: Sequence[RemoteJob], stopping: Callable[[], bool]
    ) -> Iterator[RemoteJob]:
        """The jobs whose paintings are not there and can be written."""
        for job in jobs:
            if stopping():
                return
            if self._config.skip_existing and self._is_there(job.target):
                self._report.existing += 1
                self._bar.done()
                continue
            try:
                self.check(job)
            except NeuralArtError as error:
                self._fail(error)
            else:
                yield job

    def check_alone(self, job: RemoteJob) -> None:
        """Check a single job. Raises ImageError if there is no photo, OutputError as `check`."""
        if self._config.skip_existing and self._is_there(job.target):
            return
        if is_address(job.source) and not exists(job.source):
            raise ImageError(f"{job.source}: cannot be read: no such file or folder")
        self.check(job)

    def check(self, job: RemoteJob) -> None:
        """Raise OutputError if the painting cannot be written, or would replace a file."""
        config, make_folders = self._config, self._found.into_folder
        if config.skip_existing and self._is_there(job.target):
            return
        if not is_address(job.target):
            clash = None if job.clash is None else Path(job.clash)
            task = Job(Path(job.source_name), Path(job.target_name), clash)
            check_target(task, config, self._photo_ids, make_folders=make_folders)
            return
        check_clash(job.source_name, job.target, job.clash)
        check_format(job.target)
        if self._photos and canonical(job.target) in self._photos:
            raise is_the_photo(job.target)
        if not config.overwrite and self._is_there(job.target):
            raise is_in_the_way(job.target)

    def _is_there(self, place: str) -> bool:
        if not is_address(place):
            return os.path.exists(place)
        return exists(place) if self._existing is None else place in self._existing

    def _fail(self, error: NeuralArtError) -> None:
        """Report a photo that cannot be painted. A single one raises the error."""
        if not self._found.many:
            raise error
        self._report.failed += 1
        self._stopping = self._config.on_error == "stop"
        self._note(f"error: {error}")
        self._bar.done()


def _existing(found: RemoteJobs) -> set[str] | None:
    """The places in the folder of the paintings: one request instead of one for each painting.

    None if the paintings go elsewhere.
    """
    if not (found.into_folder and is_address(found.root)):
        return None
    return {f"{found.root}/{name}" for name in files_below(found.root)}


def _add(total: Report, part: Report) -> None:
    """Add the counts of one photo's report."""
    for field in dataclasses.fields(Report):
        more = getattr(part, field.name)
        if more is not None:
            setattr(total, field.name, (getattr(total, field.name) or 0) + more)
