"""What a process that ends at once would leave half-written, to be deleted on its way out."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

_paths: set[Path] = set()


@contextlib.contextmanager
def half_written(path: Path) -> Iterator[None]:
    """In the block, `remove_all` deletes ``path``, a file or a folder."""
    add(path)
    try:
        yield
    finally:
        discard(path)


def add(path: Path) -> None:
    _paths.add(path.absolute())


def discard(path: Path) -> None:
    _paths.discard(path.absolute())


def remove_all() -> None:
    """Delete everything half-written. Any thread may."""
    for path in list(_paths):
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
