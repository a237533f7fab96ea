"""What tests of several folders use: tiny pictures, nets and models, and the command line in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from neuralart.chain.model import Model, Style, StyledChain
from neuralart.chain.params import array_shapes, initial_params, is_row
from neuralart.chain.specs import RGB, Generator, generator_from_dict, norm_names
from neuralart.cli import main
from neuralart.engine.cuda import installed_flavours
from neuralart.machine.archive import Arrays
from neuralart.pictures.pixels import Image, Pixels, X

needs_mxnet = pytest.mark.skipif(not installed_flavours(), reason="MXNet is not installed")

TINY_WIDTHS = (4, 6, 8, 10, 12)

TINY_CONFIG = """
[train]
chain = ["little", "small"]
crop = 64
style_scale = 64
batch = 1
steps = 6
joint_steps = 0
save_every = 2
sheet_every = 3
holdout = 2

[generators.little]
layers = [
  { op = "conv", channels = 4, kernel = 3 },
  { op = "conv", channels = 3, kernel = 3, norm = false, act = "tanh" },
]

[generators.small]
layers = [
  { op = "conv", channels = 4, kernel = 3, stride = 2 },
  { op = "conv", channels = 4, kernel = 3, add = "conv0", act = "none" },
  { op = "deconv", channels = 4, kernel = 4, stride = 2 },
  { op = "conv", channels = 3, kernel = 3, norm = false, act = "tanh" },
]
"""


LITTLE = generator_from_dict(
    "little",
    {
        "layers": [
            {"op": "conv", "channels": 5, "kernel": 3, "stride": 2},
            {"op": "deconv", "channels": 4, "kernel": 4, "stride": 2},
            {"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"},
        ]
    },
)


def picture(seed: int, height: int = 40, width: int = 48) -> Image:
    """Coloured waves with noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    a, b, c = rng.uniform(2, 9, 3)
    waves = np.stack([np.sin(rows / a), np.cos(columns / b), np.sin((rows + columns) / c)], axis=-1)
    return (127 + 90 * waves + rng.normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8)


def random_model(specs: Sequence[Generator], seed: int = 0) -> Model:
    """An untrained style of these generators whose every part does something."""
    rng = np.random.default_rng(seed)
    params = {}
    for name, shape in array_shapes(specs).items():
        values = rng.normal(0, 1 / np.sqrt(max(1, np.prod(shape[1:]))), shape)
        if name.endswith("gamma"):
            values = 1 + 0.2 * abs(values)
        params[name] = values.astype(np.float32)
    for k, spec in enumerate(specs):
        last = spec.layers[-1]
        params[f"g{k}_{last.name}_weight"][RGB:] = 0
        # Taps on a pixel that is repeated add up.
        params[f"g{k}_{last.name}_weight"] /= last.resize
    return Model(tuple(specs), params, {})


def random_chain(specs: Sequence[Generator], names: Sequence[str]) -> StyledChain:
    """An untrained chain whose styles are as different as those of `random_model`."""
    models = [random_model(specs, seed) for seed in range(len(names))]
    chain = StyledChain.of(dataclasses.replace(models[0], name=names[0]))
    for name, model in zip(names[1:], models[1:], strict=True):
        chain = chain.with_style(Style(name, {}), model.params)
    return chain


def random_statistics(specs: Sequence[Generator], seed: int = 0) -> Arrays:
    """The mean and variance of every norm, as if they had been measured on a photo."""
    rng, shapes = np.random.default_rng(seed), array_shapes(specs)
    statistics = {}
    for norm in norm_names(specs):
        mean, deviation = rng.normal(0, 1, (2, *shapes[f"{norm}_gamma"]))
        statistics[f"{norm}_moving_mean"] = mean.astype(np.float32)
        statistics[f"{norm}_moving_var"] = (1 + 0.2 * abs(deviation)).astype(np.float32)
    return statistics


def run_cli(*arguments: object) -> Result:
    """The command line in this process; an unexpected exception fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def files_below(folder: Path) -> list[str]:
    """The files in a folder and below, sorted, relative to it."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def stylize(run_dir: Path, *words: object) -> Result:
    """Run the command on a model of this run; it must succeed."""
    result = run_cli("stylize", *words, "--model", run_dir)
    assert result.exit_code == 0, result.output
    return result


def fails(result: Result, exit_code: int, *words: str) -> None:
    """One line on stderr that has these words, nothing on stdout, and this exit code."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note:")]
    message = lines[-1]
    assert exit_code == 2 or len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in message


def lively(specs: Sequence[Generator], seed: int = 0, styles: int | None = None) -> Arrays:
    """Parameters as after some training: no layer is near zero.

    Scales and shifts are (styles, C) for a chain that trains, or (C,) to paint with.
    """
    rng = np.random.default_rng(seed)
    params = {
        k: v[0] if styles is None and is_row(k) else v
        for k, v in initial_params(specs, seed, styles=styles or 1).items()
    }
    return {
        k: (v * 3 if "_weight" in k else v + rng.normal(0, 0.2, v.shape)).astype(np.float32)
        for k, v in params.items()
    }


def noise(height: int, width: int, kind: type = np.uint8) -> Pixels:
    """Noise as a picture of 8 or 16 bits: (height, width, 3)."""
    rng = np.random.default_rng(height)
    return rng.integers(0, np.iinfo(kind).max, (height, width, 3), kind, endpoint=True)


def noise_x(seed: int = 0, height: int = 32, width: int = 32) -> X:
    """Noise in the form of a photo: (1, 3, height, width), RGB minus mean."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 50, (1, 3, height, width)).astype(np.float32)
