"""Seconds of one training step of each stage and of a joint step, beside losses and gradient alone.

python benchmarks/step.py --features small [--chain KIND,KIND,...]

To compare with another commit, run both in turns: PYTHONPATH=WORKTREE python benchmarks/step.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.params import initial_params
from neuralart.engine.devices import open_device
from neuralart.loss.features.store import load_features
from neuralart.loss.objective import LossWeights
from neuralart.loss.perceptual import Perceptual
from neuralart.training.stages import Chain
from neuralart.training.step import batch_gradients

EDGE_PX = 320
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--features", default="small")
    parser.add_argument("--chain", default="conv-fast,conv-fast,conv-fast,conv-fast")
    options = parser.parse_args()

    kinds = options.chain.split(",")
    specs = [GENERATORS[kind] for kind in kinds]
    devices = open_device("cpu")
    weights = LossWeights(content=6, layout=12, checkerboard=1e5, two_scales=True)
    loss = Perceptual(load_features(options.features), weights, devices)
    photo = np.random.default_rng(0).normal(0, 50, (1, 3, EDGE_PX, EDGE_PX)).astype(np.float32)
    loss.set_style(photo, photo[:, :, ::2, ::2].copy())
    params = initial_params(specs, 0)
    last = len(specs) - 1
    steps = {
        f"step of stage {k + 1} ({kind})": (Chain(specs, params, [k], EDGE_PX, devices), {k: 1.0})
        for k, kind in enumerate(kinds)
    }
    steps["joint step"] = (
        Chain(specs, params, range(len(specs)), EDGE_PX, devices, coupling="through"),
        {last - 1: 0.3, last: 1.0},
    )
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    scores = []
    x0 = devices.put(photo)
    loss.set_contents(x0)
    for turn in range(ROUNDS + 1):
        begin = time.perf_counter()
        loss.score_batch(x0, [0], log_weight=1.0)
        devices.settle()
        scores.append(time.perf_counter() - begin)
        for name, (chain, scored) in steps.items():
            begin = time.perf_counter()
            batch_gradients(loss, chain, photo, [0], scored)
            chain.update(1e-3)
            devices.settle()
            if turn:  # the first sets up memory
                seconds[name].append(time.perf_counter() - begin)
    score = statistics.median(scores[1:])
    print(f"losses and gradient | {score:.3f} s")  # noqa: T201
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name} | {median:.3f} s | {median / score:.2f} times")  # noqa: T201


if __name__ == "__main__":
    main()
