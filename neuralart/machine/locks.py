"""A lock on what a process writes for long: a second process is told so at once.

The lock is the operating system's, on an open file, so that it ends with its process however that
ends. Where there are no such locks (Windows, some network disks), nothing is locked.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from neuralart.errors import OutputError
from neuralart.machine import leftovers
from neuralart.machine.words import short

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``path`` in the block, and remove it afterwards.

    Raises OutputError if another process holds it, or if ``path`` cannot be written. ``what``
    begins the message and says what is being written, as ``--out runs/wave``.
    """
    file = _acquire(path, what)
    if file is not None:
        leftovers.add(path)
    try:
        yield
    finally:
        if file is not None:
            # Before it is released: whoever waits finds that the file is gone, and tries anew.
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(file)
            leftovers.discard(path)


def check_unlocked(path: Path, what: str) -> None:
    """Raise OutputError if another process holds the lock file ``path``. Leaves nothing behind."""
    if os.path.lexists(path):
        with locked(path, what):
            pass


def may_be_held(path: Path) -> bool:
    """Whether the process that a lock file names is alive; on another machine it may be.

    The lock itself is not tried: a process that begins at that moment would be turned away.
    """
    if path.is_symlink():
        return False
    try:
        text = path.read_bytes()[:200].decode(errors="replace")
    except OSError:
        return False
    match = re.fullmatch(r"process (\d+) on (.+)", text)
    if match is None or match[2] != socket.gethostname() or os.name == "nt":
        return True
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _acquire(path: Path, what: str) -> int | None:
    """The open and locked file; None where there are no locks."""
    if fcntl is None:
        return None
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = short(os.read(file, 100).decode(errors="replace"), 100)
            os.close(file)
            raise OutputError(
                f"{what}: is being written by another process{f' ({owner})' if owner else ''}; "
                "wait for it, end it, or write elsewhere"
            ) from None
        except OSError:  # a file system without locks
            os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        if _is(file, path):
            with contextlib.suppress(OSError):  # a full disk: then the message names nobody
                os.truncate(file, 0)
                os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return file
        os.close(file)


def _is(file: int, path: Path) -> bool:
    """Whether ``path`` still names the open file."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
