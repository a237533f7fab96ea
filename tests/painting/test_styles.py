"""Painting in one style of several, in mixtures, and in a style that came as a file."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    LITTLE,
    fails,
    needs_mxnet,
    picture,
    random_chain,
    random_model,
    random_statistics,
    run_cli,
)

from neuralart.chain.model import StyledChain
from neuralart.chain.params import is_row
from neuralart.engine.devices import open_device
from neuralart.machine.archive import write_archive
from neuralart.painting.folded.folding import can_fold
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.pictures.pixels import PIXEL_MEAN, Image
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

NAMES = ["starry-night", "wave", "scream"]


@pytest.fixture
def chain() -> StyledChain:
    return random_chain([LITTLE, LITTLE], NAMES)


@pytest.fixture
def files(chain: StyledChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo and a model, in an installation that ships the model as ``masters``."""
    write_image(tmp_path / "p.png", picture(0))
    chain.save(tmp_path / "m.neuralart")
    (tmp_path / "models").mkdir()
    shutil.copy(tmp_path / "m.neuralart", tmp_path / "models" / "masters.neuralart")
    monkeypatch.setattr("neuralart.chain.shipped.MODELS", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def painted(files: Path, *more: object) -> bytes:
    """The painting as a PNG's bytes."""
    result = run_cli("stylize", "p.png", "q.png", "--overwrite", *more)
    assert result.exit_code == 0, result.output
    return (files / "q.png").read_bytes()


def test_a_style_of_several_paints_as_alone(chain: StyledChain, files: Path) -> None:
    paintings = set()
    for seed, name in enumerate(NAMES):
        model = chain.model(name)
        rows = {k: v for k, v in random_model([LITTLE, LITTLE], seed).params.items() if is_row(k)}
        alone = dataclasses.replace(model, params={**model.params, **rows}, name="alone")
        StyledChain.of(alone).save(files / "alone.neuralart")
        one = painted(files, "--model", "m.neuralart", "--style", name)
        assert one == painted(files, "--model", "alone.neuralart")
        paintings.add(one)
    assert len(paintings) == len(NAMES)


def test_a_mixture_paints_with_the_means_of_scales_and_shifts(
    chain: StyledChain, files: Path
) -> None:
    weights = {"starry-night": 0.5, "wave": 0.25, "scream": 0.25}
    means = {
        k: np.average(v, axis=0, weights=list(weights.values())).astype(np.float32)
        for k, v in chain.params.items()
        if is_row(k)
    }
    model = chain.model()
    model = dataclasses.replace(model, params={**model.params, **means}, name="means")
    StyledChain.of(model).save(files / "means.neuralart")
    mixture = ",".join(f"{name}={8 * weight}" for name, weight in weights.items())
    assert painted(files, "--style", mixture) == painted(files, "--model", "means.neuralart")


def test_a_model_is_named_by_its_style(files: Path) -> None:
    first, wave, scream = (painted(files, "--model", "m.neuralart", "--style", n) for n in NAMES)
    assert painted(files, "--model", "m.neuralart") == first
    assert painted(files) == painted(files, "--model", "masters") == first
    assert painted(files, "--model", "wave") == painted(files, "--style", "wave") == wave
    assert painted(files, "--model", "wave", "--style", "scream") == scream
    assert painted(files, "--style", "scream=2,wave=0") == scream
    said = run_cli("plan", "p.png", "--style", "wave")
    assert said.exit_code == 0 and "tile" in said.stdout


def test_a_style_file(chain: StyledChain, files: Path) -> None:
    chain.save_style(files / "mine.style", "scream")
    params = {k: v[:2] if is_row(k) else v for k, v in chain.params.items()}
    without = dataclasses.replace(chain, params=params, styles=chain.styles[:2])
    without.save(files / "models" / "masters.neuralart")
    scream = read_image_of(painted(files, "--model", "m.neuralart", "--style", "scream"), files)
    mine = painted(files, "--style", "mine.style")
    assert abs(read_image_of(mine, files).astype(int) - scream).max() <= 2  # rows in half precision
    assert painted(files, "--model", "wave", "--style", "mine.style") == mine
    assert painted(files, "--model", "mine.style") == mine
    mixed = painted(files, "--style", "mine.style=0.5,wave=0.5")
    assert mixed not in (mine, painted(files, "--style", "wave"))


def read_image_of(png: bytes, files: Path) -> Image:
    (files / "read.png").write_bytes(png)
    return read_image(files / "read.png")


@needs_mxnet
def test_eight_bits_need_no_style_image(chain: StyledChain) -> None:
    """A style file has no picture that the ranges could be found on."""
    specs, devices, photo = chain.specs, open_device("cpu"), picture(0, 64, 96)
    assert can_fold(specs)
    exact, rough = (
        PhotoPainter(chain.model("wave"), devices, len(specs), precision=precision)
        for precision in ("float32", "int8")
    )
    statistics = exact.measure(photo)
    difference = rough.paint(photo, statistics) - exact.paint(photo, statistics).astype(float)
    assert 0 < (difference**2).mean() ** 0.5 < 8


def test_a_model_of_one_style_from_before(files: Path) -> None:
    """A file of format 1: rows of (C,), one card, and statistics that nothing needs."""
    model = random_model([LITTLE, LITTLE], seed=7)
    header = {
        "format": 1,
        "pixels": {"mean": PIXEL_MEAN.tolist()},
        "generators": [spec.to_dict() for spec in model.specs],
        "card": {},
    }
    arrays = {**model.params, **random_statistics(model.specs)}
    write_archive(files / "old.neuralart", header, arrays, {"style.png": b""})
    StyledChain.of(model).save(files / "new.neuralart")
    old = painted(files, "--model", "old.neuralart")
    assert old == painted(files, "--model", "new.neuralart")
    assert old == painted(files, "--model", "old.neuralart", "--style", "old")


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (
            ["--style", "waves"],
            2,
            "--style waves: the model has no such style; it has starry-night",
        ),
        (["--style", ""], 2, "no such style"),
        (["--style", "wave,,scream"], 2, "no such style"),
        (["--style", "wave=much"], 2, "'much' is no weight"),
        (["--style", "wave=-1,scream=2"], 2, "'-1' is no weight"),
        (["--style", "wave=0,scream=0.0"], 2, "all weights are 0"),
        (["--model", "one.neuralart", "--style", "wave"], 2, "no such style; it has alone"),
        (["--model", "waves"], 1, "(masters, starry-night, wave, scream)"),
        (["--style", "none.style"], 1, "none.style: cannot be read"),
        (["--style", "cut.style"], 1, "cut.style: damaged, or not a style"),
        (["--style", "m.style"], 1, "m.style: damaged, or not a style"),
        (["--style", "other.style"], 1, "belongs to another chain; name that chain with --model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(chain: StyledChain, files: Path, more: list[str], code: int, words: str) -> None:
    one = dataclasses.replace(random_model([LITTLE], seed=5), name="alone")
    StyledChain.of(one).save(files / "one.neuralart")
    StyledChain.of(one).save_style(files / "other.style", "alone")
    chain.save_style(files / "cut.style", "wave")
    (files / "cut.style").write_bytes((files / "cut.style").read_bytes()[:-40])
    shutil.copy(files / "m.neuralart", files / "m.style")
    before = sorted(files.rglob("*"))
    fails(run_cli("stylize", "p.png", "q.png", *more), code, words)
    assert sorted(files.rglob("*")) == before
