"""Content and layout count more where little of a style is left."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, run_cli

from neuralart.chain.model import load_chain, load_model
from neuralart.chain.shipped import find_model
from neuralart.exporting.parity import PHOTOS
from neuralart.loss.objective import PHOTO_STYLE
from neuralart.training.balance import GAIN, MOST, NAME, Balance, first_balance

WANTED = 0.1 * PHOTO_STYLE


def balance(styles: int = 1) -> Balance:
    return Balance(first_balance(styles), 0.1)


def test_it_waits_until_little_of_the_style_is_left() -> None:
    it = balance()
    for _ in range(100):
        it.update([2 * 1.01 * WANTED], [0, 0])
    assert it.factors.tolist() == [1.0]


def test_a_step_by_hand() -> None:
    it = balance()
    it.update([WANTED / 2], [0])
    assert it.factors[0] == pytest.approx(2**GAIN)
    it.update([WANTED], [0])
    assert it.factors[0] == pytest.approx(2**GAIN)
    it.update([WANTED * 3], [0, 0])
    assert it.factors[0] == pytest.approx((4 / 3) ** GAIN)


def test_it_goes_back_and_stops_at_its_ends() -> None:
    it = balance()
    for _ in range(1000):
        it.update([0.0], [0])
    assert it.factors.tolist() == [MOST]
    for _ in range(1000):
        it.update([WANTED * 4], [0])
    assert it.factors.tolist() == [1.0]


def test_it_finds_the_factor_that_leaves_what_is_wanted() -> None:
    """A style of which sqrt(factor) / 20 is left: 0.1 of it at a factor of 4, 0.08 at 2.56."""
    it = Balance(first_balance(1), 0.08)
    for _ in range(600):
        it.update([math.sqrt(it.factors[0]) / 20 * PHOTO_STYLE], [0])
    assert it.factors[0] == pytest.approx(2.56, rel=0.02)


def test_styles_are_followed_one_by_one() -> None:
    it, alone = balance(3), balance()
    for _ in range(5):
        it.update([0.0, WANTED, 3 * WANTED / 4], [1, 2, 2])
        alone.update([3 * WANTED / 8], [0])
    assert it.factors[0] == it.factors[1] == 1
    assert it.factors[2] == alone.factors[0] > 1
    assert it.by_name(["a", "b", "c"])["c"] == pytest.approx(float(alone.factors[0]), abs=1e-3)


def test_it_goes_on_with_the_same_bits() -> None:
    losses = np.random.default_rng(0).uniform(0, 2 * WANTED, (20, 1)).tolist()
    straight, stopped = balance(), balance()
    for before in losses[:10]:
        straight.update(before, [0])
        stopped.update(before, [0])
    resumed = Balance(stopped.params(), 0.1)
    for after in losses[10:]:
        straight.update(after, [0])
        resumed.update(after, [0])
    np.testing.assert_array_equal(straight.params()[NAME], resumed.params()[NAME])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A short training of a style that the shipped chain knows, so little of it is left."""
    chain = load_chain(find_model("wave"))
    (wave,) = (style for style in chain.styles if style.name == "wave")
    style = tmp_path_factory.mktemp("style") / "wave.jpg"
    style.write_bytes(wave.style_image)
    return [
        "train", "--style", style, "--data", PHOTOS, "--crop", 64, "--style-scale", 100,
        "--batch", 1, "--threads", 1, "--joint-steps", 20, "--holdout", 1, "--save-every", 10,
    ]  # fmt: skip


def card(run: Path) -> dict[str, float]:
    weights: dict[str, float] = load_model(run / "model.neuralart").card["weights"]
    return weights


def test_a_training_says_what_it_counted(begun: list[object], tmp_path: Path) -> None:
    more, fixed = tmp_path / "more", tmp_path / "fixed"
    assert run_cli(*begun, "--style-left", 0.3, "--out", more).exit_code == 0
    assert run_cli(*begun, "--style-left", 0, "--out", fixed).exit_code == 0
    (factor,) = json.loads((more / "metrics.jsonl").read_text().splitlines()[-1])["keep"].values()
    assert 1 < factor < MOST
    weights, given = card(more), card(fixed)
    for name, weight in given.items():
        scale = factor if name in ("content", "layout") else 1
        assert weights[name] == pytest.approx(weight * scale, rel=1e-3)
    assert "keep" not in (fixed / "metrics.jsonl").read_text()
    one = ["--style-weight", 20, "--out", tmp_path / "one"]
    assert run_cli(*begun, *one).exit_code == 0
    assert "keep" not in (tmp_path / "one" / "metrics.jsonl").read_text()

    before = load_model(more)
    (last,) = (more / "checkpoints").glob("*-*20.zip")
    for path in (more / "checkpoints").glob("*.zip"):
        if not path.name.endswith("10.zip"):
            path.unlink()
    result = run_cli(*begun, "--style-left", 0.3, "--out", more, "--resume")
    assert result.exit_code == 0 and last.exists(), result.output
    for name, array in load_model(more).params.items():
        np.testing.assert_array_equal(array, before.params[name], err_msg=name)
    assert card(more) == weights


def test_a_style_that_counts_at_one_size(train_arguments: list[object], tmp_path: Path) -> None:
    """Squares that are too small for two sizes: its style loss has no half."""
    out = tmp_path / "run"
    small = ("--crop", 32, "--style-scale", 32)
    result = run_cli(*train_arguments, *small, "--out", out)
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert all("half" not in loss for line in lines for loss in line["losses"].values())
    (factor,) = lines[-1]["keep"].values()
    assert 1 <= factor <= MOST


def test_a_run_of_before_goes_on_with_fixed_weights(
    train_arguments: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run_cli(*train_arguments, "--style-left", 0, "--out", out).exit_code == 0
    config = out / "config.json"
    record = json.loads(config.read_text())
    del record["options"]["style_left"]
    config.write_text(json.dumps(record))
    fails(run_cli(*train_arguments, "--out", out, "--resume"), 1, "style_left")
    result = run_cli(*train_arguments, "--style-left", 0, "--out", out, "--resume")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("value", [-0.1, 1.1, "nan"])
def test_no_share(train_arguments: list[object], tmp_path: Path, value: object) -> None:
    arguments = [*train_arguments, "--style-left", value, "--out", tmp_path / "run"]
    fails(run_cli(*arguments), 2, "--style-left")
