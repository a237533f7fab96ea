"""Tiny pictures, a tiny VGG and a tiny chain, so that whole trainings take seconds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from helpers import TINY_CONFIG, TINY_WIDTHS, picture, run_cli
from picture_files import Made, make_fixtures

from neuralart.engine.cuda import installed_flavours
from neuralart.loss.features.store import Features, random_features, read_features
from neuralart.loss.layers import STYLE_LAYERS, conv_names
from neuralart.pictures.writing import write_image

# Two threads take longer than one for arrays this small. MXNet reads the number when it is loaded.
THREADS = os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Where MXNet is not installed, leave out the files whose tests use it directly."""
    if installed_flavours() or collection_path.suffix != ".py":
        return None
    return "engine.door import mx" in collection_path.read_text() or None


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
    """Undo ``--threads``, which sets OMP_NUM_THREADS in this process.

    MXNet has read the number long ago, and a child process with another one computes other bits.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", THREADS)


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
