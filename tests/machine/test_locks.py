"""Locks: held by one process, told to the others, gone with their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neuralart.errors import OutputError
from neuralart.machine.locks import check_unlocked, locked

HOLD = """
import pathlib, sys, time
from neuralart.machine.locks import locked
with locked(pathlib.Path(sys.argv[1]), "run"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_once_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path, "--out run"):
        for _ in range(2):
            with (
                pytest.raises(OutputError, match="--out run: is being written by another process"),
                locked(path, "--out run"),
            ):
                pass
            with pytest.raises(OutputError, match=rf"\(process {os.getpid()} on "):
                check_unlocked(path, "--out run")
    assert os.listdir(tmp_path) == []
    check_unlocked(path, "--out run")
    with locked(path, "--out run"):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_dead_process_does_not_count(tmp_path: Path, number: int) -> None:
    path = tmp_path / ".lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=rf"process {other.pid} on"):
            check_unlocked(path, "run")
        other.send_signal(number)
        other.wait()
    assert path.exists()
    with locked(path, "run"):
        pass
    assert os.listdir(tmp_path) == []


def test_an_exception_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / ".lock", "run"):
        raise ZeroDivisionError
    check_unlocked(tmp_path / ".lock", "run")


def test_a_lock_follows_no_link_and_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / ".lock").symlink_to("other")
    for path in (tmp_path / ".lock", tmp_path / "none" / ".lock"):
        with pytest.raises(OutputError, match="cannot be written"), locked(path, "run"):
            pass
    assert (tmp_path / "other").read_text() == "mine"


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path / ".lock", "run"), locked(tmp_path / ".lock", "run"):
        pass
    assert os.listdir(tmp_path) == []
