"""Reads from the files of a run how far its training is. Writes nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuralart.errors import RunError
from neuralart.machine.locks import may_be_held
from neuralart.training.curves import Entry, curves, read_entries, term_series, total_series
from neuralart.training.gallery import (
    SHEET,
    evaluation_tables,
    phase_steps,
    sheet_label,
    sheet_names,
    style_names,
)
from neuralart.training.run import RunFolder

MOST_SHEETS = 24  # that the page shows

_COPY_SECONDS = 2  # between the times of two files of a run that was copied

MOST_PICTURE = 100_000_000  # bytes of a sheet


class WatchedRun:
    """A run that other processes may be writing."""

    def __init__(self, path: Path) -> None:
        """Raises RunError if the folder holds no run, or a damaged one."""
        self._run = RunFolder(path)
        try:
            record = self._run.read_record()
        except NotADirectoryError:
            record = None
        if record is None:
            raise RunError(
                f"--run {path}: no run there (no config.json); name the folder of `train --out`"
            )
        self._name = path.resolve().name
        # Of metrics.jsonl: bytes and time of change (ns) when it was read last, and its entries.
        self._read_version: tuple[int, int] = (0, 0)
        self._read_entries: list[Entry] = []

    def state(self) -> dict[str, Any]:
        """What the page shows, as plain data; text in it is not yet escaped.

        ``left`` is the remaining time in seconds, or None where nobody knows.
        """
        record, entries = self._record(), self._entries()
        steps, last = phase_steps(record), entries[-1] if entries else None
        phases = list(steps)
        running = may_be_held(self._run.lock_file)
        state = "running" if running else "stopped"
        if not running and self._is_finished(phases, last):
            state = "finished"
        sheets = sheet_names(self._run)[:MOST_SHEETS]
        return {
            "name": self._name,
            "styles": style_names(record),
            "state": state,
            "phases": phases,
            "phase": last.phase if last else None,
            "step": last.step if last else 0,
            "photos": last.photos if last else 0,
            "seconds": last.seconds if last else 0.0,
            "left": self._left(steps, entries) if running else None,
            "style_image": _version(self._run.style),
            "curves": "-".join(map(str, self._read_version)),
            "sheets": [{"name": name, "label": sheet_label(name, phases)} for name in sheets],
            "evaluation": _version(self._run.evaluation),
        }

    def curves(self) -> dict[str, str]:
        """The SVGs by name."""
        entries = self._entries()
        return {
            "total": curves("Total", total_series(entries)),
            "terms": curves("Terms of the last stage", term_series(entries)),
        }

    def evaluation(self) -> str:
        """The held-out losses as HTML, escaped."""
        return evaluation_tables(self._run, style_names(self._record()))

    def picture(self, name: str) -> bytes | None:
        """The bytes of ``style.jpg`` or of a contact sheet; None for any other name, or a link."""
        if name == self._run.style.name:
            return _read(self._run.style)
        if SHEET.fullmatch(name) and not self._run.samples.is_symlink():
            return _read(self._run.samples / name)
        return None

    def _record(self) -> Mapping[str, Any]:
        # The run may be begun anew at this moment.
        with contextlib.suppress(RunError):
            return self._run.read_record() or {}
        return {}

    def _entries(self) -> list[Entry]:
        try:
            status = self._run.metrics.stat()
        except OSError:
            return []
        version = status.st_size, status.st_mtime_ns
        if version != self._read_version:
            self._read_version = version
            self._read_entries = read_entries(self._run.metrics)
        return self._read_entries

    def _left(self, steps: Mapping[str, int], entries: Sequence[Entry]) -> float | None:
        """Seconds that the training still takes; None where nobody knows.

        With --minutes the run says it. Else the steps are taken to go on as fast as the last ones.
        """
        if not entries or entries[-1].phase not in steps:
            return None
        last = entries[-1]
        since = max(0.0, time.time() - self._read_version[1] / 1e9)
        if last.left is not None:
            return max(0.0, last.left - since)
        same = [entry for entry in entries[-11:] if entry.phase == last.phase]
        phases = list(steps)
        done = same[-1].step - same[0].step
        pace = (same[-1].seconds - same[0].seconds) / done if done > 0 else None
        if pace is None:
            pace = last.seconds / max(1, last.step) if phases.index(last.phase) == 0 else None
        if pace is None:
            return None
        to_do = sum(steps[name] for name in phases[phases.index(last.phase) :]) - last.step
        return max(0.0, pace * to_do - since)

    def _is_finished(self, phases: Sequence[str], last: Entry | None) -> bool:
        """Whether the last phase's model was measured after the last step."""
        if last is None or not phases or last.phase != phases[-1]:
            return False
        with contextlib.suppress(OSError):
            written = self._run.evaluation.stat().st_mtime
            return written >= self._run.metrics.stat().st_mtime - _COPY_SECONDS
        return False


def _read(path: Path) -> bytes | None:
    """A regular file's bytes; None for anything else, and for a link."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
            data = file.read(MOST_PICTURE)
    except OSError:
        return None
    return data


def _version(path: Path) -> str:
    """A text that changes with the file; empty if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"
