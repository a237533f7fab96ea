"""Seconds of one training step of each stage at 256 px, beside losses and gradient alone, in one run.

python benchmarks/step.py --features small
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from neuralart.engine import mx, settle
from neuralart.features import load_features
from neuralart.modules.chain import Chain, initial_params
from neuralart.modules.perceptual import LossWeights, Perceptual
from neuralart.specs import GENERATORS

EDGE_PX = 256
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--features", default="small")
    parser.add_argument("--chain", default="conv,deconv,deconv,conv")
    options = parser.parse_args()

    kinds = options.chain.split(",")
    specs = [GENERATORS[kind] for kind in kinds]
    loss = Perceptual(load_features(options.features), LossWeights(), mx.cpu())
    x0 = np.random.default_rng(0).normal(0, 50, (1, 3, EDGE_PX, EDGE_PX)).astype(np.float32)
    loss.set_style(x0)
    params = initial_params(specs, 0)
    chains = [Chain(specs, params, [k], EDGE_PX, mx.cpu()) for k in range(len(specs))]
    steps: list[list[float]] = [[] for _ in specs]
    scores = []
    for _ in range(ROUNDS):
        for k, chain in enumerate(chains):
            begin = time.perf_counter()
            loss.set_content(x0)
            x = chain.forward(x0)[-1]
            scored = time.perf_counter()
            _, d_x = loss.score(x)
            scores.append(time.perf_counter() - scored)
            chain.backward([d_x])
            chain.update(1e-3)
            settle()
            steps[k].append(time.perf_counter() - begin)
    print(f"losses and gradient | {statistics.median(scores):.3f} s")  # noqa: T201
    for k, (kind, times) in enumerate(zip(kinds, steps, strict=True), start=1):
        ratio = statistics.median(times) / statistics.median(scores)
        print(f"step of stage {k} ({kind}) | {statistics.median(times):.3f} s | {ratio:.2f} times")  # noqa: T201


if __name__ == "__main__":
    main()
