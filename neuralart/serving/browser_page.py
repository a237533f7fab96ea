"""The page of ``export --format web``, written when it is first asked for."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path

from neuralart.errors import NeuralArtError
from neuralart.exporting.subject import Subject
from neuralart.exporting.targets import TARGETS
from neuralart.options.export import ExportConfig
from neuralart.serving.workbench import Workbench

_FORMAT, _PRECISION = "web", "fp16"


class BrowserPage:
    """The files of the page, for the served models."""

    def __init__(self, subjects: Sequence[Subject], folder: Path, workbench: Workbench) -> None:
        """``folder`` is an empty one that the page is written to."""
        self._subjects, self._folder, self._workbench = subjects, folder, workbench
        self._files: dict[str, Path] | None = None
        self._lock = threading.Lock()

    @property
    def can_be_written(self) -> bool:
        """Whether the built page and the packages that it needs are installed."""
        target = TARGETS[_FORMAT]
        if any(importlib.util.find_spec(package) is None for package in target.packages):
            return False
        try:
            target.check(ExportConfig())
        except NeuralArtError:
            return False
        return True

    def file(self, name: str) -> Path | None:
        """The file of a path in the page, as ``assets/x.js``; None if it has no such file."""
        if not self.can_be_written:
            return None
        with self._lock:
            if self._files is None:
                self._workbench.do(self._write)
                # Later requests are answered from this list: no path leads elsewhere.
                self._files = {
                    path.relative_to(self._folder).as_posix(): path
                    for path in self._folder.rglob("*")
                    if path.is_file()
                }
        return self._files.get(name)

    def _write(self) -> None:
        target = TARGETS[_FORMAT]
        for subject in self._subjects:
            target.write(subject, self._folder, _PRECISION)
        if target.finish is not None:
            target.finish(self._subjects, self._folder)
