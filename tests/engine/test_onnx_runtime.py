"""ONNX Runtime paints what MXNet paints, also where neither MXNet nor PyTorch is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import fails, noise_x, picture, random_model, run_cli
from kinds import KINDS

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.specs import Generator
from neuralart.engine import devices
from neuralart.engine.contract import Devices
from neuralart.engine.devices import open_painting_device
from neuralart.engine.door import mx
from neuralart.errors import ConfigError, EngineError
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.pictures.pixels import to_x
from neuralart.pictures.writing import write_image

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

# The command line where MXNet and PyTorch are not installed.
ALONE = """
import sys
sys.modules["mxnet"] = sys.modules["torch"] = None
from neuralart.engine import cuda
cuda.installed_flavours = lambda: []
from neuralart.__main__ import run
run()
"""


def alone(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ALONE, *map(str, words)], capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def pair() -> tuple[Devices, Devices]:
    return open_painting_device("cpu", "mxnet"), open_painting_device("cpu", "onnx")


@pytest.mark.parametrize(
    "words",
    [
        ["--style", "starry-night"],
        ["--style", "starry-night=0.6,scream=0.4", "--tile", 300],
        ["--style", "wave", "--stage", 2, "--strength", 0.7, "--size", 300],
    ],
)
def test_the_painting_is_mxnets_within_a_level(words: list[object], tmp_path: Path) -> None:
    photo, ours, theirs = (tmp_path / f"{name}.png" for name in ("photo", "mxnet", "onnx"))
    write_image(photo, picture(3, 340, 451))
    assert run_cli("stylize", photo, ours, *words).exit_code == 0
    result = alone("stylize", photo, theirs, *words)
    assert (result.returncode, result.stderr) == (0, "")
    a, b = (cv2.imread(str(path)).astype(int) for path in (ours, theirs))
    assert a.std() > 10
    assert abs(a - b).max() <= 1


def test_a_folder_is_painted_like_its_photos(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(3):
        write_image(folder / f"{seed}.png", picture(seed, 40 + 60 * seed, 75))
    assert run_cli("stylize", folder, f"{tmp_path / 'mxnet'}/").exit_code == 0
    result = alone("stylize", folder, f"{tmp_path / 'onnx'}/")
    assert result.returncode == 0 and "3 painted" in result.stderr, result.stderr
    for name in ("0.png", "1.png", "2.png"):
        ours, theirs = (
            cv2.imread(str(tmp_path / engine / name)).astype(int) for engine in ("mxnet", "onnx")
        )
        assert abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("spec", [*GENERATORS.values(), *KINDS.values()], ids=lambda s: s.name)
def test_every_kind_of_generator_measures_and_paints_alike(
    spec: Generator, pair: tuple[Devices, Devices]
) -> None:
    model = random_model([spec, spec])
    x = to_x(picture(5, 58, 75))
    statistics, paintings, whole = [], [], []
    for each in pair:
        painter = ReferencePainter(model.specs, model.params, each)
        statistics.append(painter.measure(x))
        paintings.append(painter.paint(x, statistics[0]))
        whole.append(painter.paint_at_once(x))
    for name, array in statistics[0].items():
        np.testing.assert_allclose(statistics[1][name], array, rtol=1e-3, atol=1e-3, err_msg=name)
    for ours, theirs in zip(*paintings, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.05)
    np.testing.assert_allclose(*whole, atol=0.05)
    for tile in (0, 256):
        a, b = (
            PhotoPainter(model, each, 2, tile=tile).paint(picture(6, 310, 290)) for each in pair
        )
        assert abs(a.astype(int) - b).max() <= 1


def test_photos_do_not_change_each_other(pair: tuple[Devices, Devices]) -> None:
    model = random_model([GENERATORS["conv-fast"]])
    photos = [picture(seed, 300, 280 + seed) for seed in (1, 2, 1)]
    painter = PhotoPainter(model, pair[1], 1)
    first, second, again = map(painter.paint, photos)
    assert np.array_equal(first, again) and first.shape != second.shape
    assert np.array_equal(second, PhotoPainter(model, pair[1], 1).paint(photos[1]))


def test_other_parameters_are_taken_and_equal_ones_kept(pair: tuple[Devices, Devices]) -> None:
    symbol = mx.sym.Convolution(
        mx.sym.Variable("x"), num_filter=2, kernel=(1, 1), no_bias=True, name="c"
    )
    executor = pair[1].executor(symbol, {"x": (1, 2, 3, 3)})
    x, one = noise_x()[:, :2, :3, :3], np.eye(2, dtype=np.float32)[:, :, None, None]
    for factor in (1, 3, 3):
        executor.set_parameters({"c_weight": factor * one})
        ((out,),) = executor.forward(x=pair[1].put(x))
        np.testing.assert_allclose(out, factor * x, rtol=1e-6)
    with pytest.raises(KeyError):
        executor.set_parameters({})
    with pytest.raises(EngineError, match="training and measuring need MXNet or PyTorch"):
        executor.backward(None)
    assert executor.parameters()["c_weight"][1, 1, 0, 0] == 3


def test_frames_are_the_same(pair: tuple[Devices, Devices]) -> None:
    x = noise_x(height=5, width=7)
    results = []
    for each in pair:
        batch, edges = each.put(x), (2, 9, 1, 3)
        made = [
            each.reflect(batch, edges),
            each.surround(batch, edges),
            each.inside(each.surround(batch, edges), edges),
            each.flatten([batch, batch]),
            each.squares(batch),
        ]
        results.append([each.get(batch) for batch in made])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_what_it_cannot_do_is_a_line(
    train_arguments: list[object], style_file: Path, photo_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    photo = photo_dir / "0.png"
    for words in (
        [*train_arguments, "--out", out],
        ["evaluate", "starry-night", "--data", photo_dir],
        ["stylize", "--precision", "int8", photo, out.with_suffix(".png")],
    ):
        result = alone(*words)
        last = result.stderr.splitlines()[-1]
        assert last.startswith("error:") and "[torch]" in last, result.stderr
        assert not out.exists() and not out.with_suffix(".png").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--engine", "onnx", "--device", "cuda:0"],
        ["--engine", "onnx", "--device", "cpu:1"],
        ["--engine", "torch", "--device", "gpu:0"],
        ["--engine", "mxnet", "--device", "torch:cpu"],
        ["--engine", "onnx", "--precision", "bfloat16"],
    ],
)
def test_an_engine_has_its_own_devices(
    words: list[object], photo_dir: Path, tmp_path: Path
) -> None:
    result = run_cli("stylize", photo_dir / "0.png", tmp_path / "out.png", *words)
    fails(result, ConfigError.exit_code, words[-1])


def test_which_engine_paints_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_painting_device("cpu").names == ("cpu:0",)
    monkeypatch.setattr(devices, "installed_flavours", list)
    assert open_painting_device("cpu").names == ("onnx:cpu:0",)
    with pytest.raises(EngineError, match="MXNet is not installed"):
        open_painting_device("cpu", "mxnet")
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="ONNX Runtime paints"):
        devices.open_device("cpu")
    monkeypatch.setattr(devices.limits, "is_installed", lambda: False)
    with pytest.raises(EngineError, match="not installed"):
        open_painting_device("cpu", "onnx")
    with pytest.raises(EngineError, match="neither MXNet nor PyTorch"):
        open_painting_device("cpu")


def test_mxnet_is_not_imported_for_another_engine(photo_dir: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from neuralart.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'onnxruntime' in sys.modules and not {'mxnet', 'torch'} & set(sys.modules)"
    )
    words = ["stylize", photo_dir / "0.png", tmp_path / "out.png", "--engine", "onnx"]
    subprocess.run([sys.executable, "-c", code, *map(str, words)], check=True)
    assert (tmp_path / "out.png").exists()


def test_a_symbol_is_mxnets_once_mxnet_computes() -> None:
    code = (
        "from neuralart.engine.recorder import RecordedSymbol, use_recorder\n"
        "use_recorder()\n"
        "from neuralart.engine.symbols import sym\n"
        "assert isinstance(sym.Variable('x'), RecordedSymbol)\n"
        "from neuralart.engine.devices import open_painting_device\n"
        "assert open_painting_device('cpu').names == ('cpu:0',)\n"
        "assert not isinstance(sym.Variable('x'), RecordedSymbol)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mxnet_is_imported_without_what_it_does_not_need() -> None:
    code = (
        "import sys, numpy, neuralart.engine.door as door\n"
        "assert not {'h5py', 'onnx', 'scipy.sparse', 'scipy.stats'} & set(sys.modules)\n"
        "import onnx, scipy.sparse, scipy.stats\n"
        "assert scipy.stats.norm.cdf(0) == 0.5 and numpy.dtype('bfloat16').itemsize == 2"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
