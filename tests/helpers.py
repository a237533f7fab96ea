"""What tests of several folders use: tiny pictures, nets and models, and the command line in this process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from click.testing import CliRunner, Result

from neuralart.chain.model import Model
from neuralart.chain.params import array_shapes, initial_params
from neuralart.chain.specs import RGB, Generator, generator_from_dict
from neuralart.cli import main
from neuralart.machine.archive import Arrays
from neuralart.pictures.pixels import Image

TINY_WIDTHS = (4, 6, 8, 10, 12)

TINY_CONFIG = """
[train]
chain = ["little", "small"]
crop = 32
style_scale = 32
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
    arrays = {}
    for name, shape in array_shapes(specs).items():
        values = rng.normal(0, 1 / np.sqrt(max(1, np.prod(shape[1:]))), shape)
        if name.endswith(("gamma", "moving_var")):
            values = 1 + 0.2 * abs(values)
        arrays[name] = values.astype(np.float32)
    for k, spec in enumerate(specs):
        last = spec.layers[-1]
        arrays[f"g{k}_{last.name}_weight"][RGB:] = 0
        # Taps on a pixel that is repeated add up.
        arrays[f"g{k}_{last.name}_weight"] /= last.resize
    statistics = {name: array for name, array in arrays.items() if "_moving_" in name}
    params = {name: array for name, array in arrays.items() if name not in statistics}
    return Model(tuple(specs), params, statistics, {}, b"")


def run_cli(*arguments: object) -> Result:
    """The command line in this process; an unexpected exception fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
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


def lively(specs: list[Generator], seed: int = 0) -> Arrays:
    """Parameters as after some training: no layer is near zero."""
    rng = np.random.default_rng(seed)
    params = initial_params(specs, seed)
    return {
        k: (v * 3 if "_weight" in k else v + rng.normal(0, 0.2, v.shape)).astype(np.float32)
        for k, v in params.items()
    }
