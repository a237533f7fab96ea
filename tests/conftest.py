"""Tiny pictures, a tiny VGG and a tiny chain, so that whole trainings take seconds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from picture_files import Made, make_fixtures

from neuralart.cli import main
from neuralart.features import Features, random_features, read_features
from neuralart.images import Image, write_image
from neuralart.model import Model
from neuralart.modules.painter import array_shapes
from neuralart.specs import RGB, Generator
from neuralart.symbols.vgg import STYLE_LAYERS, conv_names

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


@pytest.fixture(scope="session")
def tiny_features() -> Features:
    """VGG-19's topology with 4 to 12 channels, random weights."""
    return random_features(seed=1, widths=TINY_WIDTHS)


@pytest.fixture(scope="session")
def tiny_file_arrays() -> dict[str, np.ndarray]:
    """The arrays of a features file with heads, in the form of a distilled VGG-19."""
    rng = np.random.default_rng(2)
    arrays = {
        "input_weight": (np.eye(3)[::-1] * 255)[:, :, None, None].astype(np.float32),
        "input_bias": np.array([-103.9, -116.8, -123.7], np.float32),
    }
    channels = 3
    for block, name in conv_names("relu5_1"):
        out = TINY_WIDTHS[block - 1]
        arrays[f"conv{name}_weight"] = rng.normal(0, 0.2, (out, channels, 3, 3)).astype(np.float32)
        arrays[f"conv{name}_bias"] = rng.normal(0, 0.1, out).astype(np.float32)
        channels = out
    for i, layer in enumerate(STYLE_LAYERS):
        head = layer.replace("relu", "head")
        shape = (3 * TINY_WIDTHS[i], TINY_WIDTHS[i], 1, 1)
        arrays[f"{head}_weight"] = rng.normal(0, 0.3, shape).astype(np.float32)
        arrays[f"{head}_bias"] = rng.normal(0, 0.3, shape[0]).astype(np.float32)
    return arrays


@pytest.fixture(scope="session")
def features_file(
    tmp_path_factory: pytest.TempPathFactory, tiny_file_arrays: dict[str, np.ndarray]
) -> Path:
    path = tmp_path_factory.mktemp("features") / "tiny.npz"
    np.savez(path, **tiny_file_arrays)
    assert read_features(path).spec.widths == TINY_WIDTHS
    return path


@pytest.fixture(scope="session")
def photo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos in two folders and formats, and three files that are not photos."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for seed in range(8):
        write_image(folder / f"{seed}.png", picture(seed))
    for seed in range(4):
        write_image(folder / "more" / f"{seed}.jpg", picture(seed + 8, 50, 36))
    whole = (folder / "more" / "0.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    write_image(folder / "small.png", picture(99, 9, 9))
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture(scope="session")
def style_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("style") / "waves.png"
    write_image(path, picture(1000, 64, 64))
    return path


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(TINY_CONFIG)
    return path


@pytest.fixture(autouse=True)
def same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--threads`` sets OMP_NUM_THREADS, which MXNet here has read long ago; a child process must not
    inherit another number, or its bits differ."""
    import neuralart.engine  # noqa: F401  # sets the number for this process

    monkeypatch.setenv("OMP_NUM_THREADS", os.environ["OMP_NUM_THREADS"])


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


@pytest.fixture(scope="session")
def every_picture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Made]]:
    """A folder with tiny picture files of every kind, and what is in them."""
    folder = tmp_path_factory.mktemp("every") / "pictures"
    return folder, make_fixtures(folder)


@pytest.fixture(scope="session")
def train_arguments(
    style_file: Path, photo_dir: Path, tiny_config: Path, features_file: Path
) -> list[object]:
    """A whole training in a second or two; the test adds --out."""
    return [
        "train", "--config", tiny_config, "--style", style_file, "--data", photo_dir,
        "--features", features_file,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory, train_arguments: list[object]) -> Path:
    """The folder of a finished training."""
    out = tmp_path_factory.mktemp("runs") / "waves"
    result = run_cli(*train_arguments, "--out", out)
    assert result.exit_code == 0, result.output
    return out
