"""``neuralart train``: learn a style stage by stage (Bing Xu, End to End Neural Art, 2016).

Stage k learns on what the frozen stages before it made of each photo: boosting. Couplings other
than ``own``, shared weights, and the joint steps at the end train all stages at once.

What is made small is the mean of the logarithm of the loss, so that every photo counts the same:
the loss of a flat sky, whose own features hardly vary, is ten times that of a street
(docs/experiments.md).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neuralart.engine.contract import PeersGoneError
from neuralart.errors import Interrupted, RunError
from neuralart.machine.signals import deferred_signals
from neuralart.machine.terminal import REPORT_EVERY, Progress
from neuralart.options.train import OPTIONS_BEFORE, TrainConfig
from neuralart.pictures.frame import learning_frame
from neuralart.pictures.grain import grain_place
from neuralart.training.balance import Balance
from neuralart.training.beginning import Setup, set_up
from neuralart.training.cost import make_plan
from neuralart.training.gan.discriminator import Discriminator
from neuralart.training.pace import Pace, Plan, most_evaluated
from neuralart.training.result import summary, write_model, write_sheet
from neuralart.training.run import Checkpoint, check_same
from neuralart.training.schedule import Phase, drawn_styles, phases_of, scored_stages
from neuralart.training.stages import Chain
from neuralart.training.step import Outcome, take_step
from neuralart.training.workers.team import check_alike, leaders, share_run

MOST_ROLLBACKS = 3


def train(config: TrainConfig) -> tuple[Path, dict[str, Any]]:
    """Train, or go on training, and write the run's model.

    Returns the model's path and the held-out losses. Raises NeuralArtError for a user's mistake
    before anything is written, RunError if the losses stay not finite, Interrupted on SIGINT and
    SIGTERM.
    """
    setup = set_up(config)
    try:
        with setup.run.lock(resume=setup.config.resume, overwrite=setup.config.overwrite):
            plan, checkpoint = _begin(setup)
            evaluation = Training(setup, plan, checkpoint).run()
            setup.cluster.close()
    except PeersGoneError:
        setup.cluster.abandon(128 + signal.SIGTERM)
        raise Interrupted(
            f"other workers are gone; the last checkpoint is in {config.run_folder()}; "
            "run the same command with --resume to go on",
            signal.SIGTERM,
        ) from None
    except BaseException as error:
        setup.cluster.abandon(getattr(error, "exit_code", 1))
        raise
    return setup.run.model, evaluation


def _begin(setup: Setup) -> tuple[Plan, Checkpoint]:
    """Make the run's folder, or take up the run that is in it."""
    options, inputs = setup.config.result_options(), setup.inputs()
    check_alike(setup.cluster, options, inputs)
    checkpoint = setup.first()
    record = share_run(setup.cluster, setup.run, setup.config.resume)
    if record is None:
        plan = leaders(setup.cluster, asdict(make_plan(setup)) if setup.cluster.leads else None)
        record = {"options": options, "inputs": inputs, **plan}
        setup.run.create(record)
    else:
        check_same("options", options, {**OPTIONS_BEFORE, **record["options"]})
        check_same("inputs", inputs, record["inputs"])
        checkpoint = setup.run.load(setup.shapes()) or checkpoint
    setup.photos.write_skipped(setup.run.skipped)
    evaluated = record.get("evaluated", most_evaluated(len(setup.styles)))
    return Plan(record["steps"], record["joint_steps"], evaluated), checkpoint


class Training:
    """The steps of a run, from where its checkpoint stands to the end."""

    def __init__(self, setup: Setup, plan: Plan, checkpoint: Checkpoint) -> None:
        config, styles, evaluated = setup.config, len(setup.styles), plan.evaluated
        self._setup, self._evaluated = setup, evaluated
        self._phases = phases_of(config, plan.steps, plan.joint_steps, len(setup.specs))
        self._state = checkpoint.state
        self._pace: Pace | None = None
        if config.minutes is not None:
            spent = self._state.seconds
            self._pace = Pace(config.minutes, spent, setup.photos_each, styles, evaluated)
        self._take_plan()
        self._interrupts: Sequence[int] = ()
        self._progress = Progress(
            setup.run.metrics,
            self._state.metrics_bytes,
            self._counted(),
            self._to_count(),
            "photo",
            quiet=not setup.cluster.leads,
            seconds_left=self._pace.left if self._pace else None,
        )
        # A power cut may have left fewer.
        self._state = dataclasses.replace(self._state, metrics_bytes=self._progress.metrics_bytes())
        self._last = dataclasses.replace(checkpoint, state=self._state)

    def run(self) -> dict[str, Any]:
        """Train phase by phase, write a model after each, and return the last held-out losses."""
        evaluation: dict[str, Any] = {}
        with contextlib.closing(self._progress), deferred_signals() as self._interrupts:
            self._setup.cluster.interrupts = self._interrupts
            while self._state.phase < len(self._phases):
                self._learn()
                phase = self._phase
                evaluation = write_model(
                    self._setup,
                    self._phases,
                    self._last,
                    phase.trained[-1] + 1,
                    self._evaluated,
                    lambda: self._progress.count("measuring"),
                )
                self._progress.say(summary(phase.name, evaluation))
                self._share_skipped()
                self._state = dataclasses.replace(
                    self._state, phase=self._state.phase + 1, step=0, planned=0
                )
                self._last = Checkpoint(self._state, self._last.params, {})
        return evaluation

    @property
    def _phase(self) -> Phase:
        return self._phases[self._state.phase]

    def _learn(self) -> None:
        """Train the phase's stages to its end."""
        while True:
            try:
                return self._take_steps()
            except _NotFiniteError:
                self._roll_back(self._phase)

    def _take_steps(self) -> None:
        setup, config, phase = self._setup, self._setup.config, self._phase
        chain, discriminator = setup.chain(phase, self._last), setup.discriminator(self._last)
        balance = setup.balance(self._last)
        begin = time.perf_counter() - self._state.seconds
        if self._state.step == 0:
            self._save(chain, balance, discriminator)
        photos = setup.photos.stream(self._state.position, setup.places)
        while self._state.step < phase.steps:
            position, mine = next(photos)
            rate = phase.rate_at(self._state.step) * self._state.rate_scale
            scored = scored_stages(phase, config.seed, self._state.step)
            drawn = drawn_styles(len(setup.styles), config.seed, position, range(setup.batch))
            styles = [drawn[place] for place in setup.places]
            chain.frame = learning_frame(config.seed, position)
            chain.place = grain_place(config.seed, position)
            if balance:
                setup.perceptual.keep = balance.factors
            if discriminator:
                discriminator.begin_step(position, setup.places)
            try:
                outcome = take_step(
                    setup.perceptual, chain, mine, styles, scored, setup.cluster, setup.batch,
                    discriminator,
                )  # fmt: skip
                if not outcome.finite:
                    raise _NotFiniteError
                chain.update(rate)
                if discriminator:
                    discriminator.update(rate)
            except PeersGoneError:
                self._save(chain, balance, discriminator)
                raise self._stopped(phase, "other workers are gone; ") from None
            if balance:
                balance.update(self._style_sums(outcome), drawn)
            self._state = dataclasses.replace(
                self._state,
                step=self._state.step + 1,
                position=position,
                seconds=time.perf_counter() - begin,
            )
            phase = self._keep_pace()
            self._report(phase, rate, outcome, balance)
            ends = self._state.step == phase.steps
            if ends or outcome.interrupted or self._state.step % config.save_every == 0:
                self._save(chain, balance, discriminator)
            if outcome.interrupted:
                raise self._stopped(phase)
            if ends or self._state.step % config.sheet_every == 0:
                write_sheet(setup, self._state, chain)

    def _style_sums(self, outcome: Outcome) -> list[float]:
        """The style loss of the last stage, mean of its sizes, summed over photos of each style."""
        sizes = self._setup.perceptual.weights.style_sizes
        return [(each["style"] + each.get("half", 0.0)) / sizes for each in outcome.of_styles]

    def _report(self, phase: Phase, rate: float, outcome: Outcome, balance: Balance | None) -> None:
        state, named = self._state, {f"x{k + 1}": loss for k, loss in outcome.losses.items()}
        totals = {name: loss["total"] for name, loss in named.items()}
        self._progress.step(phase.name, totals, self._setup.batch)
        if state.step % REPORT_EVERY == 0 or state.step == phase.steps:
            left = {} if self._pace is None else {"left": round(self._pace.left(), 1)}
            self._progress.record(
                {
                    "phase": phase.name,
                    "step": state.step,
                    "photos": state.position * self._setup.batch,
                    "seconds": round(state.seconds, 2),
                    "rate": rate,
                    **left,
                    "losses": named,
                    **({"keep": balance.by_name(self._setup.styles)} if balance else {}),
                    **({"gan": outcome.gan} if outcome.gan else {}),
                }
            )

    def _save(
        self, chain: Chain, balance: Balance | None, discriminator: Discriminator | None
    ) -> None:
        """Write a checkpoint, unless a parameter or a moment is not finite."""
        state = dataclasses.replace(self._state, metrics_bytes=self._progress.metrics_bytes())
        params, moments = chain.params(), chain.moments()
        if balance:
            params |= balance.params()
        if discriminator:
            params |= discriminator.params()
            moments |= discriminator.moments()
        if not all(np.isfinite(array).all() for array in (*params.values(), *moments.values())):
            raise _NotFiniteError
        self._state = state
        self._last = Checkpoint(state, {**self._last.params, **params}, moments)
        self._setup.run.save(self._last)

    def _roll_back(self, phase: Phase) -> None:
        """Go back to the last checkpoint with half the rate. Raises RunError the fourth time."""
        where = f"{phase.name}, step {self._state.step + 1}: loss or gradient is not finite"
        rollbacks = self._state.rollbacks + 1
        last = self._setup.run.load(self._setup.shapes())
        assert last is not None  # `_take_steps` saves before the first step
        scale = last.state.rate_scale
        if rollbacks > MOST_ROLLBACKS:
            raise RunError(
                f"{where}, after {MOST_ROLLBACKS} times with half the rate; "
                f"start anew with a --rate below {self._setup.config.peak_rate() * scale:.2g}"
            )
        self._state = dataclasses.replace(
            last.state,
            rollbacks=rollbacks,
            rate_scale=scale / 2,
            metrics_bytes=self._last.state.metrics_bytes,
        )
        self._last = dataclasses.replace(last, state=self._state)
        self._setup.run.save(self._last)
        self._take_plan()
        self._progress.plan(self._to_count())
        self._progress.rewind(self._counted(), self._state.metrics_bytes)
        self._progress.say(f"{where}: back to step {self._state.step} with half the rate")

    def _take_plan(self) -> None:
        """Give the phase the number of steps that the state has for it."""
        k, planned = self._state.phase, self._state.planned
        if planned and k < len(self._phases):
            self._phases[k] = dataclasses.replace(self._phases[k], steps=planned)

    def _keep_pace(self) -> Phase:
        """The phase, with as many steps as its time has room for."""
        phase, last = self._phase, self._state.phase == len(self._phases) - 1
        if self._pace is None or not last:
            return phase
        at = self._state.step, phase.steps
        is_due, planned = self._pace.is_due(*at), self._pace.steps(*at)
        if is_due and self._setup.cluster.workers > 1:
            planned = leaders(self._setup.cluster, planned)
        if planned != phase.steps:
            self._state = dataclasses.replace(self._state, planned=planned)
            self._take_plan()
            self._progress.plan(self._to_count())
        return self._phase

    def _to_count(self) -> int:
        """Photos in steps, and photos to measure on, of the whole run."""
        return sum(phase.steps for phase in self._phases) * self._setup.batch + (
            len(self._phases) * self._measured()
        )

    def _counted(self) -> int:
        """How many of them are done."""
        done = sum(phase.steps for phase in self._phases[: self._state.phase]) + self._state.step
        return done * self._setup.batch + self._state.phase * self._measured()

    def _measured(self) -> int:
        """Photos that are measured on after a phase."""
        return len(self._setup.styles) * min(self._evaluated, len(self._setup.photos.held_out))

    def _share_skipped(self) -> None:
        """List the files that any worker skipped."""
        photos = self._setup.photos
        for skipped in self._setup.cluster.gather(json.dumps(photos.skipped).encode()):
            photos.skipped |= json.loads(skipped)
        photos.write_skipped(self._setup.run.skipped)

    def _stopped(self, phase: Phase, why: str = "") -> Interrupted:
        return Interrupted(
            f"{why}stopped after step {self._state.step} of {phase.name}, saved in "
            f"{self._setup.config.run_folder()}; run the same command with --resume to go on",
            self._interrupts[0] if self._interrupts else signal.SIGTERM,
        )


class _NotFiniteError(Exception):
    """A loss, a gradient or a parameter is not a finite number."""
