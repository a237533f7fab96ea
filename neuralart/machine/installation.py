"""How neuralart was installed, so that messages can say how to add what is missing."""

from __future__ import annotations

import json
from importlib import metadata
from urllib.parse import unquote, urlparse

DISTRIBUTION = "neuralart-chain"
"""The name of the installed package. On the package index, "neuralart" is another's project."""


def install_command(extra: str) -> str:
    """The command that installs an extra, from where neuralart itself was installed.

    Source:  PEP 610, "Recording the Direct URL Origin of installed distributions"
    """
    try:
        text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    url = urlparse(origin.get("url", ""))
    if url.scheme != "file":
        return f"in neuralart's folder: pip install '.[{extra}]'"
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}'{unquote(url.path)}[{extra}]'"
