"""``neuralart launch``: train with several processes, here or on the machines of a host file.

Starts workers and watches them; for MXNet also the scheduler and the servers of its ``dist_sync``.
PyTorch's workers add up among themselves. ps-lite waits for ever for a dead worker. So when a
process fails, the other workers get SIGTERM; they save, and the job ends. If this process is
killed, the others end too.

Machines are reached by ssh and must have the same neuralart at the same path as here. The processes
use no encryption and no password among themselves, and MXNet's servers unpickle what reaches their
ports: whoever reaches one can run code as this user. Workers of this machine alone are reached by
loopback alone. With --hosts, use a network that you trust.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from neuralart import __version__
from neuralart.engine.contract import MEETING_FILE
from neuralart.engine.devices import is_torch
from neuralart.errors import ConfigError, Interrupted, RunError
from neuralart.machine.signals import deferred_signals
from neuralart.options.train import LaunchConfig

log = logging.getLogger(__name__)

LOCAL = "localhost"

PROBE_SECONDS = 20.0
"""How long machines may take to tell their version."""

STOP_SECONDS = 40.0
"""How long workers may take to stop and save: a step, and `kvstore.GRACE_SECONDS`."""

BEAT_SECONDS = 5.0
"""How often a far process is sent a byte."""

SILENCE_SECONDS = 45
"""A far process stops when it has received nothing for this long."""

# After 3 x 5 s without an answer ssh ends, and its worker counts as dead.
_SSH = (
    "ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5",
    "-o", "ServerAliveCountMax=3",
)  # fmt: skip

# A process on this machine gets SIGTERM when this one dies, however it dies.
_HERE = ("setpriv", "--pdeathsig", "TERM")

# ssh does not pass signals on. So at its far end, a loop beside the command reads what is sent from
# here. When that ends, or nothing comes for SILENCE_SECONDS (the network is cut), the command gets
# SIGTERM, and SIGKILL if it still runs after STOP_SECONDS.
_FAR = (
    "exec 3<&0; {before}{command} </dev/null 3<&- & child=$!; "
    '{{ while [ -n "$(timeout {silence} head -c 1 <&3)" ]; do :; done; kill $child; '
    "for second in $(seq {stop}); do kill -0 $child || exit; sleep 1; done; kill -9 $child; "
    "}} >/dev/null 2>&1 & exec 3<&-; wait $child"
)

# Of a machine's addresses, ps-lite may announce one that the others do not reach. The one that ssh
# came in by is good, if it is IPv4 (*.*): ps-lite does not speak IPv6.
_FAR_ADDRESS = "set -- $SSH_CONNECTION; case $3 in *.*) export DMLC_NODE_HOST=$3;; esac; "


# Variables of this machine that hold on every machine.
_PASSED_ON = (
    "DMLC_INTERFACE", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "OMP_NUM_THREADS", "PS_VERBOSE",
)  # fmt: skip


def _far_command(command: Sequence[str], env: dict[str, str]) -> str:
    """The line for ssh that runs a command in this folder with this environment, in any shell."""
    settings = [f"{key}={value}" for key, value in env.items() if key != "DMLC_NODE_HOST"]
    script = _FAR.format(
        before=_FAR_ADDRESS if "DMLC_NODE_HOST" in env else "",
        command=shlex.join(["env", "-C", os.getcwd(), *settings, *command]),
        silence=SILENCE_SECONDS,
        stop=round(STOP_SECONDS),
    )
    return shlex.join(["sh", "-c", script])


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


@dataclass
class Member:
    """A process of the job."""

    name: str
    process: subprocess.Popen[bytes]
    is_worker: bool
    reader: threading.Thread | None = None


@dataclass
class Job:
    """Starts, watches and stops the processes. Only worker 0 writes to this process's stdout."""

    members: list[Member] = field(default_factory=list)
    next_beat: float = 0.0

    def start(
        self, name: str, host: str, command: Sequence[str], env: dict[str, str], worker: int | None
    ) -> None:
        """Start a process on a host; ``worker`` is a worker's number, None for other roles."""
        stdout = None if worker == 0 else subprocess.DEVNULL
        stderr = None if worker == 0 else subprocess.PIPE
        far = host != LOCAL
        words = [*_SSH, host, _far_command(command, env)] if far else [*_HERE, *command]
        process = subprocess.Popen(
            words, env=None if far else {**os.environ, **env}, stdout=stdout, stderr=stderr,
            stdin=subprocess.PIPE if far else subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches this process only, which then stops the others in order.
            start_new_session=True,
        )  # fmt: skip
        member = Member(name, process, worker is not None)
        self.members.append(member)
        if process.stderr is not None:
            member.reader = threading.Thread(
                target=_pass_on, args=(process.stderr, name), daemon=True
            )
            member.reader.start()

    def dead(self) -> Member | None:
        """A process that has failed, or None.

        A worker rather than another, and not one that stopped since others are gone.
        """
        failed = [member for member in self.members if member.process.poll() not in (None, 0)]
        gone = 128 + signal.SIGTERM
        return min(
            failed, key=lambda m: (not m.is_worker, m.process.returncode == gone), default=None
        )

    def running(self) -> list[Member]:
        """The workers that have not ended."""
        return [m for m in self.members if m.is_worker and m.process.poll() is None]

    def beat(self) -> None:
        """Send every far process a byte each `BEAT_SECONDS`, which tells it that this one lives."""
        if time.monotonic() < self.next_beat:
            return
        self.next_beat = time.monotonic() + BEAT_SECONDS
        for member in self.members:
            stdin = member.process.stdin
            if stdin is not None and not stdin.closed:
                with contextlib.suppress(OSError):  # the process has ended; poll() will say so
                    os.write(stdin.fileno(), b".")

    def ask_to_stop(self) -> None:
        """Tell the workers to save and stop, those behind ssh by the end of their input."""
        for member in self.running():
            if member.process.stdin is not None:
                with contextlib.suppress(OSError):
                    member.process.stdin.close()
            else:
                member.process.terminate()

    def wait_for_workers(self, seconds: float) -> None:
        """Wait until all workers have ended, at most this long."""
        end = time.monotonic() + seconds
        while self.running() and time.monotonic() < end:
            self.beat()
            time.sleep(0.1)

    def end(self) -> None:
        """Kill what still runs: servers and scheduler end by themselves only after a whole job."""
        for member in self.members:
            if member.process.poll() is None:
                if member.process.stdin is not None:
                    with contextlib.suppress(OSError):
                        member.process.stdin.close()
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(member.process.pid, signal.SIGKILL)
            member.process.wait()
            if member.reader is not None:
                member.reader.join(timeout=1)  # passes on its last lines


def launch(config: LaunchConfig, arguments: Sequence[str], device: str = "cpu") -> None:
    """Run ``neuralart train`` with these arguments on every worker; ``device`` is their --device.

    Raises ConfigError for a wrong host file, RunError if a machine does not answer or has another
    version. When a process dies or a signal comes, the workers save their run and stop; then this
    raises RunError, or Interrupted for SIGINT and SIGTERM.
    """
    hosts = read_hosts(config.hosts) if config.hosts else [Host(LOCAL, config.workers)]
    if device.startswith("cuda:") and any(host.slots > 1 for host in hosts):
        raise ConfigError(
            f"--device {device}: the workers of a machine would share it; use --device cuda, "
            "which is another card for each"
        )
    far = [host.name for host in hosts if host.name != LOCAL]
    if far:
        _check_versions(far)
    by_torch = is_torch(device)
    servers = (
        [] if by_torch else [hosts[i % len(hosts)] for i in range(config.servers or len(hosts))]
    )
    port = str(config.port or _free_port())
    env = {
        key: value
        for key, value in os.environ.items()
        if key in _PASSED_ON or key.startswith("NEURALART_")
    }
    env |= (
        _torch_env(config, hosts, port) if by_torch else _kvstore_env(config, hosts, servers, port)
    )
    if far:
        address = env["MASTER_ADDR" if by_torch else "DMLC_PS_ROOT_URI"]
        log.warning(
            "note: the workers meet at %s, port %s, without password or encryption: whoever reaches "
            "that port, or those that they choose, can run code here; --address names another "
            "network's address",
            address,
            port,
        )
    job = Job()
    with deferred_signals() as interrupts, tempfile.TemporaryDirectory() as folder:
        if by_torch and not far:
            env[MEETING_FILE] = str(Path(folder) / "meeting")
        try:
            # In these two roles, MXNet does its work while it is imported.
            serve = [sys.executable, "-c", "import neuralart.engine.door"]
            if servers:
                job.start("the scheduler", LOCAL, serve, {**env, "DMLC_ROLE": "scheduler"}, None)
            for number, host in enumerate(servers):
                name = f"server {number}" + (f" on {host.name}" if far else "")
                job.start(name, host.name, serve, {**env, "DMLC_ROLE": "server"}, None)
            train = [sys.executable, "-m", "neuralart", "train", *arguments]
            train += ["--kvstore", "dist_sync"]
            places = [(host.name, slot) for host in hosts for slot in range(host.slots)]
            for number, (host_name, slot) in enumerate(places):
                role = {"DMLC_ROLE": "worker", "DMLC_TASK_ID": str(number)}
                if by_torch:
                    role = {"RANK": str(number), "LOCAL_RANK": str(slot)}
                name = f"worker {number}" + (f" on {host_name}" if far else "")
                job.start(name, host_name, train, {**env, **role}, number)
            _watch(job, interrupts)
        finally:
            job.end()


def _kvstore_env(
    config: LaunchConfig, hosts: Sequence[Host], servers: Sequence[Host], port: str
) -> dict[str, str]:
    """The variables by which the processes of a job of MXNet find each other."""
    far = [host.name for host in hosts if host.name != LOCAL]
    address = config.address or (_own_address(far[0]) if far else "127.0.0.1")
    env = {
        "DMLC_PS_ROOT_URI": address,
        "DMLC_PS_ROOT_PORT": port,
        "DMLC_NUM_WORKER": str(sum(host.slots for host in hosts)),
        "DMLC_NUM_SERVER": str(len(servers)),
    }
    if not far:
        return env | {"DMLC_INTERFACE": "lo", "DMLC_NODE_HOST": address}
    return env if "DMLC_INTERFACE" in os.environ else env | {"DMLC_NODE_HOST": address}


def _torch_env(config: LaunchConfig, hosts: Sequence[Host], port: str) -> dict[str, str]:
    """The variables by which the workers of a job of PyTorch find each other: at worker 0."""
    far = [host.name for host in hosts if host.name != LOCAL]
    here = hosts[0].name == LOCAL
    address = config.address or (_own_address(far[0]) if far else "127.0.0.1")
    env = {
        "MASTER_ADDR": address if here else _name_in_net(hosts[0].name),
        "MASTER_PORT": port,
        "WORLD_SIZE": str(sum(host.slots for host in hosts)),
    }
    return env if far else env | {"GLOO_SOCKET_IFNAME": "lo"}


def _watch(job: Job, interrupts: Sequence[int]) -> None:
    """Wait until all workers are done. Raises RunError or Interrupted if the job stops early."""
    dead = None
    while job.running():
        job.beat()
        time.sleep(0.2)
        dead = job.dead()
        if dead is not None or interrupts:
            job.ask_to_stop()
            job.wait_for_workers(STOP_SECONDS)
            break
    dead = dead or job.dead()
    if interrupts:
        raise Interrupted(
            "the job is stopped; the same command with --resume goes on", interrupts[0]
        )
    if dead is not None:
        raise RunError(
            f"{dead.name} {_how_it_ended(dead.process.returncode)}, so the job is stopped; "
            "if worker 0 has saved its run, the same command with --resume goes on"
        )


def _how_it_ended(code: int) -> str:
    if code == 255:  # ssh's own
        return "lost its connection"
    # A shell, as at the far end, exits with 128 + the signal's number.
    number = -code if code < 0 else code - 128
    return f"was killed by signal {number}" if number > 0 else f"ended with exit code {code}"


def _pass_on(stream: IO[bytes], name: str) -> None:
    """Copy the stderr of a process to this one's, each line after the process's name."""
    for line in stream:
        sys.stderr.write(f"{name}: {line.decode(errors='replace')}")
        sys.stderr.flush()


def _check_versions(hosts: Sequence[str]) -> None:
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
            [*_SSH, host, shlex.join(["env", "-C", os.getcwd(), sys.executable, "-c", code])],
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


def _name_in_net(host: str) -> str:
    """The host name or address that ssh uses for a host."""
    known = subprocess.run([*_SSH, "-G", host], capture_output=True, text=True).stdout
    names = [line.split()[1] for line in known.splitlines() if line.startswith("hostname ")]
    return names[0] if names else host.rpartition("@")[2]


def _own_address(host: str) -> str:
    """This machine's address as a host sees it. Raises ConfigError if only ssh knows the host."""
    name = _name_in_net(host)
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((name, 9))  # sends nothing
        except OSError:
            raise ConfigError(
                f"--hosts: {name} is a name that only ssh knows; "
                "give this machine's address as --address"
            ) from None
        return str(probe.getsockname()[0])


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
