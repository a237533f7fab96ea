"""Commands without standard streams, on full ones, without a home, and with odd settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuralart.machine import surroundings

PROGRAM = f"""
import sys, os
from neuralart.machine.surroundings import lost_output, mend_environment, mend_streams
mend_streams()
mend_environment()
for _ in range(3):
    print("x" * 9000)
    print("words", file=sys.stderr)
opened = os.open({os.devnull!r}, os.O_RDONLY)
open("result", "w").write(repr((opened > 2, sys.stdin.read(), lost_output())))
"""


def run(folder: Path, redirections: str, **environment: str | None) -> tuple[bool, str, str | None]:
    """What the program found; it must end well and say nothing but its words."""
    env = {**os.environ, **environment}
    words = f'"{sys.executable}" -c "$0" {redirections}'
    result = subprocess.run(
        ["/bin/sh", "-c", words, PROGRAM],
        cwd=folder,
        env={key: value for key, value in env.items() if value is not None},
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    assert not set(result.stderr.split()) - {"words"}
    found: tuple[bool, str, str | None] = eval((folder / "result").read_text())
    return found


@pytest.mark.parametrize(
    ("redirections", "lost"),
    [
        (">&-", None),
        ("2>&-", None),
        ("<&- >&- 2>&-", None),
        (">/dev/full", "No space left on device"),
        ("2>/dev/full", None),
        ("| true", None),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_streams_never_end_a_command(
    tmp_path: Path, redirections: str, lost: str | None, unbuffered: str
) -> None:
    if "full" in redirections and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    found = run(tmp_path, redirections, PYTHONUNBUFFERED=unbuffered)
    assert found == (True, "", lost)


@pytest.mark.parametrize(
    ("words", "threads"),
    [("2,1", 2), ("1000", 8), (" 3 ", 3), ("004", 4), ("abc", None), ("0", None), ("", None)],
)
def test_threads_are_read_as_openmp_does(
    monkeypatch: pytest.MonkeyPatch, words: str, threads: int | None
) -> None:
    monkeypatch.setattr(surroundings, "available_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", words)
    surroundings.mend_environment()
    assert os.environ.get("OMP_NUM_THREADS") == (None if threads is None else str(threads))


def test_a_home_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    surroundings.mend_environment()
    assert os.environ["HOME"] == "/somewhere"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no entry in passwd
    surroundings.mend_environment()
    assert os.environ["HOME"] == "/nonexistent"
