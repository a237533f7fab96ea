"""The batch scripts in scripts/, run as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import LITTLE, picture, random_chain

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.model import load_chain
from neuralart.loss.features.store import Features, load_features
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.png", "sub/b.png", "sub/c.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "in" / name, picture(len(name)))
    return tmp_path / "in"


def run(name: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(SCRIPTS / name), *map(str, words)],
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
    )


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_folder(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.png").write_text("hello")
    out = tmp_path / "out"
    result = run("paint_folder", photos, out, "--model", run_dir, "--format", "jpg")
    assert result.returncode == 1 and "3 painted" in result.stderr
    assert tree(out) == ["a.jpg", "errors.txt", "sub/b.jpg", "sub/c.jpg"]
    assert sorted(result.stdout.split()) == [str(out / n) for n in tree(out) if n != "errors.txt"]
    assert (
        (out / "errors.txt").read_text().startswith(f"error: {photos / 'bad.png'}: not a picture")
    )
    (photos / "bad.png").unlink()
    (out / "a.jpg").unlink()
    result = run("paint_folder", photos, out, "--model", run_dir, "--format", "jpg")
    assert result.returncode == 0 and result.stdout == f"{out / 'a.jpg'}\n"
    assert tree(out) == ["a.jpg", "sub/b.jpg", "sub/c.jpg"]
    assert run("paint_folder", photos).returncode == 2


FAKE_SSH = """#!/bin/bash
[ "$1" != down ] || exit 255
echo "$1" >> "$HOSTS_CALLED"
eval "$2"
"""


def test_a_folder_on_several_machines(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    ssh, hosts, called = tmp_path / "ssh", tmp_path / "hosts", tmp_path / "called"
    ssh.write_text(FAKE_SSH)
    ssh.chmod(0o755)
    environment = {"SSH": str(ssh), "HOSTS_CALLED": str(called)}
    hosts.write_text("# our machines\nfirst\n\ndown\n")
    out = tmp_path / "out put"
    words = (hosts, photos, out, "--model", run_dir)
    result = run("paint_on_machines", *words, **environment)
    assert result.returncode == 1
    assert "paint_on_machines: down (part 2) ended with 255" in result.stderr
    assert "first: 2 painted" in result.stderr
    assert tree(out) == ["a.png", "sub/c.png"]
    hosts.write_text("first\nsecond\n")
    result = run("paint_on_machines", *words, **environment)
    assert result.returncode == 0, result.stderr
    assert tree(out) == ["a.png", "sub/b.png", "sub/c.png"]
    assert sorted(called.read_text().split()) == ["first", "first", "second"]
    hosts.write_text("# none\n")
    assert run("paint_on_machines", *words, **environment).returncode == 2


def test_a_slurm_array(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    slurm = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "2"}
    words = ("paint_array.sbatch", photos, tmp_path / "out", "--model", run_dir)
    result = run(*words, **slurm)
    assert result.returncode == 0, result.stderr
    assert tree(tmp_path / "out") == ["sub/b.png"]
    assert run(*words, **{**slurm, "SLURM_ARRAY_TASK_MIN": "0"}).returncode == 2


def test_every_style_on_one_photo(run_dir: Path, photos: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    script = [sys.executable, SCRIPTS / "every_style"]

    def styles(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*script, *map(str, words)], capture_output=True, text=True)

    two = tmp_path / "two.neuralart"
    random_chain([LITTLE], ["wave", "scream"]).save(two)
    result = styles(photos / "a.png", sheet, two, run_dir)
    assert result.returncode == 0, result.stderr
    pictures = read_image(sheet)
    assert pictures.shape == (2 * (400 + 28) + 4, 3 * 480 + 2 * 4, 3)
    wave, scream = pictures[:400, 484 : 484 + 480], pictures[:400, 968:]
    assert abs(wave.astype(int) - scream).mean() > 1
    result = styles(photos / "none.png", sheet, run_dir)
    assert result.returncode == 1 and result.stderr.startswith("every_style: ")
    assert len(result.stderr.splitlines()) == 1


def test_features_are_trained_and_go_on(tmp_path: Path) -> None:
    for folder in ("photos", "pictures"):
        (tmp_path / folder).mkdir()
        for number in range(8):
            write_image(tmp_path / folder / f"{number}.png", picture(number, 330, 340))
    random_chain([LITTLE, LITTLE], ["one", "two"]).save(tmp_path / "chain.neuralart")
    words = ("--teacher", "random", "--data", tmp_path / "photos", "--scale", 1e-4)
    words += ("--painter", tmp_path / "chain.neuralart", "--pictures", tmp_path / "pictures")

    def train(*more: object) -> Features:
        result = subprocess.run(
            [sys.executable, SCRIPTS / "train_features.py", *map(str, words + more)],
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        return load_features(str(more[1]))

    first = train("--out", tmp_path / "first.npz")
    assert first.spec.heads == tuple(width + 1 for width in first.spec.widths)
    second = train("--out", tmp_path / "second.npz", "--start", tmp_path / "first.npz")
    changed = [k for k, v in first.weights.items() if not np.array_equal(v, second.weights[k])]
    assert "conv1_1_weight" in changed and "input_weight" not in changed


def test_a_narrower_chain_learns_what_a_wide_one_paints(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(8):
        write_image(tmp_path / "photos" / f"{number}.png", picture(number, 70, 80))
    wide = random_chain([GENERATORS["conv-fast"]] * 2, ["one", "two"])
    wide.save(tmp_path / "wide.neuralart")

    def distil(out: str, *more: object) -> str:
        words = [tmp_path / "wide.neuralart", tmp_path / out, "--data", tmp_path / "photos"]
        words += ["--crop", 64, "--batch", 2, *more]
        result = subprocess.run(
            [sys.executable, SCRIPTS / "distil.py", *map(str, words)],
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    said = distil("slim", "--chain", "conv-fast,conv-slim", "--steps", 75)
    first, *_, last = (
        json.loads(line[line.index("[") : line.index("]") + 1]) for line in said.splitlines()
    )
    assert first[0] == last[0] == 0 and last[1] < 0.8 * first[1]
    slim = load_chain(tmp_path / "slim")
    assert slim.names == wide.names and slim.specs[1].layers == GENERATORS["conv-slim"].layers
    same = [name for name, array in wide.params.items() if np.array_equal(array, slim.params[name])]
    assert {name for name in wide.params if name.startswith("g0_")} <= set(same)
    # As wide as the original, nothing is left to learn.
    said = distil(
        "same",
        "--chain",
        "conv-fast,conv-fast",
        "--steps",
        1,
        "--begin",
        tmp_path / "wide.neuralart",
    )
    assert "[0.0, 0.0]" in said


@pytest.mark.parametrize(
    "words, wrong",
    [
        (["distil.py", "none", "out", "--chain", "conv-fast", "--data", "."], "none: "),
        (["distil.py", "wide", "out", "--chain", "thin", "--data", "."], "--chain: no generator"),
        (["distil.py", "wide", "out", "--chain", "conv-slim", "--data", "."], "--chain: its "),
        (["distil.py", "wide", "out", "--chain", "conv,conv", "--data", "."], "--chain: its "),
        (["ship_model.py", "none", "name"], "none: "),
        (["ship_model.py", "wide", "name"], "wide: a model by itself"),
    ],
)
def test_scripts_about_models_say_what_is_wrong(
    tmp_path: Path, words: list[str], wrong: str
) -> None:
    random_chain([GENERATORS["conv-fast"]] * 2, ["one"]).save(tmp_path / "wide")
    script, *rest = words
    result = subprocess.run(
        [sys.executable, SCRIPTS / script, *rest], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{Path(script).stem}: {wrong}")
    assert [each.name for each in tmp_path.iterdir()] == ["wide"]
