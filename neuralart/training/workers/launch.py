"""``neuralart launch``: one training by several processes, here or on the machines of a host file.

Starts the scheduler, the servers and the workers of MXNet's ``dist_sync``, and watches them. ps-lite waits for ever
for a worker that died, so when one ends badly the others get SIGTERM, upon which they save, and the job ends.
Should this process itself be killed, the others end too. Machines are reached by ssh, and must have the same neuralart
at the same path as here. There is no encryption and no password between the processes: for networks that are trusted.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from neuralart import __version__
from neuralart.errors import ConfigError, Interrupted, RunError
from neuralart.machine.signals import deferred_signals
from neuralart.options.train import LaunchConfig

LOCAL = "localhost"

PROBE_SECONDS = 20.0

STOP_SECONDS = 40.0
"""For workers to save once the job is to stop; a step, and the grace of `modules.cluster`."""

BEAT_SECONDS = 5.0

SILENCE_SECONDS = 45
"""A far process is sent a byte every so often, and stops when it has heard nothing for so long."""

# A connection that is dead counts as a worker that is, after 3 x 5 s.
_SSH = (
    "ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5",
    "-o", "ServerAliveCountMax=3",
)  # fmt: skip

# A process here gets SIGTERM when this one dies in a way that it cannot tell it so.
_HERE = ("setpriv", "--pdeathsig", "TERM")

# The far end of ssh, where signals do not travel. The command runs beside a loop that reads what is sent from here: at
# the end of it, or in silence (the network is cut), the command gets SIGTERM, and SIGKILL if it has not ended then.
_FAR = (
    "exec 3<&0; {before}{command} </dev/null 3<&- & child=$!; "
    '{{ while [ -n "$(timeout {silence} head -c 1 <&3)" ]; do :; done; kill $child; '
    "for second in $(seq {stop}); do kill -0 $child || exit; sleep 1; done; kill -9 $child; "
    "}} >/dev/null 2>&1 & exec 3<&-; wait $child"
)

# Of several addresses that a machine has, ps-lite may tell the others one that they do not reach. The one that ssh
# came in by is good; the others of its kind (IPv6) ps-lite does not speak.
_FAR_ADDRESS = "set -- $SSH_CONNECTION; case $3 in *.*) export DMLC_NODE_HOST=$3;; esac; "


def _far_command(command: Sequence[str], env: dict[str, str]) -> str:
    """What ssh is to run, for whatever shell is there: in this folder, with this environment."""
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
    """A machine, by what ssh calls it, and how many workers it gets."""

    name: str
    slots: int = 1


def read_hosts(path: Path) -> list[Host]:
    """The machines of a host file: a name on a line, ``slots=2`` after it for two workers, # for comments.

    Raises ConfigError that names the line that is wrong.
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
            raise ConfigError(f"--hosts {path}, line {number}: not a name, and slots=N perhaps")
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
    """The processes, as they are started, watched and stopped. Worker 0 speaks for all."""

    members: list[Member] = field(default_factory=list)
    next_beat: float = 0.0

    def start(
        self, name: str, host: str, command: Sequence[str], env: dict[str, str], worker: int | None
    ) -> None:
        stdout = None if worker == 0 else subprocess.DEVNULL
        stderr = None if worker == 0 else subprocess.PIPE
        far = host != LOCAL
        words = [*_SSH, host, _far_command(command, env)] if far else [*_HERE, *command]
        process = subprocess.Popen(
            words, env=None if far else {**os.environ, **env}, stdout=stdout, stderr=stderr,
            stdin=subprocess.PIPE if far else subprocess.DEVNULL,
            # Ctrl-C in a terminal is for this process, which tells the others.
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
        """A process that ended badly, a worker before others."""
        for member in sorted(self.members, key=lambda member: not member.is_worker):
            if member.process.poll() not in (None, 0):
                return member
        return None

    def running(self) -> list[Member]:
        return [m for m in self.members if m.is_worker and m.process.poll() is None]

    def beat(self) -> None:
        """Tell far processes, now and then, that this one is still there."""
        if time.monotonic() < self.next_beat:
            return
        self.next_beat = time.monotonic() + BEAT_SECONDS
        for member in self.members:
            stdin = member.process.stdin
            if stdin is not None and not stdin.closed:
                with contextlib.suppress(OSError):  # it has ended, as poll() will say
                    os.write(stdin.fileno(), b".")

    def ask_to_stop(self) -> None:
        """Workers save and stop; over ssh the end of input says so."""
        for member in self.running():
            if member.process.stdin is not None:
                with contextlib.suppress(OSError):
                    member.process.stdin.close()
            else:
                member.process.terminate()

    def wait_for_workers(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.running() and time.monotonic() < end:
            self.beat()
            time.sleep(0.1)

    def end(self) -> None:
        """End what still runs: servers and the scheduler, which end by themselves only after a whole job."""
        for member in self.members:
            if member.process.poll() is None:
                if member.process.stdin is not None:
                    with contextlib.suppress(OSError):
                        member.process.stdin.close()
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(member.process.pid, signal.SIGKILL)
            member.process.wait()
            if member.reader is not None:
                member.reader.join(timeout=1)  # its last words


def launch(config: LaunchConfig, arguments: Sequence[str]) -> None:
    """Train with these arguments of ``neuralart train`` on every worker.

    Raises ConfigError for a wrong host file, RunError if a machine does not answer, has another version, or a
    process dies, Interrupted on SIGINT and SIGTERM; but for the first the workers have then saved their run.
    """
    hosts = read_hosts(config.hosts) if config.hosts else [Host(LOCAL, config.workers)]
    far = [host.name for host in hosts if host.name != LOCAL]
    if far:
        _check_versions(far)
    workers = [host.name for host in hosts for _ in range(host.slots)]
    servers = [hosts[i % len(hosts)].name for i in range(config.servers or len(hosts))]
    address = config.address or (_own_address(far[0]) if far else "127.0.0.1")
    env = {
        "DMLC_PS_ROOT_URI": address,
        "DMLC_PS_ROOT_PORT": str(config.port or _free_port()),
        "DMLC_NUM_WORKER": str(len(workers)),
        "DMLC_NUM_SERVER": str(len(servers)),
    }
    env |= {
        key: value
        for key, value in os.environ.items()
        if key in ("DMLC_INTERFACE", "OMP_NUM_THREADS", "PS_VERBOSE")
        or key.startswith("NEURALART_")
    }
    if not far:
        env |= {"DMLC_INTERFACE": "lo", "DMLC_NODE_HOST": address}
    elif "DMLC_INTERFACE" not in env:
        env["DMLC_NODE_HOST"] = address
    job = Job()
    with deferred_signals() as interrupts:
        try:
            aside = [sys.executable, "-c", "import neuralart.engine.door"]
            job.start("the scheduler", LOCAL, aside, {**env, "DMLC_ROLE": "scheduler"}, None)
            for number, host in enumerate(servers):
                name = f"server {number}" + (f" on {host}" if far else "")
                job.start(name, host, aside, {**env, "DMLC_ROLE": "server"}, None)
            command = [
                sys.executable,
                "-m",
                "neuralart",
                "train",
                *arguments,
                "--kvstore",
                "dist_sync",
            ]
            for number, host in enumerate(workers):
                role = {"DMLC_ROLE": "worker", "DMLC_TASK_ID": str(number)}
                name = f"worker {number}" + (f" on {host}" if far else "")
                job.start(name, host, command, {**env, **role}, number)
            _watch(job, interrupts)
        finally:
            job.end()


def _watch(job: Job, interrupts: Sequence[int]) -> None:
    """Until all workers are done. Raises RunError or Interrupted when the job has stopped early."""
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
            f"{dead.name} {_how_it_ended(dead.process.returncode)}, so the job is stopped; if worker 0 has "
            "saved its run, the same command with --resume goes on"
        )


def _how_it_ended(code: int) -> str:
    if code == 255:
        return "lost its connection"
    # A shell, as at the far end, has 128 + the signal's number.
    number = -code if code < 0 else code - 128
    return f"was killed by signal {number}" if number > 0 else f"ended with exit code {code}"


def _pass_on(stream: IO[bytes], name: str) -> None:
    """What a worker other than the first says, with its name before it."""
    for line in stream:
        sys.stderr.write(f"{name}: {line.decode(errors='replace')}")
        sys.stderr.flush()


def _check_versions(hosts: Sequence[str]) -> None:
    """Ask every machine at once for its neuralart. Raises RunError for those that do not answer or differ."""
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
        elif out.split()[-1:] != [__version__]:  # before it, what a shell says to greet
            version = (out.split() or ["of no version"])[-1]
            problems.append(f"{host} has neuralart {version}, and this machine {__version__}")
    if problems:
        raise RunError(f"--hosts: {'; '.join(problems)}; nothing was started")


def _own_address(host: str) -> str:
    """This machine's address as that host sees it."""
    known = subprocess.run([*_SSH, "-G", host], capture_output=True, text=True).stdout
    names = [line.split()[1] for line in known.splitlines() if line.startswith("hostname ")]
    name = names[0] if names else host.rpartition("@")[2]
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((name, 9))  # sends nothing
        except OSError:
            raise ConfigError(
                f"--hosts: {name} is a name that only ssh knows; give this machine's address as --address"
            ) from None
        return str(probe.getsockname()[0])


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
