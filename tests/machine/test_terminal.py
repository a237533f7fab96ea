"""Progress bars on a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
from collections.abc import Callable

import pytest

from neuralart.machine.terminal import Progress


def shown(monkeypatch: pytest.MonkeyPatch, left: Callable[[], float] | None) -> str:
    """What a terminal shows of a bar at 2 of 4 steps."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = Progress(None, 0, 0, 4, seconds_left=left)
        progress.step("joint", {"x1": 2.5}, 2)
        progress.rewind(2, 0)  # draws it
        progress.close()
    words = b""
    with contextlib.suppress(OSError):  # the end of what a closed terminal was sent
        while more := os.read(ours, 65536):
            words += more
    os.close(ours)
    return words.decode()


def test_a_bar_says_the_time_left_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = shown(monkeypatch, lambda: 754.0)
    assert "joint:  50%" in timed and "2/4" in timed and "<12:34, " in timed and "x1=2.50" in timed
    assert "<00:00, " in shown(monkeypatch, None)
