"""Seconds of one training step of each stage and of two joint steps, beside losses and gradient alone.

python benchmarks/step.py --features small [--chain KIND,KIND,...] [--devices cpu torch:cpu]

Several devices are measured in turns, and compared with the first. A device with a precision is
written cuda:0=bfloat16. --photos N learns on N photos in a step: a card takes them all at once.
To compare with another commit, run both in turns: PYTHONPATH=WORKTREE python benchmarks/step.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.params import initial_params
from neuralart.engine.devices import open_device
from neuralart.loss.features.store import Features, load_features
from neuralart.loss.perceptual import Perceptual
from neuralart.options.train import DEFAULT_CHAIN, TrainConfig
from neuralart.training.beginning import loss_weights
from neuralart.training.schedule import JOINT, Phase, scored_stages
from neuralart.training.stages import Chain
from neuralart.training.step import batch_gradients

EDGE_PX = 320
ROUNDS = 15


def steps_of(
    name: str, kinds: list[str], features: Features, photos: int
) -> dict[str, Callable[[], None]]:
    """What is timed on a device: losses and gradient alone, and a step of each phase."""
    device, _, precision = name.partition("=")
    devices = open_device(device, precision or "float32")
    specs = [GENERATORS[kind] for kind in kinds]
    loss = Perceptual(features, loss_weights(TrainConfig(style=(), data=Path())), devices)
    shape = (photos, 3, EDGE_PX, EDGE_PX)
    noise = np.random.default_rng(0).normal(0, 50, shape).astype(np.float32)
    loss.set_style(noise[:1], noise[:1, :, ::2, ::2].copy())
    at_once = 1 if devices.are_cpu else photos
    params = initial_params(specs, 0)
    styles = [0] * photos

    def chain(trained: list[int], coupling: str = "own") -> Chain:
        return Chain(
            specs, params, trained, EDGE_PX, devices,
            coupling=coupling, photos=at_once, batch=photos,
        )  # fmt: skip

    def step(chain: Chain, scored: dict[int, float]) -> Callable[[], None]:
        def run() -> None:
            batch_gradients(loss, chain, noise, styles, scored)
            chain.update(1e-3)
            devices.settle()

        return run

    def score() -> None:
        for begin in range(0, photos, at_once):
            x0 = devices.put(noise[begin : begin + at_once])
            loss.set_contents(x0)
            loss.score_batch(x0, styles[:at_once], log_weight=1.0)
        devices.settle()

    steps = {"losses and gradient": score}
    for k, kind in enumerate(kinds):
        steps[f"step of stage {k + 1} ({kind})"] = step(chain([k]), {k: 1.0})
    stages = tuple(range(len(specs)))
    every = chain(list(stages), "through")
    phase = Phase(JOINT, stages, "through", 2, 1e-3)
    pair = [step(every, scored_stages(phase, 0, number)) for number in range(2)]

    def two_steps() -> None:
        for run in pair:
            run()

    steps["two joint steps"] = two_steps
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--features", default="small")
    parser.add_argument("--chain", default=DEFAULT_CHAIN)
    parser.add_argument("--devices", nargs="+", default=["cpu"])
    parser.add_argument("--photos", type=int, default=1)
    options = parser.parse_args()

    features, kinds = load_features(options.features), options.chain.split(",")
    by_device = {n: steps_of(n, kinds, features, options.photos) for n in options.devices}
    seconds: dict[tuple[str, str], list[float]] = {}
    for turn in range(ROUNDS + 1):
        for device, steps in by_device.items():
            for name, run in steps.items():
                begin = time.perf_counter()
                run()
                if turn:  # the first sets up memory
                    seconds.setdefault((device, name), []).append(time.perf_counter() - begin)
    medians = {key: statistics.median(times) for key, times in seconds.items()}
    first = options.devices[0]
    print("| device | step | s | photos/s | of the losses alone | of the first device |")  # noqa: T201
    print("|---|---|---|---|---|---|")  # noqa: T201
    for (device, name), median in medians.items():
        alone = median / medians[device, "losses and gradient"]
        print(  # noqa: T201
            f"| {device} | {name} | {median:.3f} | {options.photos / median:.1f} | {alone:.2f} "
            f"| {median / medians[first, name]:.2f} |"
        )


if __name__ == "__main__":
    main()
