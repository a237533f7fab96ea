"""The options of ``serve``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuralart.options.field import DEVICE_HELP, THREADS_HELP, option


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Options of ``neuralart serve``; --model is in `neuralart.cli`, since it repeats."""

    run: Path | None = option(
        None, help="Folder of a training, running or finished, to show as well.", unit="FOLDER"
    )
    port: int = option(0, help="Port to listen on; 0 for a free one.", unit="N", range=(0, 65535))
    host: str = option(
        "127.0.0.1",
        help="Address to listen on. Any but this machine's own lets others paint here.",
        unit="ADDRESS",
    )
    open: bool = option(False, help="Open the page in the browser.")
    device: str = option("cpu", help=DEVICE_HELP, unit="DEVICE")
    threads: int | None = option(None, help=THREADS_HELP, unit="N", range=(1, 1024))
