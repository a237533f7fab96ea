"""--minutes: what fits into a time, and a number of steps that follows the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import run_cli

from neuralart.chain.model import load_model
from neuralart.training import pace
from neuralart.training.pace import (
    EVALUATED,
    EVALUATION_SHARE,
    JOINT_SHARE,
    LEAST,
    Pace,
    Plan,
    ending_seconds,
    plan_for,
)
from neuralart.training.schedule import JOINT


def used(plan: Plan, seconds: dict[str, float], batch: int, styles: int) -> float:
    """What a plan takes, by the costs that it was made with."""
    stages = sum(each for name, each in seconds.items() if name != JOINT)
    photo = max(seconds.values()) / batch
    return (
        plan.steps * stages
        + plan.joint_steps * seconds.get(JOINT, 0.0)
        + len(seconds) * ending_seconds(photo, plan.evaluated, styles)
    )


@pytest.mark.parametrize("budget", [120, 1200, 7200])
@pytest.mark.parametrize(
    "seconds, batch, styles",
    [
        ({JOINT: 1.2}, 2, 1),
        ({JOINT: 5.0}, 8, 3),
        ({"all stages": 0.25}, 1, 1),
        ({"stage 1": 0.5, "stage 2": 1.5, JOINT: 2.0}, 2, 1),
    ],
)
def test_a_plan_fills_its_time(
    budget: float, seconds: dict[str, float], batch: int, styles: int
) -> None:
    plan = plan_for(budget, seconds, batch, styles)
    step = sum(seconds.values())
    assert budget - step <= used(plan, seconds, batch, styles) <= budget
    assert LEAST <= plan.evaluated <= EVALUATED


def test_joint_steps_have_a_share_of_the_time_and_stages_the_same_steps() -> None:
    seconds = {"stage 1": 0.5, "stage 2": 1.5, JOINT: 2.0}
    plan = plan_for(1200, seconds, 2, 1)
    all_steps = plan.steps * 2.0 + plan.joint_steps * 2.0
    assert plan.joint_steps * 2.0 == pytest.approx(JOINT_SHARE * all_steps, abs=4)


def test_a_short_run_measures_few_photos() -> None:
    short, long = (plan_for(seconds, {JOINT: 1.2}, 2, 1) for seconds in (120, 3600))
    assert short.evaluated < long.evaluated == EVALUATED
    assert short.evaluated * pace.EVALUATED_COST * 0.6 <= EVALUATION_SHARE * 120


def test_every_phase_has_a_step_however_short_the_time() -> None:
    assert plan_for(3, {"stage 1": 60.0}, 1, 1) == Plan(1, 0, LEAST)
    assert plan_for(3, {"stage 1": 60.0, JOINT: 90.0}, 1, 1) == Plan(1, 1, LEAST)


class Machine:
    """A clock, and a run of two minutes on it whose steps take a time that changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(pace, "since_start", lambda: 8.0)

    def run(self, planned: int, step_seconds: Callable[[int], float], spent: float = 0.0) -> float:
        """Seconds from the command to the end of the run."""
        keeper = Pace(2.0, spent, photos=2, styles=1, evaluated=5)
        done = 0
        while done < planned:
            self.now += step_seconds(done)
            done += 1
            planned = keeper.steps(done, planned)
        self.steps = done
        return self.now - 1000 + 8 + ending_seconds(step_seconds(done) / 2, 5, 1)


@pytest.mark.parametrize("planned", [20, 90, 400])
@pytest.mark.parametrize("step", [0.4, 1.0, 2.5])
def test_steps_follow_the_clock(planned: int, step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first plan may be wrong by any factor, and the first step slow."""
    machine = Machine(monkeypatch)
    took = machine.run(planned, lambda done: step if done else 2 * step)
    if planned == 20 and step == 0.4:  # the plan's end is near before the first look at the clock
        assert took < 120
    assert took == pytest.approx(120, rel=0.1) or planned * step < 60


def test_a_machine_that_slows_down_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    assert machine.run(100, lambda done: 1.0 if done < 40 else 2.0) == pytest.approx(120, rel=0.08)
    assert 40 < machine.steps < 90


def test_time_that_a_run_had_before_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    assert machine.run(100, lambda _: 0.5, spent=60.0) == pytest.approx(60, rel=0.1)


def test_steps_are_never_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    keeper = Pace(2.0, 0.0, photos=2, styles=1, evaluated=5)
    keeper.steps(1, 50)
    machine.now += 500
    assert keeper.steps(6, 50) == 6


def test_a_run_says_the_steps_that_it_took(train_arguments: list[object], tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run_cli(*train_arguments, "--out", out, "--minutes", 0.05, "--joint-steps", 0)
    assert result.exit_code == 0, result.output
    config = json.loads((out / "config.json").read_text())
    taken = load_model(out).card["steps"]
    assert taken[0] == config["steps"]  # only the last phase follows the clock
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == taken[-1] and lines[-1]["phase"] == "stage 2"


def test_a_run_goes_on_with_the_steps_of_its_checkpoint(
    train_arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock gave the phase another number of steps before it stopped."""
    out = tmp_path / "run"
    arguments = [*train_arguments, "--out", out, "--minutes", 5, "--steps", 0, "--joint-steps", 1]
    monkeypatch.setattr("neuralart.training.cost.plan_for", lambda *_: Plan(0, 100, 2))
    stop = {"at": 5}

    def steps(self: Pace, done: int, planned: int) -> int:
        if done == stop["at"]:
            raise KeyboardInterrupt
        return 7

    monkeypatch.setattr(Pace, "steps", steps)
    assert run_cli(*arguments, "--save-every", 3).exit_code != 0
    stop["at"] = -1
    monkeypatch.setattr(Pace, "steps", lambda self, done, planned: planned)
    result = run_cli(*arguments, "--resume")
    assert result.exit_code == 0, result.output
    assert load_model(out).card["steps"] == [7]
