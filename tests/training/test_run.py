"""The folder of a training run: checkpoints, and when it may be written or replaced."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import files_below

from neuralart.errors import OutputError, RunError
from neuralart.machine.archive import write_archive
from neuralart.machine.metrics import Metrics
from neuralart.training.run import Checkpoint, RunFolder, State

SHAPES = {"w": (1,)}


def test_the_newest_undamaged_checkpoint_is_loaded(tmp_path: Path) -> None:
    moments = np.float32([0.25])
    run = RunFolder(tmp_path / "run")
    run.create({})
    assert run.load(SHAPES) is None
    for step in range(5):
        state = State(phase=1, step=step, position=7)
        run.save(Checkpoint(state, {"w": np.float32([step])}, {"w.mean": moments}))
    files = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [f.name for f in files] == ["1-00000003.zip", "1-00000004.zip"]
    loaded = run.load(SHAPES)
    assert loaded is not None
    assert loaded.state == State(phase=1, step=4, position=7) and loaded.params["w"] == 4
    np.testing.assert_array_equal(loaded.moments["w.mean"], moments)
    files[1].write_bytes(files[1].read_bytes()[:99])
    (files[1].parent / ".1-00000005.zip.1.part").write_bytes(b"half")
    loaded = run.load(SHAPES)
    assert loaded is not None and loaded.state.step == 3
    files[0].write_bytes(b"")
    with pytest.raises(RunError, match="all checkpoints are damaged"):
        run.load(SHAPES)


def test_a_checkpoint_of_a_later_phase_is_newer(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    run.save(Checkpoint(State(phase=0, step=90), {}, {}))
    run.save(Checkpoint(State(phase=1, step=0), {}, {}))
    loaded = run.load({})
    assert loaded is not None and loaded.state.phase == 1


def test_a_run_does_not_replace_other_files(tmp_path: Path) -> None:
    def refuses(words: str, *, resume: bool = False, overwrite: bool = False) -> None:
        with pytest.raises(OutputError, match=words):
            RunFolder(path).check_free(resume=resume, overwrite=overwrite)

    path = tmp_path / "run"
    RunFolder(path).check_free(resume=False, overwrite=False)
    path.mkdir()
    (path / ".config.json.1.part").write_text("killed here")
    RunFolder(path).check_free(resume=True, overwrite=False)
    (path / "diary.txt").write_text("dear")
    for resume, overwrite in ((False, False), (True, False), (False, True)):
        refuses("holds other files", resume=resume, overwrite=overwrite)
    (path / "config.json").write_text("{}")
    refuses("add --resume")
    RunFolder(path).check_free(resume=True, overwrite=False)
    RunFolder(path).check_free(resume=False, overwrite=True)
    path = path / "diary.txt"
    refuses("is a file")


def test_replacing_a_run_keeps_files_of_others(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.create({"n": 1})
    run.save(Checkpoint(State(), {}, {}))
    (tmp_path / "diary.txt").write_text("dear")
    run.create({"n": 2})
    assert run.load({}) is None and (tmp_path / "diary.txt").exists()
    assert json.loads((tmp_path / "config.json").read_text())["n"] == 2


def write_checkpoint(folder: Path, header: object, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    write_archive(folder / "0-00000001.zip", header, arrays)  # type: ignore[arg-type]


STATE = dataclasses.asdict(State(step=1))
ONE = np.ones(1, np.float32)


@pytest.mark.parametrize(
    ("state", "arrays"),
    [
        ({**STATE, "step": -1}, {"params/w": ONE}),
        ({**STATE, "step": 1.5}, {"params/w": ONE}),
        ({**STATE, "seconds": float("nan")}, {"params/w": ONE}),
        ({**STATE, "position": 10**30}, {"params/w": ONE}),
        ({**STATE, "colour": 1}, {"params/w": ONE}),
        ([1, 2], {"params/w": ONE}),
        (STATE, {}),
        (STATE, {"params/w": np.ones(2, np.float32)}),
        (STATE, {"params/w": ONE.astype(np.float64)}),
        (STATE, {"params/w": ONE * np.nan}),
        (STATE, {"params/w": ONE, "params/v": ONE}),
        (STATE, {"params/w": ONE, "adam/w.mean": np.ones(10**6, np.float32)}),
    ],
)
def test_a_checkpoint_that_no_run_wrote_is_damaged(
    tmp_path: Path, state: object, arrays: dict[str, np.ndarray]
) -> None:
    write_checkpoint(tmp_path / "checkpoints", {"format": 1, "state": state}, arrays)
    with pytest.raises(RunError, match="all checkpoints are damaged"):
        RunFolder(tmp_path).load(SHAPES)


def test_a_folder_called_as_a_checkpoint_is_passed_over(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.create({})
    for step in range(3):
        (tmp_path / "checkpoints" / f"0-0000000{step}.zip").mkdir(parents=True)
    for step in (3, 4, 5):
        run.save(Checkpoint(State(step=step), {"w": ONE}, {}))
    loaded = run.load(SHAPES)
    assert loaded is not None and loaded.state.step == 5
    assert set(run.portable()) == {
        "config.json", "checkpoints/0-00000004.zip", "checkpoints/0-00000005.zip",
    }  # fmt: skip


@pytest.mark.parametrize(
    "record",
    [
        b"[" * 100_000,
        b"\xff",
        b'{"format": 1}',
        b'{"format": 1, "options": [], "inputs": {}, "steps": 1, "joint_steps": 1}',
        b'{"format": 1, "options": {}, "inputs": {}, "steps": [1], "joint_steps": 1}',
        b'{"format": 1, "options": {}, "inputs": {}, "steps": -1, "joint_steps": 1}',
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, record: bytes) -> None:
    (tmp_path / "config.json").write_bytes(record)
    with pytest.raises(RunError, match=r"config\.json: .*start anew with --overwrite"):
        RunFolder(tmp_path).read_record()


def test_links_in_a_run_are_not_followed(tmp_path: Path) -> None:
    """--resume refuses them; --overwrite deletes them, and nothing behind them."""
    outside, run = tmp_path / "outside", RunFolder(tmp_path / "run")
    outside.mkdir()
    for name in ("0-00000001.zip", "0-00000002.zip", "0-00000003.zip", ".x.part", "metrics"):
        (outside / name).write_text("mine")
    run.create({})
    (run.path / "checkpoints").symlink_to(outside)
    (run.path / "samples").symlink_to(outside)
    (run.path / "metrics.jsonl").symlink_to(outside / "metrics")
    with (
        pytest.raises(OutputError, match="checkpoints: is a link"),
        run.lock(resume=True, overwrite=False),
    ):
        pass
    with run.lock(resume=False, overwrite=True):
        run.create({})
        run.save(Checkpoint(State(), {"w": ONE}, {}))
        Metrics(run.metrics, 0).close()
    assert len(list(outside.iterdir())) == 5
    assert {path.read_text() for path in outside.iterdir()} == {"mine"}
    assert [path for path in run.path.rglob("*") if path.is_symlink()] == []


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
def test_what_killed_processes_left_half_written_goes(tmp_path: Path, how: dict[str, bool]) -> None:
    run = RunFolder(tmp_path)
    run.create({})
    run.save(Checkpoint(State(), {"w": ONE}, {}))
    (tmp_path / "samples").mkdir()
    for folder in (tmp_path, tmp_path / "checkpoints", tmp_path / "samples"):
        (folder / ".0123456789abcdef.part").write_bytes(b"half")
    with run.lock(**{"resume": False, "overwrite": False, **how}):
        pass
    assert files_below(tmp_path) == ["checkpoints/0-00000000.zip", "config.json"]


def test_a_run_that_is_being_written_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    other = RunFolder(tmp_path / "run")
    with run.lock(resume=False, overwrite=False):
        for resume, overwrite in ((False, False), (True, False), (False, True)):
            with pytest.raises(OutputError, match="run: is being written by another process"):
                other.check_free(resume=resume, overwrite=overwrite)
    assert not (tmp_path / "run").exists()
