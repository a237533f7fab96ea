"""What messages say to install, for each way in which neuralart may have been installed."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

import pytest

from neuralart.machine.installation import install_command


class Installed:
    def __init__(self, origin: Any) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)


@pytest.mark.parametrize(
    "origin, command",
    [
        (
            {"url": "file:///home/me/my%20art", "dir_info": {"editable": True}},
            "pip install -e '/home/me/my art[onnx]'",
        ),
        ({"url": "file:///home/me/art", "dir_info": {}}, "pip install '/home/me/art[onnx]'"),
        (
            {"url": "file:///tmp/neuralart-1-py3-none-any.whl", "archive_info": {}},
            "pip install '/tmp/neuralart-1-py3-none-any.whl[onnx]'",
        ),
        ({"url": "https://example.org/a.whl"}, "in neuralart's folder: pip install '.[onnx]'"),
        (None, "in neuralart's folder: pip install '.[onnx]'"),
    ],
)
def test_as_neuralart_was_installed(
    monkeypatch: pytest.MonkeyPatch, origin: Any, command: str
) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(origin))
    assert install_command("onnx") == command


def test_not_installed_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert install_command("cpu") == "in neuralart's folder: pip install '.[cpu]'"
