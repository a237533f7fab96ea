"""``neuralart train --dry-run`` and ``--minutes``: what a step costs, timed on a few of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from neuralart.errors import ConfigError
from neuralart.machine.memory import peak_memory
from neuralart.machine.terminal import table
from neuralart.options.train import TrainConfig
from neuralart.training.beginning import Setup, set_up
from neuralart.training.run import Checkpoint, State
from neuralart.training.schedule import JOINT, Phase, phases_of, scored_stages
from neuralart.training.step import batch_gradients

JOINT_SHARE = 0.75  # of --minutes: where the chain becomes good (docs/experiments.md)
TRAINING_SHARE = 0.92  # of --minutes; the rest is start, contact sheets and evaluation
TIMED_STEPS = 5


def seconds_per_step(setup: Setup, phases: Sequence[Phase]) -> dict[str, float]:
    """The median seconds of `TIMED_STEPS` steps of each phase, by its name.

    The chains are forgotten: nothing that the training computes with changes.
    """
    _, photos = next(setup.photos.stream(0, setup.places))
    return {phase.name: _time(setup, phase, photos) for phase in phases}


def _time(setup: Setup, phase: Phase, photos: Any) -> float:
    chain = setup.chain(phase, Checkpoint(State(), setup.params, {}))
    scored = scored_stages(phase, setup.config.seed, 0)
    styles = [0] * len(photos)
    batch_gradients(setup.perceptual, chain, photos, styles, scored)  # the first one sets up memory
    seconds = []
    for _ in range(TIMED_STEPS):
        begin = time.perf_counter()
        batch_gradients(setup.perceptual, chain, photos, styles, scored)
        if setup.cluster.workers == 1:  # others are not timing
            chain.update(0.0)
        setup.devices.settle()
        seconds.append(time.perf_counter() - begin)
    return median(seconds)


def planned_steps(setup: Setup) -> tuple[int, int]:
    """Steps of each stage, and of all together: as said, or what --minutes has time for."""
    config = setup.config
    if config.minutes is None:
        return config.steps, config.joint_steps
    phases = _one_step_each(setup)
    return steps_in(config.minutes, seconds_per_step(setup, phases))


def _one_step_each(setup: Setup) -> list[Phase]:
    config = setup.config
    steps, joint_steps = min(1, config.steps), min(1, config.joint_steps)
    return phases_of(config, steps, joint_steps, len(setup.specs))


def steps_in(minutes: float, seconds: Mapping[str, float]) -> tuple[int, int]:
    """Steps of each stage, and of all together, that fit; ``seconds`` has a step's by phase."""
    budget = minutes * 60 * TRAINING_SHARE
    stages = sum(value for name, value in seconds.items() if name != JOINT)
    joint = seconds.get(JOINT)
    share = 0.0 if joint is None else JOINT_SHARE if stages else 1.0
    steps = max(1, int(budget * (1 - share) / stages)) if stages else 0
    return steps, 0 if joint is None else max(1, int(budget * share / joint))


def cost(config: TrainConfig) -> Iterator[str]:
    """Lines that say options, parameters, multiply-adds, memory, and time by phase and in all.

    Raises what training would, for a mistake; ConfigError for several machines.
    """
    if config.kvstore == "dist_sync":
        raise ConfigError("--dry-run: measures one process; leave --kvstore dist_sync out")
    setup = set_up(config)
    seconds = seconds_per_step(setup, _one_step_each(setup))
    steps = config.steps, config.joint_steps
    if config.minutes is not None:
        steps = steps_in(config.minutes, seconds)
    phases = phases_of(config, *steps, len(setup.specs))
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
