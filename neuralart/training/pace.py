"""``--minutes``: how much a run does in a time by the clock, from the command to the model.

A few timed steps give the first plan. While the last phase goes on, its number of steps follows
the clock: a machine is not equally fast all the time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from neuralart.machine.clock import since_start
from neuralart.training.schedule import JOINT

JOINT_SHARE = 0.75  # of the steps' time: where the chain becomes good (docs/experiments.md)

EVALUATED = 20  # photos times styles at most, but LEAST photos in each style
LEAST = 2

EVALUATION_SHARE = 0.05  # of the time at most, for held-out losses, unless LEAST take longer

# In the time of a photo in a step of all stages, measured on two cores (docs/experiments.md).
EVALUATED_COST = 1.4
ENDING_COST = 3.0  # a contact sheet, a checkpoint, the model

REPLANNED_EVERY = 0.1  # of the last phase's steps
FEWEST_TIMED = 4  # steps between two plans


@dataclass(frozen=True)
class Plan:
    """How much a run does.

    steps, joint_steps  steps of each stage by itself, then of all together
    evaluated           held-out photos that each style is measured on, after each phase
    """

    steps: int
    joint_steps: int
    evaluated: int


def most_evaluated(styles: int) -> int:
    """Held-out photos that each of so many styles is measured on, where time does not matter."""
    return max(LEAST, EVALUATED // styles)


def plan_for(seconds: float, step_seconds: Mapping[str, float], photos: int, styles: int) -> Plan:
    """What fits into a time.

    step_seconds  of a step, by the name of its phase
    photos        of a step on each device; one device measures on held-out photos
    """
    phases = len(step_seconds)
    photo = max(step_seconds.values()) / photos
    room = EVALUATION_SHARE * seconds / (phases * styles * EVALUATED_COST * photo)
    evaluated = max(LEAST, min(int(room), most_evaluated(styles)))
    budget = seconds - phases * ending_seconds(photo, evaluated, styles)
    stages = sum(value for name, value in step_seconds.items() if name != JOINT)
    joint = step_seconds.get(JOINT)
    share = 0.0 if joint is None else JOINT_SHARE if stages else 1.0
    steps = max(1, int(budget * (1 - share) / stages)) if stages else 0
    joint_steps = 0 if joint is None else max(1, int(budget * share / joint))
    return Plan(steps, joint_steps, evaluated)


def ending_seconds(photo_seconds: float, evaluated: int, styles: int) -> float:
    """What a phase takes after its last step."""
    return (styles * evaluated * EVALUATED_COST + ENDING_COST) * photo_seconds


class Pace:
    """The clock of a run, and how fast its last phase goes."""

    def __init__(self, minutes: float, spent: float, photos: int, styles: int, evaluated: int):
        """``spent``: seconds of training before a resumed run stopped."""
        self._end = time.monotonic() - since_start() + 60 * minutes - spent
        self._photos, self._styles, self._evaluated = photos, styles, evaluated
        self._from: tuple[int, float] | None = None

    def left(self) -> float:
        """Seconds until the model should be there."""
        return max(0.0, self._end - time.monotonic())

    def is_due(self, done: int, planned: int) -> bool:
        """Whether to plan anew, the same on every worker. Called after every step.

        Near the end it is never, so that the learning rate ends where it should.
        """
        if self._from is None:  # the first step sets up memory
            self._from = done, time.monotonic()
        window = max(FEWEST_TIMED, int(REPLANNED_EVERY * planned))
        return done - self._from[0] >= window and planned - done >= window / 2

    def steps(self, done: int, planned: int) -> int:
        """The steps that the last phase has time for, ``done`` of which are done.

        Called after every step; it returns ``planned`` unless a plan `is_due`.
        """
        if not self.is_due(done, planned):
            return planned
        assert self._from is not None
        now, (since, then) = time.monotonic(), self._from
        step = (now - then) / (done - since)
        self._from = done, now
        left = self._end - now - ending_seconds(step / self._photos, self._evaluated, self._styles)
        return done + max(0, int(left / step))
