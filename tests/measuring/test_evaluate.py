"""neuralart evaluate through the real command line, on tiny pictures."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from helpers import fails, picture, run_cli

from neuralart.chain.model import Style, StyledChain, load_chain
from neuralart.chain.params import is_row
from neuralart.loss.objective import Losses
from neuralart.loss.perceptual import Perceptual
from neuralart.measuring import work
from neuralart.pictures.pixels import X
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import encode_image, write_image


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
    assert lines[0].startswith("waves: 3 photos, 64x64 px; total = 20 x style (each of 5 layers")
    assert [line.split()[0] for line in lines[2:]] == ["photo", "x1", "x2"]
    columns = ("style", "half", "content", "layout", "palette", "total", "style left", "iterations")
    for column in (*columns, "spots", "checkerboard", "border"):
        assert column in lines[1]
    data = json.loads(out.read_text())
    assert data["photos"] == 3 and len(data["per_photo"]) == 3
    for losses in data["losses"].values():
        style = (losses["style"] + losses["half"]) / 2
        total = style + losses["content"] + losses["layout"] + losses["palette"]
        assert losses["total"] == pytest.approx(total, abs=1e-3)
        assert losses["tv"] == 0 and losses["layout"] <= 2
    assert data["spots"].keys() == data["losses"].keys()
    assert data["weights"] == {"style": 20, "content": 2, "layout": 1, "palette": 1, "tv": 0}
    mean = sum(row["losses"]["x2"]["total"] for row in data["per_photo"]) / 3
    assert data["losses"]["x2"]["total"] == pytest.approx(mean, abs=1e-3)
    assert data["iterations"]["photo"] == 0 and data["optimiser_totals"].keys() == {"0"}
    assert data["optimiser_totals"]["0"] == pytest.approx(
        data["losses"]["photo"]["total"], rel=1e-4
    )
    # The photo, x1, x2, and the optimiser's picture.
    assert read_image(sheet).shape == (3 * 64 + 2 * 4, 4 * 64 + 3 * 4, 3)
    fails(run_cli(*evaluate_arguments, "--json", out), 1, "--overwrite")


def test_it_says_its_time_before_it_measures(
    evaluate_arguments: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A score is made to take 2 seconds."""
    monkeypatch.setattr("neuralart.measuring.work.score_seconds", lambda perceptual, x: 2.0)
    scored: list[str] = []
    score = Perceptual.score
    say = work.say

    def counted(perceptual: Perceptual, x: X, style: int = 0) -> tuple[Losses, X]:
        scored.append("score")
        return score(perceptual, x, style)

    def said(line: str, *, error: bool) -> None:
        scored.append(line)
        say(line, error=error)

    monkeypatch.setattr(Perceptual, "score", counted)
    monkeypatch.setattr(work, "say", said)
    result = run_cli(*evaluate_arguments, "--photos", 3)
    assert result.exit_code == 0, result.output
    seconds = 3 * (work.PAINTED + 4) * 2
    assert seconds == 108
    assert scored[0] == "note: about 2 min for 3 photos, each with 4 iterations of the optimiser"
    assert scored[0] in result.stderr and scored.count(scored[0]) == 1


def test_held_out_photos_are_those_that_training_kept_out(
    evaluate_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    arguments = [*evaluate_arguments[:-2], "--iterations", 0, "--tv-weight", 5, "--held-out"]
    result = run_cli(*arguments, "--size", 64, "--json", tmp_path / "e.json")
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "e.json").read_text())
    assert data["photos"] == 2 == load_chain(run_dir).styles[0].card["held_out"]["photos"]
    assert "iterations" not in data and "iterations" not in result.stdout
    photo = data["losses"]["photo"]
    style = (photo["style"] + photo["half"]) / 2
    assert (
        photo["total"] == pytest.approx(style + photo["palette"] + photo["tv"], abs=1e-3)
        and photo["tv"]
    )


def test_layers_and_scales_change_the_result(evaluate_arguments: list[object]) -> None:
    arguments = [*evaluate_arguments[:-2], "--iterations", 0, "--photos", 1]
    outputs = {
        run_cli(*arguments, *more).stdout
        for more in ([], ["--content-layer", "conv4_2"], ["--style-scale", 80], ["--one-scale"])
    }
    assert len(outputs) == 4
    assert "half" not in run_cli(*arguments, "--one-scale").stdout


def test_whole_photos(evaluate_arguments: list[object], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed, size in enumerate([(70, 96), (96, 70), (66, 201), (60, 90)]):
        write_image(photos / f"{seed}.png", picture(seed, *size))
    out, sheet = tmp_path / "e.json", tmp_path / "e.png"
    arguments = [
        "evaluate",
        evaluate_arguments[1],
        "--data",
        photos,
        "--whole",
        *evaluate_arguments[4:6],
    ]
    result = run_cli(*arguments, "--iterations", 1, "--json", out, "--sheet", sheet)
    assert result.exit_code == 0, result.output
    data = json.loads(out.read_text())
    # The last one is too small for two scales.
    assert [row["file"] for row in data["per_photo"]] == ["0.png", "1.png", "2.png"]
    assert data["whole"] and data["edge_px"] == 201
    assert read_image(sheet).shape == (3 * 96 + 2 * 4, 4 * 201 + 3 * 4, 3)
    # A photo scaled down is another one, or too small.
    result = run_cli(*arguments, "--iterations", 0, "--json", out, "--overwrite", "--size", 90)
    data = json.loads(out.read_text())
    assert data["photos"] == 2 and data["edge_px"] == 90
    fails(run_cli(*arguments, "--iterations", 0, "--size", 64), 1, str(photos))


@pytest.fixture
def two_styles(run_dir: Path, tmp_path: Path) -> Path:
    """A model of two styles, the second one with other shifts and its own style image."""
    chain = load_chain(run_dir)
    rows = {name: array + 0.5 for name, array in chain.params.items() if is_row(name)}
    style = Style("noise", {}, style_image=encode_image(picture(7, 64, 80), ".jpg"))
    chain.with_style(style, rows).save(tmp_path / "two.neuralart")
    return tmp_path / "two.neuralart"


def test_a_model_of_several_styles(
    evaluate_arguments: list[object], two_styles: Path, tmp_path: Path
) -> None:
    arguments = ["evaluate", two_styles, *evaluate_arguments[2:-2], "--iterations", 0]
    arguments += ["--photos", 2, "--overwrite", "--json", tmp_path / "e.json"]

    def measured(*more: object) -> dict[str, object]:
        result = run_cli(*arguments, *more)
        assert result.exit_code == 0, result.output
        data: dict[str, object] = json.loads((tmp_path / "e.json").read_text())
        return data

    first = measured()
    assert first["style"] == "waves" and first == measured("--style", "waves")
    second = measured("--style", "noise", "--style-scale", 64)
    assert second["style"] == "noise" and second["losses"] != first["losses"]
    both = measured("--every-style", "--style-scale", 64)
    assert list(both) == ["styles"]
    assert both["styles"] == {"waves": measured("--style-scale", 64), "noise": second}
    headings = [
        line.split(":")[0] for line in run_cli(*arguments, "--every-style").stdout.splitlines()
    ]
    assert [line for line in headings if line in ("waves", "noise")] == ["waves", "noise"]
    (tmp_path / "e.json").unlink()
    fails(run_cli(*arguments, "--style", "none"), 2, "--style", "none", "waves, noise")
    fails(run_cli(*arguments, "--style", "waves,noise"), 2, "waves,noise", "mixture")
    fails(run_cli(*arguments, "--style", "waves", "--every-style"), 2, "--style", "--every-style")
    fails(run_cli(*arguments, "--style-image", "a.png", "--every-style"), 2, "--style-image")
    assert not (tmp_path / "e.json").exists()


def test_a_model_holds_its_style_image(
    evaluate_arguments: list[object], run_dir: Path, style_file: Path, tmp_path: Path
) -> None:
    chain = load_chain(run_dir)
    chain.save(tmp_path / "m.neuralart", half=True)
    arguments = ["evaluate", tmp_path / "m.neuralart", *evaluate_arguments[2:], "--photos", 1]
    assert run_cli(*arguments).exit_code == 0
    with_style = run_cli(*arguments, "--style-image", style_file)
    assert with_style.exit_code == 0
    assert read_image(style_file).shape == (64, 64, 3)
    bare = dataclasses.replace(chain.styles[0], style_image=b"")
    StyledChain(chain.specs, chain.params, (bare,)).save(tmp_path / "m.neuralart")
    fails(run_cli(*arguments), 2, "--style-image", "waves.png")


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--data", "nowhere"], 1, "nowhere"),
        (["--style-image", "nothing.png"], 1, "nothing.png"),
        (["--style", "nothing"], 2, "nothing"),
        (["--features", "nothing"], 1, "nothing"),
        (["--content-layer", "relu9_9"], 1, "relu9_9"),
        (["--sheet", "e.text"], 1, "suffix"),
        (["--json", "no/e.json"], 1, "no such folder"),
        (["--json", "."], 1, "is a folder"),
        (["--size", 32], 2, "--size"),
        (["--style-scale", 32], 2, "--style-scale"),
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
