"""Shipped styles: found by name, listed, shown with their cards, and checked for shipping."""

from __future__ import annotations

import dataclasses
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, needs_mxnet, picture, run_cli

from neuralart.chain.model import Style, StyledChain, load_chain, load_model
from neuralart.chain.shipped import find_model, find_style, shipped
from neuralart.errors import ModelError
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import encode_image, write_image

LARGEST_BYTES = 2_000_000


@pytest.fixture
def shipped_folder(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that ships two styles, starry-night and wave."""
    folder = tmp_path / "package"
    folder.mkdir()
    for name in ("wave", "starry-night"):
        model = dataclasses.replace(load_model(run_dir), name=name)
        StyledChain.of(model).save(folder / f"{name}.neuralart", half=True)
    monkeypatch.setattr("neuralart.chain.shipped.MODELS", folder)
    return folder


def test_a_name_a_file_and_a_run_are_models(
    shipped_folder: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_dir, tmp_path / "wave")
    assert find_model("wave") == shipped_folder / "wave.neuralart"
    assert find_model("./wave") == Path("wave")
    assert find_model(str(run_dir)) == run_dir
    with pytest.raises(ModelError, match=r"scream: no such file.*\(starry-night, wave\)"):
        find_model("scream")
    with pytest.raises(ModelError, match="no such file"):
        find_model("x" * 5000)


@pytest.fixture
def masters(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that ships one chain of two styles, starry-night and wave."""
    model = load_model(run_dir)
    night = dataclasses.replace(model, name="starry-night")
    card = {**model.card, "style": "hokusai.png", "steps": [7]}
    thumbnail = encode_image(picture(5, 96, 110), ".png")
    wave = Style("wave", card, thumbnail, model.style_image)
    rows = {name: 2 * array for name, array in model.params.items()}
    path = tmp_path / "package" / "masters.neuralart"
    path.parent.mkdir()
    StyledChain.of(night).with_style(wave, rows).save(path, half=True)
    monkeypatch.setattr("neuralart.chain.shipped.MODELS", path.parent)
    return path


def test_a_style_of_a_shipped_chain_is_a_model(
    masters: Path, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_dir, tmp_path / "wave")
    assert find_style("masters") == (masters, None)
    assert find_style("masters", "wave") == (masters, "wave")
    assert find_style("wave") == (masters, "wave") == find_style(None, "wave")
    assert find_style("wave", "starry-night=1,wave=2") == (masters, "starry-night=1,wave=2")
    assert find_style("./wave", "waves") == (Path("wave"), "waves")
    assert find_style(None) == (masters, "starry-night")
    assert find_style(None, "scream") == (masters, "scream")
    assert find_model("wave") == masters
    with pytest.raises(ModelError, match=r"no such file.*\(masters, starry-night, wave\)"):
        find_style("scream")
    (masters.parent / "damaged.neuralart").write_bytes(masters.read_bytes()[:-100])
    (masters.parent / "empty.neuralart").write_bytes(b"")
    assert find_style("wave") == (masters, "wave")


def test_stylize_needs_no_model(shipped_folder: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "p.png", picture(0))
    assert run_cli("stylize", tmp_path / "p.png", tmp_path / "q.png").exit_code == 0
    by_name = run_cli("stylize", tmp_path / "p.png", tmp_path / "r.png", "--model", "starry-night")
    assert by_name.exit_code == 0
    assert (tmp_path / "q.png").read_bytes() == (tmp_path / "r.png").read_bytes()
    fails(run_cli("stylize", tmp_path / "p.png", tmp_path / "s.png", "--model", "waves"), 1, "wave")


@needs_mxnet
def test_export_takes_a_name(shipped_folder: Path, tmp_path: Path) -> None:
    assert run_cli("export", "wave", "--to", tmp_path / "e").exit_code == 0
    assert (tmp_path / "e").exists()


def test_half_precision_paints_the_same(run_dir: Path, tmp_path: Path) -> None:
    model = load_model(run_dir)
    StyledChain.of(model).save(tmp_path / "half.neuralart", half=True)
    half = load_model(tmp_path / "half.neuralart")
    assert all(array.dtype == np.float32 for array in half.params.values())
    assert not np.array_equal(half.params["g0_conv0_weight"], model.params["g0_conv0_weight"])
    write_image(tmp_path / "p.png", picture(0))
    for name, path in (("whole", run_dir), ("half", tmp_path / "half.neuralart")):
        run_cli("stylize", tmp_path / "p.png", tmp_path / f"{name}.png", "--model", path)
    whole, painted = (read_image(tmp_path / f"{n}.png").astype(int) for n in ("whole", "half"))
    assert abs(whole - painted).max() <= 1


def test_weights_beyond_half_precision_are_refused(run_dir: Path, tmp_path: Path) -> None:
    model = load_model(run_dir)
    model.params["g0_conv0_weight"] = model.params["g0_conv0_weight"] * np.float32(1e9)
    with pytest.raises(ModelError, match="g0_conv0_weight"):
        StyledChain.of(model).save(tmp_path / "m.neuralart", half=True)
    assert not (tmp_path / "m.neuralart").exists()


def test_models_lists_what_there_is(shipped_folder: Path) -> None:
    result = run_cli("models")
    assert result.exit_code == 0, result.output
    heading, *rows = result.stdout.splitlines()
    assert "iterations" in heading
    assert [row.split()[:2] for row in rows] == [["starry-night", "2"], ["wave", "2"]]


def test_info_shows_the_card(shipped_folder: Path, tmp_path: Path) -> None:
    result = run_cli("info", "wave", "--thumbnail", tmp_path / "t.jpg")
    assert result.exit_code == 0, result.output
    for words in (
        "waves.png", "little, small", "Apache-2.0", "6, 6", "x2", "style left",
        "neuralart train --style waves.png --data photos", "--chain little,small",
    ):  # fmt: skip
        assert words in result.stdout
    assert str(tmp_path) not in result.stdout
    assert min(read_image(tmp_path / "t.jpg").shape[:2]) == 96
    fails(run_cli("info", "wave", "--thumbnail", tmp_path / "t.jpg"), 1, "exists")
    fails(run_cli("info", "nothing"), 1, "starry-night, wave")


def test_models_lists_the_styles_of_a_chain(masters: Path) -> None:
    result = run_cli("models")
    assert result.exit_code == 0, result.output
    rows = [row.split() for row in result.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == ["masters", "starry-night", "wave"]
    losses = load_chain(masters).styles[1].card["held_out"]["losses"]["x2"]
    assert rows[0][1] == "2" and rows[0][-1] == "MB"
    assert rows[2][1:] == [f"{losses['content']:.2f}", f"{losses['total']:.2f}", "-"]


def test_info_shows_a_chain_once_and_each_of_its_styles(masters: Path, tmp_path: Path) -> None:
    result = run_cli("info", "masters")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert sum("multiply-adds a pixel" in line for line in lines) == 1
    assert sum("Apache-2.0" in line for line in lines) == 1
    assert "for each of 2 styles" in result.stdout
    night, wave = lines.index("starry-night"), lines.index("wave")
    for start, stop, words in (
        (night, wave, ("waves.png", "6, 6")),
        (wave, len(lines), ("hokusai.png", "7")),
    ):
        text = "\n".join(lines[start:stop])
        for word in (*words, "Kept out of training", "half", "layout"):
            assert word in text
    alone = run_cli("info", "wave", "--thumbnail", tmp_path / "t.png")
    assert "hokusai.png" in alone.stdout and "starry-night" not in alone.stdout
    assert read_image(tmp_path / "t.png").shape == (96, 110, 3)
    assert run_cli("info", "masters", "--style", "wave").stdout == alone.stdout
    fails(run_cli("info", "masters", "--style", "scream"), 2, "no such style")


def test_info_shows_a_style_file(masters: Path, tmp_path: Path) -> None:
    chain = load_chain(masters)
    chain.save_style(tmp_path / "mine.style", "wave")
    result = run_cli("info", tmp_path / "mine.style")
    assert result.exit_code == 0, result.output
    for words in ("wave", chain.digest[:12], "hokusai.png", "style left"):
        assert words in result.stdout
    assert chain.digest[:12] in run_cli("info", "masters").stdout
    thumbnail = ("--thumbnail", tmp_path / "t.png")
    fails(run_cli("info", tmp_path / "mine.style", *thumbnail), 1, "no picture")
    shutil.copy(masters, tmp_path / "model.style")
    fails(run_cli("info", tmp_path / "model.style"), 1, "not a style")
    fails(run_cli("info", tmp_path / "none.style"), 1, "cannot be read")
    assert not (tmp_path / "t.png").exists()


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_chain_is_small_and_complete_and_paints_each_style(
    name: str, tmp_path: Path
) -> None:
    path = find_model(name)
    assert path.stat().st_size <= LARGEST_BYTES
    chain = load_chain(path)
    stages = [f"x{k + 1}" for k in range(len(chain.specs))]
    said = run_cli("info", name).stdout
    photo = picture(0, 96, 80)
    write_image(tmp_path / "p.png", photo)
    for style in chain.styles:
        card = style.card
        assert card["licence"] == "Apache-2.0" and card["style"] and card["photos"] > 0
        assert card["seconds"] > 0 and sum(card["steps"]) > 0
        assert len(card["features"]["sha256"]) == 64 and style.thumbnail
        held_out = card["held_out"]
        assert list(held_out["losses"]) == ["photo", *stages]
        assert "/" not in f"{card['options']['style']}{card['options']['data']}"
        assert f"--style {card['style']}" in said
        painted = tmp_path / f"{style.name}.png"
        more = ("--model", name, *(("--style", style.name) if len(chain.styles) > 1 else ()))
        assert run_cli("stylize", tmp_path / "p.png", painted, *more).exit_code == 0
        painting = read_image(painted)
        assert painting.shape == photo.shape and abs(painting.astype(int) - photo).mean() > 8


def test_the_gallery_shows_every_style(
    shipped_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Path(__file__).parents[2] / "scripts" / "make_gallery.py"
    monkeypatch.setattr("sys.argv", [str(script), str(tmp_path / "docs")])
    runpy.run_path(str(script), run_name="__main__")
    page = (tmp_path / "docs" / "gallery.md").read_text()
    shown = re.findall(r"\((pictures/gallery/[^)]+)\)", page)
    assert len(shown) == 2 + 2 * (1 + 2)
    for path in [*shown, "pictures/opening.jpg"]:
        assert 0 < (tmp_path / "docs" / path).stat().st_size <= 150_000
