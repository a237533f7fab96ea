"""Measure the photos a second of training on one CPU device and on two, which take turns.

OMP_NUM_THREADS=1 python benchmarks/devices.py

Then measure the gradients of a step: their bytes, and the time of MXNet's kvstore to add them up.

Each CPU device computes with OMP_NUM_THREADS threads. With more than one, MXNet's OpenBLAS can wait
forever.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from neuralart.chain.params import initial_params
from neuralart.engine.devices import open_devices
from neuralart.loss.features.store import load_features
from neuralart.loss.perceptual import Perceptual
from neuralart.options.train import TrainConfig
from neuralart.training.beginning import loss_weights
from neuralart.training.schedule import phases_of
from neuralart.training.stages import Chain
from neuralart.training.step import take_step
from neuralart.training.workers.cluster import Cluster

EDGE_PX = 256
BATCH = 2
ROUNDS = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--features", default="small")
    options = parser.parse_args()

    config = TrainConfig(style=(), data=Path())
    specs = config.specs()
    phase = phases_of(config, 1, 1, len(specs))[-1]  # all stages together, the longest step
    scored = dict.fromkeys(phase.trained[-2:], 1.0)
    features = load_features(options.features)
    photos = np.random.default_rng(0).normal(0, 50, (BATCH, 3, EDGE_PX, EDGE_PX))
    photos = photos.astype(np.float32)
    ways = {}
    for device in ("cpu", "cpu:0,1"):
        devices = open_devices(device)
        perceptual = Perceptual(features, loss_weights(config), devices)
        perceptual.set_style(photos[:1], photos[:1, :, ::2, ::2].copy())
        cluster = Cluster("local", devices)
        chain = Chain(
            specs, initial_params(specs, 0), phase.trained, EDGE_PX, devices,
            coupling=phase.coupling, batch=BATCH, add_up=cluster.sum,
        )  # fmt: skip
        ways[device] = (perceptual, chain, cluster)
    seconds: dict[str, list[float]] = {device: [] for device in ways}
    for turn in range(ROUNDS + 1):
        for device, (perceptual, chain, cluster) in ways.items():
            begin = time.perf_counter()
            take_step(perceptual, chain, photos, [0] * BATCH, scored, cluster, BATCH)
            chain.update(1e-3)
            chain.devices.settle()
            if turn:  # the first sets up memory
                seconds[device].append(time.perf_counter() - begin)
    rates = {device: BATCH / statistics.median(times) for device, times in seconds.items()}
    for device, rate in rates.items():
        ratio = rate / rates["cpu"]
        print(f"{device:8} | {rate:6.2f} photos a second | {ratio:.2f} times")  # noqa: T201

    _, chain, cluster = ways["cpu:0,1"]
    gradients = {k: v for stage in chain.stages for k, v in stage.gradients().items()}
    size = sum(each[0].size * 4 for each in gradients.values())
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        cluster.sum(gradients)
        chain.devices.settle()
        times.append(time.perf_counter() - begin)
    print(  # noqa: T201
        f"adding up {size / 1e6:.2f} MB in {len(gradients)} arrays: "
        f"{1e3 * statistics.median(times):.1f} ms"
    )


if __name__ == "__main__":
    main()
