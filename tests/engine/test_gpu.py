"""Training, painting and resuming with ``--device gpu:0``, on machines with a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import picture, run_cli

from neuralart.engine.door import mx
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(mx.context.num_gpus() == 0, reason="no GPU here"),
]


def test_train_paint_and_resume_on_a_gpu(train_arguments: list[object], tmp_path: Path) -> None:
    arguments = [*train_arguments, "--out", tmp_path / "run", "--device", "gpu:0"]
    assert run_cli(*arguments).exit_code == 0
    assert run_cli(*arguments, "--resume").exit_code == 0
    photo = tmp_path / "photo.png"
    write_image(photo, picture(0))
    paintings = []
    for device in ("cpu", "gpu:0"):
        out = tmp_path / f"{device[:3]}.png"
        command = ["stylize", photo, out, "--model", tmp_path / "run", "--device", device]
        assert run_cli(*command).exit_code == 0
        paintings.append(read_image(out).astype(int))
    assert np.abs(paintings[0] - paintings[1]).max() <= 2
