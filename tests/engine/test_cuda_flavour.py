"""MXNet for GPUs, in an environment of its own; `scripts/test_cuda` makes it and runs these tests.

MXNet's libraries come from packages. No package has the driver's library: on a machine without a
GPU the script makes a stand-in that has no device.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuralart.engine import cuda

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(
        cuda.installed_flavours() != [cuda.FOR_GPUS], reason="not MXNet for GPUs: scripts/test_cuda"
    ),
]
needs_stand_in = pytest.mark.skipif(
    "NEURALART_STAND_IN_DRIVER" not in os.environ, reason="there is a real driver"
)


def neuralart(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "neuralart", *map(str, arguments)]
    env = {**os.environ, **changes}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def test_every_library_is_found_in_its_package_and_loads() -> None:
    for loaded in cuda.load_libraries():
        assert not loaded.problem
        assert f"nvidia/{loaded.library.folder}/lib/{loaded.library.soname}" in loaded.path


@needs_stand_in
def test_without_a_driver_the_doctor_says_so(train_arguments: list[object], tmp_path: Path) -> None:
    result = neuralart("doctor", LD_LIBRARY_PATH="")
    assert result.returncode == 1 and "no NVIDIA driver" in result.stderr
    assert "Traceback" not in result.stderr
    result = neuralart(*train_arguments, "--out", tmp_path / "run", LD_LIBRARY_PATH="")
    assert result.returncode == 1 and "needs NVIDIA's driver" in result.stderr


@needs_stand_in
def test_with_a_driver_mxnet_loads_and_the_doctor_misses_the_card() -> None:
    result = neuralart("doctor")
    assert "for CUDA 11.2" in result.stdout and "1.9.1 (package mxnet-cu112)" in result.stdout
    assert result.returncode == 1 and "sees no card" in result.stderr


@needs_stand_in
def test_a_gpu_that_is_not_there(train_arguments: list[object], tmp_path: Path) -> None:
    result = neuralart(*train_arguments, "--out", tmp_path / "run", "--device", "gpu:0")
    assert result.returncode == 1 and "sees 0 GPUs" in result.stderr


def test_training_on_the_cpu(train_arguments: list[object], tmp_path: Path) -> None:
    assert neuralart(*train_arguments, "--out", tmp_path / "run").returncode == 0
