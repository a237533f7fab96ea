"""``neuralart stylize``: paint photos with a trained style, one or a million of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from neuralart.errors import BatchError, ConfigError, Interrupted
from neuralart.machine.signals import deferred_signals
from neuralart.options.paint import StylizeConfig
from neuralart.painting.batch import Pipeline, check_target
from neuralart.painting.cluster.addresses import is_address
from neuralart.painting.jobs import check_order, file_ids, find_jobs, parse_shard, shard
from neuralart.painting.stylizer import Stylizer
from neuralart.painting.video import is_moving, stylize_video


def stylize(
    sources: Sequence[str],
    target: str,
    config: StylizeConfig,
    written: Callable[[Path | str], None],
    note: Callable[[str], None],
) -> None:
    """Paint files, folders or patterns into a file or a folder (see `find_jobs`).

    written  called with the path of each painting that is written
    note     called with a line for people now and then

    Raises NeuralArtError if the model cannot be read or a single photo cannot be painted. A batch
    goes on without such a photo and raises BatchError at the end.
    """
    if config.skip_existing and config.overwrite:
        raise ConfigError("--skip-existing and --overwrite contradict each other; give one of them")
    if config.cluster is not None or any(map(is_address, (target, *sources))):
        from neuralart.painting.cluster.stylize import stylize_remote

        stylize_remote(sources, target, config, written, note)
        return
    if len(sources) == 1 and is_moving(sources[0], target):
        if not (config.skip_existing and os.path.exists(target)):
            written(stylize_video(sources[0], Path(target), config, note))
        return
    part = parse_shard(config.shard)
    found = find_jobs(sources, target, config.format)
    jobs = shard(found.jobs, part)
    if found.not_pictures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.not_pictures.items()))
        note(f"note: files that are no pictures are passed over: {kinds}")
    if not found.many and not (config.skip_existing and os.path.exists(found.jobs[0].target)):
        # Before the model is read, which takes longer.
        (job,) = found.jobs
        if not (found.into_folder or config.overwrite):
            check_order(job)
        check_target(job, config, file_ids([job.source]), make_folders=found.into_folder)
    pipeline = Pipeline(found, config, Stylizer(config), written, note)
    with contextlib.ExitStack() as stack:
        interrupts = stack.enter_context(deferred_signals()) if found.many else []
        report = pipeline.run(jobs, interrupts)
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
