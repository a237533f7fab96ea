"""A run that was killed or stopped and resumed ends with the same bits as one that was not."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, files_below, run_cli

from neuralart.chain.model import load_model

MORE: list[object] = ["--steps", 15, "--save-every", 5, "--joint-steps", 10]


@pytest.fixture(scope="module")
def straight(train_arguments: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("straight") / "run"
    assert run_cli(*train_arguments, *MORE, "--out", out).exit_code == 0
    return out


def stop_when(
    arguments: list[object], condition: Callable[[], bool], number: int
) -> subprocess.Popen[str]:
    """Run the command line in a new process, and send it a signal when the condition holds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "neuralart", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(number)
    return process


def assert_the_same(straight: Path, resumed: Path) -> None:
    a, b = load_model(straight), load_model(resumed)
    assert a.params.keys() == b.params.keys()
    for name, array in a.params.items():
        np.testing.assert_array_equal(array, b.params[name], err_msg=name)
    assert a.card["held_out"] == b.card["held_out"]

    def losses(run: Path) -> list[str]:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        return [line.split('"seconds"')[0] + line.split('"rate"')[1] for line in lines]

    assert losses(straight) == losses(resumed)


@pytest.mark.parametrize("checkpoint", ["0-00000010", "1-00000000", "2-00000005"])
def test_kill_9_and_resume(
    train_arguments: list[object], straight: Path, tmp_path: Path, checkpoint: str
) -> None:
    out = tmp_path / "run"
    command = [*train_arguments, *MORE, "--out", out, "--resume"]
    path = out / "checkpoints" / f"{checkpoint}.zip"
    process = stop_when(command, path.exists, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    result = run_cli(*command)
    assert result.exit_code == 0, result.output
    assert_the_same(straight, out)


def test_kill_9_before_the_first_checkpoint(
    train_arguments: list[object], straight: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [*train_arguments, *MORE, "--out", out, "--resume"]
    stop_when(command, out.exists, signal.SIGKILL).communicate()
    assert run_cli(*command).exit_code == 0
    assert_the_same(straight, out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_says_where(
    train_arguments: list[object], straight: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "run"
    command = [*train_arguments, *MORE, "--out", out, "--save-every", 1000]
    started = (out / "checkpoints" / "0-00000000.zip").exists
    process = stop_when(command, started, number)
    stdout, stderr = process.communicate()
    assert process.returncode == 128 + number
    assert stdout == "" and stderr.count("\n") == 1 and "--resume" in stderr and str(out) in stderr
    assert "Traceback" not in stderr
    assert run_cli(*command, "--resume").exit_code == 0
    assert_the_same(straight, out)


def test_a_finished_run_may_be_resumed(train_arguments: list[object], straight: Path) -> None:
    before = load_model(straight).params
    assert run_cli(*train_arguments, *MORE, "--out", straight, "--resume").exit_code == 0
    for name, array in load_model(straight).params.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("cut", ["shorter", "zeros", "gone"])
def test_metrics_that_a_power_cut_shortened(
    train_arguments: list[object], tmp_path: Path, cut: str
) -> None:
    """What is whole stays, nothing of zeros comes between, and checkpoints have the true length."""
    out = tmp_path / "run"
    words = [*train_arguments, *MORE, "--out", out]
    path, metrics = out / "checkpoints" / "2-00000005.zip", out / "metrics.jsonl"
    stop_when(words, path.exists, signal.SIGKILL).communicate()
    lines = metrics.read_bytes().splitlines(keepends=True)
    whole = lines[0]
    if cut == "shorter":
        metrics.write_bytes(whole + lines[1][:20])
    elif cut == "zeros":
        metrics.write_bytes(whole + bytes(len(lines[1])))
    else:
        whole = b""
        metrics.unlink()
    result = run_cli(*words, "--resume")
    assert result.exit_code == 0, result.output
    found = metrics.read_bytes()
    assert found.startswith(whole) and found.endswith(b"}\n") and b"\0" not in found
    steps = [(row["phase"], row["step"]) for row in map(json.loads, found.splitlines())]
    assert len(set(steps)) == len(steps) and steps[-1] == ("joint", 10)
    assert run_cli(*words, "--resume").exit_code == 0
    assert metrics.read_bytes() == found


def test_two_kills_before_a_checkpoint_leave_no_zeros(
    train_arguments: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = [*train_arguments, "--steps", 60, "--save-every", 1000, "--out", out]
    metrics = out / "metrics.jsonl"

    def has_lines() -> bool:
        return metrics.exists() and metrics.stat().st_size > 600

    for _ in range(2):
        stop_when([*words, "--resume"], has_lines, signal.SIGKILL).communicate()
    assert run_cli(*words, "--resume").exit_code == 0
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [row["step"] for row in rows] == [*range(10, 61, 10)] * 2


def test_what_lies_in_the_way_of_a_run_is_a_line(
    train_arguments: list[object], straight: Path, tmp_path: Path
) -> None:
    """A link, or a file in the place of a folder, or a folder in the place of a file."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("checkpoints", "samples", "metrics.jsonl"):
        out = tmp_path / "run"
        shutil.copytree(straight, out)
        (out / name).rename(outside / name)
        before = files_below(outside)
        (out / name).symlink_to(outside / name)
        words = [*train_arguments, *MORE, "--out", out]
        fails(run_cli(*words, "--resume"), 1, f"{name}: is a link")
        assert run_cli(*words, "--overwrite").exit_code == 0
        assert files_below(outside) == before
        shutil.rmtree(out)
    for name in ("checkpoints", "samples", "metrics.jsonl", "model.neuralart"):
        shutil.copytree(straight, out)
        shutil.rmtree(out / "checkpoints")
        if name == "metrics.jsonl" or "model" in name:
            (out / name).unlink()
            (out / name).mkdir()
        else:
            shutil.rmtree(out / name, ignore_errors=True)
            (out / name).write_text("a file")
        fails(run_cli(*words, "--resume"), 1, "cannot be written")
        shutil.rmtree(out)
