"""The processes of a job, here and behind ssh: started, watched, and ended together."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from neuralart.training.workers.hosts import LOCAL, SSH

STOP_SECONDS = 40.0
"""How long workers may take to stop and save: a step, and `kvstore.GRACE_SECONDS`."""

BEAT_SECONDS = 5.0
"""How often a far process is sent a byte."""

SILENCE_SECONDS = 45
"""A far process stops when it has received nothing for this long."""

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
        words = [*SSH, host, _far_command(command, env)] if far else [*_HERE, *command]
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


def how_it_ended(code: int) -> str:
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
