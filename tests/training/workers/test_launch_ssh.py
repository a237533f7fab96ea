"""`launch --hosts` by a real ssh, to a server on loopback that has the names of two machines."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import needs_mxnet

from neuralart.chain.model import load_model

SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin"
SSHD = shutil.which("sshd", path=SYSTEM_PATH)

pytestmark = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None,
    reason="no ssh server is installed: run scripts/install_ssh first",
)

MORE: list[object] = ["--joint-steps", 2, "--save-every", 2, "--batch", 2]
LONG: list[object] = ["--steps", 5000, "--out", "run", "--servers", 1]
SECONDS = 300


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def ssh_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an ``ssh`` that knows the machines one, two, closed and stranger.

    Their server runs until the module's tests are done.
    """
    assert SSHD is not None
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("key", "host_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    port = free_port()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/key.pub\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n"
    )
    key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
    (folder / "ssh_config").write_text(
        f"Host closed\nPort {free_port()}\nHost stranger\nUserKnownHostsFile none\n"
        f"Host *\nHostName 127.0.0.1\nPort {port}\n"
        f"User {getpass.getuser()}\nIdentityFile {folder}/key\nIdentitiesOnly yes\n"
        f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\n"
    )
    (folder / "ssh").write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n'
    )
    (folder / "ssh").chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it puts the part that is not root
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
        try:
            reach(folder, server)
            yield folder
        finally:
            server.terminate()
            server.wait()


def reach(folder: Path, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server runs commands."""
    end = time.monotonic() + 20
    command = [str(folder / "ssh"), "-o", "BatchMode=yes", "one", "true"]
    while server.poll() is None and time.monotonic() < end:
        if subprocess.run(command, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())


class Launch:
    """A job on these hosts, launched from this folder."""

    def __init__(
        self, ssh_folder: Path, folder: Path, hosts: str, *arguments: object, **env: str
    ) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "hosts").write_text(hosts)
        self.port = free_port()
        command: list[object] = [
            sys.executable, "-m", "neuralart", "launch", "--hosts", "hosts", "--port", self.port,
            *arguments,
        ]  # fmt: skip
        path = f"{ssh_folder}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            list(map(str, command)), cwd=folder, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": path, **env},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def wait_for_a_checkpoint(self, run: Path) -> None:
        """Wait for any checkpoint after a step; a certain one may be deleted before it is seen."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None and time.monotonic() < end:
            if any(path.stem > "0-00000000" for path in run.glob("checkpoints/0-*.zip")):
                return
            time.sleep(0.05)
        raise AssertionError(self.process.communicate()[1])

    def finish(self, seconds: float = SECONDS) -> tuple[int, str, str]:
        """Wait for the end, and check that nothing of the job runs on at either end of ssh.

        Returns the exit code, stdout and stderr.
        """
        stdout, stderr = self.process.communicate(timeout=seconds)
        assert "Traceback" not in stderr
        end = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        assert not left
        return self.process.returncode, stdout, stderr

    def processes(self) -> dict[int, str]:
        """The job's processes by their ids: ssh, the far shells, and MXNet's with their roles."""
        mark = f"DMLC_PS_ROOT_PORT={self.port}"
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                env = (folder / "environ").read_bytes().decode().split("\0")
                words = (folder / "cmdline").read_bytes().decode()
            except (OSError, UnicodeDecodeError):
                continue
            if mark in env or mark in words:
                of_mxnet = [v for v in env if v.startswith(("DMLC_ROLE=", "DMLC_TASK_ID="))]
                found[int(folder.name)] = " ".join(sorted(of_mxnet)) or words
        return found

    def worker(self, number: int) -> int:
        """The process id of a worker."""
        role = f"DMLC_ROLE=worker DMLC_TASK_ID={number}"
        return next(pid for pid, what in self.processes().items() if what == role)


def long_training(
    ssh_folder: Path, folder: Path, hosts: str, train_arguments: list[object]
) -> Launch:
    """A job that runs until something stops it."""
    return Launch(ssh_folder, folder, hosts, *train_arguments[1:], *MORE, *LONG)


@needs_mxnet
@pytest.mark.parametrize("device, logins", [("cpu", 6), ("torch:cpu", 4)])
def test_two_machines_end_where_one_process_does(
    ssh_folder: Path, train_arguments: list[object], tmp_path: Path, device: str, logins: int
) -> None:
    """The folder's name needs quotes, options come from the environment, the address is found."""
    one, folder = tmp_path / "one", tmp_path / "it's a folder"
    arguments = [*train_arguments[1:], *MORE, "--device", device]
    before = (ssh_folder / "log").read_text().count("Accepted publickey")
    command = [sys.executable, "-m", "neuralart", "train", *arguments, "--steps", 4, "--out", one]
    alone = subprocess.Popen(list(map(str, command)), env={**os.environ, "OMP_NUM_THREADS": "1"})
    env = {"NEURALART_TRAIN_STEPS": "4", "NEURALART_TRAIN_OUT": "the run"}
    code, stdout, stderr = Launch(ssh_folder, folder, "one\ntwo\n", *arguments, **env).finish()
    assert (code, stdout) == (0, "the run/model.neuralart\n"), stderr
    assert alone.wait(timeout=SECONDS) == 0
    # Both were asked for their versions; each runs a worker, and for MXNet a server.
    accepted = (ssh_folder / "log").read_text().count("Accepted publickey")
    assert accepted - before >= logins
    params, others = load_model(folder / "the run").params, load_model(one).params
    for name, array in params.items():
        np.testing.assert_allclose(array, others[name], atol=2e-5, err_msg=name)


@needs_mxnet
def test_a_far_worker_that_dies_stops_the_job(
    ssh_folder: Path, train_arguments: list[object], tmp_path: Path
) -> None:
    job = long_training(ssh_folder, tmp_path, "one\ntwo\n", train_arguments)
    job.wait_for_a_checkpoint(tmp_path / "run")
    assert len(job.processes()) >= 4 + 3 * 2  # MXNet's, ssh for all but the scheduler, and shells
    os.kill(job.worker(1), signal.SIGKILL)
    code, stdout, stderr = job.finish(60)
    assert code == 1 and stdout == ""
    assert "error: worker 1 on two was killed by signal 9, so the job is stopped" in stderr
    assert "other workers are gone; stopped after step" in stderr and "saved in run" in stderr
    assert not (tmp_path / "run" / "model.neuralart").exists()


@needs_mxnet
def test_a_launch_that_is_stopped_stops_the_far_worker(
    ssh_folder: Path, train_arguments: list[object], tmp_path: Path
) -> None:
    job = long_training(ssh_folder, tmp_path, "one\n", train_arguments)
    job.wait_for_a_checkpoint(tmp_path / "run")
    job.process.terminate()
    code, _, stderr = job.finish()
    assert code == 128 + signal.SIGTERM
    assert "the job is stopped" in stderr and "gone" not in stderr
    assert list((tmp_path / "run" / "checkpoints").iterdir())


@needs_mxnet
def test_a_launch_that_is_killed_leaves_nothing(
    ssh_folder: Path, train_arguments: list[object], tmp_path: Path
) -> None:
    job = long_training(ssh_folder, tmp_path, "one\nlocalhost\n", train_arguments)
    end = time.monotonic() + SECONDS
    roles: list[str] = []
    while len(roles) < 4 and time.monotonic() < end:
        time.sleep(0.05)
        roles = [what for what in job.processes().values() if what.startswith("DMLC_ROLE")]
    assert len(roles) == 4
    job.process.kill()
    job.finish()


def test_machines_that_do_not_answer(
    ssh_folder: Path, train_arguments: list[object], tmp_path: Path
) -> None:
    arguments = [*train_arguments[1:], "--out", "run"]
    hosts = "one\nclosed\nstranger\n"
    code, stdout, stderr = Launch(ssh_folder, tmp_path, hosts, *arguments).finish(20)
    assert code == 1 and stdout == "" and len(stderr.splitlines()) == 1
    assert "error: --hosts: closed does not answer: ssh: connect to host 127.0.0.1 port" in stderr
    assert "; stranger does not answer: Host key verification failed.; nothing was" in stderr
    assert not (tmp_path / "run").exists()
