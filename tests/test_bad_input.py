"""Bad input gives one line of error and the right exit code, and leaves no files behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, picture, run_cli

from neuralart.chain.model import load_model
from neuralart.engine.contract import Batch
from neuralart.loss.perceptual import Perceptual
from neuralart.pictures.writing import write_image


def replaced(arguments: list[object], option: str, value: object) -> list[object]:
    at = arguments.index(option)
    return [*arguments[: at + 1], value, *arguments[at + 2 :]]


@pytest.mark.parametrize("option", ["--style", "--data", "--features"])
@pytest.mark.parametrize("bad", ["missing", "folder", "text", "empty"])
def test_train_on_files_that_are_not_what_they_should_be(
    train_arguments: list[object], tmp_path: Path, option: str, bad: str
) -> None:
    path = tmp_path / "bad"
    if bad == "folder":
        path.mkdir()
    elif bad != "missing":
        path.write_text("hello" if bad == "text" else "")
    result = run_cli(*replaced(train_arguments, option, path), "--out", tmp_path / "run")
    fails(result, 1, str(path))
    assert not (tmp_path / "run").exists()


def test_train_without_a_gpu_or_with_an_unknown_device(
    train_arguments: list[object], tmp_path: Path
) -> None:
    fails(
        run_cli(*train_arguments, "--out", tmp_path / "r", "--device", "gpu:0"), 1, "--device cpu"
    )
    fails(run_cli(*train_arguments, "--out", tmp_path / "r", "--device", "tpu"), 2, "not a device")
    assert not (tmp_path / "r").exists()


def test_train_into_a_place_that_is_taken(train_arguments: list[object], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    fails(run_cli(*train_arguments, "--out", tmp_path / "file"), 1, "is a file")
    fails(run_cli(*train_arguments, "--out", tmp_path, "--overwrite"), 1, "holds other files")
    assert (tmp_path / "file").read_text() == "mine"
    fails(run_cli(*train_arguments, "--out", tmp_path / "file" / "run"), 1, "cannot be written")


def test_train_into_an_existing_run(
    train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run_dir, out)
    before = (out / "model.neuralart").read_bytes()
    fails(run_cli(*train_arguments, "--out", out), 1, "--resume", "--overwrite")
    fails(run_cli(*train_arguments, "--out", out, "--resume", "--overwrite"), 2, "give one of them")
    fails(
        run_cli(*train_arguments, "--out", out, "--resume", "--seed", 9), 1, "seed", "now 9, then 0"
    )
    assert (out / "model.neuralart").read_bytes() == before
    assert run_cli(*train_arguments, "--out", out, "--overwrite", "--seed", 9).exit_code == 0
    assert (out / "model.neuralart").read_bytes() != before


def test_resume_with_other_photos(
    train_arguments: list[object], run_dir: Path, photo_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    photos = tmp_path / "photos"
    shutil.copytree(photo_dir, photos)
    arguments = replaced(train_arguments, "--data", photos)
    fails(run_cli(*arguments, "--out", tmp_path / "run", "--resume"), 1, "options differ: data")
    write_image(photos / "new.png", picture(3))
    assert run_cli(*arguments, "--out", tmp_path / "other").exit_code == 0
    (photos / "new.png").unlink()
    fails(run_cli(*arguments, "--out", tmp_path / "other", "--resume"), 1, "inputs differ: photos")


def test_resume_of_a_damaged_run(
    train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run_dir, out)
    for path in (out / "checkpoints").iterdir():
        path.write_bytes(b"half")
    fails(run_cli(*train_arguments, "--out", out, "--resume"), 1, "damaged", "--overwrite")
    (out / "config.json").write_text("{")
    fails(run_cli(*train_arguments, "--out", out, "--resume"), 1, "config.json", "--overwrite")


class Poison:
    """Make the gradients of some calls not finite."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, calls: range) -> None:
        self.count = 0
        score_batch = Perceptual.score_batch

        def poisoned(
            perceptual: Perceptual, x: Batch, styles: Sequence[int], log_weight: float | None = None
        ) -> tuple[Batch, Batch]:
            losses, d_x = score_batch(perceptual, x, styles, log_weight)
            self.count += 1
            return losses, [each * (np.nan if self.count in calls else 1.0) for each in d_x]

        monkeypatch.setattr(Perceptual, "score_batch", poisoned)


def test_a_gradient_that_is_not_finite_rolls_back(
    train_arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poison(monkeypatch, range(4, 5))
    out = tmp_path / "run"
    result = run_cli(*train_arguments, "--out", out)
    assert result.exit_code == 0, result.output
    assert (
        "stage 1, step 4: loss or gradient is not finite: back to step 2 with half" in result.stderr
    )
    assert all(np.isfinite(array).all() for array in load_model(out).params.values())


def test_training_stops_at_the_fourth_gradient_that_is_not_finite(
    train_arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poison(monkeypatch, range(4, 99))
    result = run_cli(*train_arguments, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr.count("with half the rate\n") == 3
    assert (
        "error: stage 1, step 3: loss or gradient is not finite" in result.stderr.splitlines()[-1]
    )
    assert "--rate below 0.00038" in result.stderr.splitlines()[-1]


def test_a_rate_so_large_that_losses_explode_stops_the_training(
    train_arguments: list[object], tmp_path: Path
) -> None:
    result = run_cli(*train_arguments, "--out", tmp_path / "run", "--rate", 1e38)
    assert result.exit_code == 1 and "not finite" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "run" / "model.neuralart").exists()


@pytest.mark.parametrize("bad", ["missing", "folder", "text", "empty", "cut"])
def test_stylize_a_file_that_is_no_photo(run_dir: Path, tmp_path: Path, bad: str) -> None:
    photo, painting = tmp_path / "in.png", tmp_path / "out.png"
    if bad == "folder":
        photo.mkdir()
    elif bad == "cut":
        write_image(photo, picture(0))
        photo.write_bytes(photo.read_bytes()[:300])
    elif bad != "missing":
        photo.write_text("hello" if bad == "text" else "")
    fails(run_cli("stylize", photo, painting, "--model", run_dir), 1, "in.png")
    assert not painting.exists()


def test_stylize_into_a_place_that_cannot_be_written(run_dir: Path, tmp_path: Path) -> None:
    photo = tmp_path / "in.png"
    write_image(photo, picture(0))
    before = photo.read_bytes()
    for target, words in {
        "in.png": "exists",
        "out.xyz": "suffix",
        "out": "suffix",
        "no/out.png": "no such folder",
    }.items():
        fails(run_cli("stylize", photo, tmp_path / target, "--model", run_dir), 1, words)
    (tmp_path / "out.png").mkdir()
    fails(run_cli("stylize", photo, tmp_path / "out.png", "--model", run_dir), 1, "is a folder")
    fails(
        run_cli("stylize", photo, photo, "--model", run_dir, "--overwrite"), 1, "the photo itself"
    )
    assert photo.read_bytes() == before
    (tmp_path / "old.png").write_text("old")
    assert (
        run_cli("stylize", photo, tmp_path / "old.png", "--model", run_dir, "--overwrite").exit_code
        == 0
    )
    assert sorted(os.listdir(tmp_path)) == ["in.png", "old.png", "out.png"]


def test_stylize_and_export_with_a_wrong_model(run_dir: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", picture(0))
    (tmp_path / "text").write_text("hello")
    whole = (run_dir / "model.neuralart").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    for model in ("none", "text", "cut", "."):
        path = tmp_path / model
        for command in (
            ("stylize", tmp_path / "in.png", tmp_path / "out.png", "--model", path),
            ("export", path, "--to", tmp_path / "export"),
        ):
            fails(run_cli(*command), 1, str(path))
    assert sorted(os.listdir(tmp_path)) == ["cut", "in.png", "text"]


def test_a_stage_that_the_model_does_not_have(run_dir: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "in.png", picture(0))
    stylize = ("stylize", tmp_path / "in.png", tmp_path / "out.png", "--model", run_dir, "--stage")
    fails(run_cli(*stylize, 3), 2, "the model has 2 stages")
    fails(run_cli(*stylize, 0), 2, "--stage")
    fails(run_cli("export", run_dir, "--to", tmp_path / "e", "--stage", 3), 2, "2 stages")
