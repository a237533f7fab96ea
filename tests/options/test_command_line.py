"""Options: their precedence, config files, and wrong values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from helpers import fails, run_cli

from neuralart.cli import main
from neuralart.cli.group import Commands
from neuralart.options import command_line as options
from neuralart.options.train import TrainConfig


@click.group(cls=Commands, context_settings={"auto_envvar_prefix": "NEURALART"})
def show() -> None:
    pass


@show.command()
@options.config_option
@options.options_of(TrainConfig)
def train(**values: Any) -> None:
    """Show some options instead of training with them."""
    config = TrainConfig(**values, generators=options.generators_of_config())
    click.echo(
        f"{config.steps} {config.rate} {config.chain} {config.out} {sorted(config.generators)}"
    )


def shown(*arguments: object, env: dict[str, str] | None = None) -> Result:
    """Run the `train` above."""
    words = ["train", "--style", "s", "--data", "d", *map(str, arguments)]
    return CliRunner().invoke(show, words, env=env)


def test_the_command_line_precedes_environment_file_and_default(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[train]\nsteps = 7\nrate = 0.5\n")
    env = {"NEURALART_TRAIN_STEPS": "8"}
    assert shown().stdout.split()[0] == str(TrainConfig(style=Path(), data=Path()).steps)
    assert shown("--config", file).stdout.split()[:2] == ["7", "0.5"]
    assert shown("--config", file, env=env).stdout.split()[:2] == ["8", "0.5"]
    assert shown("--steps", 9, "--config", file, env=env).stdout.split()[:2] == ["9", "0.5"]


def test_a_file_may_define_generators(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        '[train]\nchain = ["mine", "conv"]\n[generators.mine]\n'
        'layers = [{ op = "conv", channels = 3, kernel = 3, act = "tanh" }]\n'
    )
    assert shown("--config", file).stdout.split()[2:] == ["mine,conv", "None", "['mine']"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps = ", "not TOML"),
        ("[train]\nstepps = 3", "unknown key 'stepps'; did you mean steps?"),
        ("[paint]\nx = 1", "unknown section 'paint'; known are [generators], [train]"),
        ("steps = 3", "unknown section 'steps'"),
        ("[train]\nsteps = {a = 1}", "steps is a table"),
        ("[generators.mine]\nlayers = 3", "generator 'mine'"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    fails(shown("--config", file), 2, words)


def test_a_missing_or_binary_file_is_explained(tmp_path: Path) -> None:
    fails(shown("--config", tmp_path / "none.toml"), 2, "none.toml: cannot be read")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    fails(shown("--config", tmp_path / "b.toml"), 2, "not TOML")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--steps", "-1"], ["--steps", "many"], ["--crop", "31"], ["--rate", "nan"],
        ["--rate", "inf"], ["--minutes", "-1"], ["--coupling", "some"], ["--colour"],
        ["--seed", "-1"],
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_usage_error(arguments: list[str]) -> None:
    result = shown(*arguments)
    fails(result, 2, "Error:")


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_option_has_a_help_text(name: str) -> None:
    command = main.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    assert run_cli(name, "--help").exit_code == 0


@pytest.mark.engine
def test_an_unknown_kind_of_generator_is_explained(
    train_arguments: list[object], tmp_path: Path
) -> None:
    result = run_cli(*train_arguments, "--out", tmp_path / "out", "--chain", "little,gan")
    fails(
        result,
        2,
        "no generator 'gan'",
        "conv, deconv, conv-fast, conv-slim, deconv-fast, little, small",
    )
    assert not (tmp_path / "out").exists()
