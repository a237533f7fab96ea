"""Damaged and hostile files of every kind that is read, 100 of each, the same in every run.

A command on one ends with status 0, or 1 or 2 and one line; nobody's memory or time is used up, and
nothing is left. `test_hostile_files` has the cases that chance does not find.
"""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import LITTLE, TINY_CONFIG, fails, files_below, picture, random_chain, run_cli
from PIL import Image
from weight_files import (
    tiny_vgg,
    torch_names,
    write_h5,
    write_params,
    write_safetensors,
    write_torch_legacy,
    write_torch_zip,
)

from neuralart.chain.model import StyledChain, load_chain
from neuralart.errors import NeuralArtError
from neuralart.pictures.photos.records import record
from neuralart.pictures.photos.sources import open_source
from neuralart.pictures.reading import read_image
from neuralart.pictures.vips import encode
from neuralart.training.run import Checkpoint, RunFolder, State

INPUTS = 100

MOST_SECONDS = 5.0

MOST_KB = 400_000

HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**9, 10**30, 1e308, -0.5, "", "x", "../../x", "a\x1b[31mb\nc", "\x00",
    [], {}, [[]], {"a": 1}, ["x"] * 50,
)  # fmt: skip


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """The peak of this process's memory may grow by a model or two, not by a bomb."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KB


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with a few changes, as by a bad disk, a cut transfer or an attacker."""
    for _ in range(int(rng.integers(1, 4))):
        size = len(data)
        if not size:
            return data
        at, length = int(rng.integers(size)), int(rng.integers(1, 1 + min(size, 64)))
        kind = rng.integers(7)
        if kind <= 1:
            flipped = bytearray(data)
            flipped[at] ^= int(rng.integers(1, 256))
            data = bytes(flipped)
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:at] + rng.bytes(length) + data[at + length :]
        elif kind == 4:
            data = data[:at] + rng.choice([b"\0", b"\xff"]) * length + data[at + length :]
        elif kind == 5:
            data = data[:at] + data[at + length :]
        else:
            data = data[:at] + data[at : at + length] * int(rng.integers(2, 40)) + data[at:]
    return data


def changed(document: Any, rng: np.random.Generator) -> Any:
    """A JSON document with one value replaced, removed or doubled."""
    whole = json.loads(json.dumps(document))
    node, path = whole, []
    while isinstance(node, (dict, list)) and node:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(rng.integers(len(keys)))]
        path.append((node, key))
        node = node[key]
        if rng.random() < 0.2:
            break
    parent, key = path[-1]
    if rng.random() < 0.2:
        del parent[key]
    elif isinstance(parent, list) and rng.random() < 0.3:
        parent.append(parent[key])
    else:
        parent[key] = HOSTILE_VALUES[int(rng.integers(len(HOSTILE_VALUES)))]
    return whole


def damaged_zip(data: bytes, rng: np.random.Generator) -> bytes:
    """A zip file damaged as a whole, or one whose members are not what they were."""
    if rng.random() < 0.3:
        return damaged(data, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        names = source.namelist()
        chosen = names[int(rng.integers(len(names)))] if rng.random() < 0.5 else "header.json"
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
            for name in names:
                content = source.read(name)
                if name == chosen and name.endswith(".json"):
                    content = json.dumps(changed(json.loads(content), rng)).encode()
                elif name == chosen:
                    content = damaged(content, rng)
                target.writestr(name, content)
    return out.getvalue()


def each_damaged(
    path: Path, how: Callable[[bytes, np.random.Generator], bytes] = damaged
) -> Iterator[None]:
    """Put 100 damaged versions in the file's place, one after the other, and watch the time."""
    whole = path.read_bytes()
    for seed in range(INPUTS):
        path.write_bytes(how(whole, np.random.default_rng(seed)))
        begun = time.perf_counter()
        yield
        assert time.perf_counter() - begun < MOST_SECONDS, seed
    path.write_bytes(whole)


def ends_well(*arguments: object) -> bool:
    """Run a command; whether it succeeded. If not, it must have said why in a line."""
    result = run_cli(*arguments)
    if result.exit_code == 0:
        return True
    assert result.exit_code in (1, 2), result.output
    fails(result, result.exit_code)
    message = result.stderr.splitlines()[-1]
    assert len(message) < 1000 and message.isprintable()
    return False


def test_models_and_styles(tmp_path: Path) -> None:
    chain = random_chain([LITTLE, LITTLE], ["red", "green"])
    model, style = tmp_path / "m.neuralart", tmp_path / "green.style"
    chain.save(model)
    read = [ends_well("info", model) for _ in each_damaged(model, damaged_zip)]
    assert sum(read) < INPUTS
    load_chain(model).save_style(style, "green")
    read = [ends_well("info", model, "--style", style) for _ in each_damaged(style, damaged_zip)]
    assert sum(read) < INPUTS
    assert files_below(tmp_path) == ["green.style", "m.neuralart"]


FEATURES: dict[str, Callable[[Path], object]] = {
    "ours": lambda path: None,
    "plain.npz": lambda path: np.savez(path, **torch_names(tiny_vgg())),
    "zip.pth": lambda path: write_torch_zip(path, torch_names(tiny_vgg())),
    "legacy.pth": lambda path: write_torch_legacy(path, torch_names(tiny_vgg())),
    "f.safetensors": lambda path: write_safetensors(path, torch_names(tiny_vgg())),
    "f.params": lambda path: write_params(path, torch_names(tiny_vgg()), 2),
    "f.h5": lambda path: write_h5(path, tiny_vgg(), "keras-2"),
}


@pytest.mark.parametrize("form", FEATURES)
def test_features(tmp_path: Path, features_file: Path, form: str) -> None:
    path = tmp_path / form
    FEATURES[form](path)
    if form == "ours":
        assert ends_well("features", "convert", features_file, "--out", path)
    assert ends_well("features", "info", path)
    how = damaged_zip if form == "ours" else damaged
    read = [ends_well("features", "info", path) for _ in each_damaged(path, how)]
    assert sum(read) < INPUTS
    assert files_below(tmp_path) == [form]


def test_configs(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(TINY_CONFIG)
    words = ("train", "--style", "none.jpg", "--data", tmp_path, "--out", tmp_path / "run")
    # Both at once are refused once the config has been read.
    read = [
        ends_well(*words, "--config", path, "--resume", "--overwrite") for _ in each_damaged(path)
    ]
    assert not any(read)
    assert files_below(tmp_path) == ["c.toml"]


def test_runs(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    run.create({"options": {"a": 1}, "inputs": {"b": "c"}, "steps": 3, "joint_steps": 4})
    run.save(Checkpoint(State(step=3), {"w": weights}, {"w.mean": weights, "w.variance": weights}))
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()

    def loads(read: Callable[[], object]) -> bool:
        try:
            read()
        except NeuralArtError as error:
            assert "\n" not in str(error)
            return False
        return True

    shapes = {"w": (3, 4)}
    found = [loads(lambda: run.load(shapes)) for _ in each_damaged(checkpoint, damaged_zip)]
    assert sum(found) < INPUTS
    found = [loads(run.read_record) for _ in each_damaged(tmp_path / "config.json")]
    assert sum(found) < INPUTS


def test_exports(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model, folder = tmp_path / "m.neuralart", tmp_path / "e"
    StyledChain.save(random_chain([LITTLE], ["red"]), model)
    assert ends_well("export", model, "--to", folder, "--format", "onnx")
    assert ends_well("export", "--verify", folder)
    before = files_below(tmp_path)

    def damaged_json(data: bytes, rng: np.random.Generator) -> bytes:
        if rng.random() < 0.4:
            return damaged(data, rng)
        return json.dumps(changed(json.loads(data), rng)).encode()

    record_file, parity = folder / "export.json", folder / "parity.npz"
    read = [
        ends_well("export", "--verify", folder) for _ in each_damaged(record_file, damaged_json)
    ]
    assert sum(read) < INPUTS
    whole = json.loads(record_file.read_text())
    for _ in each_damaged(parity, damaged_zip):
        whole["sha256"].pop("parity.npz", None)  # an attacker changes that, too
        record_file.write_text(json.dumps(whole))
        ends_well("export", "--verify", folder)
    assert files_below(tmp_path) == before


def test_records(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(picture(0, 20, 20)).save(out, "JPEG")
    records = [record(key, out.getvalue()) for key in range(3)]
    path, index = tmp_path / "p.rec", tmp_path / "p.idx"
    path.write_bytes(b"".join(records))
    index.write_text("".join(f"{k}\t{k * len(records[0])}\n" for k in range(3)))

    def reads() -> int:
        found = 0
        try:
            source = open_source(path)
        except NeuralArtError as error:
            assert "\n" not in str(error)
            return 0
        for number in range(len(source)):
            source.name(number)
            try:
                found += source.read(number).size > 0
            except NeuralArtError as error:
                assert "\n" not in str(error)
        return found

    assert reads() == 3
    assert sum(reads() for _ in each_damaged(path)) < 3 * INPUTS
    assert sum(reads() for _ in each_damaged(index)) < 3 * INPUTS


KINDS = ("jpg", "png", "webp", "bmp", "ppm", "jp2", "gif", "tga", "tiff", "png 16", "tiff 16")


def write_kind(path: Path, kind: str) -> None:
    image = picture(1, 24, 30)
    if kind.endswith("16"):
        deep = image.astype(np.uint16) * 257
        options = {} if kind == "png 16" else {"compression": "deflate"}
        path.write_bytes(encode(deep, path.suffix, None, **options).getvalue())
    else:
        Image.fromarray(image).save(path)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"p.{kind.split()[0]}"
    write_kind(path, kind)
    assert read_image(path).shape == (24, 30, 3)
    read = 0
    for _ in each_damaged(path):
        try:
            read += read_image(path).size > 0
        except NeuralArtError as error:
            assert "\n" not in str(error)
    assert read < INPUTS


def test_a_batch_of_damaged_pictures(run_dir: Path, tmp_path: Path) -> None:
    """Each has its line, and the whole ones are painted."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(INPUTS):
        kind = KINDS[number % len(KINDS)]
        path = folder / f"{number:03d}.{kind.split()[0]}"
        write_kind(path, kind)
        path.write_bytes(damaged(path.read_bytes(), rng))
    write_kind(folder / "whole.png", "png")
    result = run_cli("stylize", folder, out, "--model", run_dir)
    painted, failed = result.stdout.splitlines(), result.stderr.splitlines()
    assert result.exit_code == 1 and str(out / "whole.png") in painted
    assert all(line.startswith(("error: ", "note: ")) for line in failed)
    errors = [line for line in failed if line.startswith(f"error: {folder}")]
    assert len(painted) + len(errors) == INPUTS + 1
    assert len(files_below(out)) == len(painted)
    shutil.rmtree(out)
    assert os.listdir(tmp_path) == ["in"]
