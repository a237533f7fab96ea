"""Archives, checkpoints and models: whole or refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neuralart.checkpoint import RunFolder, State
from neuralart.errors import ModelError, OutputError, RunError
from neuralart.files import read_archive, write_archive
from neuralart.model import load_model

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b/c": np.float32([np.pi])}


def test_an_archive_comes_back(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"n": 1}, ARRAYS, {"pic.png": b"png"})
    header, arrays, blobs = read_archive(tmp_path / "a.zip", ModelError, "a model")
    assert header == {"n": 1} and blobs == {"pic.png": b"png"} and arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_archive(tmp_path / name, {"n": 1}, ARRAYS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, {"n": 1}, {"a": np.random.default_rng(0).normal(size=500)})
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0xFF
    for bad in (b"", data[:50], data[:-10], bytes(flipped), b"[]"):
        path.write_bytes(bad)
        with pytest.raises(ModelError, match=r"a\.zip: damaged, or not a model"):
            read_archive(path, ModelError, "a model")


def test_an_archive_with_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
        archive.write(tmp_path / "evil.npy", "evil.npy")
    with pytest.raises(ModelError, match="damaged"):
        read_archive(path, ModelError, "a model")


def test_the_newest_whole_checkpoint_counts(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    assert run.load() is None
    for step in range(5):
        run.save(
            State(phase=1, step=step, position=7),
            {"w": np.float32([step])},
            {"w.mean": ARRAYS["a"]},
        )
    files = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [f.name for f in files] == ["1-00000003.zip", "1-00000004.zip"]
    loaded = run.load()
    assert loaded is not None
    state, params, optimiser = loaded
    assert state == State(phase=1, step=4, position=7) and params["w"] == 4
    np.testing.assert_array_equal(optimiser["w.mean"], ARRAYS["a"])
    files[1].write_bytes(files[1].read_bytes()[:99])
    (files[1].parent / ".1-00000005.zip.1.part").write_bytes(b"half")
    loaded = run.load()
    assert loaded is not None and loaded[0].step == 3
    files[0].write_bytes(b"")
    with pytest.raises(RunError, match="all checkpoints are damaged"):
        run.load()


def test_a_later_phase_is_newer(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    run.save(State(phase=0, step=90), {}, {})
    run.save(State(phase=1, step=0), {}, {})
    loaded = run.load()
    assert loaded is not None and loaded[0].phase == 1


def test_what_is_in_the_way(tmp_path: Path) -> None:
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


def test_replacing_a_run_keeps_what_is_not_its(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.create({"n": 1})
    run.save(State(), {}, {})
    (tmp_path / "diary.txt").write_text("dear")
    run.create({"n": 2})
    assert run.load() is None and (tmp_path / "diary.txt").exists()
    assert json.loads((tmp_path / "config.json").read_text())["n"] == 2


def test_a_model_says_everything_about_itself(run_dir: Path) -> None:
    model = load_model(run_dir)
    assert load_model(run_dir / "model.neuralart").card == model.card
    assert [spec.name for spec in model.specs] == ["little", "small"]
    assert model.thumbnail.startswith(b"\x89PNG")
    card = model.card
    assert card["style"] == "waves.png" and card["licence"] == "Apache-2.0"
    assert card["steps"] == [6, 6] and len(card["features"]["sha256"]) == 64
    assert card["held_out"]["losses"].keys() == {"photo", "x1", "x2"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("format", "install a newer neuralart"),
        ("generators", "damaged, or not a neuralart model"),
        ("pixels", "made for pixels minus"),
        ("missing", "1 arrays missing: g0_conv0_weight"),
        ("unknown", "1 arrays unknown: g9_weight"),
        ("shape", "1 arrays of another shape: g0_conv0_weight"),
        ("nan", "1 arrays not finite: g0_conv0_weight"),
    ],
)
def test_a_wrong_model_is_refused(run_dir: Path, tmp_path: Path, change: str, words: str) -> None:
    header, arrays, blobs = read_archive(run_dir / "model.neuralart", ModelError, "")
    if change == "format":
        header["format"] = 99
    elif change == "generators":
        header["generators"][0]["layers"] = []
    elif change == "pixels":
        header["pixels"]["mean"] = [0, 0, 0]
    elif change == "missing":
        del arrays["g0_conv0_weight"]
    elif change == "unknown":
        arrays["g9_weight"] = np.zeros(1, np.float32)
    elif change == "shape":
        arrays["g0_conv0_weight"] = arrays["g0_conv0_weight"][:-1]
    elif change == "nan":
        arrays["g0_conv0_weight"] = arrays["g0_conv0_weight"] * np.nan
    write_archive(tmp_path / "m.neuralart", header, arrays, blobs)
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "m.neuralart")


def test_a_run_without_a_model(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    (tmp_path / "run" / "model.neuralart").unlink()
    with pytest.raises(ModelError, match="--resume"):
        load_model(tmp_path / "run")
