"""JSON and TOML from outside: whatever is wrong with a text is one kind of error, ValueError."""

from __future__ import annotations

import json
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Bytes of a config. Ours have up to 4 kB; the time of the parser grows with the square (2 s).
MOST_TOML = 20_000


def parse_json(data: str | bytes) -> Any:
    """Parse JSON. Raises ValueError; also for a text that is nested too deep."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_toml(data: bytes) -> dict[str, Any]:
    """Parse TOML. Raises ValueError; also for a text that is nested too deep, or too long."""
    if len(data) > MOST_TOML:
        raise ValueError(f"longer than {MOST_TOML:,} bytes")
    try:
        return tomllib.loads(data.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("not text in UTF-8") from None
