"""Ctrl-C and SIGTERM end every command soon, and what nobody foresaw is one line and a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import files_below

RUN = "from neuralart.__main__ import run; run()"

# A command that is in a library for a minute, with the interpreter's lock released or not, and with
# a file half-written.
HANG = """
import hashlib, sys, time
from pathlib import Path
import neuralart.loss.features.store as store
from neuralart.machine.files import written_aside
def hang(*_):
    with written_aside(Path("out.bin")) as file:
        file.write(b"half")
        file.flush()
        Path("mark").touch()
        {sleep}
store.load_features = hang
sys.argv[1:] = ["features", "info", "small"]
"""

SLEEPS = {
    "python": "time.sleep(60)",
    # A library's call, some minutes long: Python's handlers wait until it returns.
    "library": "hashlib.pbkdf2_hmac('sha512', b'x', b'y', 10**9)",
    "reading": "open('pipe').read()",
}


def start(code: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs these tests in its background has Ctrl-C ignored, also by its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("sleep", SLEEPS)
def test_a_signal_ends_a_command_soon(tmp_path: Path, sleep: str, number: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "out.bin").write_text("earlier")
    with start(HANG.format(sleep=SLEEPS[sleep]) + RUN, tmp_path) as process:
        while not (tmp_path / "mark").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)
        begun = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
        assert time.monotonic() - begun < 4
    assert process.returncode == 128 + number
    assert (stdout, stderr) == ("", "error: stopped\n")
    assert sorted(os.listdir(tmp_path)) == ["mark", "out.bin", "pipe"]
    assert (tmp_path / "out.bin").read_text() == "earlier"


def test_the_first_signal_of_a_training_is_not_the_last_word(
    train_arguments: list[object], tmp_path: Path
) -> None:
    """A step that takes longer than others wait is ended and saved; a second signal does not wait."""
    code = """
import time
import neuralart.training.train as train
step = train.take_step
def slow(*arguments):
    time.sleep(4)
    return step(*arguments)
train.take_step = slow
"""
    out = tmp_path / "run"
    for signals, code_wanted in ((1, 130), (2, 130)):
        words = [*map(str, train_arguments), "--out", str(out), "--overwrite"]
        with start(code + RUN, tmp_path, *words) as process:
            while not (out / "checkpoints" / "0-00000000.zip").exists():
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(0.5)
            begun = time.monotonic()
            for _ in range(signals):
                process.send_signal(signal.SIGINT)
                time.sleep(0.2)
            stderr = process.communicate(timeout=60)[1]
            seconds = time.monotonic() - begun
        assert process.returncode == code_wanted
        saved = (out / "checkpoints" / "0-00000001.zip").exists()
        if signals == 1:
            assert saved and "stopped after step 1 of stage 1" in stderr
        else:
            assert not saved and seconds < 4 and stderr == "error: stopped\n"
        assert not any(name.endswith((".part", ".lock")) for name in files_below(tmp_path))
        for path in (out / "checkpoints").iterdir():
            path.unlink()


FAULT = """
import sys
import neuralart.loss.features.store as store
def fault(*_):
    raise {error}
store.load_features = fault
sys.argv[1:] = ["features", "info", "small"]
"""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ValueError('a\\x1b[31mb')", "unexpected ValueError: a\\x1b[31mb; "),
        ("EOFError()", "unexpected RuntimeError: a file ends early"),
        ("RecursionError('deep\\nmore')", "unexpected RecursionError: deep; "),
        ("AssertionError()", "unexpected AssertionError: no reason is given"),
    ],
)
def test_what_nobody_foresaw_is_a_line_and_a_file(tmp_path: Path, error: str, words: str) -> None:
    with start(FAULT.format(error=error) + RUN, tmp_path) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and stdout == ""
    (line,) = stderr.splitlines()
    assert line.startswith("error: ") and words in line
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("neuralart-crash-") and line.endswith(f"report it with {file}")
    text = file.read_text()
    assert "Traceback (most recent call last)" in text and "in fault" in text
    for fact in ("neuralart ", "python ", "numpy ", "system ", "command "):
        assert f"\n{fact}" in f"\n{text}"


def test_a_crash_where_nothing_can_be_written(tmp_path: Path) -> None:
    """The file goes to where temporary files go; without one, the line is all."""
    gone, temporary = tmp_path / "gone", tmp_path / "temporary"
    for folder in (gone, temporary):
        folder.mkdir()
    code = "import os, tempfile\n" + FAULT.format(error="KeyError(1)")
    code += f"os.rmdir({str(gone)!r}); tempfile.tempdir = {str(temporary)!r}\n"
    with start(code + RUN, gone) as process:
        stderr = process.communicate(timeout=60)[1]
    (file,) = temporary.iterdir()
    assert stderr.count("\n") == 1 and str(file) in stderr
