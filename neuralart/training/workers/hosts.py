"""The machines of a host file, as ssh reaches them."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuralart import __version__
from neuralart.errors import ConfigError, RunError

LOCAL = "localhost"

PROBE_SECONDS = 20.0
"""How long machines may take to tell their version."""

# After 3 x 5 s without an answer ssh ends, and its worker counts as dead.
SSH = (
    "ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5",
    "-o", "ServerAliveCountMax=3",
)  # fmt: skip


@dataclass
class Host:
    """A machine by the name that ssh knows, and its number of workers."""

    name: str
    slots: int = 1


def read_hosts(path: Path) -> list[Host]:
    """Read a host file: a machine's name on each line, and ``slots=2`` after it for two workers.

    ``#`` begins a comment. Raises ConfigError that names the wrong line.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--hosts {path}: cannot be read: {error}") from None
    hosts = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        name, *rest = words
        slots = rest[0].removeprefix("slots=") if rest else "1"
        if len(rest) > 1 or not slots.isdigit() or int(slots) < 1 or name.startswith("-"):
            raise ConfigError(f"--hosts {path}, line {number}: is not NAME or NAME slots=N")
        hosts.append(Host(name, int(slots)))
    if not hosts:
        raise ConfigError(f"--hosts {path}: names no machine")
    return hosts


def check_versions(hosts: Sequence[str]) -> None:
    """Ask all machines at once for their version of neuralart.

    Raises RunError that names those that do not answer or differ, ConfigError without ssh.
    """
    if shutil.which("ssh") is None:
        raise ConfigError(
            "--hosts: ssh is not installed here: apt-get install openssh-client, or use --workers"
        )
    code = "import neuralart; print(neuralart.__version__)"
    asked = {
        host: subprocess.Popen(
            [*SSH, host, shlex.join(["env", "-C", os.getcwd(), sys.executable, "-c", code])],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for host in dict.fromkeys(hosts)
    }  # fmt: skip
    end = time.monotonic() + PROBE_SECONDS
    problems = []
    for host, process in asked.items():
        try:
            out, err = process.communicate(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            problems.append(f"{host} does not answer in {PROBE_SECONDS:g} s")
            continue
        said = (err.strip().splitlines() or ["no reason given"])[-1]
        if process.returncode == 255:
            problems.append(f"{host} does not answer: {said}")
        elif process.returncode:
            problems.append(f"{host} has no neuralart at {sys.executable} in {os.getcwd()}: {said}")
        elif out.split()[-1:] != [__version__]:  # a login shell may print a greeting before it
            version = (out.split() or ["of no version"])[-1]
            problems.append(f"{host} has neuralart {version}, and this machine {__version__}")
    if problems:
        raise RunError(f"--hosts: {'; '.join(problems)}; nothing was started")


def name_in_net(host: str) -> str:
    """The host name or address that ssh uses for a host."""
    known = subprocess.run([*SSH, "-G", host], capture_output=True, text=True).stdout
    names = [line.split()[1] for line in known.splitlines() if line.startswith("hostname ")]
    return names[0] if names else host.rpartition("@")[2]


def own_address(host: str) -> str:
    """This machine's address as a host sees it. Raises ConfigError if only ssh knows the host."""
    name = name_in_net(host)
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((name, 9))  # sends nothing
        except OSError:
            raise ConfigError(
                f"--hosts: {name} is a name that only ssh knows; "
                "give this machine's address as --address"
            ) from None
        return str(probe.getsockname()[0])
