"""Chains of several styles: files, mixtures, style files, and files of one style from before."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers import LITTLE, random_chain, random_model, random_statistics

from neuralart.chain.model import Style, StyledChain, add_style_file, load_chain, load_model
from neuralart.chain.params import is_row
from neuralart.errors import ConfigError, ModelError
from neuralart.machine.archive import Arrays, open_archive, write_archive
from neuralart.pictures.pixels import PIXEL_MEAN

NAMES = ["night", "wave", "scream"]


def with_pictures(chain: StyledChain) -> StyledChain:
    styles = tuple(
        Style(name, {"style": f"{name}.jpg"}, f"{name} small".encode(), f"{name} large".encode())
        for name in chain.names
    )
    return dataclasses.replace(chain, styles=styles)


@pytest.fixture
def chain() -> StyledChain:
    return with_pictures(random_chain([LITTLE, LITTLE], NAMES))


def assert_same(some: Arrays, others: Arrays) -> None:
    assert list(some) == list(others)
    for name, array in some.items():
        np.testing.assert_array_equal(others[name], array, name)


def test_a_file_keeps_everything(chain: StyledChain, tmp_path: Path) -> None:
    chain.save(tmp_path / "m.neuralart")
    loaded = load_chain(tmp_path / "m.neuralart")
    assert loaded.specs == chain.specs and loaded.styles == chain.styles
    assert_same(loaded.params, chain.params)
    assert loaded.checksum == chain.checksum


def test_half_precision_rounds_once(chain: StyledChain, tmp_path: Path) -> None:
    chain.save(tmp_path / "half.neuralart", half=True)
    half = load_chain(tmp_path / "half.neuralart")
    assert half.checksum != chain.checksum and half.digest == chain.digest
    for name, array in chain.params.items():
        assert half.params[name].dtype == np.float32
        np.testing.assert_allclose(half.params[name], array, rtol=2**-8, atol=1e-6)
    half.save(tmp_path / "again.neuralart", half=True)
    assert_same(load_chain(tmp_path / "again.neuralart").params, half.params)


def test_one_style_and_a_mixture(chain: StyledChain) -> None:
    assert chain.model().name == "night" and chain.model().card == chain.styles[0].card
    mixture = chain.model("wave=0.6, scream=0.2")
    assert mixture.name == "wave=0.6, scream=0.2" and mixture.thumbnail == b"wave small"
    for name, array in chain.params.items():
        if not is_row(name):
            assert chain.model("wave").params[name] is mixture.params[name] is array
            continue
        np.testing.assert_array_equal(chain.model("wave").params[name], array[1])
        np.testing.assert_array_equal(chain.model("wave=9").params[name], array[1])
        means = 0.75 * array[1] + 0.25 * array[2]
        np.testing.assert_allclose(mixture.params[name], means, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(chain.mixture("wave,scream,wave"), [0, 2 / 3, 1 / 3])


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("waves", "no such style; it has night, wave, scream"),
        ("wave=1,waves=2", "no such style"),
        ("", "no such style"),
        ("wave,", "no such style"),
        ("wave=", "is no weight"),
        ("wave=much", "'much' is no weight"),
        ("wave=-1,scream=2", "'-1' is no weight"),
        ("wave=nan", "is no weight"),
        ("wave=inf", "is no weight"),
        ("wave=0,scream=0", "all weights are 0"),
    ],
)
def test_a_choice_that_is_none(chain: StyledChain, choice: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        chain.model(choice)
    assert "\n" not in str(error.value)


def test_one_more_style_leaves_the_others_as_they_were(chain: StyledChain) -> None:
    new = random_model([LITTLE, LITTLE], seed=9)
    more = chain.with_style(Style("new", {}), new.params)
    assert more.names == [*NAMES, "new"] and more.digest == chain.digest
    for name in NAMES:
        assert_same(more.model(name).params, chain.model(name).params)
    for name, array in more.model("new").params.items():
        np.testing.assert_array_equal(
            array, new.params[name] if is_row(name) else chain.params[name]
        )
    with pytest.raises(ConfigError, match="wave: the chain has a style of that name already"):
        chain.with_style(Style("wave", {}), new.params)


def test_a_style_file_goes_with_its_chain(chain: StyledChain, tmp_path: Path) -> None:
    path = tmp_path / "mine.style"
    chain.save_style(path, "scream")
    assert path.stat().st_size < 4000
    chain.save(tmp_path / "half.neuralart", half=True)
    half = load_chain(tmp_path / "half.neuralart")
    others = random_chain([LITTLE, LITTLE], NAMES[:2])
    for known in (half, others):
        joined = add_style_file(known, path)
        assert joined.names == NAMES and joined.digest == chain.digest
        assert joined.styles[2].card == {"style": "scream.jpg"}
        assert_same(joined.model("wave").params, known.model("wave").params)
        for name, array in joined.model("scream").params.items():
            if is_row(name):
                np.testing.assert_array_equal(array, half.params[name][2])
    assert_same(half.params, load_chain(tmp_path / "half.neuralart").params)
    with pytest.raises(ConfigError, match="no such style"):
        chain.save_style(tmp_path / "none.style", "udnie")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing file", "cannot be read"),
        ("cut", "damaged, or not a style of neuralart"),
        ("a model", "damaged, or not a style of neuralart"),
        ("style_format", "install a newer neuralart"),
        ("chain", "belongs to another chain; name that chain with --model"),
        ("name", "damaged, or not a style of neuralart"),
        ("missing", "1 arrays missing: scales_and_shifts"),
        ("shape", "1 arrays of another shape: scales_and_shifts"),
        ("nan", "1 arrays not finite: scales_and_shifts"),
    ],
)
def test_a_wrong_style_file_is_refused(
    chain: StyledChain, tmp_path: Path, change: str, words: str
) -> None:
    path, gamma = tmp_path / "mine.style", "scales_and_shifts"
    chain.save_style(path, "wave")
    with open_archive(path, ModelError, "") as archive:
        header, arrays = archive.header, archive.arrays()
    if change == "style_format":
        header["style_format"] = 99
    elif change == "name":
        del header["name"]
    elif change == "chain":
        chain = random_chain([LITTLE, LITTLE], ["another"])
        chain.params["g0_conv0_weight"][:] += 1
    elif change == "missing":
        del arrays[gamma]
    elif change == "shape":
        arrays[gamma] = arrays[gamma][:-1]
    elif change == "nan":
        arrays[gamma] = arrays[gamma] * np.nan
    write_archive(path, header, arrays)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif change == "missing file":
        path.unlink()
    elif change == "a model":
        chain.save(path)
    with pytest.raises(ModelError, match=words) as error:
        add_style_file(chain, path)
    assert "\n" not in str(error.value)


def test_two_styles_of_one_name_are_no_model(chain: StyledChain, tmp_path: Path) -> None:
    styles = (chain.styles[0], *chain.styles[:2])
    dataclasses.replace(chain, styles=styles).save(tmp_path / "m.neuralart")
    with pytest.raises(ModelError, match="damaged"):
        load_chain(tmp_path / "m.neuralart")


def test_a_file_of_one_style_from_before(tmp_path: Path) -> None:
    """Format 1 has rows of (C,), a card, a thumbnail, and statistics that nothing needs."""
    model = random_model([LITTLE])
    header = {
        "format": 1,
        "pixels": {"mean": PIXEL_MEAN.tolist()},
        "generators": [LITTLE.to_dict()],
        "card": {"style": "waves.png"},
    }
    arrays = {**model.params, **random_statistics([LITTLE])}
    path = tmp_path / "old waves.neuralart"
    write_archive(path, header, arrays, {"style.png": b"small", "painting.jpg": b"large"})
    chain = load_chain(path)
    assert chain.styles == (Style("old waves", {"style": "waves.png"}, b"small", b"large"),)
    for loaded in (load_model(path), load_model(path, "old waves")):
        assert_same(loaded.params, model.params)
    with pytest.raises(ConfigError, match="--style wave: the model has no such style"):
        load_model(path, "wave")
    chain.save(tmp_path / "new.neuralart")
    assert_same(load_model(tmp_path / "new.neuralart").params, model.params)
    del header["card"]
    write_archive(path, header, arrays, {"style.png": b"small"})
    with pytest.raises(ModelError, match="damaged"):
        load_chain(path)
