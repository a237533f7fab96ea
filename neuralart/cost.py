"""``neuralart train --dry-run``: what a training would be, and cost, measured on a few steps; nothing is written."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from typing import Any

from neuralart.config import TrainConfig
from neuralart.engine import mx
from neuralart.errors import ConfigError
from neuralart.schedule import Phase, plan
from neuralart.tables import table
from neuralart.train import TIMED_STEPS, Training


def cost(config: TrainConfig) -> Iterator[str]:
    """Lines that say options, parameters, multiply-adds, memory, and time by phase and in all.

    Raises what training would, for a mistake; ConfigError for several machines.
    """
    if config.kvstore == "dist_sync":
        raise ConfigError("--dry-run: measures one process; leave --kvstore dist_sync out")
    training = Training(config)
    phases = plan(config, *training.steps_in_budget())
    seconds = measured(training, phases)
    yield from (
        f"{name:18} {value}"
        for name, value in config.result_options().items()
        if name != "generators"
    )
    yield ""
    for name, value in facts(training):
        yield f"{name:18} {value}"
    yield ""
    rows = [("phase", "steps", "s/step", "photos/s", "time")]
    for phase in phases:
        each = seconds[phase.name]
        rows.append(
            (
                phase.name,
                str(phase.steps),
                f"{each:.3f}",
                f"{training.batch / each:.1f}",
                as_time(phase.steps * each),
            )
        )
    yield table(rows)
    yield ""
    total = sum(phase.steps * seconds[phase.name] for phase in phases)
    yield f"in all about {as_time(total)} on {config.device}, as measured now on {TIMED_STEPS} steps of each phase"


def measured(training: Training, phases: list[Phase]) -> dict[str, float]:
    """Seconds for a step of each phase."""
    _, photos = next(training.photos.stream(0, training.places))
    return {phase.name: training.seconds_per_step(phase, photos) for phase in phases}


def facts(training: Training) -> Iterator[tuple[str, Any]]:
    """Sizes; after the steps have been timed, so that the memory is theirs."""
    specs = training.specs
    parameters = sum(array.size for array in training.params.values())
    yield "photos", f"{training.photos.count}, of them {len(training.photos.held_out)} held out"
    yield "batch", f"{training.batch} photos a step on {len(training.contexts)} device(s)"
    yield "parameters", f"{parameters:,} in {len(specs)} stages, {4e-6 * parameters:.1f} MB"
    yield "multiply-adds", f"{sum(spec.multiply_adds() for spec in specs):,.0f} a pixel, to paint"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield "memory", f"{peak / 1e6:,.0f} MB at most"
    for context in training.contexts:
        if context.device_type == "gpu":
            free, total = mx.context.gpu_memory_info(context.device_id)
            yield (
                f"memory of {context}",
                f"{(total - free) / 1e6:,.0f} of {total / 1e6:,.0f} MB used",
            )


def as_time(seconds: float) -> str:
    """45 s, 12 min, or 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
