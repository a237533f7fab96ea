"""Grain: a faint, fixed noise that is added to a photo before a chain paints it.

A plain sky gives a convolution nothing to vary by, so a chain fills it with a regular hatch. Grain
gives it something: plain places get strokes. It depends on a pixel's place alone, so that tiles,
frames of a video and exports agree.

Source:  Ulyanov et al. 2016, "Texture Networks", section 3, for noise that a generator turns into
         texture. Ours is one fixed picture, as broad as a stroke.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from neuralart.machine.seeds import Purpose, random_numbers

FINE_PX, BROAD_PX = 3.0, 7.0
"""Standard deviations of the two Gaussians whose difference makes grain of white noise: the breadth
of a stroke, and what is too broad for one. With 1.5 px, strokes are short hairs. Without the second
Gaussian, the paintings have twice as many spots that the grain made (docs/experiments.md)."""

PERIODS = (211, 256)
"""Grain is the sum of two fields that repeat after so many pixels, along both axes. Together they
repeat after 54,016."""

UNITS = 32
"""Fields are whole numbers of 1/32 of their standard deviation, so that exports can hold them in
bytes."""

Places = npt.NDArray[np.intp]


@functools.cache
def fields() -> tuple[npt.NDArray[np.int8], ...]:
    """The two fields, (period, period) each, in `UNITS` of a standard deviation."""
    made = []
    for seed, period in enumerate(PERIODS):
        # Of all of numpy's random numbers, those of RandomState alone are fixed for good.
        noise = np.random.RandomState(seed).standard_normal((period, period))
        squares = np.add.outer(*[np.square(np.pi * np.fft.fftfreq(period))] * 2)
        response = np.exp(-2 * FINE_PX**2 * squares) - np.exp(-2 * BROAD_PX**2 * squares)
        strokes = np.fft.ifft2(np.fft.fft2(noise) * response).real
        scaled = np.rint(strokes / strokes.std() * UNITS).clip(-127, 127)
        made.append(scaled.astype(np.int8))
    return tuple(made)


def grain(strength: float, rows: Places, columns: Places) -> npt.NDArray[np.float32]:
    """The grain at the places (row, column) of a picture, in 0..255 units.

    strength  the standard deviation

    Shape:   (H,), (W,) -> (H, W)
    """
    total = np.zeros((len(rows), len(columns)), np.float32)
    for field in _scaled(strength):
        total += field.take(rows % len(field), 0).take(columns % len(field), 1)
    return total


@functools.lru_cache(maxsize=4)
def _scaled(strength: float) -> tuple[npt.NDArray[np.float32], ...]:
    return tuple(field * unit(strength) for field in fields())


def unit(strength: float) -> npt.NDArray[np.float32]:
    """What one of a field's `UNITS` is in a grain of this strength: a scalar."""
    return np.array(strength / UNITS / np.sqrt(len(PERIODS)), np.float32)


def grain_place(seed: int, step: int) -> tuple[int, int]:
    """Draw where in the grain the photos of a step are."""
    row, column = random_numbers(seed, Purpose.GRAIN, step).integers(
        PERIODS[0] * PERIODS[1], size=2
    )
    return int(row), int(column)


def with_grain(
    x: npt.NDArray[np.float32], strength: float, place: tuple[int, int] = (0, 0)
) -> npt.NDArray[np.float32]:
    """A picture with grain; itself where the strength is 0.

    place  where in its photo the picture's first pixel is, (row, column)

    Shape:   (N, 3, H, W) -> the same
    """
    if not strength:
        return x
    rows, columns = (
        np.arange(start, start + n) for start, n in zip(place, x.shape[2:], strict=True)
    )
    return x + grain(strength, rows, columns)
