"""Files that somebody made to harm: each is refused in one line, soon and in little memory.

`test_fuzz` has what chance does to files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers import LITTLE, TINY_CONFIG, fails, picture, random_chain, run_cli
from PIL import Image
from weight_files import tiny_vgg, torch_names, write_h5

from neuralart.chain.model import load_chain
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture(autouse=True)
def soon_and_in_little_memory() -> Iterator[None]:
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert time.monotonic() - begun < 20


@dataclass(frozen=True)
class Long:
    """The content of a file that is long, and short when it is compressed."""

    begin: bytes
    zeros: int
    fill: bytes = b"\0"


Members = dict[str, "bytes | Long"]


def zeros(shape: tuple[int, ...], count: int) -> Long:
    """A ``.npy`` file that says to have a shape, and has so many zeros."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return Long(file.getvalue(), 4 * count)


def write_zip(path: Path, members: Members) -> None:
    """Write a zip file; long members in pieces, so that the test itself takes little memory."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            with archive.open(name, "w") as member:
                whole = data if isinstance(data, Long) else Long(data, 0)
                member.write(whole.begin)
                for left in range(whole.zeros, 0, -1_000_000):
                    member.write(whole.fill * min(left, 1_000_000))


def rewrite(path: Path, change: Callable[[Members], None]) -> None:
    """Change the members of a zip file."""
    with zipfile.ZipFile(path) as archive:
        members: Members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    write_zip(path, members)


def with_header(change: Callable[[Any], None]) -> Callable[[Members], None]:
    def apply(members: Members) -> None:
        header = json.loads(members["header.json"])
        change(header)
        members["header.json"] = json.dumps(header).encode()

    return apply


def layer(header: Any) -> Any:
    return header["generators"][0]["layers"][0]


MODELS: dict[str, Callable[[Members], None]] = {
    # 400 MB that a zip of 2 MB expands to.
    "an array of another shape": lambda m: m.update(
        {"g0_conv0_weight.npy": zeros((100_000_000,), 100_000_000)}
    ),
    "an array longer than it says": lambda m: m.update(
        {"g0_conv0_weight.npy": zeros((16, 3, 3, 3), 100_000_000)}
    ),
    "an unknown array": lambda m: m.update({"x.npy": zeros((100_000_000,), 100_000_000)}),
    "a long header": lambda m: m.update({"header.json": Long(b"{", 400_000_000, b" ")}),
    "a long picture": lambda m: m.update({"styles/red.png": Long(b"", 400_000_000)}),
    "a deep header": lambda m: m.update({"header.json": b'{"format": 2, "x": ' + DEEP + b"}"}),
    "no table": lambda m: m.update({"header.json": b"[]"}),
    "a layer of 10^9 channels": with_header(lambda h: layer(h).update(channels=10**9)),
    "an even kernel": with_header(lambda h: layer(h).update(stride=1, kernel=4)),
    "a name with a path": with_header(lambda h: layer(h).update(name="../../x")),
    "a million generators": with_header(lambda h: h.update(generators=h["generators"] * 9000)),
    "a card of another kind": with_header(lambda h: h["styles"][0].update(card=[1, 2])),
    "options of another kind": with_header(lambda h: h["styles"][0]["card"].update(options=3)),
    "losses of another kind": with_header(
        lambda h: h["styles"][0]["card"].update(held_out={"losses": 3})
    ),
    "a mean of another kind": with_header(lambda h: h["pixels"].update(mean=["x"])),
}


@pytest.mark.parametrize("how", MODELS)
def test_a_hostile_model(tmp_path: Path, how: str) -> None:
    model, photo = tmp_path / "m.neuralart", tmp_path / "p.png"
    random_chain([LITTLE], ["red"]).save(model)
    rewrite(model, MODELS[how])
    fails(run_cli("info", model), 1, "m.neuralart: ")
    write_image(photo, picture(0))
    if how != "losses of another kind":
        fails(run_cli("stylize", photo, tmp_path / "q.png", "--model", model), 1, "m.neuralart: ")
        fails(run_cli("export", model, "--to", tmp_path / "e"), 1, "m.neuralart: ")
    assert sorted(os.listdir(tmp_path)) == ["m.neuralart", "p.png"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"header.json": b'{"style_format": 1, "x": ' + DEEP + b"}"}, "damaged"),
        ({"scales_and_shifts.npy": zeros((100_000_000,), 100_000_000)}, "of another shape"),
    ],
)
def test_a_hostile_style(tmp_path: Path, how: Members, words: str) -> None:
    model, style = tmp_path / "m.neuralart", tmp_path / "s.style"
    random_chain([LITTLE], ["red"]).save(model)
    load_chain(model).save_style(style, "red")
    rewrite(style, lambda members: members.update(how))
    fails(run_cli("info", model, "--style", style), 1, "s.style: ", words)


@pytest.mark.parametrize("word", ["red\x1b[31m\nerror: all is lost", "a\u202egnp"])
def test_words_of_a_model_have_no_power_over_the_terminal(tmp_path: Path, word: str) -> None:
    model = tmp_path / "m.neuralart"
    random_chain([LITTLE], [word]).save(model)
    rewrite(
        model,
        with_header(
            lambda h: h["styles"][0]["card"].update(licence=word, style=word, neuralart=word)
        ),
    )
    result = run_cli("info", model)
    assert result.exit_code == 0 and all(line.isprintable() for line in result.output.splitlines())
    assert result.stdout.count("all is lost") == result.stdout.count("\\nerror: all is lost")
    result = run_cli("info", model, "--style", "none")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and "\x1b" not in result.stderr
    result = run_cli("info", f"{tmp_path}/{word}")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "\x1b" not in result.stderr


def test_hostile_features(tmp_path: Path, features_file: Path) -> None:
    path = tmp_path / "f.npz"

    def refused(words: str) -> None:
        fails(run_cli("features", "info", path), 1, f"{path.name}: ", words)

    large = zeros((100_000_000,), 100_000_000)
    plain = torch_names(tiny_vgg())
    np.savez(path, **plain)
    rewrite(path, lambda members: members.update({"features.0.weight.npy": large}))
    refused("larger than any of VGG-19's: features.0.weight")
    np.savez(path, **plain)
    rewrite(path, lambda members: members.update({"features.2.bias.npy": zeros((5,), 10**8)}))
    refused("damaged")
    write_zip(path, {f"{number}.npy": zeros((1_500_000,), 1_500_000) for number in range(70)})
    refused("damaged")
    wide = {name: np.broadcast_to(np.float32(0), (65, *a.shape[1:])) for name, a in plain.items()}
    np.savez(path, **(plain | {"features.0.weight": wide["features.0.weight"]}))
    refused("(65, 3, 3, 3), not (64, 3, 3, 3): not a VGG-19")
    # The dense layers of a whole VGG-19 are larger, and need not be read.
    np.savez(path, **plain)
    rewrite(path, lambda members: members.update({"classifier.0.weight.npy": large}))
    assert run_cli("features", "info", path).exit_code == 0
    assert run_cli("features", "convert", features_file, "--out", tmp_path / "o.npz").exit_code == 0
    path = tmp_path / "o.npz"
    rewrite(path, lambda m: m.update({"head_relu1_1_weight.npy": zeros((10**8, 4, 1, 1), 0)}))
    refused("head_relu1_1_weight is (100000000, 4, 1, 1), not (4096, 4, 1, 1)")
    rewrite(path, lambda m: m.update({"header.json": DEEP}))
    refused("damaged")
    path = Path("/dev/zero")
    refused("is a device")


def test_hostile_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    write_h5(path, tiny_vgg(), "keras-2")
    with h5py.File(path, "a") as file:
        name = next(n for n in names_of(file) if "block1_conv1" in n and "kernel" in n)
        del file[name]
        # Nothing of it is in the file: it would be read as zeros.
        file.create_dataset(name, (30_000, 30_000), "f4", chunks=(100, 100))
    fails(run_cli("features", "info", path), 1, "larger than any of VGG-19's")
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, (3, 3, 3, 4), "f4", external=[("/etc/passwd", 0, 432)])
    fails(run_cli("features", "info", path), 1, "damaged")
    (tmp_path / "other").mkdir()
    path.rename(tmp_path / "other" / "f.h5")
    with h5py.File(path, "w") as file:
        file["model_weights"] = h5py.ExternalLink("other/f.h5", "/")
    fails(run_cli("features", "info", path), 1, "damaged")


def names_of(file: Any) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return [name for name in found if isinstance(file[name], h5py.Dataset)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps = " + "[" * 9000, "nested too deep"),
        ("steps = 1979-05-27", "steps is a date or time"),
        ("steps = 07:32:00", "steps is a date or time"),
        ("style = [['a']]", "style is a list in a list"),
        ("style = 'a\\u0000'".replace("'", '"'), "style holds a NUL character"),
        ("#" * 30_000, "longer than 20,000 bytes"),
        ("steps = " + "9" * 5000, "not TOML"),
        ("steps = 0x" + "F" * 5000, "--steps"),
        ("steps = 9999999999", "9999999999 is over 2147483647"),
        ("rate = 1e999", "inf is not a finite number"),
        ('"a\\u001b[31m" = 1', r"unknown key 'a\x1b[31m'"),
        ("[generators.x]\nlayers = 1979-05-27", "layers is missing"),
        ("[generators.x]\nlayers = [{op = 'conv', channels = 1000000000, kernel = 3}]", "4096"),
        ('[generators."\\u001b"]\nlayers = []', r"generator '\x1b'"),
    ],
)
def test_a_hostile_config(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"[train]\n{text}\n")
    result = run_cli(
        "train", "--style", "a.png", "--data", "b", "--out", tmp_path / "r", "--config", path
    )
    fails(result, 2, words)
    assert os.listdir(tmp_path) == ["c.toml"]


def test_config_with_an_even_kernel(train_arguments: list[object], tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(TINY_CONFIG.replace("channels = 4, kernel = 3 }", "channels = 4, kernel = 4 }"))
    words = list(train_arguments)
    words[words.index("--config") + 1] = path
    fails(
        run_cli(*words, "--out", tmp_path / "r"), 2, "generator 'little'", "odd kernel in layer 0"
    )


@pytest.mark.parametrize("option", ["--style", "--data", "--out", "--features", "--start"])
def test_paths_that_are_too_long(
    train_arguments: list[object], tmp_path: Path, option: str
) -> None:
    for name in ("n" * 300, "n/" * 3000):
        words: list[object] = [*train_arguments, "--out", tmp_path / "r"]
        if option in words:
            at = words.index(option)
            words[at : at + 2] = []
        result = run_cli(*words, option, f"{tmp_path}/{name}")
        assert result.exit_code == 1 and result.stdout == ""
        assert result.stderr.splitlines()[-1].startswith("error: ")
    assert os.listdir(tmp_path) == []


def test_a_hostile_checkpoint_and_record(
    train_arguments: list[object], run_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run_dir, out)
    words = (*train_arguments, "--out", out, "--resume")
    older, newest = sorted((out / "checkpoints").iterdir())
    whole = newest.read_bytes()
    for member in ("header.json", "params/g1_conv0_weight.npy", "params/x.npy"):
        data = DEEP if member == "header.json" else zeros((10**8,), 10**8)
        for path in (older, newest):
            rewrite(path, lambda m, name=member, data=data: m.update({name: data}))
        fails(run_cli(*words), 1, "all checkpoints are damaged")
        newest.write_bytes(whole)
        older.write_bytes(whole)
    newest.unlink()
    newest.mkdir()
    assert run_cli(*words).exit_code == 0
    (out / "config.json").write_bytes(DEEP)
    fails(run_cli(*words), 1, "config.json: cannot be read: nested too deep")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model as ONNX and for MXNet."""
    folder = tmp_path_factory.mktemp("exports")
    random_chain([LITTLE], ["red"]).save(folder / "m.neuralart")
    for form in ("onnx", "mxnet"):
        result = run_cli("export", folder / "m.neuralart", "--to", folder / form, "--format", form)
        assert result.exit_code == 0, result.output
    return {form: folder / form for form in ("onnx", "mxnet")}


def set_sum(record: Any, folder: Path, name: str) -> None:
    """Write the checksum of a changed file, as an attacker would."""
    record["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["exports"][0].update(file="../secret.onnx"), "damaged"),
        (lambda r: r["exports"][0].update(file="/etc/passwd"), "damaged"),
        (lambda r: r["sha256"].update({"../secret.onnx": "0"}), "../secret.onnx is missing"),
        (lambda r: r["sha256"].update({"a\x1b[31m\nb": "0"}), r"a\x1b[31m\nb is missing"),
        (lambda r: r["exports"][0].update(format="exe"), "damaged"),
        (lambda r: r["exports"][0].update(format=["onnx"]), "damaged"),
        (lambda r: r["exports"][0].update(precision="fp1"), "damaged"),
        (lambda r: r["exports"][0].update(style="blue"), "damaged"),
        (lambda r: r.update(exports=3), "damaged"),
        (lambda r: r.update(sha256=[1]), "damaged"),
        (lambda r: r.update(x=json.loads("[" * 900 + "]" * 900)), ""),
    ],
)
def test_a_hostile_record_of_an_export(
    exported: dict[str, Path], tmp_path: Path, change: Callable[[Any], None], words: str
) -> None:
    folder = tmp_path / "e"
    shutil.copytree(exported["onnx"], folder)
    shutil.copy(folder / "model.onnx", tmp_path / "secret.onnx")
    record = json.loads((folder / "export.json").read_text())
    change(record)
    (folder / "export.json").write_text(json.dumps(record))
    result = run_cli("export", "--verify", folder)
    if words:
        fails(result, 1, f"--verify {folder}: ", words)
    else:
        assert result.exit_code == 0


def test_hostile_files_of_an_export(exported: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "e"

    def refused(form: str, name: str, data: bytes | Path, words: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(exported[form], folder)
        (folder / name).unlink()
        if isinstance(data, Path):
            (folder / name).symlink_to(data)
        else:
            (folder / name).write_bytes(data)
        if name != "export.json":
            record = json.loads((folder / "export.json").read_text())
            set_sum(record, folder, name)
            (folder / "export.json").write_text(json.dumps(record))
        fails(run_cli("export", "--verify", folder), 1, words)

    refused("onnx", "export.json", DEEP, "damaged")
    parity = (exported["onnx"] / "parity.npz").read_bytes()
    for data in (b"", b"hello", parity[:99], b"PK\5\6" + bytes(18)):
        refused("onnx", "parity.npz", data, "damaged")
    bomb = tmp_path / "bomb.npz"
    for member in ("red/painting0.npy", "red/picture0.npy", "x.npy"):
        bomb.write_bytes(parity)
        rewrite(bomb, lambda m, name=member: m.update({name: zeros((2, 10**9), 100_000_000)}))
        refused("onnx", "parity.npz", bomb.read_bytes(), "damaged")
    refused("onnx", "model.onnx", b"hello", "model.onnx cannot be run")
    refused("onnx", "model.onnx", Path("/etc/passwd"), "model.onnx is missing")
    params = (exported["mxnet"] / "model-0000.params").read_bytes()
    refused("mxnet", "model-0000.params", params[:200], "model-0000.params: damaged")
    refused("mxnet", "model-symbol.json", b"{}", "model-symbol.json cannot be run")


def test_a_folder_in_the_way_of_an_export_may_say_anything(
    exported: dict[str, Path], tmp_path: Path
) -> None:
    model = exported["onnx"].parent / "m.neuralart"
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "export.json").write_bytes(DEEP)
    words = ("export", model, "--to", tmp_path / "e", "--format", "onnx", "--overwrite")
    fails(run_cli(*words), 1, "is not empty; name a new folder")
    (tmp_path / "link").symlink_to(exported["onnx"])
    fails(run_cli(*words[:3], tmp_path / "link", *words[4:]), 1, "is a link")
    fails(run_cli(*words[:3], "..", *words[4:]), 1, "--to ..: has no name of its own")
    assert (exported["onnx"] / "model.onnx").exists()


def test_pipes_and_devices_in_a_folder_of_photos_are_passed_over(
    train_arguments: list[object], photo_dir: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(photo_dir, photos)
    os.mkfifo(photos / "pipe.png")
    (photos / "zero.jpg").symlink_to("/dev/zero")
    (photos / "lost.png").symlink_to("nowhere")
    words = list(train_arguments)
    words[words.index("--data") + 1] = photos
    assert run_cli(*words, "--out", tmp_path / "run").exit_code == 0
    skipped = (tmp_path / "run" / "skipped.txt").read_text()
    assert "pipe.png: a pipe or a device\n" in skipped
    assert "zero.jpg: a pipe or a device\n" in skipped
    assert "lost.png: a link to nothing\n" in skipped


def test_skipped_files_are_listed_a_line_each(
    train_arguments: list[object], photo_dir: Path, run_dir: Path, tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "run"
    shutil.copytree(photo_dir, photos)
    (photos / "a\nb\x1b[31m.txt").write_text("no photo")
    (photos / os.fsdecode(b"c\xff.txt")).write_text("no photo")
    shutil.copy(photos / "0.png", photos / os.fsdecode(b"d\xff.png"))
    words = list(train_arguments)
    words[words.index("--data") + 1] = photos
    assert run_cli(*words, "--out", out).exit_code == 0
    skipped = (out / "skipped.txt").read_text().splitlines()
    assert r"a\nb\x1b[31m.txt: no picture's suffix" in skipped
    assert r"c\xff.txt: no picture's suffix" in skipped
    (out / "skipped.txt").write_bytes(b"\xff\xfe\0\n\x1b[31m")
    assert run_cli(*words, "--out", out, "--resume").exit_code == 0
    assert (out / "skipped.txt").read_text().isascii()
    assert "\x1b" not in (out / "skipped.txt").read_text()


def test_a_jpeg_that_says_to_be_large(run_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    for options in ({}, {"progressive": True}):
        Image.fromarray(picture(0)).save(path, **options)
        data = bytearray(path.read_bytes())
        at = data.index(b"\xff\xc2" if options else b"\xff\xc0") + 5
        data[at : at + 4] = (10_900).to_bytes(2, "big") * 2
        path.write_bytes(data)
        result = run_cli("stylize", path, tmp_path / "q.jpg", "--model", run_dir)
        fails(result, 1, "p.jpg: damaged, or cut short: it says to be 10900x10900")
    Image.fromarray(np.full((2000, 2000, 3), 200, np.uint8)).save(path, quality=1)
    assert read_image(path).shape == (2000, 2000, 3)
