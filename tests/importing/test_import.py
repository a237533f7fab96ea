"""``neuralart import``: the parameters of 2016 paint as they do in plain MXNet."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, picture, run_cli
from published_2016 import Part, painted, params_bytes, random_parts, write_zip

from neuralart.chain.model import load_model
from neuralart.chain.receptive_field import painting_frame_px
from neuralart.engine.door import mx
from neuralart.importing.generators_2016 import SPECS
from neuralart.pictures.frame import Frame
from neuralart.pictures.pixels import Picture
from neuralart.pictures.reading import PictureFile
from neuralart.pictures.writing import write_image, write_picture

NAMES = [f"model/{k}/v3_0002-0026000.params" for k in range(4)]


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    return random_parts()


@pytest.fixture(scope="module")
def files(parts: list[Part], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("params")
    return {name: params_bytes(part, folder) for name, part in zip(NAMES, parts, strict=True)}


@pytest.fixture(scope="module")
def model(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    archive = write_zip(
        folder / "model.zip", {**files, "model/readme.txt": b"hello"}, deflated=True
    )
    result = run_cli("import", archive, "--to", folder / "2016.neuralart")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{folder / '2016.neuralart'}\n"
    return folder / "2016.neuralart"


def test_paintings_are_those_of_plain_mxnet(model: Path, parts: list[Part], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    waves = picture(3, 64, 80).astype(np.uint16) * 257
    photo = (waves + rng.integers(0, 257, waves.shape)).clip(0, 65535).astype(np.uint16)
    write_picture(tmp_path / "photo.png", Picture(photo))
    x = photo.transpose(2, 0, 1)[None].astype(np.float32) / 257
    x -= np.array([123.68, 116.779, 103.939], np.float32)[:, None, None]
    for stage in range(1, len(SPECS) + 1):
        # In plain MXNet, too, the picture is painted in the frame that neuralart paints in.
        frame = Frame.even(painting_frame_px(SPECS[:stage]))
        out = frame.inside(painted(parts, frame.around(x))[stage - 1])
        target = tmp_path / f"{stage}.png"
        result = run_cli(
            "stylize", tmp_path / "photo.png", target, "--model", model, "--stage", stage
        )
        assert result.exit_code == 0, result.output
        ours = PictureFile(target).read().pixels / 257
        wanted = out[0].transpose(1, 2, 0) + np.array([123.68, 116.779, 103.939])
        assert abs(ours - wanted.clip(0, 255)).max() < 1e-3 * 255
        assert wanted.std() > 10  # not a grey picture
        assert abs(out - x).max() > 20


def test_a_large_picture_in_tiles_is_the_same(model: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", picture(5, 150, 330))
    words = ("stylize", tmp_path / "photo.png", "--model", model)
    for name, more in (("whole.png", ("--tile", 0)), ("tiles.png", ("--tile", 304))):
        result = run_cli(*words[:2], tmp_path / name, *words[2:], *more)
        assert result.exit_code == 0, result.output
    whole, tiles = (
        PictureFile(tmp_path / f"{n}.png").read().pixels.astype(int) for n in ("whole", "tiles")
    )
    assert abs(whole - tiles).max() <= 1


def test_no_style_can_be_added_to_it(
    model: Path, train_arguments: list[object], tmp_path: Path
) -> None:
    out = ["--add-to", model, "--out", tmp_path / "run"]
    fails(run_cli(*train_arguments, *out), 2, "has no norms", "leave --add-to out")


def test_info_says_where_it_comes_from(model: Path) -> None:
    result = run_cli("info", model)
    assert result.exit_code == 0, result.output
    assert "imported from model.zip" in result.output
    assert "owner of the imported parameters" in result.output
    assert "2016-conv, 2016-deconv, 2016-deconv, 2016-conv" in result.output


def test_evaluate_takes_it(
    files: dict[str, bytes], features_file: Path, style_file: Path, tmp_path: Path
) -> None:
    archive = write_zip(tmp_path / "model.zip", files)
    target = tmp_path / "2016.neuralart"
    result = run_cli("import", archive, "--to", target, "--style-image", style_file)
    assert result.exit_code == 0, result.output
    assert load_model(target).style_image
    words = ("--photos", 1, "--size", 64, "--iterations", 0, "--features", features_file)
    (tmp_path / "photos").mkdir()
    write_image(tmp_path / "photos" / "a.png", picture(1, 70, 70))
    result = run_cli("evaluate", target, "--data", tmp_path / "photos", *words)
    assert result.exit_code == 0, result.output
    assert "x4" in result.output


@pytest.mark.parametrize("kind", ["mxnet", "onnx"])
def test_export_takes_it(model: Path, kind: str, tmp_path: Path) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    result = run_cli("export", model, "--to", tmp_path / "out", "--format", kind)
    assert result.exit_code == 0, result.output
    assert "2016" in result.output


def test_files_in_one_folder_and_old_checkpoints(
    parts: list[Part], files: dict[str, bytes], model: Path, tmp_path: Path
) -> None:
    older = {
        "__MACOSX/0/._v3_0002-0026000.params": b"not MXNet's",
        "model/0/v3_0001-0000000.params": params_bytes(
            {name: 0 * array for name, array in parts[0].items()}, tmp_path
        ),
    }
    for name, members in {
        "flat": {f"{k}.params": data for k, data in enumerate(files.values())},
        "older": {**older, **files},
    }.items():
        archive = write_zip(tmp_path / f"{name}.zip", members)
        result = run_cli("import", archive, "--to", tmp_path / f"{name}.neuralart")
        assert result.exit_code == 0, result.output
        ours = load_model(tmp_path / f"{name}.neuralart").params
        for key, array in load_model(model).params.items():
            assert np.array_equal(ours[key], array)


def test_the_specification_is_as_large_as_published() -> None:
    cost = sum(spec.multiply_adds() for spec in SPECS)
    assert abs(cost - 618_000) < 0.01 * 618_000


def refused(archive: Path, *words: str, exit_code: int = 1) -> None:
    target = archive.parent / "out.neuralart"
    fails(run_cli("import", archive, "--to", target), exit_code, *words)
    assert not [path for path in archive.parent.iterdir() if path.name.startswith((".", "out"))]


def test_missing_generators(files: dict[str, bytes], tmp_path: Path) -> None:
    some = {name: files[name] for name in NAMES[1:3]}
    refused(write_zip(tmp_path / "a.zip", some), "holds no parameters of g0, g3")
    refused(write_zip(tmp_path / "b.zip", {"readme.txt": b""}), "holds no .params file")


def test_wrong_arrays(parts: list[Part], files: dict[str, bytes], tmp_path: Path) -> None:
    def changed(**arrays: np.ndarray | None) -> dict[str, np.ndarray]:
        both = {**parts[0], **{name.replace("__", ":"): a for name, a in arrays.items()}}
        return {name: array for name, array in both.items() if array is not None}

    weight = parts[0]["arg:convolution0_weight"]
    variance = parts[0]["aux:batchnorm0_moving_var"]
    for number, (part, word) in enumerate(
        [
            (
                changed(arg__convolution0_weight=weight[:, :, :3, :3]),
                "(48, 3, 3, 3), not (48, 3, 5, 5)",
            ),
            (changed(arg__convolution0_weight=None), "convolution0_weight is missing"),
            (changed(arg__fc_bias=weight[0, 0]), "fc_bias is unknown"),
            (changed(arg__convolution0_weight=weight * np.nan), "not a finite number"),
            (changed(aux__batchnorm0_moving_var=-variance), "a variance below 0"),
            ({"arg:stage1_conv_weight": weight}, "not a generator of 2016"),
        ]
    ):
        members = {**files, NAMES[0]: params_bytes(part, tmp_path)}
        refused(write_zip(tmp_path / f"{number}.zip", members), word, NAMES[0])


def test_hostile_archives(files: dict[str, bytes], tmp_path: Path) -> None:
    out = {**files, "../../evil.params": files[NAMES[0]]}
    refused(write_zip(tmp_path / "a.zip", out), "'../../evil.params'", "refused")
    refused(write_zip(tmp_path / "b.zip", {**files, "/etc/x": b""}), "'/etc/x'", "refused")
    bomb = {**files, NAMES[0]: bytes(70_000_000)}
    refused(write_zip(tmp_path / "c.zip", bomb, deflated=True), "70,000,000 bytes", "64,000,000")
    many = {f"{number}.params": b"" for number in range(65)}
    refused(write_zip(tmp_path / "d.zip", many), "65 .params files")
    for data in (b"", b"hello", files[NAMES[0]][:-9], bytes(1000)):
        refused(write_zip(tmp_path / "e.zip", {**files, NAMES[0]: data}), NAMES[0], "damaged")
    whole = write_zip(tmp_path / "f.zip", files).read_bytes()
    for number, data in enumerate((whole[:-100], b"", b"hello", files[NAMES[0]])):
        path = tmp_path / f"g{number}.zip"
        path.write_bytes(data)
        refused(path, "damaged, or not a zip file")
    path.write_bytes(whole[:5000] + bytes(50) + whole[5050:])
    refused(path, "damaged")


def test_an_encrypted_or_oddly_packed_archive(files: dict[str, bytes], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr(NAMES[0], files[NAMES[0]])
    refused(tmp_path / "a.zip", "damaged, or not a zip file")


def test_what_is_named_wrongly(files: dict[str, bytes], tmp_path: Path) -> None:
    refused(tmp_path / "none.zip", "No such file")
    fails(run_cli("import", tmp_path, "--to", tmp_path / "m.neuralart"), 1, "is a folder")
    archive = write_zip(tmp_path / "model.zip", files)
    fails(run_cli("import", archive, "--to", tmp_path / "m.zip"), 1, "ends with .neuralart")
    fails(run_cli("import", archive, "--to", tmp_path / "a b.neuralart"), 2, "'a b' is no good")
    fails(run_cli("import", archive, "--to", tmp_path / "no" / "m.neuralart"), 1, "no such folder")
    target = tmp_path / "m.neuralart"
    target.write_bytes(b"mine")
    fails(run_cli("import", archive, "--to", target), 1, "exists; add --overwrite")
    assert target.read_bytes() == b"mine"
    assert run_cli("import", archive, "--to", target, "--overwrite").exit_code == 0
    assert load_model(target).name == "m"


def test_mxnet_reads_the_files_of_the_test(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "a.params").write_bytes(files[NAMES[1]])
    names = mx.nd.load(str(tmp_path / "a.params"))
    assert {
        "arg:convolution7_weight",
        "arg:deconvolution0_weight",
        "aux:batchnorm7_moving_mean",
    } <= set(names)
