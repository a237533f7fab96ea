"""The phases of a training: which stages learn, for how many steps, at which rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neuralart.machine.seeds import Purpose, random_numbers
from neuralart.options.train import TrainConfig

EARLIER = 0.3  # the weight of an earlier stage's loss in the joint steps; the last one's is 1

WARM_UP = 20  # steps in which the learning rate rises from nothing

FINAL_RATE = 0.01  # of the peak, where the cosine ends

JOINT_RATE = 0.6  # of the peak, in the joint steps: the stages are good by then

JOINT = "joint"


@dataclass(frozen=True)
class Phase:
    """Steps in which the same stages learn."""

    name: str
    trained: tuple[int, ...]
    coupling: str
    steps: int
    rate: float

    def rate_at(self, step: int) -> float:
        """The learning rate: a short rise, then a cosine down to a hundredth (Loshchilov and Hutter 2016)."""
        rise = min(1.0, (step + 1) / WARM_UP)
        fall = 0.5 + 0.5 * math.cos(math.pi * step / self.steps)
        return self.rate * rise * (FINAL_RATE + (1 - FINAL_RATE) * fall)


def phases_of(config: TrainConfig, steps: int, joint_steps: int) -> list[Phase]:
    """The phases of a run with this many steps for each stage, and of all together at the end."""
    stages = range(len(config.specs()))
    if config.coupling != "own" or config.share_weights:
        return [Phase("all stages", tuple(stages), config.coupling, steps, config.rate)]
    phases = [Phase(f"stage {k + 1}", (k,), "own", steps, config.rate) for k in stages]
    if joint_steps and len(stages) > 1:
        rate = config.rate * JOINT_RATE
        phases.append(Phase(JOINT, tuple(stages), "through", joint_steps, rate))
    return phases


def scored_stages(phase: Phase, seed: int, step: int) -> dict[int, float]:
    """The stages whose output counts in a step, and the weight of each.

    In the joint steps those are the last one and one before it, drawn at random: a score costs more
    than a generator, and that one keeps the earlier stages paintings (deep supervision, Lee et al.
    2015).
    """
    if phase.name != JOINT:
        return dict.fromkeys(phase.trained, 1.0)
    *earlier, last = phase.trained
    rng = random_numbers(seed, Purpose.SCORED, step)
    return {int(rng.choice(earlier)): EARLIER, last: 1.0}
