"""The command for the far end of ssh, run here: its folder, its environment, and what ends it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from neuralart.training.workers import job

STUBBORN = (
    *("sh", "-c"),
    "trap asked=1 TERM; echo up; while :; do sleep 0.05; [ -z $asked ] || echo asked >&2; done",
)


def start(command: Sequence[str], env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", "-c", job._far_command(command, env)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def output(process: subprocess.Popen[str]) -> str:
    """What the process prints before its input is closed."""
    assert process.stdout is not None
    text = process.stdout.read()
    process.communicate()
    return text


def test_folder_words_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "it's {a} $HOME"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22")
    script = 'pwd; printf "%s\\n" "$0" "$WORDS" "$DMLC_NODE_HOST"; exit 7'
    env = {"WORDS": "two  'words'", "DMLC_NODE_HOST": "10.0.0.1"}
    process = start(["sh", "-c", script, "a b;\n*"], env)
    assert output(process).split("\n") == [
        str(folder), "a b;", "*", "two  'words'", "10.0.0.2", ""
    ]  # fmt: skip
    assert process.returncode == 7


@pytest.mark.parametrize("connection", ["", "fe80::1 50000 fe80::2 22"])
def test_an_address_that_is_not_known(monkeypatch: pytest.MonkeyPatch, connection: str) -> None:
    monkeypatch.setenv("SSH_CONNECTION", connection)
    monkeypatch.delenv("DMLC_NODE_HOST", raising=False)
    process = start(["sh", "-c", 'echo "${DMLC_NODE_HOST-none}"'], {"DMLC_NODE_HOST": "10.0.0.1"})
    assert output(process) == "none\n"


def test_the_end_of_input_asks_and_then_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command lives on for a while after it was asked to end."""
    monkeypatch.setattr(job, "STOP_SECONDS", 1.0)
    process = start(STUBBORN, {})
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    stderr = process.communicate(timeout=60)[1]
    assert stderr.count("asked\n") > 2
    assert process.returncode == 128 + 9


def test_silence_ends_it_and_words_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "SILENCE_SECONDS", 1)
    process = start(["sleep", "60"], {})
    assert process.stdin is not None
    for _ in range(5):
        time.sleep(0.4)
        os.write(process.stdin.fileno(), b".")
    assert process.poll() is None
    assert process.wait(timeout=10) == 128 + 15
    process.communicate()


@pytest.mark.parametrize(
    "code, words",
    [
        (-9, "was killed by signal 9"),
        (137, "was killed by signal 9"),
        (255, "lost its connection"),
        (1, "ended with exit code 1"),
    ],
)
def test_how_it_ended(code: int, words: str) -> None:
    assert job.how_it_ended(code) == words
