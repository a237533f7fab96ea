"""neuralart evaluate through the real command line, on tiny pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers import fails, run_cli

from neuralart.chain.model import load_model
from neuralart.pictures.reading import read_image


@pytest.fixture(scope="session")
def evaluate_arguments(run_dir: Path, photo_dir: Path, features_file: Path) -> list[object]:
    """A command line that tests add options to."""
    return [
        "evaluate", run_dir, "--data", photo_dir, "--features", features_file, "--size", 64,
        "--iterations", 4,
    ]  # fmt: skip


def test_a_table_json_and_a_sheet(evaluate_arguments: list[object], tmp_path: Path) -> None:
    out, sheet = tmp_path / "e.json", tmp_path / "e.png"
    result = run_cli(*evaluate_arguments, "--photos", 3, "--json", out, "--sheet", sheet)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("3 photos, 64x64 px; total = 20 x style (each of 5 layers) + 2 x")
    assert [line.split()[0] for line in lines[2:]] == ["photo", "x1", "x2"]
    for column in ("style left", "iterations", "checkerboard", "border"):
        assert column in lines[1]
    data = json.loads(out.read_text())
    assert data["photos"] == 3 and len(data["per_photo"]) == 3
    for losses in data["losses"].values():
        assert losses["total"] == pytest.approx(losses["style"] + losses["content"], abs=1e-3)
        assert losses["tv"] == 0
    mean = sum(row["losses"]["x2"]["total"] for row in data["per_photo"]) / 3
    assert data["losses"]["x2"]["total"] == pytest.approx(mean, abs=1e-3)
    assert data["iterations"]["photo"] == 0 and data["optimiser_totals"].keys() == {"0"}
    assert data["optimiser_totals"]["0"] == pytest.approx(
        data["losses"]["photo"]["total"], rel=1e-4
    )
    # The photo, x1, x2, and the optimiser's picture.
    assert read_image(sheet).shape == (3 * 64 + 2 * 4, 4 * 64 + 3 * 4, 3)
    fails(run_cli(*evaluate_arguments, "--json", out), 1, "--overwrite")


def test_held_out_photos_are_those_that_training_kept_out(
    evaluate_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    arguments = [*evaluate_arguments[:-2], "--iterations", 0, "--tv-weight", 5, "--held-out"]
    result = run_cli(*arguments, "--size", 64, "--json", tmp_path / "e.json")
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "e.json").read_text())
    assert data["photos"] == 2 == load_model(run_dir).card["held_out"]["photos"]
    assert "iterations" not in data and "iterations" not in result.stdout
    photo = data["losses"]["photo"]
    assert photo["total"] == pytest.approx(photo["style"] + photo["tv"], abs=1e-3) and photo["tv"]


def test_layers_and_scales_change_the_result(evaluate_arguments: list[object]) -> None:
    arguments = [*evaluate_arguments[:-2], "--iterations", 0, "--photos", 1]
    outputs = {
        run_cli(*arguments, *more).stdout
        for more in ([], ["--content-layer", "conv4_2"], ["--style-scale", 48])
    }
    assert len(outputs) == 3


def test_a_model_holds_its_style_image(
    evaluate_arguments: list[object], run_dir: Path, style_file: Path, tmp_path: Path
) -> None:
    model = load_model(run_dir)
    model.save(tmp_path / "m.neuralart", half=True)
    arguments = ["evaluate", tmp_path / "m.neuralart", *evaluate_arguments[2:], "--photos", 1]
    assert run_cli(*arguments).exit_code == 0
    with_style = run_cli(*arguments, "--style", style_file)
    assert with_style.exit_code == 0
    assert read_image(style_file).shape == (64, 64, 3)
    object.__setattr__(model, "style_image", b"")
    model.save(tmp_path / "m.neuralart")
    fails(run_cli(*arguments), 2, "--style", "waves.png")


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--data", "nowhere"], 1, "nowhere"),
        (["--style", "nothing.png"], 1, "nothing.png"),
        (["--features", "nothing"], 1, "nothing"),
        (["--content-layer", "relu9_9"], 1, "relu9_9"),
        (["--sheet", "e.text"], 1, "suffix"),
        (["--json", "no/e.json"], 1, "no such folder"),
        (["--json", "."], 1, "is a folder"),
        (["--size", 32], 2, "--size"),
        (["--device", "tpu"], 2, "not a device"),
    ],
)
def test_bad_input(
    evaluate_arguments: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[object],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(run_cli(*evaluate_arguments, *more), code, words)
    assert list(tmp_path.iterdir()) == []


def test_photos_that_cannot_be_used(
    evaluate_arguments: list[object], photo_dir: Path, tmp_path: Path
) -> None:
    arguments = list(evaluate_arguments)
    arguments[3] = tmp_path
    shutil.copy(photo_dir / "cut.jpg", tmp_path)
    fails(run_cli(*arguments), 1, str(tmp_path))
