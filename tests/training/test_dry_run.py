"""What a training would cost, said before it is paid."""

from __future__ import annotations

from pathlib import Path

from helpers import fails, run_cli


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


def test_a_dry_run_of_minutes_fills_them(train_arguments: list[object], tmp_path: Path) -> None:
    arguments = [*train_arguments, "--out", tmp_path / "run", "--dry-run", "--minutes", 2]
    result = run_cli(*arguments)
    assert result.exit_code == 0, result.output
    amount, unit = result.stdout.splitlines()[-1].split()[3:5]
    seconds = float(amount) * (60 if unit == "min" else 1)
    assert 40 < seconds < 400


def test_a_dry_run_meets_the_mistakes_of_a_run(
    train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    fails(run_cli(*train_arguments, "--out", run_dir, "--dry-run"), 1, "--overwrite")
    fails(
        run_cli(*train_arguments, "--out", tmp_path / "r", "--dry-run", "--kvstore", "dist_sync"),
        2,
        "one process",
    )
