"""Photos to paint."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import picture

from neuralart.pictures.writing import write_image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photos, two of them in folders below it."""
    folder = tmp_path / "in"
    (folder / "sub" / "deep").mkdir(parents=True)
    for name in ("a.png", "sub/b.jpg", "sub/deep/c.png"):
        write_image(folder / name, picture(len(name)))
    return folder
