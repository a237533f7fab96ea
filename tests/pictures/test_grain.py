"""Grain: the same everywhere and for good."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from neuralart.pictures.grain import PERIODS, fields, grain, grain_place, with_grain


def test_fields_are_the_same_for_good() -> None:
    found = hashlib.sha256(b"".join(field.tobytes() for field in fields())).hexdigest()
    assert found.startswith("05eb6a16133405df")


@pytest.mark.parametrize("strength", [1, 6])
def test_it_has_its_strength_and_no_mean(strength: float) -> None:
    places = np.arange(PERIODS[0] * 4)
    found = grain(strength, places, places)
    assert abs(found.std() - strength) < 0.02 * strength and abs(found.mean()) < 0.03 * strength
    near, far = (np.corrcoef(found[:, :-n].ravel(), found[:, n:].ravel())[0, 1] for n in (1, 16))
    assert near > 0.95 and abs(far) < 0.05


def test_a_part_has_the_grain_of_its_place() -> None:
    x = np.random.default_rng(0).normal(0, 50, (1, 3, 300, 280)).astype(np.float32)
    whole = with_grain(x, 6.0)
    part = with_grain(np.ascontiguousarray(x[:, :, 40:90, 60:]), 6.0, (40, 60))
    np.testing.assert_array_equal(part, whole[:, :, 40:90, 60:])
    assert with_grain(x, 0.0) is x
    np.testing.assert_allclose((whole - x)[0, 0], (whole - x)[0, 2], atol=1e-4)


def test_it_repeats_after_both_periods_alone() -> None:
    rows, columns = np.arange(50), np.arange(60)
    together = PERIODS[0] * PERIODS[1]
    np.testing.assert_array_equal(grain(6, rows, columns), grain(6, rows + together, columns))
    for period in PERIODS:
        assert abs(grain(6, rows, columns) - grain(6, rows + period, columns)).mean() > 2


def test_a_step_has_a_place_of_its_own() -> None:
    places = {grain_place(0, step) for step in range(50)} | {grain_place(1, 0)}
    assert len(places) == 51 and grain_place(3, 7) == grain_place(3, 7)
