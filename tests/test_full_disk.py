"""Full disks, no inodes, read-only and vanished folders: one line, and earlier files stay whole.

The disks are small file systems in memory where the test may mount them, as root may in a container.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import LITTLE, fails, files_below, picture, random_chain, run_cli

from neuralart.pictures.writing import write_image

Disk = Callable[..., Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a disk of so many bytes, with so many files at most."""
    mounted: list[Path] = []

    def mount(size: int, inodes: int = 1000) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        options = f"size={size},nr_inodes={inodes}"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("may not mount a file system here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "m.neuralart"
    random_chain([LITTLE, LITTLE], ["red"]).save(path)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "jp2", "tiff", "webp", "bmp"])
def test_a_painting_that_does_not_fit(disk: Disk, model: Path, tmp_path: Path, suffix: str) -> None:
    place, photo = disk(16_384), tmp_path / "photo.png"
    write_image(photo, picture(0, 200, 300))
    (place / f"out.{suffix}").write_bytes(b"earlier")
    result = run_cli("stylize", photo, place / f"out.{suffix}", "--model", model, "--overwrite")
    fails(result, 1, f"out.{suffix}: cannot be written: No space left on device")
    assert {p.name: p.read_bytes() for p in place.iterdir()} == {f"out.{suffix}": b"earlier"}


def test_a_disk_without_inodes(disk: Disk, model: Path, tmp_path: Path) -> None:
    place, photo = disk(1_000_000, inodes=2), tmp_path / "photo.png"
    write_image(photo, picture(0))
    (place / "out.png").write_bytes(b"earlier")
    result = run_cli("stylize", photo, place / "out.png", "--model", model, "--overwrite")
    fails(result, 1, "out.png: cannot be written: No space left on device")
    assert (place / "out.png").read_bytes() == b"earlier"


@pytest.mark.parametrize("size", [0, 24_576, 49_152])
def test_a_training_on_a_full_disk(disk: Disk, train_arguments: list[object], size: int) -> None:
    """Checkpoints, sheets, metrics and the model: whatever comes first says so; resuming works."""
    place = disk(4_096 + size)
    out = place / "run"
    result = run_cli(*train_arguments, "--out", out)
    fails(result, 1, "cannot be written: No space left on device")
    assert [name for name in files_below(place) if name.endswith((".part", ".lock"))] == []
    subprocess.run(["mount", "-o", "remount,size=10m", str(place)], check=True)
    result = run_cli(*train_arguments, "--out", out, "--resume")
    assert result.exit_code == 0, result.stderr
    lines = (out / "metrics.jsonl").read_bytes()
    assert lines.endswith(b"}\n") and b"\0" not in lines


def test_a_packing_on_a_full_disk(disk: Disk, photo_dir: Path, tmp_path: Path) -> None:
    place = disk(40_960)
    earlier = {f"p.{kind}": kind.encode() for kind in ("rec", "idx", "lst")}
    for name, data in earlier.items():
        (place / name).write_bytes(data)
    (place / "filler").write_bytes(bytes(20_000))
    result = run_cli("pack", photo_dir, place / "p.rec", "--overwrite", "--processes", 1)
    fails(result, 1, "cannot be written: No space left on device")
    assert {name: (place / name).read_bytes() for name in earlier} == earlier
    (place / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=1m", str(place)], check=True)
    result = run_cli("pack", photo_dir, place / "p.rec", "--overwrite", "--processes", 1)
    assert result.exit_code == 0, result.stderr
    assert files_below(place) == sorted(earlier)


@pytest.mark.parametrize("form", ["mxnet", "onnx", "ort"])
def test_an_export_on_a_full_disk(disk: Disk, model: Path, form: str) -> None:
    for size in (0, 12_288, 28_672):
        place = disk(4_096 + size)
        result = run_cli("export", model, "--to", place / "e", "--format", form)
        fails(result, 1)
        assert files_below(place) == [] and list(place.iterdir()) == []


def test_an_optimisation_whose_metrics_do_not_fit_keeps_its_painting(
    disk: Disk, style_file: Path, features_file: Path, tmp_path: Path
) -> None:
    place, photo, out = disk(4_096), tmp_path / "photo.png", tmp_path / "out.png"
    write_image(photo, picture(0, 70, 80))
    (place / "filler").write_bytes(bytes(4_000))
    result = run_cli(
        "optimize", photo, out, "--style", style_file, "--features", features_file,
        "--iterations", 20, "--metrics", place / "m.jsonl",
    )  # fmt: skip
    fails(result, 1, "m.jsonl: cannot be written: No space", f"the painting is in {out}")
    assert out.exists()
    assert all(line.endswith("}") for line in (place / "m.jsonl").read_text().splitlines())


def test_a_limit_of_file_sizes_is_one_line(
    train_arguments: list[object], model: Path, photo_dir: Path, tmp_path: Path
) -> None:
    """Without mounting: `ulimit -f` makes long writes fail as a full disk does."""
    for arguments in (
        (*train_arguments, "--out", tmp_path / "run"),
        ("pack", photo_dir, tmp_path / "p.rec", "--processes", 1),
        ("export", model, "--to", tmp_path / "e", "--format", "onnx"),
        ("stylize", photo_dir / "0.png", tmp_path / "out.png", "--model", model),
    ):
        words = [sys.executable, "-m", "neuralart", *map(str, arguments)]
        result = subprocess.run(
            ["bash", "-c", 'ulimit -f 1; exec "$0" "$@"', *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 1 and result.stdout == "", result.stderr
        (line,) = [x for x in result.stderr.splitlines() if not x.startswith("note:")]
        assert line.startswith("error: ") and "cannot be written" in line, line
    left = [name for name in files_below(tmp_path) if "photos" not in name]
    assert [name for name in left if name.endswith((".part", ".lock", ".png"))] == []


def test_folders_that_cannot_be_written(
    train_arguments: list[object], model: Path, photo_dir: Path, tmp_path: Path
) -> None:
    """A file in the place of a folder, a link to nothing, and a name that is too long."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for place in (tmp_path / "file", tmp_path / "link", tmp_path / ("n" * 300)):
        for arguments in (
            (*train_arguments, "--out", place / "run"),
            ("pack", photo_dir, place / "p.rec"),
            ("export", model, "--to", place / "e", "--format", "onnx"),
            ("stylize", photo_dir / "0.png", place / "out.png", "--model", model),
        ):
            fails(run_cli(*arguments), 1)
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]
    assert (tmp_path / "file").read_text() == "mine"
