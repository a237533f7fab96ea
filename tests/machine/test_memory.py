"""Amounts of memory as users write them, and free memory."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from neuralart.errors import ConfigError, EngineError
from neuralart.machine import memory


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GB", 10**9), ("1 gb", 10**9), ("1.5G", 1_500_000_000), ("800MB", 8 * 10**8),
     ("2GiB", 2**31), ("64MiB", 2**26), ("123", 123)],
)  # fmt: skip
def test_amounts_are_read(text: str, size: int) -> None:
    assert memory.parse_memory(text, "--max-memory") == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "1XB", "1 GB of it", "GB", "1e9"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--max-memory"):
        memory.parse_memory(text, "--max-memory")


def test_free_memory_is_the_smaller_of_machine_and_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info, limit, used = tmp_path / "meminfo", tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(memory, "_MEMINFO", info)
    monkeypatch.setattr(memory, "_GROUPS", ((limit, used),))
    assert memory.free_memory() is None
    info.write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    assert memory.free_memory() == 4000 * 1024
    limit.write_text("max\n")
    used.write_text("5\n")
    assert memory.free_memory() == 4000 * 1024
    limit.write_text("1000005\n")
    assert memory.free_memory() == 1_000_000


def test_a_limit_on_addresses_is_said_before_an_engine_meets_it() -> None:
    """MXNet ends by a segmentation fault there, and libvips aborts."""
    assert memory.address_space_left() is None
    memory.check_address_space()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 300_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        left = memory.address_space_left()
        assert left is not None and 250_000_000 < left <= 300_000_000
        with pytest.raises(EngineError, match=r"^out of memory: ulimit -v leaves 0\.3 GB"):
            memory.check_address_space()
        memory.reserve(100_000_000)
        with pytest.raises(MemoryError):
            memory.reserve(400_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
