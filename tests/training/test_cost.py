"""What a training costs: timed steps, times in words, dry runs."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import fails, run_cli

from neuralart.machine.locks import locked
from neuralart.training import cost
from neuralart.training.cost import TIMED_STEPS, as_time
from neuralart.training.pace import plan_for
from neuralart.training.run import RunFolder


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0.2, "0 s"),
        (45.4, "45 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (12 * 60, "12 min"),
        (89 * 60, "89 min"),
        (90 * 60, "1 h 30 min"),
        (3 * 3600 + 5 * 60 + 20, "3 h 05 min"),
    ],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert as_time(seconds) == words


def test_a_step_costs_the_median_of_a_few(
    train_arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this clock, the steps of every phase take 50, 1, 3, 40, 2 and 2 seconds."""
    steps = itertools.cycle([50, 1, 3, 40, 2, 2])
    assert TIMED_STEPS == 6
    ticks = itertools.accumulate(gap for step in steps for gap in (0, step))
    monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    more = ("--dry-run", "--steps", 10, "--joint-steps", 20, "--batch", 2)
    result = run_cli(*train_arguments, "--out", tmp_path / "run", *more)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if line]
    table = {" ".join(row[:-5]): row[-5:] for row in rows[-4:-1]}
    assert table == {
        "stage 1": ["10", "2.500", "0.8", "25", "s"],
        "stage 2": ["10", "2.500", "0.8", "25", "s"],
        "joint": ["20", "2.500", "0.8", "50", "s"],
    }
    assert rows[-1][:5] == ["in", "all", "about", "2", "min"]


@pytest.fixture
def quarter_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which every timed step takes 0.25 seconds, and the command began 10 seconds ago."""
    ticks = itertools.count(step=0.25)
    monkeypatch.setattr(cost, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    monkeypatch.setattr(cost, "since_start", lambda: 10.0)


@pytest.mark.usefixtures("quarter_seconds")
def test_a_dry_run_of_minutes_fills_them(train_arguments: list[object], tmp_path: Path) -> None:
    more = ("--dry-run", "--minutes", 4, "--batch", 1)
    result = run_cli(*train_arguments, "--out", tmp_path / "run", *more)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines() if line]
    plan = plan_for(230, {"stage 1": 0.25, "stage 2": 0.25}, 1, 1)
    assert [row[-5:-2] for row in rows[-3:-1]] == [[str(plan.steps), "0.250", "4.0"]] * 2
    assert rows[-1][:5] == ["in", "all", "about", "4", "min"]


def test_a_dry_run_says_the_cost_and_writes_nothing(
    train_arguments: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = [*train_arguments, "--out", out, "--dry-run"]
    result = run_cli(*arguments, "--steps", 7, "--joint-steps", 3, "--batch", 2)
    assert result.exit_code == 0, result.output
    assert not out.exists() and list(tmp_path.iterdir()) == []
    rows = [line.split() for line in result.stdout.splitlines() if line]
    said = {row[0]: row[1:] for row in rows}
    assert said["crop"] == ["64"] and said["batch"][:4] == ["2", "photos", "a", "step"]
    assert float(said["memory"][0].replace(",", "")) > 50
    steps = {" ".join(row[:-5]): int(row[-5]) for row in rows if row[-1] == "s" and len(row) > 5}
    assert steps == {"stage 1": 7, "stage 2": 7, "joint": 3}
    assert rows[-1][:3] == ["in", "all", "about"]


def test_a_dry_run_where_a_run_is(train_arguments: list[object], run_dir: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
    result = run_cli(*train_arguments, "--out", run_dir, "--dry-run", "--joint-steps", 1)
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")} == before


def test_a_dry_run_beside_the_run_itself(train_arguments: list[object], run_dir: Path) -> None:
    arguments = [*train_arguments, "--out", run_dir, "--steps", 1]
    with locked(RunFolder(run_dir).lock_file, "a training"):
        fails(run_cli(*arguments, "--overwrite"), 1, "is being written by another process")
        result = run_cli(*arguments, "--dry-run")
    assert result.exit_code == 0, result.output


def test_a_dry_run_reports_the_same_mistakes_as_a_run(
    train_arguments: list[object], tmp_path: Path
) -> None:
    nowhere = ("--data", tmp_path / "nowhere")
    fails(run_cli(*train_arguments, *nowhere, "--out", tmp_path / "r", "--dry-run"), 1, "nowhere")
    fails(
        run_cli(*train_arguments, "--out", tmp_path / "r", "--dry-run", "--kvstore", "dist_sync"),
        2,
        "one process",
    )
