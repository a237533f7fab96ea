"""neuralart optimize through the real command line, on tiny pictures."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, picture, run_cli

from neuralart.engine.devices import open_device
from neuralart.loss.features.store import read_features
from neuralart.loss.objective import Losses, LossWeights
from neuralart.loss.perceptual import Perceptual
from neuralart.measuring.optimize import PixelOptimisation, levels
from neuralart.pictures.editing import luminance, resize_shorter_edge
from neuralart.pictures.pixels import X, to_x
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image


@pytest.fixture
def arguments(tmp_path: Path, style_file: Path, features_file: Path) -> list[object]:
    """A command line that tests add options to."""
    write_image(tmp_path / "p.png", picture(0, 64, 80))
    return [
        "optimize", tmp_path / "p.png", tmp_path / "q.png", "--style", style_file,
        "--features", features_file, "--iterations", 12,
    ]  # fmt: skip


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("size", "method", "seconds"),
    # Half as many iterations at twice the size, of which each takes four times as long.
    [((64, 80), "adam", 12 * 2), ((256, 512), "adam", 2 * (12 + 6 * 4)), ((64, 80), "lbfgs", 29)],
)
def test_it_says_its_time_before_it_optimises(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int], method: str, seconds: int,
) -> None:  # fmt: skip
    """A score is made to take 2 seconds, and optimising nothing."""
    monkeypatch.setattr("neuralart.measuring.optimize.score_seconds", lambda perceptual, x: 2.0)
    monkeypatch.setattr(PixelOptimisation, "_descend", lambda self, perceptual, x, n, report: x)
    write_image(tmp_path / "p.png", picture(0, *size))
    result = run_cli(*arguments, "--method", method)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == f"note: about {seconds} s for the painting"


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
@pytest.mark.parametrize("start", ["photo", "noise"])
def test_the_loss_falls_and_is_the_pictures(
    arguments: list[object], tmp_path: Path, style_file: Path, features_file: Path,
    method: str, start: str,
) -> None:  # fmt: skip
    metrics = tmp_path / "m.jsonl"
    more = ("--method", method, "--start", start, "--metrics", metrics, "--iterations", 30)
    result = run_cli(*arguments, *more)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'q.png'}\n" and "total" in result.stderr
    totals = [row["losses"]["total"] for row in rows(metrics)]
    assert len(totals) == 30 and totals[-1] < 0.8 * totals[0]
    assert [row["iteration"] for row in rows(metrics)] == list(range(1, 31))
    # The last losses are those of the picture that was written.
    weights = LossWeights(content=2, layout=8, palette=3, tv=20, two_scales=True)
    perceptual = Perceptual(read_features(features_file), weights, open_device("cpu"))
    style = read_image(style_file)
    perceptual.set_style(*(to_x(resize_shorter_edge(style, edge)) for edge in (64, 32)))
    perceptual.set_content(to_x(picture(0, 64, 80)))
    losses, _ = perceptual.score(to_x(read_image(tmp_path / "q.png")))
    assert losses["total"] == pytest.approx(totals[-1], rel=0.1)


def test_lbfgs_needs_fewer_iterations_than_adam(arguments: list[object], tmp_path: Path) -> None:
    last = {}
    for method in ("lbfgs", "adam"):
        metrics = tmp_path / f"{method}.jsonl"
        run_cli(*arguments, "--overwrite", "--method", method, "--metrics", metrics)
        last[method] = rows(metrics)[-1]["losses"]["total"]
    assert last["lbfgs"] < last["adam"]


def test_large_pictures_go_from_coarse_to_fine(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert levels((200, 320), 200) == [((200, 320), 200)]
    assert levels((800, 1200), 200) == [
        ((200, 300), 200), ((400, 600), 100), ((800, 1200), 50)
    ]  # fmt: skip
    # No edge of a level is too short for the VGG.
    assert levels((800, 1200), 8, 256) == [((400, 600), 8), ((800, 1200), 4)]
    assert levels((100, 1200), 8, 64) == [((100, 1200), 8)]
    monkeypatch.setattr("neuralart.measuring.optimize.COARSEST_PX", 80)
    write_image(tmp_path / "p.png", picture(0, 128, 160))
    result = run_cli(*arguments, "--metrics", tmp_path / "m.jsonl", "--preview", tmp_path / "v.png")
    assert result.exit_code == 0, result.output
    sizes = [row["size"] for row in rows(tmp_path / "m.jsonl")]
    assert sizes == ["80x64"] * 12 + ["160x128"] * 6
    assert read_image(tmp_path / "q.png").shape == (128, 160, 3)
    assert (tmp_path / "v.png").read_bytes() == (tmp_path / "q.png").read_bytes()


def test_a_preview_is_written_every_10_iterations(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    score = Perceptual.score

    def watched(perceptual: Perceptual, x: X) -> tuple[Losses, X]:
        seen.append((tmp_path / "v.jpg").exists())
        return score(perceptual, x)

    monkeypatch.setattr(Perceptual, "score", watched)
    run_cli(*arguments, "--method", "adam", "--preview", tmp_path / "v.jpg", "--size", 80)
    assert seen == [False] * 11 + [True] * 2
    assert read_image(tmp_path / "v.jpg").shape == (64, 80, 3)


def test_preserved_colors_are_the_photos(arguments: list[object], tmp_path: Path) -> None:
    assert run_cli(*arguments, "--preserve-colors").exit_code == 0
    photo, painted = picture(0, 64, 80), read_image(tmp_path / "q.png")
    light = [luminance(image) for image in (photo, painted)]
    assert abs(light[0] - light[1]).mean() > 0.5
    inside = ((painted > 0) & (painted < 255)).all(axis=2)  # what was not clipped
    chroma = [image - gray for image, gray in zip((photo, painted), light, strict=True)]
    assert abs(chroma[0] - chroma[1])[inside].max() < 1.5


def test_a_signal_leaves_the_picture_so_far(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    score = Perceptual.score

    def interrupted(perceptual: Perceptual, x: X) -> tuple[Losses, X]:
        nonlocal count
        count += 1
        if count == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return score(perceptual, x)

    monkeypatch.setattr(Perceptual, "score", interrupted)
    result = run_cli(*arguments)
    fails(result, 130, "stopped after iteration", str(tmp_path / "q.png"))
    assert np.any(read_image(tmp_path / "q.png") != picture(0, 64, 80))


def test_terms_are_options(arguments: list[object], tmp_path: Path) -> None:
    def terms(*more: object) -> dict[str, float]:
        metrics = tmp_path / "m.jsonl"
        once = [*arguments, "--overwrite", "--metrics", metrics, "--method", "adam"]
        result = run_cli(*once, "--iterations", 1, *more)
        assert result.exit_code == 0, result.output
        losses: dict[str, float] = rows(metrics)[0]["losses"]  # type: ignore[assignment]
        return losses

    default = terms()
    assert (
        default["half"]
        and default["layout"]
        and default["palette"]
        and "checkerboard" not in default
    )
    one = terms(
        "--one-scale", "--layout-weight", 0, "--palette-weight", 0, "--checkerboard-weight", 1e5
    )
    assert not {"half", "layout", "palette"} & one.keys() and one["checkerboard"]
    write_image(tmp_path / "p.png", picture(0, 32, 64))
    fails(run_cli(*arguments, "--overwrite"), 1, "64x32", "64 pixels")
    assert terms("--one-scale")["total"]


def test_bad_input(arguments: list[object], tmp_path: Path, style_file: Path) -> None:
    fails(run_cli(*arguments, "--style", tmp_path / "none.png"), 1, "none.png")
    fails(run_cli(*arguments, "--features", "none"), 1, "none")
    fails(run_cli(*arguments, "--content-layer", "relu7_1"), 1, "relu7_1")
    fails(run_cli(*arguments, "--metrics", tmp_path), 1, "is a folder")
    fails(run_cli(*arguments, "--preview", tmp_path / "v.txt"), 1, "suffix")
    fails(run_cli(*arguments, "--method", "sgd"), 2, "sgd")
    same = [*arguments[:2], *arguments[1:2], *arguments[3:]]
    fails(run_cli(*same, "--overwrite"), 1, "the photo itself")
    write_image(tmp_path / "thin.png", picture(0, 63, 80))
    fails(run_cli("optimize", tmp_path / "thin.png", *arguments[2:]), 1, "thin.png", "80x63")
    assert sorted(os.listdir(tmp_path)) == ["p.png", "thin.png"]
