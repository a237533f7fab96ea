"""docs/promises.md: every promise names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROWS = [
    line
    for line in (ROOT / "docs" / "promises.md").read_text().splitlines()
    if line.startswith("| ") and not line.endswith("| kept by |")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:40])
def test_a_promise_names_tests_that_exist(row: str) -> None:
    named = re.findall(r"`(tests/[^`]+)`", row)
    assert named or "nothing listens" in row
    assert [name for name in named if not (ROOT / name).exists()] == []
