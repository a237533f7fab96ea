"""Model files: written, read back, and refused when damaged or of another version."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers import LITTLE, random_model

from neuralart.chain.model import StyledChain, load_model
from neuralart.errors import ModelError
from neuralart.machine.archive import open_archive, write_archive

MODEL = dataclasses.replace(random_model([LITTLE, LITTLE]), card={"style": "waves.png"})


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.neuralart"
    StyledChain.of(MODEL).save(path)
    return path


def test_a_model_is_read_as_it_was_saved(model_file: Path) -> None:
    for path in (model_file, model_file.parent):  # the folder of a run is its model
        model = load_model(path)
        assert (model.specs, model.card) == (MODEL.specs, MODEL.card)
        assert model.params.keys() == MODEL.params.keys()
        for name, array in model.params.items():
            np.testing.assert_array_equal(array, MODEL.params[name], err_msg=name)


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
def test_a_wrong_model_is_refused(model_file: Path, change: str, words: str) -> None:
    with open_archive(model_file, ModelError, "") as archive:
        header, arrays = archive.header, archive.arrays()
        blobs = {"styles/style.png": archive.blob("styles/style.png")}
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
    write_archive(model_file, header, arrays, blobs)
    with pytest.raises(ModelError, match=words):
        load_model(model_file)


def test_a_run_that_is_not_finished_has_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--resume"):
        load_model(tmp_path)
