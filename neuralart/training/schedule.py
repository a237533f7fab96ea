"""The phases of a training: which stages learn, for how many steps, at which rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from neuralart.machine.seeds import Purpose, random_numbers
from neuralart.options.train import TrainConfig

EARLIER = 0.6  # the weight of an earlier stage's loss in a joint step; the last one's is 1

EARLIER_EVERY = 2  # joint steps for each in which an earlier stage's loss counts

WARM_UP = 30  # steps in which the learning rate rises from nothing

FINAL_RATE = 0.02  # of the peak, where the cosine ends

JOINT_RATE = 0.6  # of the peak, in joint steps after stages by themselves, which are good by then

JOINT, TOGETHER = "joint", "all stages"  # names of phases


@dataclass(frozen=True)
class Phase:
    """Steps in which the same stages learn."""

    name: str
    trained: tuple[int, ...]
    coupling: str
    steps: int
    rate: float

    def rate_at(self, step: int) -> float:
        """The learning rate: a short rise, then a cosine (Loshchilov and Hutter 2016)."""
        rise = min(1.0, (step + 1) / WARM_UP)
        fall = 0.5 + 0.5 * math.cos(math.pi * step / self.steps)
        return self.rate * rise * (FINAL_RATE + (1 - FINAL_RATE) * fall)


def phases_of(config: TrainConfig, steps: int, joint_steps: int, stages: int) -> list[Phase]:
    """The phases of a run: steps of each stage by itself, then of all together."""
    everyone, rate = tuple(range(stages)), config.peak_rate()
    named = named_steps(config.coupling, config.share_weights, steps, joint_steps, stages)
    if TOGETHER in named:
        return [Phase(TOGETHER, everyone, config.coupling, named[TOGETHER], rate)]
    joint = named.pop(JOINT, 0)
    phases = [
        Phase(name, (k,), "own", count, rate) for k, (name, count) in enumerate(named.items())
    ]
    if joint:
        rate *= JOINT_RATE if phases else 1
        phases.append(Phase(JOINT, everyone, "through", joint, rate))
    return phases


def named_steps(
    coupling: str, share_weights: bool, steps: int, joint_steps: int, stages: int
) -> dict[str, int]:
    """The steps of each phase by its name, in their order."""
    if coupling != "own" or share_weights:
        return {TOGETHER: max(1, steps or joint_steps)}
    named = {f"stage {k + 1}": steps for k in range(stages) if steps}
    if joint_steps and (stages > 1 or not named):
        named[JOINT] = joint_steps
    return named


def scored_stages(phase: Phase, seed: int, step: int) -> dict[int, float]:
    """The stages whose output counts in a step, and the weight of each.

    In the joint steps that is the last one, and in every second step one before it, drawn at random,
    which keeps the earlier stages paintings (deep supervision, Lee et al. 2015). A score costs more
    than all generators.
    """
    if phase.name != JOINT or len(phase.trained) == 1:
        return dict.fromkeys(phase.trained, 1.0)
    *earlier, last = phase.trained
    if step % EARLIER_EVERY:
        return {last: 1.0}
    rng = random_numbers(seed, Purpose.SCORED, step)
    return {int(rng.choice(earlier)): EARLIER, last: 1.0}


def drawn_styles(styles: int, seed: int, position: int, places: Sequence[int]) -> list[int]:
    """The style of each photo of a batch, drawn at random; the same for a seed on every machine."""
    return [
        int(random_numbers(seed, Purpose.STYLE, position, place).integers(styles))
        for place in places
    ]
