"""Two workers on this machine: they end where one process does, stop together, and must agree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import needs_mxnet, run_cli

from neuralart.chain.model import load_model
from neuralart.errors import ConfigError
from neuralart.options.train import TrainConfig
from neuralart.training.workers.hosts import read_hosts

MORE: list[object] = ["--steps", 10, "--joint-steps", 4, "--save-every", 5, "--batch", 2]
SECONDS = 500
"""The longest that a test waits, so that a job that hangs fails it."""


def start(*arguments: object, **changes: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "neuralart", "launch", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **changes},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers_of(process: subprocess.Popen[str]) -> dict[int, int]:
    """The process ids of the job's workers by their numbers."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            status = (folder / "stat").read_text()
            env = (folder / "environ").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if int(status.rpartition(")")[2].split()[1]) != process.pid:
            continue
        for variable in env:
            name, _, value = variable.partition("=")
            if name in ("DMLC_TASK_ID", "RANK"):
                found[int(value)] = int(folder.name)
    return found


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + SECONDS
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert path.exists(), process.communicate()[1]


def finish(process: subprocess.Popen[str], seconds: float = SECONDS) -> tuple[int, str, str]:
    """Wait for the end; return the exit code, stdout and stderr."""
    stdout, stderr = process.communicate(timeout=seconds)
    assert "Traceback" not in stderr
    return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def of_one(
    train_arguments: list[object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The run of one process with the same batch."""
    out = tmp_path_factory.mktemp("one") / "run"
    assert run_cli(*train_arguments, *MORE, "--out", out).exit_code == 0
    yield out


def assert_close(run: Path, other: Path) -> None:
    params, others = load_model(run).params, load_model(other).params
    for name, array in params.items():
        np.testing.assert_allclose(array, others[name], atol=2e-5, err_msg=name)


def lose_a_worker(command: list[object], out: Path) -> str:
    """Kill worker 1 of a job in its first phase; return the job's stderr.

    ``command`` saves after every step: the first checkpoint is seen long before the phase is done.
    """
    process = start("--workers", 2, *command)
    wait_for(out / "checkpoints" / "0-00000000.zip", process)
    worker = workers_of(process)[1]
    wait_for(out / "checkpoints" / "0-00000001.zip", process)
    os.kill(worker, signal.SIGKILL)
    code, stdout, stderr = finish(process, 60)
    assert code == 1 and stdout == ""
    assert "error: worker 1 was killed by signal 9, so the job is stopped" in stderr
    assert not (out / "model.neuralart").exists()
    return stderr


def test_a_worker_that_dies_stops_the_job_which_resumes_to_the_run_of_one(
    train_arguments: list[object], of_one: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [*train_arguments[1:], *MORE, "--save-every", 1, "--out", out]
    stderr = lose_a_worker(command, out)
    assert "other workers are gone; stopped after step" in stderr and str(out) in stderr

    code, stdout, stderr = finish(start("--workers", 2, *command, "--resume"))
    assert (code, stdout) == (0, f"{out / 'model.neuralart'}\n"), stderr
    assert_close(out, of_one)
    losses = [load_model(run).card["held_out"]["losses"]["x2"]["total"] for run in (out, of_one)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_ctrl_c_stops_every_worker_after_the_same_step(
    train_arguments: list[object], of_one: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [*train_arguments[1:], *MORE, "--steps", 200, "--out", out]
    process = start(*command)
    wait_for(out / "checkpoints" / "0-00000005.zip", process)
    process.send_signal(signal.SIGINT)
    code, _, stderr = finish(process)
    assert code == 130 and "the job is stopped" in stderr and "gone" not in stderr
    assert (out / "checkpoints").exists() and not (out / "model.neuralart").exists()


def listening(parent: int) -> set[str]:
    """The addresses on which the children of a process listen, in the kernel's hexadecimal form."""
    sockets = set()
    for folder in Path("/proc").iterdir():
        try:
            status = (folder / "stat").read_text()
            if int(status.rpartition(")")[2].split()[1]) == parent:
                sockets |= {os.readlink(file) for file in (folder / "fd").iterdir()}
        except (OSError, ValueError, IndexError):
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                found.add(words[1].partition(":")[0])
    return found


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
def test_workers_of_one_machine_listen_on_loopback_alone(
    train_arguments: list[object], tmp_path: Path, device: str
) -> None:
    """Whoever reaches a port of theirs may run code."""
    out = tmp_path / "run"
    command = [*train_arguments[1:], *MORE, "--steps", 200, "--out", out, "--device", device]
    process = start("--workers", 2, *command)
    wait_for(out / "checkpoints" / "0-00000000.zip", process)
    addresses = listening(process.pid)
    process.send_signal(signal.SIGINT)
    finish(process)
    assert addresses and addresses <= {"0100007F", f"{0:024X}01000000"}, addresses


@needs_mxnet  # its stand-in for ssh looks for the variables of MXNet's workers
@pytest.mark.parametrize(
    "setting, words",
    [
        ("RATE=0.5", "worker 1 differs from worker 0: rate (there 0.5, here None)"),
        ("START=no-such-style", "worker 1 on 127.0.0.1: error: "),
    ],
)
def test_a_worker_that_differs_or_fails_at_the_start(
    train_arguments: list[object], tmp_path: Path, setting: str, words: str
) -> None:
    """A stand-in for ssh runs commands on this machine and gives worker 1 an option of its own."""
    ssh = tmp_path / "ssh"
    ssh.write_text(
        "#!/bin/sh\nfor last; do :; done\n"
        f'case "$*" in *TASK_ID=1*) export NEURALART_TRAIN_{setting};; esac\nexec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    hosts = tmp_path / "hosts"
    hosts.write_text("here # this machine\n\n127.0.0.1 slots=1\n")
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = ["--hosts", hosts, "--address", "127.0.0.1", *train_arguments[1:], *MORE]
    out = tmp_path / "run"
    code, _, stderr = finish(start(*command, "--out", out, PATH=path, DMLC_INTERFACE="lo"))
    assert code == 1 and words in stderr and "note: the workers meet at 127.0.0.1, port" in stderr
    assert not out.exists()


def test_hosts_that_do_not_answer(train_arguments: list[object], tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(
        "#!/bin/sh\necho 'ssh: connect to host far port 22: No route to host' >&2; exit 255\n"
    )
    ssh.chmod(0o755)
    hosts = tmp_path / "hosts"
    hosts.write_text("far\n")
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = ["--hosts", hosts, *train_arguments[1:], "--out", tmp_path / "run"]
    code, _, stderr = finish(start(*command, PATH=path))
    assert code == 1 and "far does not answer: ssh: connect to host far" in stderr
    ssh.write_text("#!/bin/sh\necho 0.0.1\n")
    code, _, stderr = finish(start(*command, PATH=path))
    assert code == 1 and "far has neuralart 0.0.1, and this machine" in stderr
    assert not (tmp_path / "run").exists()


def test_host_files(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("a\n# none\nuser@b slots=2  # two\n")
    assert [(h.name, h.slots) for h in read_hosts(path)] == [("a", 1), ("user@b", 2)]
    for text in ("", "a slots=0\n", "a b\n", "-oProxyCommand=x\n"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="--hosts"):
            read_hosts(path)


def test_a_batch_that_does_not_share_out(train_arguments: list[object], tmp_path: Path) -> None:
    result = run_cli(*train_arguments, "--out", tmp_path / "r", "--device", "cpu:0,1", "--batch", 3)
    assert result.exit_code == 2 and "no multiple of the 2 devices" in result.stderr


def test_several_devices_of_a_cpu_compute_with_a_thread_each(
    train_arguments: list[object], tmp_path: Path
) -> None:
    """With more threads, matrix products of two devices can wait for each other for ever."""

    def threads(device: str, said: int | None = None) -> int | None:
        return TrainConfig(style=Path(), data=Path(), device=device, threads=said).threads_each()

    assert threads("cpu:0,1") == threads("cpu:0,1,2,3", 1) == 1
    assert threads("cpu") is None and threads("gpu:0,1", 3) == threads("cpu:0", 3) == 3
    both = TrainConfig(style=(), data=Path()).on_threads(2)
    assert both.device == "cpu:0,1" and both.threads_each() == 1
    more = ("--device", "cpu:0,1", "--threads", 2)
    result = run_cli(*train_arguments, "--out", tmp_path / "r", *more)
    assert result.exit_code == 2 and "--threads 2: each of several CPU devices" in result.stderr
    assert not (tmp_path / "r").exists()


def test_two_threads_are_two_devices() -> None:
    def device(computing: int, **options: Any) -> str:
        return TrainConfig(style=(), data=Path(), **options).on_threads(computing).device

    assert device(2) == device(4, threads=2) == device(2, batch=4) == "cpu:0,1"
    assert device(1) == device(4) == device(2, threads=1) == device(2, batch=3) == "cpu"
    assert device(2, device="cpu:0") == "cpu:0" and device(2, device="gpu:0") == "gpu:0"
    assert device(2, kvstore="dist_sync") == "cpu"  # each of several workers has its share


@pytest.mark.parametrize("threads", [None, 2])
def test_two_devices_are_no_other_options(threads: int | None) -> None:
    """A run may be resumed where another number of threads computes."""
    given = TrainConfig(style=(), data=Path(), threads=threads)
    assert given.on_threads(2).result_options() == given.result_options()


def test_two_workers_with_a_discriminator_end_where_one_does(
    train_arguments: list[object], tmp_path: Path
) -> None:
    # With seed 0, PyTorch's rounding turned a gradient near 0: a whole step of Adam, 1.3e-4.
    command = [*train_arguments[1:], *MORE, "--gan-weight", 0.5, "--seed", 5]
    assert run_cli("train", *command, "--out", tmp_path / "one").exit_code == 0
    code, _, stderr = finish(start("--workers", 2, *command, "--out", tmp_path / "two"))
    assert code == 0, stderr
    assert_close(tmp_path / "two", tmp_path / "one")
    rows = [
        json.loads((tmp_path / run / "metrics.jsonl").read_text().splitlines()[-1])["gan"]
        for run in ("one", "two")
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)
