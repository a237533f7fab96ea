"""``export`` and ``--verify`` through the command line: formats, places, and refusals."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import LITTLE, fails, picture, random_chain, random_model, run_cli

from neuralart.chain.model import Style, StyledChain, load_chain, load_model
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.specs import generator_from_dict
from neuralart.engine.devices import open_device
from neuralart.exporting.parity import PHOTOS
from neuralart.exporting.targets import TARGETS
from neuralart.pictures.frame import FRAME_PX
from neuralart.pictures.pixels import PIXEL_MEAN
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import encode_image, write_image

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


FIRST, SECOND = (encode_image(picture(seed, 24, 30), ".png") for seed in (1, 2))
"""Thumbnails."""


@pytest.fixture(scope="session")
def style_model(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> Path:
    """A style of two small generators, untrained."""
    tables = tomllib.loads(tiny_config.read_text())["generators"]
    model = random_model([generator_from_dict(name, table) for name, table in tables.items()])
    path = tmp_path_factory.mktemp("models") / "waves.neuralart"
    card = {"style": "waves.png", "licence": "Apache-2.0"}
    model = dataclasses.replace(model, card=card, thumbnail=FIRST, name="waves")
    StyledChain.of(model).save(path)
    return path


NAMES = ["waves", "dots", "lines"]


@pytest.fixture(scope="session")
def chain_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain of two small generators in three styles, untrained; the last has no thumbnail."""
    chain = random_chain([LITTLE, LITTLE], NAMES)
    styles = tuple(
        Style(name, {"style": f"{name}.png", "licence": "Apache-2.0"}, thumbnail)
        for name, thumbnail in zip(NAMES, [FIRST, SECOND, b""], strict=True)
    )
    path = tmp_path_factory.mktemp("chains") / "three.neuralart"
    dataclasses.replace(chain, styles=styles).save(path)
    return path


def chain_painting(file: Path, photo: np.ndarray, choice: str) -> np.ndarray:
    """What the chain paints as it was trained: (H, W, 3) uint8 -> (H, W, 3) float."""
    model = load_chain(file).model(choice)
    painter = ReferencePainter(model.specs, model.params, open_device("cpu"))
    x = photo.astype(np.float32).transpose(2, 0, 1)[None] - PIXEL_MEAN[None, :, None, None]
    painting = painter.paint(x, painter.measure(x))[-1][0].transpose(1, 2, 0)
    return (painting + PIXEL_MEAN).clip(0, 255)


def ort_run(file: Path, photo: np.ndarray, mixture: list[float] | None = None) -> np.ndarray:
    """Paint as docs/export.md does: (H, W, 3) uint8 -> (H, W, 3) float."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feeds = {"image": photo.astype(np.float32).transpose(2, 0, 1)[None]}
    if mixture:
        feeds["mixture"] = np.array([mixture], np.float32)
    return session.run(["painting"], feeds)[0][0].transpose(1, 2, 0)


PLAIN = """
import sys
sys.modules["neuralart"] = None  # an import of it fails
import numpy as np
if "bool" not in np.__dict__: np.bool = bool
import warnings; warnings.simplefilter("ignore")
import mxnet as mx
folder, data, out = sys.argv[1:]
x = np.load(data)
module = mx.mod.Module.load(folder + "/model", 0, data_names=["data"], label_names=None)
module.bind(data_shapes=[("data", x.shape)], for_training=False)
module.forward(mx.io.DataBatch([mx.nd.array(x)]), is_train=False)
block = mx.gluon.SymbolBlock.imports(folder + "/model-symbol.json", ["data"], folder + "/model-0000.params")
np.savez(out, module=module.get_outputs()[0].asnumpy(), block=block(mx.nd.array(x)).asnumpy())
"""


def test_an_export_runs_in_plain_mxnet(style_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    result = run_cli("export", style_model, "--to", folder)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{folder}\n" and "differs from the chain by at most" in result.stderr
    assert {p.name for p in folder.iterdir()} == {
        "model-symbol.json", "model-0000.params", "card.json", "style.png", "export.json", "parity.npz",
    }  # fmt: skip
    photo = picture(5, 41, 67)
    data = photo.astype(np.float32).transpose(2, 0, 1)[None]
    np.save(tmp_path / "x.npy", data)
    arguments = [str(folder), str(tmp_path / "x.npy"), str(tmp_path / "y.npz")]
    subprocess.run([sys.executable, "-c", PLAIN, *arguments], check=True)
    with np.load(tmp_path / "y.npz") as outputs:
        np.testing.assert_array_equal(outputs["module"], outputs["block"])
        painting = outputs["module"]
    assert painting.shape == data.shape
    write_image(tmp_path / "p.png", photo)
    run_cli("stylize", tmp_path / "p.png", tmp_path / "q.png", "--model", style_model)
    ours = read_image(tmp_path / "q.png").transpose(2, 0, 1)[None]
    assert abs(painting - ours).max() < 0.51


PLAIN_MIXTURE = """
import sys
sys.modules["neuralart"] = None  # an import of it fails
import numpy as np
if "bool" not in np.__dict__: np.bool = bool
import warnings; warnings.simplefilter("ignore")
import mxnet as mx
folder, data, out, *weights = sys.argv[1:]
x, mixture = np.load(data), np.array([weights], np.float32)
module = mx.mod.Module.load(folder + "/model", 0, data_names=["data", "mixture"], label_names=None)
module.bind(data_shapes=[("data", x.shape), ("mixture", mixture.shape)], for_training=False)
module.forward(mx.io.DataBatch([mx.nd.array(x), mx.nd.array(mixture)]), is_train=False)
np.save(out, module.get_outputs()[0].asnumpy())
"""


def test_all_styles_of_a_chain_run_in_plain_mxnet(chain_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    result = run_cli("export", chain_file, "--to", folder)
    assert result.exit_code == 0, result.output
    assert "model-symbol.json (three, fp32): differs" in result.stderr
    photo = picture(5, 41, 67)
    np.save(tmp_path / "x.npy", photo.astype(np.float32).transpose(2, 0, 1)[None])
    arguments = [str(folder), str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), "0", "0.3", "0.7"]
    subprocess.run([sys.executable, "-c", PLAIN_MIXTURE, *arguments], check=True)
    painting = np.load(tmp_path / "y.npy")[0].transpose(1, 2, 0)
    expected = chain_painting(chain_file, photo, "lines=0.7,dots=0.3")
    assert abs(painting - expected).max() < 0.1
    assert run_cli("export", "--verify", folder).exit_code == 0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_onnx_file_paints_every_style_and_mixture(
    chain_file: Path, tmp_path: Path, precision: str
) -> None:
    folder = tmp_path / "e"
    result = run_cli(
        "export", chain_file, "--to", folder, "--format", "onnx", "--precision", precision
    )
    assert result.exit_code == 0, result.output
    photo = picture(5, 41, 67)
    paintings = []
    for choice, mixture in (
        ("waves", [1, 0, 0]),
        ("lines", [0, 0, 1]),
        ("waves=0.7,dots=0.3", [0.7, 0.3, 0]),
        ("waves=0.7,dots=0.3", [7, 3, 0]),  # the graph divides by the sum
    ):
        paintings.append(ort_run(folder / "model.onnx", photo, mixture))
        apart = paintings[-1] - chain_painting(chain_file, photo, choice)
        assert abs(apart).max() < {"fp32": 0.01, "fp16": 1}[precision]
    assert abs(paintings[0] - paintings[1]).mean() > 5
    assert run_cli("export", "--verify", folder).exit_code == 0


def test_an_export_of_several_styles_says_which(chain_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    assert run_cli("export", chain_file, "--to", folder, "--format", "onnx").exit_code == 0
    model = onnx.load(folder / "model.onnx")
    shapes = {
        put.name: [d.dim_param or d.dim_value for d in put.type.tensor_type.shape.dim]
        for put in model.graph.input
    }
    assert shapes == {"image": ["batch", 3, "height", "width"], "mixture": [1, 3]}
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert facts["style"] == "three" and json.loads(facts["styles"]) == NAMES
    assert facts["licence"] == "Apache-2.0"
    cards = json.loads((folder / "card.json").read_text())
    assert list(cards) == NAMES and cards["dots"]["style"] == "dots.png"
    assert json.loads(facts["card"]) == cards
    pictures = {path.name: path.read_bytes() for path in (folder / "styles").iterdir()}
    assert pictures == {"waves.png": FIRST, "dots.png": SECOND}


@pytest.mark.parametrize("choice", ["dots", "dots=0.7,lines=0.3"])
def test_one_style_or_mixture_alone(chain_file: Path, tmp_path: Path, choice: str) -> None:
    folder = tmp_path / "e"
    result = run_cli("export", chain_file, "--to", folder, "--format", "onnx", "--style", choice)
    assert result.exit_code == 0, result.output
    name = {"dots": "dots"}.get(choice, "dots-0.7-lines-0.3")
    assert f"model.onnx ({name}, fp32): differs" in result.stderr
    model = onnx.load(folder / "model.onnx")
    assert [put.name for put in model.graph.input] == ["image"]
    assert "MatMul" not in {node.op_type for node in model.graph.node}
    photo = picture(5, 41, 67)
    apart = ort_run(folder / "model.onnx", photo) - chain_painting(chain_file, photo, choice)
    assert abs(apart).max() < 0.01
    card = json.loads((folder / "card.json").read_text())
    assert (card["style"], card.get("mixture", "dots")) == ("dots.png", choice)
    assert (folder / "style.png").read_bytes() == SECOND


def test_a_style_that_is_not_there(chain_file: Path, style_model: Path, tmp_path: Path) -> None:
    to = ("--to", tmp_path / "e")
    for file in (chain_file, style_model):
        fails(run_cli("export", file, *to, "--style", "foam"), 2, "--style foam", "waves")
    fails(run_cli("export", chain_file, *to, "--style", "dots=-1"), 2, "is no weight")
    fails(run_cli("export", chain_file, *to, "--style", "dots=0"), 2, "all weights are 0")
    fails(run_cli("export", "foam", *to), 1, "model foam: no such file")
    assert os.listdir(tmp_path) == []


def test_several_styles_in_8_bits_and_of_one_size(chain_file: Path, tmp_path: Path) -> None:
    for name, *more in (
        ("int8", "--format", "onnx,ort", "--precision", "int8"),
        ("size", "--format", "onnx", "--static", "41x66"),
    ):
        result = run_cli("export", chain_file, "--to", tmp_path / name, *more)
        assert result.exit_code == 0, result.output
        assert run_cli("export", "--verify", tmp_path / name).exit_code == 0
    model = onnx.load(tmp_path / "size" / "model.onnx")
    assert "Shape" not in {node.op_type for node in model.graph.node}


def test_export_of_an_earlier_stage(style_model: Path, tmp_path: Path) -> None:
    assert run_cli("export", style_model, "--to", tmp_path / "e", "--stage", 1).exit_code == 0
    symbol = json.loads((tmp_path / "e" / "model-symbol.json").read_text())
    assert not [node for node in symbol["nodes"] if node["name"].startswith("g1_")]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_onnx_file_paints_what_stylize_paints(
    style_model: Path, tmp_path: Path, precision: str
) -> None:
    folder = tmp_path / "export"
    result = run_cli(
        "export", style_model, "--to", folder, "--format", "onnx", "--precision", precision
    )
    assert result.exit_code == 0, result.output
    assert f"model.onnx (waves, {precision}): differs from the chain by at most" in result.stderr
    photo = picture(5, 41, 67)
    write_image(tmp_path / "p.png", photo)
    run_cli("stylize", tmp_path / "p.png", tmp_path / "q.png", "--model", style_model)
    painting = ort_run(folder / "model.onnx", photo)
    assert (
        abs(painting - read_image(tmp_path / "q.png")).max()
        < {"fp32": 0.51, "fp16": 1.5}[precision]
    )


@pytest.mark.parametrize("calibrate", [False, True])
def test_int8(style_model: Path, tmp_path: Path, calibrate: bool) -> None:
    more = ["--calibrate", PHOTOS] if calibrate else []
    result = run_cli(
        "export", style_model, "--to", tmp_path / "e", "--format", "onnx,ort", "--precision", "int8",
        *more,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stderr.splitlines()] == [
        "onnx/model.onnx",
        "ort/model.ort",
    ]
    model = onnx.load(tmp_path / "e" / "onnx" / "model.onnx")
    assert "licence" in {prop.key for prop in model.metadata_props}
    ends = {"g0_conv0_weight", "g0_conv1_weight", "g1_conv0_weight", "g1_conv2_weight"}
    types = {
        array.name.removesuffix("_quantized"): array.data_type for array in model.graph.initializer
    }
    int8 = {name for name, kind in types.items() if kind == onnx.TensorProto.INT8}
    assert {"g1_conv1_kernel", "g1_deconv0_kernel"} & int8 or {"g1_conv1_1", "g1_deconv0_1"} & int8
    assert not ends & int8
    assert run_cli("export", "--verify", tmp_path / "e").exit_code == 0


def test_calibration_photos_that_are_not_there(style_model: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        result = run_cli(
            "export", style_model, "--to", tmp_path / "e", "--format", "onnx", "--precision", "int8",
            "--calibrate", folder,
        )  # fmt: skip
        fails(result, 1, f"--calibrate {folder}: no photo")
    assert os.listdir(tmp_path) == []


def test_a_file_for_phones(style_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    result = run_cli("export", style_model, "--to", folder, "--format", "ort")
    assert result.exit_code == 0, result.output
    assert "model.ort (waves, fp16): differs" in result.stderr
    assert {p.name for p in folder.iterdir()} == {
        "model.ort", "model.operators.config", "card.json", "style.png", "export.json", "parity.npz",
    }  # fmt: skip
    rows = (folder / "model.operators.config").read_text().splitlines()
    operators = {name for row in rows[1:] for name in row.split(";")[2].split(",")}
    assert {"Cast", "InstanceNormalization", "Pad"} <= operators
    assert rows[0] == "# model.ort"
    photo = picture(5, 41, 67)
    run_cli("export", style_model, "--to", tmp_path / "o", "--format", "onnx")
    apart = ort_run(folder / "model.ort", photo) - ort_run(tmp_path / "o" / "model.onnx", photo)
    assert abs(apart).max() < 1


def test_an_onnx_file_says_what_it_is(style_model: Path, tmp_path: Path) -> None:
    assert run_cli("export", style_model, "--to", tmp_path / "e", "--format", "onnx").exit_code == 0
    model = onnx.load(tmp_path / "e" / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert facts["style"] == "waves" and facts["licence"] == "Apache-2.0"
    assert json.loads(facts["card"]) == load_model(style_model).card
    shape = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", 3, "height", "width"]


def test_an_export_of_one_size(style_model: Path, tmp_path: Path) -> None:
    result = run_cli(
        "export", style_model, "--to", tmp_path / "e", "--format", "onnx", "--static", "41x66"
    )
    assert result.exit_code == 0, result.output
    model = onnx.load(tmp_path / "e" / "model.onnx")
    # A runtime that needs fixed sizes cannot compute shapes.
    assert "Shape" not in {node.op_type for node in model.graph.node}
    assert ort_run(tmp_path / "e" / "model.onnx", picture(5, 41, 66)).shape == (41, 66, 3)
    assert run_cli("export", "--verify", tmp_path / "e").exit_code == 0
    for size in ("41", "41x", "0x41", "41x66x3", "24x99", "41x9999"):
        result = run_cli("export", style_model, "--to", tmp_path / "f", "--static", size)
        fails(result, 2, f"--static {size}")


def test_several_formats_and_styles_at_once(style_model: Path, tmp_path: Path) -> None:
    shutil.copy(style_model, tmp_path / "my style!.neuralart")
    result = run_cli(
        "export", style_model, tmp_path / "my style!.neuralart", "--to", tmp_path / "e",
        "--format", "onnx,mxnet",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    files = {"onnx": "model.onnx", "mxnet": "model-symbol.json"}
    for name, file in files.items():
        for style in ("waves", "my-style"):
            assert (tmp_path / "e" / name / style / file).exists()
    again = run_cli("export", "--verify", tmp_path / "e")
    assert again.exit_code == 0 and len(again.stderr.splitlines()) == 4
    assert again.stdout == f"{tmp_path / 'e'}\n"


def test_export_into_a_place_that_is_taken(style_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    fails(run_cli("export", style_model, "--to", tmp_path / "file"), 1, "is a file")
    fails(run_cli("export", style_model, "--to", tmp_path, "--overwrite"), 1, "not empty")
    fails(run_cli("export", style_model, "--to", tmp_path / "file" / "e"), 1, "cannot be written")
    target = tmp_path / "e"
    assert run_cli("export", style_model, "--to", target).exit_code == 0
    fails(run_cli("export", style_model, "--to", target), 1, "--overwrite")
    assert run_cli("export", style_model, "--to", target, "--overwrite").exit_code == 0
    (target / "mine.txt").write_text("mine")
    fails(run_cli("export", style_model, "--to", target, "--overwrite"), 1, "not empty")
    assert sorted(os.listdir(tmp_path)) == ["e", "file"]


@pytest.mark.parametrize("name", ["mxnet", "onnx"])
def test_an_export_that_differs_is_not_written(
    style_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def wrong(file: Path, pictures: list[np.ndarray]) -> list[np.ndarray]:
        return [p + np.float32(1.1) for p in run(file, pictures)]

    run = TARGETS[name].run
    monkeypatch.setitem(TARGETS, name, dataclasses.replace(TARGETS[name], run=wrong))
    result = run_cli("export", style_model, "--to", tmp_path / "e", "--format", name)
    fails(result, 1, "differs from the chain by at most 1.1", "not written")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_export_without_the_packages(
    style_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )
    result = run_cli("export", style_model, "--to", tmp_path / "e", "--format", "onnx")
    fails(result, 1, f"needs {package}", "pip install", "[onnx]")
    assert os.listdir(tmp_path) == []
    assert run_cli("export", style_model, "--to", tmp_path / "e").exit_code == 0


def test_a_wrong_export_command(style_model: Path, tmp_path: Path) -> None:
    to = ("--to", tmp_path / "e")
    fails(run_cli("export", *to), 2, "MODEL is missing")
    fails(run_cli("export", style_model), 2, "--to is missing")
    fails(
        run_cli("export", style_model, *to, "--format", "onnx,tflite"), 2, "'tflite' is not one of"
    )
    fails(run_cli("export", style_model, *to, "--precision", "fp16"), 2, "--format mxnet is fp32")
    web = ("--format", "web", "--precision", "int8")
    fails(run_cli("export", style_model, *to, *web), 2, "--format web is fp16 or fp32")
    fails(run_cli("export", style_model, "--verify", tmp_path), 2, "takes no MODEL")
    assert os.listdir(tmp_path) == []


def test_verify_finds_what_is_wrong(style_model: Path, tmp_path: Path) -> None:
    fails(run_cli("export", "--verify", tmp_path / "none"), 1, "no export.json")
    folder = tmp_path / "e"
    assert run_cli("export", style_model, "--to", folder, "--format", "onnx").exit_code == 0
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[:-1])
    fails(run_cli("export", "--verify", folder), 1, "model.onnx is not what was exported")
    (folder / "model.onnx").unlink()
    fails(run_cli("export", "--verify", folder), 1, "model.onnx is missing")
    (folder / "model.onnx").write_bytes(whole)
    assert run_cli("export", "--verify", folder).exit_code == 0
    # Another painting under the right checksum: only a run of the model shows it.
    with np.load(folder / "parity.npz") as archive:
        arrays = {k: v // 2 if "painting" in k else v for k, v in archive.items()}
    np.savez(folder / "parity.npz", **arrays)
    record = json.loads((folder / "export.json").read_text())
    record["sha256"]["parity.npz"] = hashlib.sha256(
        (folder / "parity.npz").read_bytes()
    ).hexdigest()
    (folder / "export.json").write_text(json.dumps(record))
    fails(run_cli("export", "--verify", folder), 1, "differs from the chain")
    (folder / "export.json").write_text("{")
    fails(run_cli("export", "--verify", folder), 1, "damaged")


@pytest.fixture
def built_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of scripts/build_web that the export looks for; test_web.py tests the real page."""
    built = tmp_path / "built"
    (built / "ort").mkdir(parents=True)
    (built / "index.html").write_text("<html></html>")
    (built / "ort" / "ort.wasm.gz").write_text("runtime")
    monkeypatch.setattr("neuralart.exporting.page.BUILT", built)
    return built


def test_a_page_of_two_styles(style_model: Path, built_page: Path, tmp_path: Path) -> None:
    shutil.copy(style_model, tmp_path / "other.neuralart")
    folder = tmp_path / "e"
    command = (
        "export",
        style_model,
        tmp_path / "other.neuralart",
        "--to",
        folder,
        "--format",
        "web",
    )
    result = run_cli(*command)
    assert result.exit_code == 0, result.output
    assert "models/waves.onnx (waves, fp16): differs" in result.stderr
    assert (folder / "index.html").exists() and (folder / "ort" / "ort.wasm.gz").exists()
    manifest = json.loads((folder / "models" / "models.json").read_text())
    styles = [style for row in manifest["models"] for style in row["styles"]]
    assert [style["name"] for style in styles] == ["waves", "other"]
    row, style = manifest["models"][0], styles[0]
    data = (folder / "models" / row["file"]).read_bytes()
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert style["thumbnail"].startswith("data:image/jpeg;base64,")
    assert (row["stages"], style["title"], style["licence"]) == (2, "Waves", "Apache-2.0")
    # Each norm has 4 channels; the first stage has one norm, the second three.
    assert (row["statistics"], row["multiple"]) == (16, 2)
    assert (row["whole_pixels"], row["measured_pixels"]) == (320_000, 200_000)
    assert row["minimum"] == FRAME_PX + row["multiple"]
    model = onnx.load_from_string(data)
    assert [out.name for out in model.graph.output] == ["stage1", "stage2", "measured"]
    assert run_cli("export", "--verify", folder).exit_code == 0


def test_a_page_of_one_chain(chain_file: Path, built_page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    result = run_cli("export", chain_file, "--to", folder, "--format", "web")
    assert result.exit_code == 0, result.output
    assert "models/three.onnx (three, fp16): differs" in result.stderr
    [row] = json.loads((folder / "models" / "models.json").read_text())["models"]
    assert [style["name"] for style in row["styles"]] == NAMES
    assert [style["title"] for style in row["styles"]] == ["Waves", "Dots", "Lines"]
    thumbnails = [style["thumbnail"] for style in row["styles"]]
    assert [thumbnail[:15] for thumbnail in thumbnails] == ["data:image/jpeg"] * 2 + [""]
    assert thumbnails[0] != thumbnails[1]
    assert row["statistics"] == 18  # two stages with norms of 5 and 4 channels
    model = onnx.load(folder / "models" / "three.onnx")
    inputs = [put.name for put in model.graph.input]
    assert inputs == ["image", "mixture", "statistics", "frozen"]
    assert run_cli("export", "--verify", folder).exit_code == 0


def test_a_page_that_cannot_be_made(style_model: Path, built_page: Path, tmp_path: Path) -> None:
    command = ("export", style_model, "--to", tmp_path / "e", "--format", "web")
    fails(run_cli(*command, "--static", "40x40"), 2, "does not take --static")
    (built_page / "ort" / "ort.wasm.gz").unlink()
    fails(run_cli(*command), 1, "no ONNX Runtime", "run scripts/build_web")
    (built_page / "index.html").unlink()
    fails(run_cli(*command), 1, "no page", "run scripts/build_web")
    assert os.listdir(tmp_path) == ["built"]
