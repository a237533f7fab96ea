"""Two commands that write to one place: the second is told so in a line, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import LITTLE, fails, files_below, random_chain, run_cli

BUSY = "is being written by another process (process"


def start(*arguments: object, code: str = "") -> subprocess.Popen[str]:
    """The command line in a process of its own, after ``code``."""
    program = f"{code}\nfrom neuralart.__main__ import run\nrun()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)


def test_a_second_training_to_the_same_run(train_arguments: list[object], tmp_path: Path) -> None:
    """Also with --resume, which once doubled metrics.jsonl, and --overwrite, which deleted files."""
    out = tmp_path / "run"
    words = (*train_arguments, "--out", out)
    with start(*words, "--steps", 4000, "--save-every", 50) as first:
        try:
            wait_for((out / "checkpoints" / "0-00000050.zip").exists, first)
            for more in ((), ("--resume",), ("--overwrite",), ("--seed", 9)):
                fails(run_cli(*words, *more), 1, f"--out {out}: {BUSY} {first.pid} on")
            assert (out / "checkpoints" / "0-00000050.zip").exists()
        finally:
            first.kill()
            first.wait()
    assert (out / ".lock").exists()
    result = run_cli(*words, "--steps", 6, "--overwrite")
    assert result.exit_code == 0, result.output
    assert not (out / ".lock").exists()


def test_two_trainings_that_begin_together(train_arguments: list[object], tmp_path: Path) -> None:
    """Neither sees the other's run before it begins its own: one wins, and one is told."""
    out = tmp_path / "run"
    runs = [start(*train_arguments, "--out", out, "--seed", seed) for seed in (1, 2)]
    ends = [(run.communicate(timeout=200), run.returncode) for run in runs]
    assert sorted(code for _, code in ends) == [0, 1], ends
    ((_, said),) = [texts for texts, code in ends if code]
    assert said.count("\n") == 1 and f"error: --out {out}: " in said
    assert BUSY in said or "holds a run" in said


SLOW = """
import time
from pathlib import Path
import neuralart.{module} as module
def slow(*arguments, do=module.{function}, **more):
    Path({mark!r}).touch()
    time.sleep(60)
    return do(*arguments, **more)
module.{function} = slow
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_second_packing(photo_dir: Path, tmp_path: Path, number: int) -> None:
    pytest.importorskip("numpy")
    out, mark = tmp_path / "out" / "p.rec", tmp_path / "mark"
    code = SLOW.format(module="pictures.photos.pack", function="_join", mark=str(mark))
    words = ("pack", photo_dir, out, "--processes", 1)
    with start(*words, code=code) as first:
        wait_for(mark.exists, first)
        fails(run_cli(*words), 1, f"{out}: {BUSY} {first.pid} on")
        first.send_signal(number)
        first.wait()
    result = run_cli(*words)
    assert result.exit_code == 0, result.output
    assert files_below(tmp_path) == ["mark", "out/p.idx", "out/p.lst", "out/p.rec"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_second_export(tmp_path: Path, number: int) -> None:
    pytest.importorskip("onnxruntime")
    model, out, mark = tmp_path / "m.neuralart", tmp_path / "e", tmp_path / "mark"
    random_chain([LITTLE], ["red"]).save(model)
    code = SLOW.format(module="exporting.export", function="chain_paintings", mark=str(mark))
    words = ("export", model, "--to", out, "--format", "onnx")
    with start(*words, code=code) as first:
        wait_for(mark.exists, first)
        fails(run_cli(*words), 1, f"--to {out}: {BUSY} {first.pid} on")
        first.send_signal(number)
        first.wait()
    if number == signal.SIGTERM:
        assert sorted(os.listdir(tmp_path)) == ["m.neuralart", "mark"]
    result = run_cli(*words)
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir(tmp_path)) == ["e", "m.neuralart", "mark"]


def test_an_export_that_was_killed_between_its_renamings_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, out, before = tmp_path / "m.neuralart", tmp_path / "e", tmp_path / ".e.old.part"
    random_chain([LITTLE], ["red"]).save(model)
    words = ("export", model, "--to", out, "--format", "onnx")
    assert run_cli(*words).exit_code == 0
    out.rename(before)
    fails(run_cli(*words), 1, "is not empty; add --overwrite")
    assert run_cli("export", "--verify", out).exit_code == 0
    out.rename(before)
    assert run_cli(*words, "--overwrite").exit_code == 0
    assert sorted(os.listdir(tmp_path)) == ["e", "m.neuralart"]


def test_an_export_replaces_nothing_that_appeared_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    from neuralart.exporting import export

    model, out = tmp_path / "m.neuralart", tmp_path / "e"
    random_chain([LITTLE], ["red"]).save(model)
    paintings = export.chain_paintings

    def meanwhile(*arguments: object) -> object:
        out.mkdir()
        (out / "diary.txt").write_text("dear")
        return paintings(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "chain_paintings", meanwhile)
    for more in ((), ("--overwrite",)):
        fails(run_cli("export", model, "--to", out, "--format", "onnx", *more), 1, "is not empty")
        assert files_below(tmp_path) == ["e/diary.txt", "m.neuralart"]
        (out / "diary.txt").unlink()
        out.rmdir()
