"""``neuralart train``: learn a painting's style stage by stage (Bing Xu, End to End Neural Art, 2016).

Stage k learns on what the frozen stages before it made of each photo: boosting. Couplings other than
``own``, shared weights, and the joint steps at the end train all stages at once.

What is made small is the mean of the logarithm of the loss, so that every photo counts the same: of a
flat sky, whose own features hardly vary, the loss is ten times that of a street (docs/experiments.md).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart import __version__, engine
from neuralart.beginning import balanced_weights, first_params, with_start
from neuralart.cards import without_folders
from neuralart.checkpoint import RunFolder, State, check_same
from neuralart.config import RANDOM_START, TrainConfig
from neuralart.errors import ConfigError, Interrupted, RunError
from neuralart.features import load_features
from neuralart.files import Arrays
from neuralart.frame import MIDDLE_FRAME, learning_frame
from neuralart.images import (
    X,
    contact_sheet,
    encode_image,
    read_image,
    resize_shorter_edge,
    to_image,
    to_x,
    write_image,
)
from neuralart.measure import mean_losses, stage_losses
from neuralart.model import LICENCE, Model, average
from neuralart.modules.chain import Chain
from neuralart.modules.cluster import Cluster, PeersGoneError
from neuralart.modules.painter import Painter, unshare
from neuralart.modules.perceptual import LossWeights, Perceptual
from neuralart.modules.step import batch_gradients, take_step
from neuralart.photos import Photos
from neuralart.progress import REPORT_EVERY, Progress
from neuralart.schedule import JOINT, Phase, plan
from neuralart.signals import deferred_signals
from neuralart.team import batch_places, check_alike, leaders, own_folder, share_run

log = logging.getLogger(__name__)

JOINT_SHARE = 0.75  # of --minutes: where the chain becomes good (docs/experiments.md)
EARLIER = 0.3  # what an earlier stage's loss counts in the joint steps beside the last one's
MOST_ROLLBACKS = 3
THUMBNAIL_PX = 96
TIMED_STEPS = 5
TRAINING_SHARE = 0.92  # of --minutes; the rest is start, contact sheets and evaluation


class Training:
    """One run: what it reads, where it stands, and where it writes."""

    def __init__(self, config: TrainConfig) -> None:
        given, config = config, with_start(config)
        self.config = config
        self.specs = config.specs()
        if config.resume and config.overwrite:
            raise ConfigError(
                "--resume goes on with a run and --overwrite replaces it; give one of them"
            )
        RunFolder(config.run_folder()).check_free(resume=config.resume, overwrite=config.overwrite)
        self.contexts = engine.devices(config.device)
        self.context = self.contexts[0]
        self.cluster = Cluster(config.kvstore, len(self.contexts))
        self.run = RunFolder(own_folder(config.run_folder(), self.cluster))
        if self.cluster.leads and config.start not in (given.start, RANDOM_START):
            log.warning("note: begins with the weights of %s (--start)", config.start)
        self.batch, self.places = batch_places(config, self.cluster, len(self.contexts))
        self.params, self.start_sha256 = first_params(config, self.specs)
        style = read_image(config.style)
        self.painting = resize_shorter_edge(style, config.style_scale)
        self.thumbnail = encode_image(resize_shorter_edge(style, THUMBNAIL_PX), ".png")
        self.features = load_features(config.features)
        self.photos = Photos(config.data, config.crop, config.seed, config.holdout, self.batch)
        style_x = to_x(self.painting)
        style_weight: float | tuple[float, ...] | None = config.style_weight
        if style_weight is None:
            squares = self.photos.held_out or self.photos.samples
            style_weight = balanced_weights(self.features, style_x, squares, self.context)
        self.weights = LossWeights(
            style_weight, config.content_weight, config.tv_weight, config.checkerboard_weight
        )
        self.perceptual = Perceptual(
            self.features, self.weights, self.contexts, config.content_layer
        )
        self.perceptual.set_style(style_x)
        self.state = State()
        self.optimiser: Arrays = {}

    def start(self) -> None:
        """Make the run's folder, or take up the run that is in it."""
        inputs = {
            "version": __version__,
            "style_sha256": hashlib.sha256(self.config.style.read_bytes()).hexdigest(),
            "features_sha256": self.features.sha256,
            "start_sha256": self.start_sha256,
            "photos": self.photos.count,
            "photos_sha256": self.photos.digest,
            "batch": self.batch,
        }
        options = self.config.result_options()
        check_alike(self.cluster, options, inputs)
        record = share_run(self.cluster, self.run, self.config.resume)
        if record is None:
            found = self.steps_in_budget() if self.cluster.leads else None
            steps, joint_steps = leaders(self.cluster, found)
            record = {
                "options": options, "inputs": inputs, "steps": steps, "joint_steps": joint_steps
            }  # fmt: skip
            self.run.create(record)
        else:
            check_same("options", options, record["options"])
            check_same("inputs", inputs, record["inputs"])
            saved = self.run.load()
            if saved is not None:
                self.state, self.params, self.optimiser = saved
        self.phases = plan(self.config, record["steps"], record["joint_steps"])
        self.photos.write_skipped(self.run.skipped)

    def steps_in_budget(self) -> tuple[int, int]:
        """Steps for each stage and together: as said, or what --minutes has time for, as timed now."""
        config = self.config
        if config.minutes is None:
            return config.steps, config.joint_steps
        _, photos = next(self.photos.stream(0, self.places))
        phases = plan(config, steps=1, joint_steps=min(1, config.joint_steps))
        seconds = {phase.name: self.seconds_per_step(phase, photos) for phase in phases}
        budget, joint = config.minutes * 60 * TRAINING_SHARE, seconds.pop(JOINT, None)
        each = budget / sum(seconds.values())
        if joint is None:
            return max(1, int(each)), 0
        return max(1, int(each * (1 - JOINT_SHARE))), max(1, int(budget * JOINT_SHARE / joint))

    def seconds_per_step(self, phase: Phase, photos: X) -> float:
        """The median of `TIMED_STEPS` steps with these photos, which change nothing."""
        chain = self.chain(phase)
        scored = self._scored(phase)
        batch_gradients(self.perceptual, chain, photos, scored)  # the first one sets up memory
        seconds = []
        for _ in range(TIMED_STEPS):
            begin = time.perf_counter()
            batch_gradients(self.perceptual, chain, photos, scored)
            if self.cluster.workers == 1:  # others are not timing
                chain.update(0.0)
            engine.settle()
            seconds.append(time.perf_counter() - begin)
        return median(seconds)

    def chain(self, phase: Phase) -> Chain:
        chain = Chain(
            self.specs,
            self.params,
            phase.trained,
            self.config.crop,
            self.contexts,
            coupling=phase.coupling,
            share_weights=self.config.share_weights,
            batch=self.batch,
            add_up=self.cluster.sum,
        )
        chain.set_optimiser_arrays(self.optimiser, self.state.step)
        return chain

    def _scored(self, phase: Phase) -> dict[int, float]:
        """The stages whose output counts in this step, and what it counts.

        In the joint steps those are the last and one before it, by lot: a score costs more than a
        generator, and that one keeps the earlier stages paintings (deep supervision, Lee et al. 2015).
        """
        if phase.name != JOINT:
            return dict.fromkeys(phase.trained, 1.0)
        *earlier, last = phase.trained
        lot = np.random.default_rng([self.config.seed, self.state.step])
        return {int(lot.choice(earlier)): EARLIER, last: 1.0}

    def learn(self, phase: Phase, progress: Progress, interrupts: list[int]) -> None:
        """Train the phase's stages from where the state stands to the phase's end."""
        while True:
            try:
                return self._learn(phase, progress, interrupts)
            except _NotFiniteError:
                self.roll_back(phase, progress)

    def _learn(self, phase: Phase, progress: Progress, interrupts: list[int]) -> None:
        chain = self.chain(phase)
        begin = time.perf_counter() - self.state.seconds
        if self.state.step == 0:
            self.save(chain, progress)
        photos = self.photos.stream(self.state.position, self.places)
        while self.state.step < phase.steps:
            position, mine = next(photos)
            rate = phase.rate_at(self.state.step) * self.state.rate_scale
            chain.frame = learning_frame(self.config.seed, position)
            try:
                outcome = take_step(
                    self.perceptual, chain, mine, self._scored(phase), self.cluster, self.batch
                )
                if not outcome.finite:
                    raise _NotFiniteError
                chain.update(rate)
            except PeersGoneError:
                self.save(chain, progress)
                raise self._stopped(phase, interrupts, "other workers are gone; ") from None
            self.state = dataclasses.replace(
                self.state,
                step=self.state.step + 1,
                position=position,
                seconds=time.perf_counter() - begin,
            )
            self.report(phase, progress, rate, outcome.losses)
            last = self.state.step == phase.steps
            if last or outcome.interrupted or self.state.step % self.config.save_every == 0:
                self.save(chain, progress)
            if outcome.interrupted:
                raise self._stopped(phase, interrupts)
            if last or self.state.step % self.config.sheet_every == 0:
                self.write_sheet(chain)

    def _stopped(self, phase: Phase, interrupts: list[int], why: str = "") -> Interrupted:
        return Interrupted(
            f"{why}stopped after step {self.state.step} of {phase.name}, saved in {self.config.run_folder()}; "
            "run the same command with --resume to go on",
            interrupts[0] if interrupts else signal.SIGTERM,
        )

    def report(
        self, phase: Phase, progress: Progress, rate: float, losses: dict[int, dict[str, float]]
    ) -> None:
        named = {f"x{k + 1}": loss for k, loss in losses.items()}
        progress.step(phase.name, self.state.step, {k: loss["total"] for k, loss in named.items()})
        if self.state.step % REPORT_EVERY == 0 or self.state.step == phase.steps:
            progress.record(
                {
                    "phase": phase.name,
                    "step": self.state.step,
                    "photos": self.state.position * self.batch,
                    "seconds": round(self.state.seconds, 2),
                    "rate": rate,
                    "losses": named,
                }
            )

    def save(self, chain: Chain, progress: Progress) -> None:
        self.state = dataclasses.replace(self.state, metrics_bytes=progress.metrics_bytes())
        params, optimiser = chain.params(), chain.optimiser_arrays()
        if not all(map(_finite, [*params.values(), *optimiser.values()])):
            raise _NotFiniteError
        self.params.update(params)
        self.optimiser = optimiser
        self.run.save(self.state, self.params, self.optimiser)

    def roll_back(self, phase: Phase, progress: Progress) -> None:
        """Go back to the last checkpoint with half the learning rate. Raises RunError the fourth time."""
        where = f"{phase.name}, step {self.state.step + 1}: loss or gradient is not finite"
        rollbacks = self.state.rollbacks + 1
        saved = self.run.load()
        assert saved is not None  # learn() saves before the first step
        self.state, self.params, self.optimiser = saved
        if rollbacks > MOST_ROLLBACKS:
            raise RunError(
                f"{where}, after {MOST_ROLLBACKS} times with half the rate; "
                f"start anew with a --rate below {self.config.rate * self.state.rate_scale:.2g}"
            )
        self.state = dataclasses.replace(
            self.state, rollbacks=rollbacks, rate_scale=self.state.rate_scale / 2
        )
        self.run.save(self.state, self.params, self.optimiser)
        progress.rewind(self.steps_done(), self.state.metrics_bytes)
        progress.say(f"{where}: back to step {self.state.step} with half the rate")

    def steps_done(self) -> int:
        return sum(phase.steps for phase in self.phases[: self.state.phase]) + self.state.step

    def write_sheet(self, chain: Chain) -> None:
        """Photo, x1 .. xk in a row, for a few photos."""
        chain.frame = MIDDLE_FRAME
        rows = [
            [sample, *(to_image(x) for x in chain.paint(to_x(sample)))]
            for sample in self.photos.samples
        ]
        name = f"{self.state.phase}-{self.state.step:08d}.png"
        self.run.samples.mkdir(exist_ok=True)
        write_image(self.run.samples / name, contact_sheet(rows))

    def finish_phase(self) -> None:
        """Step to the next phase, with Adam's moments at zero."""
        for skipped in self.cluster.gather(json.dumps(self.photos.skipped).encode()):
            self.photos.skipped |= json.loads(skipped)
        self.photos.write_skipped(self.run.skipped)
        self.state = dataclasses.replace(self.state, phase=self.state.phase + 1, step=0)
        self.optimiser = {}

    def evaluate(self, painter: Painter, statistics: Sequence[Arrays]) -> dict[str, Any]:
        """Mean losses of the held-out photos, whose statistics these are, and after each stage."""
        if not self.photos.held_out:
            return {"photos": 0}
        rows = []
        for square, measured in zip(self.photos.held_out, statistics, strict=True):
            x0 = to_x(square)
            rows.append(stage_losses(self.perceptual, x0, painter.paint(x0, measured)))
        return {"photos": len(rows), "edge_px": self.config.crop, "losses": mean_losses(rows)}

    def painting_params(self, stages: int) -> Arrays:
        """The parameters of the first stages, each under names of its own."""
        if self.config.share_weights:
            return unshare(self.params, stages)
        return {k: v for k, v in self.params.items() if int(k[1 : k.index("_")]) < stages}

    def write_model(self, stages: int) -> dict[str, Any]:
        """Measure the first stages on the held-out photos and write them as a model."""
        params = self.painting_params(stages)
        painter = Painter(self.specs[:stages], params, self.context)
        squares = self.photos.held_out or self.photos.samples
        statistics = [painter.measure(to_x(square)) for square in squares]
        evaluation = self.evaluate(painter, statistics)
        card = {
            "style": self.config.style.name,
            "licence": LICENCE,
            "neuralart": __version__,
            "features": {
                "name": self.features.name,
                "source": self.features.source,
                "sha256": self.features.sha256,
            },
            "photos": self.photos.count,
            "steps": [phase.steps for phase in self.phases],
            "seconds": round(self.state.seconds, 1),
            "weights": {
                **self.weights.of_layers(),
                "content": self.weights.content,
                "tv": self.weights.tv,
                "checkerboard": self.weights.checkerboard,
            },
            "multiply_adds_per_pixel": round(sum(s.multiply_adds() for s in self.specs[:stages])),
            "options": without_folders(self.config.result_options()),
            "held_out": evaluation,
        }
        Model(
            tuple(self.specs[:stages]),
            params,
            average(statistics),
            card,
            self.thumbnail,
            encode_image(self.painting, ".jpg"),
        ).save(self.run.model)
        self.run.write_json(self.run.evaluation, evaluation)
        return evaluation


def train(config: TrainConfig) -> tuple[Path, dict[str, Any]]:
    """Train, or go on training, and write the run's model.

    Returns the model's path and the held-out losses. Raises NeuralArtError for a user's mistake before
    anything is written, RunError if the losses stay not finite, Interrupted on SIGINT and SIGTERM.
    """
    training = Training(config)
    try:
        training.start()
        evaluation = _train(training)
        training.cluster.close()
    except PeersGoneError:
        training.cluster.abandon(128 + signal.SIGTERM)
        raise Interrupted(
            f"other workers are gone; the last checkpoint is in {config.run_folder()}; "
            "run the same command with --resume to go on",
            signal.SIGTERM,
        ) from None
    except BaseException as error:
        training.cluster.abandon(getattr(error, "exit_code", 1))
        raise
    return training.run.model, evaluation


def _train(training: Training) -> dict[str, Any]:
    total = sum(phase.steps for phase in training.phases)
    progress = Progress(
        training.run.metrics,
        training.state.metrics_bytes,
        training.steps_done(),
        total,
        quiet=not training.cluster.leads,
    )
    evaluation: dict[str, Any] = {}
    with contextlib.closing(progress), deferred_signals() as interrupts:
        training.cluster.interrupts = interrupts
        while training.state.phase < len(training.phases):
            phase = training.phases[training.state.phase]
            training.learn(phase, progress, interrupts)
            evaluation = training.write_model(phase.trained[-1] + 1)
            progress.say(_summary(phase.name, evaluation))
            training.finish_phase()
    return evaluation


def _summary(name: str, evaluation: dict[str, Any]) -> str:
    if not evaluation["photos"]:
        return f"{name}: done; too few photos to keep any out, so no held-out loss"
    losses = evaluation["losses"]
    totals = " > ".join(f"{key} {row['total']:.2f}" for key, row in losses.items())
    photos = "1 photo" if evaluation["photos"] == 1 else f"{evaluation['photos']} photos"
    return f"{name}: held-out total of {photos}: {totals}"


class _NotFiniteError(Exception):
    """A loss, a gradient or a parameter is not a finite number."""


def _finite(array: npt.NDArray[Any]) -> bool:
    return bool(np.isfinite(array).all())
