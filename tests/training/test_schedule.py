"""The schedule: phases, learning rates, and the stages whose loss counts in a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuralart.options.train import TrainConfig
from neuralart.training.schedule import (
    EARLIER,
    FINAL_RATE,
    JOINT,
    JOINT_RATE,
    WARM_UP,
    Phase,
    drawn_styles,
    phases_of,
    scored_stages,
)

RATE = 0.004


def phases(chain: str, steps: int, joint_steps: int, **options: Any) -> list[Phase]:
    config = TrainConfig(style=Path(), data=Path(), chain=chain, rate=RATE, **options)
    return phases_of(config, steps, joint_steps, len(config.specs()))


def test_each_stage_learns_and_then_all_together() -> None:
    assert phases("conv,deconv,conv", 7, 5) == [
        Phase("stage 1", (0,), "own", 7, RATE),
        Phase("stage 2", (1,), "own", 7, RATE),
        Phase("stage 3", (2,), "own", 7, RATE),
        Phase(JOINT, (0, 1, 2), "through", 5, RATE * JOINT_RATE),
    ]


def test_without_joint_steps_or_with_one_stage_there_is_no_joint_phase() -> None:
    assert [phase.name for phase in phases("conv,deconv", 7, 0)] == ["stage 1", "stage 2"]
    assert [phase.name for phase in phases("conv", 7, 5)] == ["stage 1"]


def test_without_steps_of_each_stage_all_learn_together_at_the_full_rate() -> None:
    assert phases("conv,deconv", 0, 5) == [Phase(JOINT, (0, 1), "through", 5, RATE)]
    (alone,) = phases("conv", 0, 5)
    assert alone == Phase(JOINT, (0,), "through", 5, RATE)
    assert scored_stages(alone, 0, 3) == {0: 1.0}
    (coupled,) = phases("conv,deconv", 0, 5, coupling="suffix_sum")
    assert coupled.steps == 5


@pytest.mark.parametrize(
    "options, coupling",
    [
        ({"coupling": "suffix_sum"}, "suffix_sum"),
        ({"coupling": "through"}, "through"),
        ({"share_weights": True}, "own"),
        ({"share_weights": True, "coupling": "through"}, "through"),
    ],
)
def test_coupled_or_shared_stages_learn_in_one_phase(
    options: dict[str, Any], coupling: str
) -> None:
    assert phases("deconv,deconv", 7, 5, **options) == [
        Phase("all stages", (0, 1), coupling, 7, RATE)
    ]


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine() -> None:
    steps = 50 * WARM_UP
    phase = Phase("stage 1", (0,), "own", steps, RATE)
    rates = np.array([phase.rate_at(step) for step in range(steps)])
    assert rates[0] == pytest.approx(RATE / WARM_UP)
    assert rates[WARM_UP // 2 - 1] == pytest.approx(RATE / 2, rel=0.01)
    assert rates.argmax() == WARM_UP - 1 and rates.max() == pytest.approx(RATE, rel=0.01)
    assert rates[steps // 2] == pytest.approx(RATE * (1 + FINAL_RATE) / 2)
    assert rates[-1] == pytest.approx(RATE * FINAL_RATE, rel=0.01)
    # A cosine falls fastest in the middle, by pi / 2 times the mean fall.
    falls = -np.diff(rates[WARM_UP:])
    assert (falls > 0).all() and abs(WARM_UP + falls.argmax() - steps // 2) <= 1
    assert falls.max() == pytest.approx(np.pi / 2 * RATE * (1 - FINAL_RATE) / steps, rel=0.01)


def test_a_phase_shorter_than_the_rise_ends_below_the_peak() -> None:
    phase = Phase("stage 1", (0,), "own", 2, RATE)
    assert phase.rate_at(0) == pytest.approx(RATE / WARM_UP)
    assert phase.rate_at(1) == pytest.approx(RATE * 2 / WARM_UP * (1 + FINAL_RATE) / 2)


def test_every_trained_stage_is_scored_before_the_joint_steps() -> None:
    (phase,) = phases("deconv,deconv", 7, 0, coupling="through")
    assert scored_stages(phase, 0, 3) == {0: 1.0, 1: 1.0}
    assert scored_stages(phases("conv,deconv", 7, 0)[1], 0, 3) == {1: 1.0}


def test_an_earlier_stage_is_scored_in_every_second_joint_step() -> None:
    joint = phases("conv,deconv,deconv,conv", 7, 5)[-1]
    drawn = []
    assert all(scored_stages(joint, 7, step) == {3: 1.0} for step in range(1, 600, 2))
    for step in range(0, 600, 2):
        scored = scored_stages(joint, 7, step)
        assert scored == scored_stages(joint, 7, step)
        earlier, last = sorted(scored)
        assert last == 3 and scored == {earlier: EARLIER, last: 1.0}
        drawn.append(earlier)
    counts = np.bincount(drawn)
    assert len(counts) == 3 and counts.min() > 70
    assert drawn != [min(scored_stages(joint, 8, step)) for step in range(0, 600, 2)]


def test_every_style_is_drawn_as_often() -> None:
    places = range(4)
    rows = [drawn_styles(3, 7, position, places) for position in range(150)]
    counts = np.bincount(np.ravel(rows))
    assert len(counts) == 3 and counts.min() > 150
    assert len({tuple(row) for row in rows}) > 40
    assert rows != [drawn_styles(3, 8, position, places) for position in range(150)]


def test_a_worker_draws_the_styles_of_its_places_alone() -> None:
    for position in range(20):
        whole = drawn_styles(5, 7, position, range(6))
        assert drawn_styles(5, 7, position, range(2, 5)) == whole[2:5]


def test_a_single_style_is_always_drawn() -> None:
    assert drawn_styles(1, 7, 3, range(4)) == [0] * 4
