"""The folder of a training run: checkpoints, and when it may be written or replaced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neuralart.errors import OutputError, RunError
from neuralart.training.run import Checkpoint, RunFolder, State


def test_the_newest_undamaged_checkpoint_is_loaded(tmp_path: Path) -> None:
    moments = np.arange(6, dtype=np.float32).reshape(2, 3)
    run = RunFolder(tmp_path / "run")
    run.create({})
    assert run.load() is None
    for step in range(5):
        state = State(phase=1, step=step, position=7)
        run.save(Checkpoint(state, {"w": np.float32([step])}, {"w.mean": moments}))
    files = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [f.name for f in files] == ["1-00000003.zip", "1-00000004.zip"]
    loaded = run.load()
    assert loaded is not None
    assert loaded.state == State(phase=1, step=4, position=7) and loaded.params["w"] == 4
    np.testing.assert_array_equal(loaded.moments["w.mean"], moments)
    files[1].write_bytes(files[1].read_bytes()[:99])
    (files[1].parent / ".1-00000005.zip.1.part").write_bytes(b"half")
    loaded = run.load()
    assert loaded is not None and loaded.state.step == 3
    files[0].write_bytes(b"")
    with pytest.raises(RunError, match="all checkpoints are damaged"):
        run.load()


def test_a_checkpoint_of_a_later_phase_is_newer(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    run.save(Checkpoint(State(phase=0, step=90), {}, {}))
    run.save(Checkpoint(State(phase=1, step=0), {}, {}))
    loaded = run.load()
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
    assert run.load() is None and (tmp_path / "diary.txt").exists()
    assert json.loads((tmp_path / "config.json").read_text())["n"] == 2
