"""What a command may find around it: closed or full standard streams, no home, odd settings."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import warnings
from typing import Any

from neuralart.machine.processor import available_cores

# Where the home of a user without one is by custom: nothing is found there, and nothing written.
_NO_HOME = "/nonexistent"


class _Lossy(io.FileIO):
    """A descriptor whose writes never fail: what cannot be written is lost, once with a reason.

    A batch goes on though nobody can read its report.
    """

    reason: OSError | None = None

    def write(self, data: object, /) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            self.reason = self.reason or error
            return memoryview(data).nbytes  # type: ignore[arg-type]


def mend_streams() -> None:
    """Open standard streams that were closed, and let lines to standard output and error be lost.

    Without this, the next file that is opened would take the number of a closed stream, and get
    what libraries write to it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        below = _raw(stream)
        if stream is not None and not (isinstance(below, io.FileIO) and below.fileno() == number):
            continue  # a test's, or another program's, that runs commands in its own process
        raw = _Lossy(number, "w", closefd=False)
        setattr(
            sys,
            name,
            io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=getattr(stream, "encoding", "utf-8"),
                errors=getattr(stream, "errors", "backslashreplace"),
                line_buffering=number == 2
                or raw.isatty()
                or below is getattr(stream, "buffer", None),
            ),
        )


def _raw(stream: Any) -> Any:
    """What is below a stream's buffer; with ``python -u`` that is the buffer itself."""
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def lost_output() -> str | None:
    """Why standard output could not be written; None if it was, or if its reader had enough."""
    raw = _raw(sys.stdout)
    if not isinstance(raw, _Lossy):
        return None
    sys.stdout.flush()
    if raw.reason is None or raw.reason.errno == errno.EPIPE:
        return None
    return raw.reason.strerror


def mend_environment() -> None:
    """Name a home where there is none, and read OMP_NUM_THREADS as OpenMP does.

    Libraries end the process if it is a list, as ``2,1``. More threads than cores save no time.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = _NO_HOME
    if (words := os.environ.get("OMP_NUM_THREADS")) is not None:
        match = re.match(r"\s*0*([1-9]\d*)\s*(,|$)", words)
        if match:
            os.environ["OMP_NUM_THREADS"] = str(min(int(match[1]), available_cores()))
        else:
            del os.environ["OMP_NUM_THREADS"]
    # Of libraries, with ``python -W error``. In our tests our own are errors.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="mxnet")
