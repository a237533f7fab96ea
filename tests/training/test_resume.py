"""A run that was killed or stopped and resumed ends with the same bits as one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import run_cli

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
