"""One step of training: forward, losses and backward for a batch, here and on the other workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuralart.engine.contract import Batch, sum_of
from neuralart.loss.objective import Losses, named
from neuralart.loss.perceptual import Perceptual
from neuralart.pictures.pixels import X
from neuralart.training.gan.discriminator import Discriminator, GanLosses, named_losses
from neuralart.training.stages import Chain
from neuralart.training.workers.cluster import Cluster


@dataclass(frozen=True)
class Outcome:
    """What a step's batch gave, the same on every worker.

    losses        mean losses of every scored stage, by its number
    of_styles     sums of the last stage's losses over the photos of each style
    finite        whether all losses and gradients are finite
    interrupted   whether a worker was asked to stop
    gan           mean losses of the GAN; nothing without a discriminator
    """

    losses: dict[int, Losses]
    of_styles: list[Losses]
    finite: bool
    interrupted: bool
    gan: GanLosses


def batch_gradients(
    perceptual: Perceptual,
    chain: Chain,
    photos: X,
    styles: Sequence[int],
    scored: Mapping[int, float],
    discriminator: Discriminator | None = None,
) -> npt.NDArray[np.float32]:
    """Leave the gradients of this worker's photos in the chain, and return sums over the photos.

    The gradients are those of the logarithm of each photo's loss, times the weight that ``scored``
    gives to a stage. A discriminator, whose step has begun, judges the last output: its gradient is
    added, and its own gradients and sums stay in it. Everything stays on the devices but the
    photos, which go there, and the sums.

    Shape:   photos (N, 3, edge, edge), N a multiple of what the chain takes at once; N styles
             -> (scored stages, styles * terms + 1): the losses of the photos of each style, in the
             order of the terms, and the sum of squares of the gradients by the pixels, which is not
             finite if one of them is not
    """
    devices = chain.devices
    sums: Batch | None = None
    for x0, chosen in chain.passes(photos, styles):
        perceptual.set_contents(x0)
        one_hot = perceptual.one_hot(x0, chosen)
        xs = chain.forward(x0, one_hot)
        gradients: dict[int, Batch] = {}
        numbers = []
        for k, weight in sorted(scored.items()):
            rows, d_x = perceptual.score_batch(xs[k], chosen, log_weight=weight)
            if discriminator and k == max(scored):
                pull = discriminator.judge(xs[k], chosen, one_hot, weight)
                d_x = sum_of(d_x, pull)
            numbers += [devices.flatten(_by_style(rows, one_hot)), devices.squares(d_x)]
            gradients[k] = chain.framed(d_x)
        chain.backward([gradients.get(k) for k in chain.trained])
        row = devices.flatten(numbers)
        if sums is None:
            sums = row
        else:
            for total, more in zip(sums, row, strict=True):
                total += more
    assert sums is not None
    table: npt.NDArray[np.float32] = devices.get(sums).sum(axis=0)
    return table.reshape(len(scored), -1)


def take_step(
    perceptual: Perceptual,
    chain: Chain,
    photos: X,
    styles: Sequence[int],
    scored: Mapping[int, float],
    cluster: Cluster,
    batch: int,
    discriminator: Discriminator | None = None,
) -> Outcome:
    """Gradients and mean losses of a batch; ``photos`` and ``styles`` are this worker's part.

    The discriminator's gradients are summed over the workers here, those of the chain in
    `Chain.update`: if workers are gone, neither has taken the step. Raises PeersGoneError.
    """
    sums = batch_gradients(perceptual, chain, photos, styles, scored, discriminator)
    gan_sums = discriminator.losses() if discriminator else ()
    numbers = np.array([float(bool(cluster.interrupts)), *sums.ravel(), *gan_sums])
    total = cluster.sum_numbers(f"numbers{len(numbers)}", numbers)
    if discriminator:
        discriminator.add_up()
    end = 1 + sums.size
    terms = perceptual.terms
    of_styles = total[1:end].reshape(sums.shape)[:, :-1].reshape(len(scored), -1, len(terms))
    means = of_styles.sum(axis=1) / batch
    return Outcome(
        {k: named(terms, row) for k, row in zip(sorted(scored), means, strict=True)},
        [named(terms, row) for row in of_styles[-1]],
        finite=bool(np.isfinite(total).all()),
        interrupted=bool(total[0] > 0),
        gan=named_losses((total[end:] / batch).tolist()) if discriminator else {},
    )


def _by_style(rows: Batch, one_hot: Batch) -> list[Batch]:
    """(n, terms) and (n, styles) -> for each style (n, terms), with zeros for photos of others."""
    return [
        [row * chosen[:, k : k + 1] for row, chosen in zip(rows, one_hot, strict=True)]
        for k in range(one_hot[0].shape[1])
    ]
