"""Random numbers from ``--seed``: each purpose has numbers of its own."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What random numbers are for.

    The values are part of every result: `SPLIT` decides which photos a model was measured on.
    """

    SPLIT = 0
    """Which photos are held out."""
    EPOCH = 1
    """The order of the photos in an epoch."""
    CROP = 2
    """Scale, place and mirroring of a square."""
    INSTEAD = 3
    """Which photo is taken in place of one that cannot be used."""
    FRAME = 4
    """The place of a step's frame of reflection."""
    SCORED = 5
    """Which earlier stage's loss counts in a joint step."""
    WEIGHTS = 6
    """The first weights of a stage."""
    STYLE = 8
    """The style that a photo is painted in, of several that are learned."""
    NOISE = 7
    """The picture that ``optimize --start noise`` begins with."""
    DISCRIMINATOR = 9
    """The first weights of the discriminator."""
    AUGMENTATION = 10
    """What the discriminator's pictures of a step are augmented by."""
    STYLE_SQUARE = 11
    """The square of a style image that stands against a photo's painting."""
    GRAIN = 12
    """The place of a step's photos in the grain."""


def random_numbers(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """A generator that is the same for a seed, a purpose and further numbers, on every machine."""
    return np.random.default_rng([seed, purpose, *numbers])
