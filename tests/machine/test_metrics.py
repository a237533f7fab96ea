"""Files of JSON lines that go on after kills, power cuts and full disks."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neuralart.errors import OutputError
from neuralart.machine.metrics import Metrics

LINES = b'{"step": 1}\n{"step": 2}\n'


@contextmanager
def opened(path: Path, size: int) -> Iterator[Metrics]:
    metrics = Metrics(path, size)
    try:
        yield metrics
    finally:
        metrics.close()


@pytest.mark.parametrize(
    ("found", "size", "kept"),
    [
        (LINES, len(LINES), LINES),
        (LINES + b'{"step": 3}\n{"ste', len(LINES), LINES),  # a kill after the checkpoint
        (LINES, 10_000, LINES),  # a power cut
        (LINES + b'{"step"', 10_000, LINES),
        (LINES + bytes(500), len(LINES) + 500, LINES),
        (LINES + bytes(500) + LINES, 10_000, LINES + LINES),
        (b"", 10_000, b""),
        (LINES, 0, b""),
        (LINES[:12] + b"\xff\xfe\n" + LINES, 10_000, LINES[:12] + LINES),
    ],
)
def test_what_is_whole_is_kept_and_written_on(
    tmp_path: Path, found: bytes, size: int, kept: bytes
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(found)
    with opened(path, size) as metrics:
        assert metrics.synced_size() == len(kept)
        metrics.record({"step": 9})
        assert metrics.synced_size() == len(kept) + 12
    assert path.read_bytes() == kept + b'{"step": 9}\n'
    assert os.listdir(tmp_path) == ["metrics.jsonl"]


def test_rewinding_gives_the_true_length(tmp_path: Path) -> None:
    """Two kills before a phase's first checkpoint once left bytes of zero between lines."""
    path = tmp_path / "metrics.jsonl"
    with opened(path, 0) as metrics:
        for step in range(20):
            metrics.record({"step": step})
        metrics.rewind(0)
        assert metrics.synced_size() == 0
        metrics.record({"step": 0})
        assert metrics.synced_size() == 12
    with opened(path, 12) as metrics:
        metrics.record({"step": 1})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1]


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    with opened(path, 0) as metrics:
        metrics.record({"step": 1})
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (18, limits[1]))
        try:
            with pytest.raises(OutputError, match=r"metrics\.jsonl: cannot be written: File too"):
                metrics.record({"step": 2})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, before)
        assert path.read_bytes() == LINES[:12]
        metrics.record({"step": 2})
    assert path.read_bytes() == LINES


def test_a_full_device_and_a_link_are_refused(tmp_path: Path) -> None:
    with (
        opened(Path("/dev/full"), 0) as metrics,
        pytest.raises(OutputError, match="/dev/full: cannot be written: No space left"),
    ):
        metrics.record({"step": 1})
    (tmp_path / "other").write_text("mine")
    (tmp_path / "m").symlink_to("other")
    with pytest.raises(OutputError, match="m: cannot be written: is a link"):
        Metrics(tmp_path / "m", 0)
    assert (tmp_path / "other").read_text() == "mine"
