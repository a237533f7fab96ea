"""`neuralart plan`: predicted memory and time. benchmarks/plan.py measures how good they are."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from helpers import fails, picture, run_cli

from neuralart.chain import receptive_field
from neuralart.cli import main
from neuralart.options.paint import StylizeConfig
from neuralart.painting import plan
from neuralart.pictures.frame import FRAME_PX
from neuralart.pictures.writing import write_image


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SAMPLE_PX", 64)
    for name in ("MEASURED_PIXELS", "WHOLE_PIXELS"):
        monkeypatch.setattr(receptive_field, name, 64 * 64)


def rows(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines())


def megabytes(result: Result) -> float:
    match = re.fullmatch(r"([\d,]+) MB at the peak", rows(result)["memory"])
    assert match
    return float(match[1].replace(",", ""))


def test_a_size_and_a_photo(run_dir: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "p.png", picture(0, 40, 60))
    said = rows(run_cli("plan", tmp_path / "p.png", "--model", run_dir))
    assert said["photo"] == "60x40, 0.0 megapixels"
    assert said["tile"] == "the whole at once"
    assert re.fullmatch(r"\d+\.\d s, and \d+\.\d s to start", said["time"])
    sized = rows(run_cli("plan", tmp_path / "p.png", "--model", run_dir, "--size", 30))
    assert sized["photo"] == "60x40, 0.0 megapixels, painted at 30x20"
    one = rows(run_cli("plan", "1x1", "--model", run_dir))
    assert one["photo"] == "1x1, 0.0 megapixels"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "p.png"]


def test_memory_and_tiles(run_dir: Path) -> None:
    small = run_cli("plan", "100x100", "--model", run_dir)
    large = run_cli("plan", "4000x3000", "--model", run_dir)
    tiled = run_cli("plan", "4000x3000", "--model", run_dir, "--tile", 512)
    bounded = run_cli("plan", "4000x3000", "--model", run_dir, "--max-memory", "500MB")
    one = ("--stroke", 1, "--max-memory", "400MB")  # coats take one picture more
    one_coat = run_cli("plan", "4000x3000", "--model", run_dir, *one)
    pixels = 2 * 3 * 12
    assert megabytes(small) + pixels < megabytes(tiled) < megabytes(large)
    assert megabytes(bounded) <= 500
    assert megabytes(one_coat) <= 400
    words = ["plan", "4000x3000", "--model", run_dir, "--max-memory"]
    fails(run_cli(*words, "400MB"), 2, "--size, or in one coat with --stroke 1")
    too_little = run_cli(*words, "10MB")
    fails(too_little, 2, "--max-memory")
    assert "--stroke" not in too_little.output
    assert re.fullmatch(r"\d+x\d+, \d+ of them", rows(tiled)["tile"])


@pytest.mark.parametrize("photo", ["60x40", "700x500", "4000x3000", "3000x9000", "12000x8000"])
@pytest.mark.parametrize("more", [[], ["--size", 900], ["--strength", 0.5], ["--tile", 256]])
def test_no_plan_exceeds_the_memory(run_dir: Path, photo: str, more: list[object]) -> None:
    """There is a least amount that is enough, and from there on a plan takes no more than allowed."""
    planned = []
    for limit in (320, 400, 600, 1000, 2000):
        result = run_cli("plan", photo, "--model", run_dir, "--max-memory", f"{limit}MB", *more)
        if planned or result.exit_code == 0:
            assert megabytes(result) <= limit
            planned.append(limit)
        else:
            fails(result, 2, "MB")
    assert planned


def test_a_tile_that_takes_more_than_the_memory(run_dir: Path) -> None:
    arguments = ["plan", "4000x3000", "--model", run_dir, "--max-memory", "500MB"]
    fails(run_cli(*arguments, "--tile", 0), 2, "--tile 0", "over --max-memory", "MB")
    assert megabytes(run_cli(*arguments, "--tile", 200)) <= 500


def test_help_lists_what_plan_uses(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of `plan` are those that `estimate` reads, and --threads."""
    used: set[str] = set()

    class Recording(StylizeConfig):
        def __getattribute__(self, name: str) -> Any:
            used.add(name)
            return super().__getattribute__(name)

    plan.estimate("64x64", Recording(model=str(run_dir)))
    fields = {field.name for field in dataclasses.fields(StylizeConfig)}
    listed = {param.name for param in main.commands["plan"].params} - {"photo", "threads"}
    assert listed <= used & fields
    unlisted = (used & fields) - listed
    assert unlisted <= {"colors", "grain"}  # which change no number of the plan


def test_time_is_scaled_from_a_piece(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is timed is made to take a second."""

    def timed(work: Callable[[], Any]) -> tuple[Any, float]:
        return work(), 1.0

    monkeypatch.setattr(plan, "_timed", timed)
    monkeypatch.setattr(plan, "_getting_memory", lambda size: size / 1e6)
    config = StylizeConfig(model=str(run_dir))
    piece, whole = (plan.estimate(size, config) for size in ("64x64", "128x256"))
    assert piece.seconds == 3  # reading, statistics and painting at once, writing
    painting = whole.tilings[-1].multiply_adds / piece.tilings[-1].multiply_adds
    frame = 2 * FRAME_PX
    assert painting == (128 + frame) * (256 + frame) / (64 + frame) ** 2
    memory = (whole.tilings[-1].working_memory - piece.tilings[-1].working_memory) / 1e6
    assert memory > 0
    assert math.isclose(whole.seconds, 8 + 1 + painting + memory + 8)


def test_getting_memory_is_timed_on_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan._getting_memory(-1) == plan._getting_memory(0) == 0
    monkeypatch.setattr(plan, "PROBED_BYTES", 5000)
    clock = iter(range(10))
    monkeypatch.setattr(plan.time, "perf_counter", lambda: next(clock))
    assert plan._getting_memory(4000) == 1
    assert plan._getting_memory(20_000) == 4


def test_what_cannot_be_planned(run_dir: Path, tmp_path: Path) -> None:
    def wrong(exit_code: int, words: str, *arguments: object) -> None:
        fails(run_cli("plan", *arguments, "--model", run_dir), exit_code, words)

    wrong(2, "a photo has from 1x1 pixel to 120 megapixels", "0x5")
    wrong(2, "a photo has from 1x1 pixel to 120 megapixels", "20000x20000")
    wrong(1, "none.png: cannot be read", tmp_path / "none.png")
    wrong(1, "is a folder", tmp_path)
    wrong(2, "--max-memory", "4000x3000", "--max-memory", "1MB")
    wrong(2, "--max-memory", "4000x3000", "--max-memory", "much")
