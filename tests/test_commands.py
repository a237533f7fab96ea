"""train and stylize through the command line, on tiny pictures."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import picture, run_cli

from neuralart.chain.model import load_chain, load_model
from neuralart.engine.devices import open_device
from neuralart.machine.archive import Arrays
from neuralart.pictures.frame import FRAME_PX, Frame
from neuralart.pictures.pixels import to_image, to_x
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image
from neuralart.training.stages import Chain


def params_of(run: Path) -> Arrays:
    return load_model(run).params


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_the_files_of_a_finished_run(run_dir: Path) -> None:
    names = {path.name for path in run_dir.iterdir()}
    assert names == {
        "config.json", "metrics.jsonl", "samples", "checkpoints", "skipped.txt", "evaluation.json",
        "model.neuralart", "style.jpg", "index.html",
    }  # fmt: skip
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [(row["phase"], row["step"]) for row in rows] == [("stage 1", 6), ("stage 2", 6)]
    assert rows[1]["losses"].keys() == {"x2"} and np.isfinite(rows[1]["losses"]["x2"]["total"])
    sheets = sorted(path.name for path in (run_dir / "samples").iterdir())
    assert sheets == ["0-00000003.png", "0-00000006.png", "1-00000003.png", "1-00000006.png"]
    # Two held-out photos; photo, x1, x2 in the second stage.
    assert read_image(run_dir / "samples" / sheets[-1]).shape == (2 * 64 + 4, 3 * 64 + 2 * 4, 3)
    options = json.loads((run_dir / "config.json").read_text())["options"]
    assert options["steps"] == 6 and [g["name"] for g in options["generators"]] == [
        "little",
        "small",
    ]
    evaluation = json.loads((run_dir / "evaluation.json").read_text())
    assert evaluation["photos"] == 2 and evaluation["losses"]["photo"]["content"] == 0


def test_the_model_of_a_run_describes_its_style(run_dir: Path) -> None:
    model = load_model(run_dir)
    assert load_model(run_dir / "model.neuralart").card == model.card
    assert [spec.name for spec in model.specs] == ["little", "small"]
    assert model.thumbnail.startswith(b"\x89PNG")
    card = model.card
    assert card["style"] == "waves.png" and card["licence"] == "Apache-2.0"
    assert card["steps"] == [6, 6] and len(card["features"]["sha256"]) == 64
    assert card["held_out"]["losses"].keys() == {"photo", "x1", "x2"}


def test_only_the_model_is_on_stdout(train_arguments: list[object], tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run_cli(*train_arguments, "--out", out, "--steps", 1)
    assert result.stdout == f"{out / 'model.neuralart'}\n"
    assert "held-out total of 2 photos" in result.stderr


def test_the_same_seed_gives_the_same_bits(
    train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    for name, seed in (("again", 0), ("other", 1)):
        assert run_cli(*train_arguments, "--out", tmp_path / name, "--seed", seed).exit_code == 0
    assert same(params_of(tmp_path / "again"), params_of(run_dir))
    assert not same(params_of(tmp_path / "other"), params_of(run_dir))


def test_learning_lowers_the_loss(train_arguments: list[object], tmp_path: Path) -> None:
    """The loss falls within each stage. Four channels are too few for stage 2 to beat stage 1."""
    out = tmp_path / "run"
    more = ("--steps", 100, "--save-every", 100, "--sheet-every", 100)
    assert run_cli(*train_arguments, "--out", out, *more).exit_code == 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for name in ("x1", "x2"):
        totals = [row["losses"][name]["total"] for row in rows if name in row["losses"]]
        assert np.mean(totals[-3:]) < 0.9 * np.mean(totals[:3])


def test_training_needs_no_features_of_the_users(
    style_file: Path, photo_dir: Path, tmp_path: Path
) -> None:
    for name, more in {"small": [], "random": ["--features", "random"]}.items():
        result = run_cli(
            "train", "--style", style_file, "--data", photo_dir, "--out", tmp_path / name,
            "--steps", 1, "--crop", 64, "--style-scale", 64, "--batch", 1, "--chain", "conv", *more,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert ("random VGG weights" in result.stderr) == (name == "random")
        card = load_model(tmp_path / name).card["features"]
        assert card["name"] == name and len(card["sha256"]) == 64


@pytest.mark.parametrize(
    "more",
    [
        ["--coupling", "suffix_sum"],
        ["--coupling", "through"],
        ["--chain", "small,small,small", "--share-weights"],
        ["--joint-steps", 3],
        ["--chain", "little"],
        ["--holdout", 0],
        ["--threads", 1],
    ],
    ids=lambda more: more[0] + str(more[-1]),
)
def test_options_of_train(
    train_arguments: list[object], tmp_path: Path, more: list[object]
) -> None:
    out = tmp_path / "run"
    result = run_cli(*train_arguments, "--out", out, *more)
    assert result.exit_code == 0, result.output
    model = load_model(out)
    stages = {"little": 1, "--share-weights": 3}.get(str(more[-1]), 2)
    assert len(model.specs) == stages
    if "--joint-steps" in more:
        assert model.card["steps"] == [6, 6, 3]
    if "--share-weights" in more:
        np.testing.assert_array_equal(
            model.params["g2_conv0_weight"], model.params["g0_conv0_weight"]
        )
    write_image(tmp_path / "p.png", picture(0))
    assert run_cli("stylize", tmp_path / "p.png", tmp_path / "q.png", "--model", out).exit_code == 0


def test_training_starts_from_the_weights_of_a_model(
    train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    more = ["--start", run_dir, "--steps", 1, "--rate", 0]
    assert run_cli(*train_arguments, "--out", out, *more).exit_code == 0
    old, new = load_model(run_dir), load_model(out)
    for name, array in old.params.items():
        np.testing.assert_array_equal(new.params[name], array, name)


def test_training_starts_from_a_shipped_style_of_the_same_chain(
    train_arguments: list[object],
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("neuralart.chain.shipped.MODELS", tmp_path / "models")
    (tmp_path / "models").mkdir()
    shutil.copy(run_dir / "model.neuralart", tmp_path / "models" / "bark.neuralart")
    more = ["--steps", 1, "--rate", 0]
    weight = "g0_conv0_weight"
    found = {}
    for name, words in {"shipped": [], "none": ["--start", "random"], "other": ["--chain", "little"]}.items():  # fmt: skip
        result = run_cli(*train_arguments, "--out", tmp_path / name, *more, *words)
        assert result.exit_code == 0, result.output
        found[name] = load_model(tmp_path / name)
        assert found[name].card["options"]["start"] == ("bark" if name == "shipped" else "random")
    trained = load_model(run_dir).params[weight]
    np.testing.assert_array_equal(found["shipped"].params[weight], trained)
    assert not np.array_equal(found["none"].params[weight], trained)


def test_a_start_of_another_chain_is_refused(
    train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = run_cli(*train_arguments, "--out", out, "--start", run_dir, "--chain", "little")
    assert result.exit_code == 2 and "its generators are not" in result.stderr, result.output
    assert not out.exists()


def test_the_chain_of_2016_trains(
    style_file: Path,
    photo_dir: Path,
    features_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Compressing its four million weights in twelve files takes nearly all of the time.
    compressor = zlib.compressobj
    monkeypatch.setattr("zlib.compressobj", lambda level, *more: compressor(0, *more))
    config = Path(__file__).parents[1] / "configs" / "end-to-end-2016.toml"
    result = run_cli(
        "train", "--config", config, "--style", style_file, "--data", photo_dir, "--out", tmp_path / "run",
        "--features", features_file, "--steps", 1, "--joint-steps", 0, "--crop", 64, "--style-scale", 64, "--batch", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    model = load_model(tmp_path / "run")
    assert [s.name for s in model.specs] == ["conv-2016", "deconv-2016", "deconv-2016", "conv-2016"]
    assert model.params["g1_b_weight"].shape == (128, 48, 5, 5)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (37, 23), (64, 48)])
def test_a_painting_is_as_large_as_the_photo(
    run_dir: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    write_image(tmp_path / "p.png", picture(0, *size))
    result = run_cli("stylize", tmp_path / "p.png", tmp_path / "q.jpg", "--model", run_dir)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'q.jpg'}\n"
    assert read_image(tmp_path / "q.jpg").shape == (*size, 3)


def test_stylize_paints_what_the_chain_does(run_dir: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "p.png", picture(0, 32, 32))
    model = load_model(run_dir)
    params = load_chain(run_dir).params
    chain = Chain(model.specs, params, [0, 1], 32, open_device("cpu"), frame=Frame.even(FRAME_PX))
    xs = chain.paint(to_x(picture(0, 32, 32)))
    for stage, x in enumerate(xs, start=1):
        painting = tmp_path / f"{stage}.png"
        run_cli("stylize", tmp_path / "p.png", painting, "--model", run_dir, "--stage", stage)
        assert abs(read_image(painting).astype(float) - to_image(x)).max() <= 1


def test_statistics_of_a_large_photo_are_measured_on_a_smaller_copy(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MEASURED_PIXELS", "WHOLE_PIXELS"):
        monkeypatch.setattr(f"neuralart.chain.receptive_field.{name}", 30 * 30)
    write_image(tmp_path / "p.png", picture(0, 61, 83))
    result = run_cli("stylize", tmp_path / "p.png", tmp_path / "q.png", "--model", run_dir)
    assert result.exit_code == 0, result.output
    assert read_image(tmp_path / "q.png").shape == (61, 83, 3)
