"""Model files: the card of a trained style, and files that are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from neuralart.chain.model import load_model
from neuralart.errors import ModelError
from neuralart.machine.archive import read_archive, write_archive


def test_a_model_file_describes_its_style(run_dir: Path) -> None:
    model = load_model(run_dir)
    assert load_model(run_dir / "model.neuralart").card == model.card
    assert [spec.name for spec in model.specs] == ["little", "small"]
    assert model.thumbnail.startswith(b"\x89PNG")
    card = model.card
    assert card["style"] == "waves.png" and card["licence"] == "Apache-2.0"
    assert card["steps"] == [6, 6] and len(card["features"]["sha256"]) == 64
    assert card["held_out"]["losses"].keys() == {"photo", "x1", "x2"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("format", "install a newer neuralart"),
        ("generators", "damaged, or not a neuralart model"),
        ("pixels", "made for pixels minus"),
        ("missing", "1 arrays missing: g0_conv0_weight"),
        ("unknown", "1 arrays unknown: g9_weight"),
        ("shape", "1 arrays of another shape: g0_conv0_weight"),
        ("nan", "1 arrays not finite: g0_conv0_weight"),
    ],
)
def test_a_wrong_model_is_refused(run_dir: Path, tmp_path: Path, change: str, words: str) -> None:
    header, arrays, blobs = read_archive(run_dir / "model.neuralart", ModelError, "")
    if change == "format":
        header["format"] = 99
    elif change == "generators":
        header["generators"][0]["layers"] = []
    elif change == "pixels":
        header["pixels"]["mean"] = [0, 0, 0]
    elif change == "missing":
        del arrays["g0_conv0_weight"]
    elif change == "unknown":
        arrays["g9_weight"] = np.zeros(1, np.float32)
    elif change == "shape":
        arrays["g0_conv0_weight"] = arrays["g0_conv0_weight"][:-1]
    elif change == "nan":
        arrays["g0_conv0_weight"] = arrays["g0_conv0_weight"] * np.nan
    write_archive(tmp_path / "m.neuralart", header, arrays, blobs)
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "m.neuralart")


def test_a_run_that_is_not_finished_has_no_model(run_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    (tmp_path / "run" / "model.neuralart").unlink()
    with pytest.raises(ModelError, match="--resume"):
        load_model(tmp_path / "run")
