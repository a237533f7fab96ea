"""``stylize --cluster``: workers paint what one machine would, also where one of them dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import fails, files_below, needs_mxnet, picture, run_cli

from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import write_image

pytest.importorskip("distributed")
fsspec = pytest.importorskip("fsspec")

pytestmark = needs_mxnet

COUNT = 24


class Cluster:
    """A scheduler and two workers of their own, on loopback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard")
        while not self._file.exists() or not self._file.read_text():
            assert self.scheduler.poll() is None
            time.sleep(0.05)
        self.address = str(json.loads(self._file.read_text())["address"])
        self.workers = [self.start_worker() for _ in range(2)]

    def _start(self, kind: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", kind, "--host", "127.0.0.1", *words]
        with (self._folder / f"{kind}-{time.monotonic_ns()}.log").open("wb") as log:
            return subprocess.Popen(
                [*command, "--scheduler-file", str(self._file)], stdout=log, stderr=log
            )

    def start_worker(self) -> subprocess.Popen[bytes]:
        words = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0")
        words += ("--local-directory", str(self._folder))
        return self._start("worker", *words)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with contextlib.closing(Cluster(tmp_path_factory.mktemp("cluster"))) as found:
        yield found


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos that take a while, one that is damaged, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("many") / "in"
    (folder / "sub").mkdir(parents=True)
    for number in range(COUNT):
        below = "sub" if number % 2 else ""
        write_image(folder / below / f"{number:02}.png", picture(number, 300, 400))
    (folder / "cut.png").write_bytes((folder / "00.png").read_bytes()[:3000])
    (folder / "notes.txt").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def alone(run_dir: Path, many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process paints."""
    out = tmp_path_factory.mktemp("alone") / "out"
    result = run_cli("stylize", many, out, "--model", run_dir)
    assert result.exit_code == 1, result.output
    return out


def without_time(text: str) -> list[str]:
    return sorted(line.rpartition(" in ")[0] or line for line in text.splitlines())


def same_pictures(one: Path, other: Path) -> bool:
    names = files_below(one)
    return names == files_below(other) and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names
    )


def test_processes_here_do_what_one_does(
    run_dir: Path, many: Path, alone: Path, tmp_path: Path
) -> None:
    words = ("--model", run_dir, "--skip-existing")
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    for name in ("00.png", "sub/01.png"):
        (out / name).write_bytes((alone / name).read_bytes())
    first = run_cli("stylize", many, out, *words, "--cluster", "local:2")
    assert first.exit_code == 1
    assert same_pictures(alone, out)
    assert len(first.stdout.splitlines()) == COUNT - 2
    assert f"{out}/02.png" in first.stdout.splitlines()
    again = run_cli("stylize", many, out, *words)
    with_cluster = run_cli("stylize", many, out, *words, "--cluster", "local:1")
    assert without_time(again.stderr) == without_time(with_cluster.stderr)
    assert f"{COUNT - 2} painted" in first.stderr and "2 there already, 1 failed" in first.stderr
    assert again.exit_code == with_cluster.exit_code == 1


def test_a_worker_is_killed_in_the_middle(
    run_dir: Path, many: Path, alone: Path, cluster: Cluster, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "neuralart", "stylize", str(many), str(out)]
    command += ["--model", str(run_dir), "--cluster", cluster.address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not out.exists() or len(files_below(out)) < 4:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    victim = cluster.workers.pop(0)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    painted = len([name for name in files_below(out) if not name.startswith(".")])
    stdout, stderr = process.communicate(timeout=300)
    cluster.workers.append(cluster.start_worker())
    assert painted < COUNT
    assert process.returncode == 1, stderr
    for leftover in out.rglob(".*.part"):  # of the process that was killed
        leftover.unlink()
    assert same_pictures(alone, out)
    assert sorted(stdout.splitlines()) == [str(out / name) for name in files_below(out)]
    assert stderr.splitlines()[-1].startswith(f"error: {COUNT} painted (2.9 megapixels), 1 failed")
    assert "cut.png: cut short" in stderr


def test_addresses_with_and_without_workers(
    run_dir: Path, cluster: Cluster, alone: Path, many: Path
) -> None:
    memory = fsspec.filesystem("memory")
    for number in range(4):
        memory.pipe_file(f"/in/{number}.png", (many / f"0{2 * number}.png").read_bytes())
    memory.pipe_file("/in/.hidden/x.png", b"")
    memory.pipe_file("/in/notes.txt", b"hello")
    for out, more in (("a", ()), ("b", ("--cluster", cluster.address))):
        words = ("stylize", "memory://in", f"memory://out-{out}", "--model", run_dir, *more)
        result = run_cli(*words)
        assert result.exit_code == 0, result.output
        assert sorted(result.stdout.splitlines()) == [
            f"memory://out-{out}/{n}.png" for n in range(4)
        ]
        assert "passed over: 1 .txt" in result.stderr
        assert "4 painted (0.5 megapixels)" in result.stderr
        for number in range(4):
            painting = memory.cat_file(f"/out-{out}/{number}.png")
            assert painting == (alone / f"0{2 * number}.png").read_bytes()
        memory.rm_file(f"/out-{out}/2.png")
        result = run_cli(*words)
        assert result.exit_code == 1
        assert result.stdout == f"memory://out-{out}/2.png\n"
        assert f"memory://out-{out}/0.png: exists; add --overwrite" in result.stderr
        result = run_cli(*words, "--skip-existing")
        assert result.exit_code == 0
        assert "4 there already" in result.stderr
        result = run_cli(*words, "--overwrite", "--shard", "2/2")
        assert sorted(result.stdout.split()) == [f"memory://out-{out}/{n}.png" for n in (1, 3)]


def test_from_an_address_to_the_disk_and_back(run_dir: Path, many: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/from/a.png", (many / "00.png").read_bytes())
    memory.pipe_file("/from/b.png", (many / "02.png").read_bytes())
    words = ("--model", run_dir)
    result = run_cli("stylize", "memory://from/*.png", tmp_path / "out", *words)
    assert result.exit_code == 0, result.output
    assert files_below(tmp_path / "out") == ["a.png", "b.png"]
    result = run_cli("stylize", "memory://from/a.png", tmp_path / "one.jpg", *words)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'one.jpg'}\n"
    assert result.stderr == ""
    assert read_image(tmp_path / "one.jpg").shape == (300, 400, 3)
    result = run_cli(
        "stylize", tmp_path / "out", f"file://{tmp_path}/more/", *words, "--format", "webp"
    )
    assert result.exit_code == 0, result.output
    assert files_below(tmp_path / "more") == ["a.webp", "b.webp"]


def test_a_mask_that_all_workers_must_see(
    run_dir: Path, many: Path, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuralart.painting.cluster import crew

    (tmp_path / "black").mkdir()
    write_image(tmp_path / "black" / "mask.png", np.zeros((300, 400, 3), np.uint8))
    monkeypatch.chdir(tmp_path / "black")  # the workers' folder is another
    note = f"note: each worker reads --mask {tmp_path / 'black' / 'mask.png'}: all must see it"
    for name, is_here in (("a.png", True), ("b.png", False)):
        monkeypatch.setattr(crew, "is_here", lambda cluster, is_here=is_here: is_here)
        words = ("--model", run_dir, "--mask", "mask.png", "--cluster", cluster.address)
        result = run_cli("stylize", many / "00.png", tmp_path / name, *words)
        assert result.exit_code == 0, result.output
        assert (note in result.stderr) is not is_here
        np.testing.assert_array_equal(read_image(tmp_path / name), read_image(many / "00.png"))


def test_which_workers_are_here() -> None:
    from neuralart.painting.cluster.crew import is_here

    here = ("local:4", "tcp://127.0.0.1:8786", "tls://localhost:8786", "tcp://[::1]:8786")
    assert all(map(is_here, here))
    assert not any(map(is_here, ("tcp://10.0.0.1:8786", "tcp://localhost.example.com:8786")))


def test_what_cannot_be_read_or_written(run_dir: Path, many: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bad/a.png", b"not a picture")
    memory.pipe_file("/bad/sub/b.txt", b"not a picture")
    words = ("--model", run_dir)

    def refused(source: object, target: object, *reasons: str, exit_code: int = 1) -> None:
        fails(run_cli("stylize", source, target, *words), exit_code, *reasons)

    refused("memory://bad/a.png", "memory://out/a.png", "memory://bad/a.png: not a picture")
    refused("memory://none.png", "memory://out/a.png", "memory://none.png: cannot be read: no such")
    refused("memory://bad/sub", "memory://out", "holds no pictures")
    refused("memory://bad/*.tiff", "memory://out", "matches no file")
    refused("memory://bad", "memory://bad", "is the folder of the photos itself")
    refused("memory://bad/a.png", "memory://out/a.xyz", "memory://out/a.xyz: no picture format")
    refused(many / "00.png", "nowhere://out/", "nowhere://out: not an address", exit_code=2)
    refused("-", "memory://out/a.png", "- stands for a picture of this process", exit_code=2)
    assert not memory.exists("/out")
    target = tmp_path / "a.mp4"
    result = run_cli("stylize", many / "00.png", target, *words, "--cluster", "local:1")
    fails(result, 2, "a video is painted on one machine")


def test_wrong_clusters(run_dir: Path, many: Path, tmp_path: Path) -> None:
    words = ("stylize", many / "00.png", tmp_path / "a.png", "--model", run_dir, "--cluster")
    for cluster, reason in (
        ("local:0", "from 1 to"),
        ("local", "write local:4"),
        ("10.0.0.1:8786", "tcp://10.0.0.1:8786"),
    ):
        fails(run_cli(*words, cluster), 2, f"--cluster {cluster}", reason)
    from neuralart.painting.cluster import crew

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "WAITS_FOR_SCHEDULER", 1)
        fails(run_cli(*words, "tcp://127.0.0.1:9"), 1, "no scheduler answers")
    fails(run_cli(*words, "local:1", "--stage", 9), 2, "--stage 9")
    fails(run_cli(*words, "local:1", "--device", "gpu:77"), 1, "gpu:77")
    assert not (tmp_path / "a.png").exists()


def test_what_the_extra_has_is_named(
    run_dir: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("stylize", many / "00.png")
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "neuralart.painting.cluster.crew", raising=False)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for more in ((tmp_path / "a.png", "--cluster", "local:1"), ("memory://out/a.png",)):
        fails(run_cli(*words, *more, "--model", run_dir), 1, "cluster]")
