"""What a step costs, timed on a few of them: for ``train --dry-run``, and the plan of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean, median
from typing import Any

from neuralart.errors import ConfigError
from neuralart.machine.clock import since_start
from neuralart.machine.memory import peak_memory
from neuralart.machine.terminal import counting, table
from neuralart.options.train import TrainConfig
from neuralart.training.beginning import Setup, set_up
from neuralart.training.pace import Plan, most_evaluated, plan_for
from neuralart.training.schedule import Phase, phases_of, scored_stages
from neuralart.training.step import batch_gradients

TIMED_STEPS = 6  # of a dry run
TIMED_FOR_A_PLAN = 2  # of --minutes, whose plan follows the clock later


def seconds_per_step(setup: Setup, phases: Sequence[Phase], timed: int) -> dict[str, float]:
    """The median seconds of a few steps of each phase, by its name.

    The chains are forgotten: nothing that the training computes with changes.
    """
    _, photos = next(setup.photos.stream(0, setup.places))
    count, quiet = len(phases) * (1 + timed), not setup.cluster.leads
    with counting(count, 0, "step", quiet) as counted:
        counted.set_description("timing")
        return {phase.name: _time(setup, phase, photos, timed, counted.update) for phase in phases}


def _time(
    setup: Setup, phase: Phase, photos: Any, timed: int, count: Callable[[], object]
) -> float:
    chain, discriminator = setup.chain(phase, setup.first()), setup.discriminator(setup.first())
    styles = [0] * len(photos)

    def compute(scored: Mapping[int, float]) -> None:
        if discriminator:
            discriminator.begin_step(0, setup.places)
        batch_gradients(setup.perceptual, chain, photos, styles, scored, discriminator)

    for _ in range(setup.devices.first_steps):  # they set up memory, and cards record them
        compute(scored_stages(phase, setup.config.seed, 0))
    setup.devices.settle()
    count()
    seconds: dict[int, list[float]] = {}  # by how many stages are scored
    for step in range(timed):
        scored = scored_stages(phase, setup.config.seed, step)
        begin = time.perf_counter()
        compute(scored)
        if setup.cluster.workers == 1:  # others are not timing
            chain.update(0.0)
            if discriminator:
                discriminator.add_up()
                discriminator.update(0.0)
        setup.devices.settle()
        seconds.setdefault(len(scored), []).append(time.perf_counter() - begin)
        count()
    return mean(map(median, seconds.values()))


def make_plan(setup: Setup, step_seconds: Mapping[str, float] | None = None) -> Plan:
    """What the options say, or what --minutes has time for.

    step_seconds  of a step of each phase; by default a few are timed
    """
    config, styles = setup.config, len(setup.styles)
    if config.minutes is None:
        return Plan(config.steps, config.joint_steps, most_evaluated(styles))
    if step_seconds is None:
        step_seconds = seconds_per_step(setup, _one_step_each(setup), TIMED_FOR_A_PLAN)
    left = 60 * config.minutes - since_start()
    return plan_for(left, step_seconds, setup.photos_each, styles)


def _one_step_each(setup: Setup) -> list[Phase]:
    config = setup.config
    steps, joint_steps = min(1, config.steps), min(1, config.joint_steps)
    return phases_of(config, steps, joint_steps, len(setup.specs))


def cost(config: TrainConfig) -> Iterator[str]:
    """Lines that say options, parameters, multiply-adds, memory, and time by phase and in all.

    Raises what training would, for a mistake; ConfigError for several machines.
    """
    if config.kvstore == "dist_sync":
        raise ConfigError("--dry-run: measures one process; leave --kvstore dist_sync out")
    setup = set_up(config)
    seconds = seconds_per_step(setup, _one_step_each(setup), TIMED_STEPS)
    plan = make_plan(setup, seconds)
    phases = phases_of(config, plan.steps, plan.joint_steps, len(setup.specs))
    for name, value in setup.config.result_options().items():
        if name != "generators":
            yield f"{name:18} {value}"
    yield ""
    for name, value in _facts(setup):
        yield f"{name:18} {value}"
    yield ""
    rows = [("phase", "steps", "s/step", "photos/s", "time")]
    for phase in phases:
        each = seconds[phase.name]
        time_ = as_time(phase.steps * each)
        rows.append(
            (phase.name, str(phase.steps), f"{each:.3f}", f"{setup.batch / each:.1f}", time_)
        )
    yield table(rows)
    yield ""
    total = as_time(sum(phase.steps * seconds[phase.name] for phase in phases))
    yield f"in all about {total} on {config.device}, timed now on {TIMED_STEPS} steps of each phase"


def _facts(setup: Setup) -> Iterator[tuple[str, Any]]:
    """Sizes; after the steps have been timed, so that the memory is theirs."""
    parameters = sum(array.size for array in setup.params.values())
    multiply_adds = sum(spec.multiply_adds() for spec in setup.specs)
    yield "photos", f"{setup.photos.count}, of them {len(setup.photos.held_out)} held out"
    yield "batch", f"{setup.batch} photos a step on {len(setup.devices)} device(s)"
    yield "parameters", f"{parameters:,} in {len(setup.specs)} stages, {4e-6 * parameters:.1f} MB"
    yield "multiply-adds", f"{multiply_adds:,.0f} a pixel, to paint"
    peak = peak_memory()
    if peak is not None:
        yield "memory", f"{peak / 1e6:,.0f} MB at most"
    for name, used, total in setup.devices.memory():
        yield f"memory of {name}", f"{used / 1e6:,.0f} of {total / 1e6:,.0f} MB used"


def as_time(seconds: float) -> str:
    """45 s, 12 min, or 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
