"""Specifications: read, written, counted, and refused where they are wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.specs import generator_from_dict
from neuralart.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIGS = Path(__file__).parents[2] / "configs"
LAST = {"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"}


def conv(channels: int = 8, **more: Any) -> dict[str, Any]:
    return {"op": "conv", "channels": channels, "kernel": 3, **more}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_specification_survives_being_written(name: str) -> None:
    spec = GENERATORS[name]
    assert generator_from_dict(name, spec.to_dict()) == spec


def test_the_default_chain_is_cheap() -> None:
    """At most 75,000 multiply-adds per pixel; Johnson's network has about 150,000."""
    chain = ["conv", "deconv", "deconv", "conv"]
    assert sum(GENERATORS[name].multiply_adds() for name in chain) <= 75_000


def test_multiply_adds_by_hand() -> None:
    layers = [conv(16, stride=2), {"op": "deconv", "channels": 4, "kernel": 4, "stride": 2}, LAST]
    want = 9 * 3 * 16 / 4 + 16 * 16 * 4 / 4 + 9 * 4 * 3
    assert generator_from_dict("g", {"layers": layers}).multiply_adds() == want


def test_a_resized_map_is_computed_at_its_small_size() -> None:
    layers = [conv(8, stride=2), {**LAST, "kernel": 5, "resize": 2}]
    want = 9 * 3 * 8 / 4 + 9 * 8 * (4 * 3) / 4
    assert generator_from_dict("g", {"layers": layers}).multiply_adds() == want


def test_the_chain_of_2016_costs_what_it_did() -> None:
    tables = tomllib.loads((CONFIGS / "end-to-end-2016.toml").read_text())
    specs = {k: generator_from_dict(k, v) for k, v in tables["generators"].items()}
    assert round(specs["conv-2016"].multiply_adds(), -3) == 189_000
    assert round(specs["deconv-2016"].multiply_adds(), -3) == 121_000
    assert all(s.residual == 0.6 and not s.learn_residual for s in specs.values())


@pytest.mark.engine
@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_every_config_is_one(path: Path) -> None:
    from click.testing import CliRunner

    from neuralart.cli import main

    result = CliRunner().invoke(
        main,
        ["train", "--config", str(path), "--style", "none.jpg", "--data", "none", "--out", "none"],
    )
    assert result.exit_code == 1 and "none.jpg" in result.stderr, result.output


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "layers is missing"),
        ({"layers": []}, "layers is missing or empty"),
        ({"layers": "conv"}, "layers is missing or empty"),
        ({"layers": [LAST], "colour": 1}, "unknown key 'colour'"),
        ({"layers": [LAST], "residual": 1.0}, "residual = 1.0"),
        ({"layers": [LAST], "residual": "much"}, "residual = 'much'"),
        ({"layers": [LAST], "residual": 0}, "learn_residual"),
        ({"layers": ["conv", LAST]}, "layer 0: a layer is a table"),
        ({"layers": [{"op": "conv", "kernel": 3}, LAST]}, "layer 0: channels is missing"),
        ({"layers": [conv(size=3), LAST]}, "unknown key 'size'"),
        ({"layers": [conv(op="pool"), LAST]}, "op = 'pool'"),
        ({"layers": [conv(act="gelu"), LAST]}, "act = 'gelu'"),
        ({"layers": [conv(channels=0), LAST]}, "at least 1"),
        ({"layers": [conv(channels=True), LAST]}, "channels = True"),
        ({"layers": [conv(kernel=2.5), LAST]}, "kernel = 2.5"),
        ({"layers": [conv(pad=-1), LAST]}, "at least 0"),
        ({"layers": [conv(name="a"), conv(name="a"), LAST]}, "'a' is taken"),
        ({"layers": [conv(8, name="a"), conv(4, add="a"), LAST]}, "add = 'a'"),
        ({"layers": [conv(add="later"), LAST]}, "add = 'later'"),
        ({"layers": [conv(stride=2), LAST]}, "as large as the photo"),
        ({"layers": [{"op": "deconv", "channels": 8, "kernel": 4, "stride": 2}, LAST]}, "larger"),
        ({"layers": [conv()]}, "the last layer"),
        ({"layers": [conv(stride=2), {**LAST, "kernel": 5, "resize": 3}]}, "resize = 3"),
        ({"layers": [conv(stride=2), {**LAST, "resize": 2}]}, "kernel 1, 5 or 9"),
        ({"layers": [conv(), {**LAST, "kernel": 5, "resize": 2}]}, "resize 2 makes it larger"),
        ({"layers": [conv(10**9), LAST]}, "channels = 1000000000 is more than 4096"),
        ({"layers": [conv(channels=10**6000), LAST]}, "channels = a int is more than 4096"),
        ({"layers": [conv(4096, kernel=99), LAST]}, "over 100,000,000"),
        ({"layers": [conv()] * 2000 + [LAST]}, "2,001 layers"),
        ({"layers": [conv(stride=64), conv(stride=64), LAST]}, "over 256 times smaller"),
        ({"layers": [conv(name="a/../b"), LAST]}, "name = 'a/../b'"),
        ({"layers": [conv(name="a\n"), LAST]}, r"name = 'a\\n'"),
        ({"layers": [conv(kernel=4), LAST]}, "31 of 32 pixels.*an odd kernel in layer 0"),
        ({"layers": [conv(), {**LAST, "kernel": 2}]}, "31 of 32.*an odd kernel in layer 1"),
        ({"layers": [conv(kernel=99, pad=0), LAST]}, "layer 0: makes 0 of 32 pixels"),
        ({"layers": [conv(pad=0), LAST]}, "makes 30 of 32 pixels"),
        ({"layers": [conv(name="a"), conv(kernel=5, pad=1, add="a"), LAST]}, "30 pixels an edge"),
    ],
)
def test_a_wrong_specification_is_explained(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        generator_from_dict("mine", table)
    assert "'mine'" in str(error.value)
