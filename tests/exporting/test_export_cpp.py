"""docs/examples/paint.cpp, compiled and run by its own instructions, against ONNX Runtime."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from helpers import picture, run_cli
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
SOURCE = DOCS / "examples" / "paint.cpp"
RUNTIME = Path(sys.prefix) / "cpp"

needs_openvino = pytest.mark.skipif(
    shutil.which("g++") is None or not (RUNTIME / "openvino" / "include").exists(),
    reason="no g++, or no OpenVINO: run scripts/install_cpp first",
)


def commands() -> list[str]:
    """The commands in the example's first comment: install, find, build, run."""
    lines = SOURCE.read_text().splitlines()
    return [line.removeprefix("//   ") for line in lines if line.startswith("//   ")]


@pytest.fixture(scope="module")
def paint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program."""
    folder = tmp_path_factory.mktemp("cpp")
    shutil.copy(SOURCE, folder)
    (folder / "runtime").symlink_to(RUNTIME)
    install, place, build, _ = commands()
    assert install.startswith("pip install")
    subprocess.run(["sh", "-e", "-c", f"{place}\n{build}"], cwd=folder, check=True)
    return folder / "paint"


def test_the_documentation_shows_the_example() -> None:
    code = SOURCE.read_text()
    page = (DOCS / "export.md").read_text()
    assert f"```cpp\n{code[code.index('#include') :]}```\n" in page
    assert "```sh\n" + "\n".join(commands()) + "\n```\n" in page


@needs_openvino
@pytest.mark.parametrize("style", ["tiny", "starry-night"])
def test_it_paints_what_onnx_runtime_paints(
    paint: Path, run_dir: Path, tmp_path: Path, style: str
) -> None:
    model = run_dir if style == "tiny" else style
    result = run_cli("export", model, "--to", tmp_path, "--format", "onnx")
    assert result.exit_code == 0, result.output
    photo = picture(5, 41, 67)
    Image.fromarray(photo).save(tmp_path / "photo.ppm")
    subprocess.run([paint, "model.onnx", "photo.ppm", "painting.ppm"], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "painting.ppm") as file:
        painting = np.asarray(file, np.float32)

    session = onnxruntime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    image = photo.astype(np.float32).transpose(2, 0, 1)[None]
    expected = session.run(["painting"], {"image": image})[0][0].transpose(1, 2, 0)
    assert abs(expected - photo).mean() > 1
    difference = abs(painting - expected.round())
    assert difference.max() <= 1 and difference.mean() < 0.01


@needs_openvino
def test_what_is_no_photo(paint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a photo")
    files = [Path("model.onnx"), tmp_path / "notes.txt", tmp_path / "painting.ppm"]
    for arguments in (files[:0], files):
        result = subprocess.run([paint, *arguments], capture_output=True, text=True)
        assert result.returncode == 1 and result.stderr.startswith("usage: paint MODEL.onnx")
    assert not (tmp_path / "painting.ppm").exists()
