"""The commands on PyTorch's processor: trainings, also begun or ended by MXNet, and pictures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, needs_mxnet, picture, run_cli
from test_resume import MORE, assert_the_same, stop_when
from workers.test_distributed import finish, lose_a_worker, start

from neuralart.chain.model import load_model
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

pytest.importorskip("torch")

TORCH = ["--device", os.environ.get("NEURALART_TORCH_DEVICE", "torch:cpu")]


@pytest.fixture(scope="module")
def torch_run(train_arguments: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole training by PyTorch."""
    out = tmp_path_factory.mktemp("torch") / "run"
    result = run_cli(*train_arguments, *MORE, *TORCH, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def assert_close(run: Path, other: Path, tolerance: float = 1e-3) -> None:
    params, others = load_model(run).params, load_model(other).params
    for name, array in params.items():
        np.testing.assert_allclose(array, others[name], atol=tolerance, err_msg=name)
    losses = [load_model(each).card["held_out"]["losses"]["x2"]["total"] for each in (run, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def interrupted(arguments: list[object], out: Path) -> None:
    checkpoint = out / "checkpoints" / "0-00000010.zip"
    process = stop_when([*arguments, "--out", out], checkpoint.exists, signal.SIGINT)
    stderr = process.communicate()[1]
    assert process.returncode == 130 and "--resume" in stderr, stderr


def test_a_run_goes_on_to_the_same_bits(
    train_arguments: list[object], torch_run: Path, tmp_path: Path
) -> None:
    arguments = [*train_arguments, *MORE, *TORCH]
    interrupted(arguments, tmp_path / "run")
    assert run_cli(*arguments, "--out", tmp_path / "run", "--resume").exit_code == 0
    assert_the_same(torch_run, tmp_path / "run")


@needs_mxnet
@pytest.mark.parametrize("devices", [["cpu", *TORCH[1:]], [*TORCH[1:], "cpu"]])
def test_a_run_goes_on_with_the_other_engine(
    train_arguments: list[object], torch_run: Path, tmp_path: Path, devices: list[str]
) -> None:
    out, (first, second) = tmp_path / "run", devices
    interrupted([*train_arguments, *MORE, "--device", first], out)
    command = [*train_arguments, *MORE, "--out", out, "--device", second, "--resume"]
    assert run_cli(*command).exit_code == 0
    assert_close(out, torch_run)


@needs_mxnet
def test_both_engines_paint_measure_and_optimise_alike(
    torch_run: Path, photo_dir: Path, style_file: Path, features_file: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    write_image(photo, picture(5, 90, 71))
    pictures, optimised, measured = [], [], []
    for name, device in (("a", ["--device", "cpu"]), ("b", TORCH)):
        out = tmp_path / f"{name}.png"
        assert run_cli("stylize", photo, out, "--model", torch_run, *device).exit_code == 0
        pictures.append(read_image(out).astype(int))
        command = ["optimize", photo, out, "--style", style_file, "--features", features_file]
        assert run_cli(*command, "--iterations", 3, "--overwrite", *device).exit_code == 0
        optimised.append(read_image(out).astype(int))
        table = tmp_path / f"{name}.json"
        command = ["evaluate", torch_run, "--data", photo_dir, "--features", features_file]
        more = ["--size", 64, "--photos", 2, "--json", table]
        assert run_cli(*command, *more, *device).exit_code == 0
        measured.append(json.loads(table.read_text())["losses"]["x2"]["total"])
    assert abs(pictures[0] - pictures[1]).max() <= 1
    assert abs(optimised[0] - optimised[1]).max() <= 3
    assert measured[0] == pytest.approx(measured[1], rel=1e-3)


def test_bfloat16_trains_nearly_alike(
    train_arguments: list[object], torch_run: Path, tmp_path: Path
) -> None:
    command = [*train_arguments, *MORE, *TORCH, "--precision", "bfloat16"]
    assert run_cli(*command, "--out", tmp_path / "run").exit_code == 0
    losses = [
        load_model(each).card["held_out"]["losses"]["x2"]["total"]
        for each in (torch_run, tmp_path / "run")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_a_dry_run(train_arguments: list[object], tmp_path: Path) -> None:
    result = run_cli(*train_arguments, *TORCH, "--out", tmp_path / "run", "--dry-run")
    assert result.exit_code == 0 and f"on {TORCH[1]}" in result.output
    assert not (tmp_path / "run").exists()


def test_two_workers_end_where_one_does(
    train_arguments: list[object], torch_run: Path, tmp_path: Path
) -> None:
    """By gloo over loopback, both by `neuralart launch` and as torchrun starts them."""
    more = [*MORE, "--batch", 2]
    assert run_cli(*train_arguments, *more, *TORCH, "--out", tmp_path / "one").exit_code == 0
    out = tmp_path / "two"
    code, stdout, stderr = finish(start(*train_arguments[1:], *more, *TORCH, "--out", out))
    assert (code, stdout) == (0, f"{out / 'model.neuralart'}\n"), stderr
    assert_close(out, tmp_path / "one", 2e-5)
    out = tmp_path / "three"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", 2, "-m"]
    command = [*torchrun, "neuralart", *train_arguments, *more, *TORCH, "--out", out]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*map(str, command)], env=env, check=True, capture_output=True)
    assert_close(out, tmp_path / "one", 2e-5)


def test_a_worker_that_dies_stops_the_job_which_resumes(
    train_arguments: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [*train_arguments[1:], *MORE, "--batch", 2, "--save-every", 1, *TORCH, "--out", out]
    assert "stopped after step" in lose_a_worker(command, out)
    code, stdout, stderr = finish(start("--workers", 2, *command, "--resume"))
    assert (code, stdout) == (0, f"{out / 'model.neuralart'}\n"), stderr


def test_what_pytorch_cannot_do(train_arguments: list[object], tmp_path: Path) -> None:
    out, photo = tmp_path / "r", tmp_path / "photo.png"
    write_image(photo, picture(5))
    fails(
        run_cli(*train_arguments, "--out", out, "--device", "cuda:7"), 1, "sees 0 cards", "doctor"
    )
    fails(run_cli(*train_arguments, "--out", out, "--device", "mps"), 1, "--device cpu")
    fails(run_cli(*train_arguments, "--out", out, "--device", "cuda:0,0"), 2, "twice")
    fails(run_cli(*train_arguments, "--out", out, "--device", "torch"), 2, "not a device")
    command = ["stylize", photo, tmp_path / "out.png", *TORCH]
    fails(run_cli(*command, "--precision", "int8"), 2, "float32 and bfloat16", "MXNet")
    assert not out.exists() and not (tmp_path / "out.png").exists()


@needs_mxnet
def test_mxnet_trains_in_float32(train_arguments: list[object], tmp_path: Path) -> None:
    result = run_cli(*train_arguments, "--out", tmp_path / "r", "--precision", "bfloat16")
    fails(result, 2, "MXNet computes in float32", "cuda:0")
