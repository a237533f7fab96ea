"""The wheel, installed in another folder: it has models, features and the page, and needs no net."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import picture

from neuralart.exporting.page import BUILT
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

PROJECT = Path(__file__).parents[1]

# Nothing answers here: what asks the net fails at once.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source") / "project"
    skipped = shutil.ignore_patterns(".*", "node_modules", "build", "*.egg-info", "runs", "demo")
    shutil.copytree(PROJECT, source, ignore=skipped)
    out = source.with_name("wheels")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's contents, found before this project's own."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def neuralart(site: Path, folder: Path, *words: object) -> str:
    """Run the installed command in a folder, without the net and without a home."""
    env = {**os.environ, "PYTHONPATH": str(site), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    env |= {"http_proxy": NOWHERE, "https_proxy": NOWHERE}
    done = subprocess.run(
        [sys.executable, "-m", "neuralart", *map(str, words)],
        env=env, cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_name_is_ours_and_its_metadata_complete(wheel: Path) -> None:
    assert wheel.name.startswith("neuralart_chain-")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (file,) = (name for name in names if name.endswith("/METADATA"))
        metadata = archive.read(file).decode()
        (file,) = (name for name in names if name.endswith("/entry_points.txt"))
        assert "neuralart = neuralart.__main__:run" in archive.read(file).decode()
    for field in ("License: Apache-2.0", "Project-URL: ", "Classifier: Typing :: Typed"):
        assert field in metadata
    for extra in ("cpu", "cuda", "torch", "onnx", "video", "keras"):
        assert f"Provides-Extra: {extra}\n" in metadata
    assert "neuralart/py.typed" in names and "neuralart/data/features-small.npz" in names
    assert any(name.startswith("neuralart/data/models/") for name in names)
    assert not any(name.startswith(("tests", "web")) for name in names)


def test_it_paints_and_exports_elsewhere_without_the_net(site: Path, tmp_path: Path) -> None:
    where = neuralart(site, tmp_path, "info", "wave", "--thumbnail", "wave.png")
    assert "wave" in where and (tmp_path / "wave.png").exists()
    assert "starry-night" in neuralart(site, tmp_path, "models")
    write_image(tmp_path / "photo.png", picture(3, 64, 80))
    neuralart(site, tmp_path, "stylize", "photo.png", "painting.png", "--style", "wave")
    assert read_image(tmp_path / "painting.png").shape == (64, 80, 3)
    neuralart(site, tmp_path, "export", "wave", "--to", "e", "--format", "onnx")
    assert (tmp_path / "e" / "model.onnx").exists()


@pytest.mark.skipif(not (BUILT / "sw.js").exists(), reason="scripts/build_web was not run")
def test_it_has_the_page(site: Path, tmp_path: Path) -> None:
    neuralart(site, tmp_path, "export", "wave", "--to", "page", "--format", "web")
    assert (tmp_path / "page" / "index.html").exists()
