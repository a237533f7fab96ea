"""One step of training: forward, losses and backward for a batch, here and on the other workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuralart.images import X
from neuralart.modules.chain import Chain
from neuralart.modules.cluster import Cluster
from neuralart.modules.perceptual import Perceptual

TINY_LOSS = 1e-6  # keeps a photo that is the painting itself from a division by 0

Losses = dict[int, dict[str, float]]


@dataclass(frozen=True)
class Outcome:
    """What a step's batch gave, the same on every worker.

    losses        mean losses by name, of every scored stage
    finite        whether all losses and gradients are finite
    interrupted   whether a worker was asked to stop
    """

    losses: Losses
    finite: bool
    interrupted: bool


def batch_gradients(
    perceptual: Perceptual, chain: Chain, photos: X, scored: Mapping[int, float]
) -> tuple[Losses, int]:
    """Leave the gradients of this worker's photos in the chain, as many photos at a time as there are devices.

    Shape:   photos (N, 3, edge, edge), N a multiple of the devices
    ``scored`` says what the loss of each stage's output counts. Returns the sums of those losses, as they are,
    and how many pictures are not finite.
    """
    sums: Losses = {k: {} for k in sorted(scored)}
    not_finite = 0
    for begin in range(0, len(photos), chain.devices):
        x0 = photos[begin : begin + chain.devices]
        perceptual.set_content(x0)
        xs = chain.forward(x0)
        gradients = {}
        for k, losses in sums.items():
            rows, d_x = perceptual.score_each(xs[k])
            totals = np.array([row["total"] for row in rows], np.float32)
            finite = np.isfinite(totals) & np.isfinite(d_x).all(axis=(1, 2, 3))
            not_finite += int((~finite).sum())
            # The gradient of the logarithm.
            counts = scored[k] / (totals + np.float32(TINY_LOSS))
            gradients[k] = d_x * counts[:, None, None, None]
            for row in rows:
                for name, value in row.items():
                    losses[name] = losses.get(name, 0.0) + value
        nothing = np.zeros_like(x0)
        chain.backward([gradients.get(k, nothing) for k in chain.trained])
    return sums, not_finite


def take_step(
    perceptual: Perceptual,
    chain: Chain,
    photos: X,
    scored: Mapping[int, float],
    cluster: Cluster,
    batch: int,
) -> Outcome:
    """Gradients and mean losses of a batch, of which ``photos`` are this worker's part.

    Raises PeersGoneError.
    """
    sums, not_finite = batch_gradients(perceptual, chain, photos, scored)
    numbers = [float(not_finite), float(bool(cluster.interrupts))]
    numbers += [value for losses in sums.values() for value in losses.values()]
    total = cluster.sum_numbers(f"numbers{len(numbers)}", np.array(numbers)).tolist()
    means = iter(total[2:])
    return Outcome(
        {k: {name: next(means) / batch for name in losses} for k, losses in sums.items()},
        finite=total[0] == 0,
        interrupted=total[1] > 0,
    )
