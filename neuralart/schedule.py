"""The phases of a training: which stages learn, for how many steps, at which rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neuralart.config import TrainConfig

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


def plan(config: TrainConfig, steps: int, joint_steps: int) -> list[Phase]:
    """The phases of a run with this many steps for each stage, and of all together at the end."""
    stages = range(len(config.specs()))
    if config.coupling != "own" or config.share_weights:
        return [Phase("all stages", tuple(stages), config.coupling, steps, config.rate)]
    phases = [Phase(f"stage {k + 1}", (k,), "own", steps, config.rate) for k in stages]
    if joint_steps and len(stages) > 1:
        rate = config.rate * JOINT_RATE
        phases.append(Phase(JOINT, tuple(stages), "through", joint_steps, rate))
    return phases
