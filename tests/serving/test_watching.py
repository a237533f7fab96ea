"""A run's state of its files alone: time left, whether it goes on, and what is passed over."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuralart.pictures.writing import write_image
from neuralart.serving.watching import WatchedRun


def line(phase: str, step: int, seconds: float, photos: int = 0) -> str:
    losses = {"x1": {"style": 9.0, "content": 2.0, "total": 11.0}}
    entry = {"phase": phase, "step": step, "photos": photos or step, "seconds": seconds}
    return json.dumps({**entry, "rate": 0.1, "losses": losses}) + "\n"


class Run:
    """A run's folder of two stages with 100 steps each, and 300 joint ones."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        path.mkdir()
        generators = [{"name": "little"}, {"name": "small"}]
        record = {
            "format": 1,
            "options": {"style": ["art/waves.png"], "generators": generators, **options},
            "inputs": {},
            "steps": 100,
            "joint_steps": 300,
        }
        (path / "config.json").write_text(json.dumps(record))
        self.watched = WatchedRun(path)

    def add(self, *lines: str) -> None:
        with (self.path / "metrics.jsonl").open("a") as file:
            file.writelines(lines)

    def hold(self, process: int) -> None:
        (self.path / ".lock").write_text(f"process {process} on {socket.gethostname()}")

    def state(self) -> dict[str, Any]:
        return self.watched.state()


def test_time_left_is_that_of_the_last_steps(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.hold(os.getpid())
    assert run.state()["state"] == "running" and run.state()["left"] is None
    run.add(line("stage 1", 10, 20.0))
    assert run.state()["left"] == pytest.approx(2 * (90 + 100 + 300), abs=1)
    run.add(line("stage 1", 20, 30.0))
    assert run.state()["left"] == pytest.approx(1 * (80 + 100 + 300), abs=1)
    run.add(line("stage 1", 100, 110.0), line("stage 2", 10, 140.0))
    assert run.state()["left"] is None  # of the new phase's pace, one line says nothing
    run.add(line("stage 2", 20, 160.0), line("joint", 290, 500.0), line("joint", 300, 530.0))
    state = run.state()
    assert state["left"] == 0 and (state["phase"], state["step"]) == ("joint", 300)
    assert state["phases"] == ["stage 1", "stage 2", "joint"] and state["styles"] == ["waves"]


def test_with_minutes_the_clock_says_it(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.hold(os.getpid())
    run.add(json.dumps(json.loads(line("joint", 10, 20.0)) | {"left": 100.0}) + "\n")
    assert run.state()["left"] == pytest.approx(100, abs=1)
    then = time.time() - 60
    os.utime(run.path / "metrics.jsonl", (then, then))
    assert run.state()["left"] == pytest.approx(40, abs=1)


def test_running_stopped_and_finished(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.hold(2**22 + 1)  # above the largest number of a process
    run.add(line("stage 1", 100, 1.0))
    (run.path / "evaluation.json").write_text("{}")
    assert run.state()["state"] == "stopped"  # two phases are missing
    run.add(line("joint", 300, 9.0))
    now = time.time()
    os.utime(run.path / "metrics.jsonl", (now - 9, now - 9))
    assert run.state()["state"] == "finished"
    os.utime(run.path / "metrics.jsonl", (now + 9, now + 9))
    assert run.state()["state"] == "stopped"  # the last phase is not measured
    (run.path / ".lock").write_text("process 1 on another-machine")
    assert run.state()["state"] == "running"


def test_curves_grow_with_the_metrics(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    assert "Nothing measured yet" in run.watched.curves()["total"]
    before = run.state()["curves"]
    run.add(line("stage 1", 10, 1.0), line("stage 1", 20, 2.0))
    assert run.state()["curves"] != before
    assert "x1 11" in run.watched.curves()["total"]
    assert "style 9, content 2" in run.watched.curves()["terms"]


@pytest.mark.parametrize(
    "damage", ["{", "[]", "null", '{"phase": 1}', "\0\0\0", '{"losses": {"x1": 7}}', "[" * 9999]
)
def test_damaged_lines_are_passed_over(tmp_path: Path, damage: str) -> None:
    run = Run(tmp_path / "run")
    run.add(line("stage 1", 10, 1.0), damage + "\n", line("stage 1", 20, 2.0), '{"cut')
    assert run.state()["step"] == 20
    assert "x1 11" in run.watched.curves()["total"]


def test_links_and_other_names_are_no_pictures(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    write_image(tmp_path / "secret.png", np.zeros((4, 4, 3), np.uint8))
    samples = run.path / "samples"
    samples.mkdir()
    sheet = samples / "0-00000010.png"
    write_image(sheet, np.full((4, 4, 3), 7, np.uint8))
    (samples / "0-00000020.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(samples / "0-00000030.png")
    (run.path / "style.jpg").symlink_to(tmp_path / "secret.png")
    assert [each["name"] for each in run.state()["sheets"]] == ["0-00000010.png"]
    assert run.watched.picture("0-00000010.png") == sheet.read_bytes()
    for name in ("0-00000020.png", "0-00000030.png", "style.jpg", "config.json", "../secret.png"):
        assert run.watched.picture(name) is None
    samples.rename(tmp_path / "elsewhere")
    samples.symlink_to(tmp_path / "elsewhere")
    assert run.watched.picture("0-00000010.png") is None


def test_a_run_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.hold(os.getpid())
    run.add(line("stage 1", 10, 1.0))
    (run.path / "config.json").unlink()
    assert run.state()["phases"] == [] and run.state()["left"] is None
