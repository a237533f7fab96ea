"""Progress bars, lines and tables on the terminal, and a run's ``metrics.jsonl``.

Only this file uses tqdm.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from neuralart.machine.metrics import Metrics
from neuralart.machine.words import one_line

# tqdm would start a thread to redraw bars that stand still.
tqdm.monitor_interval = 0

T = TypeVar("T")

NO_SIZE = {"ncols": 80, "nrows": 24}  # of a terminal that does not say how large it is

TIMED_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{postfix}]"
"""tqdm's own bar, but for the time left."""

REPORT_EVERY = 10  # steps between lines of metrics.jsonl


def bar(
    items: Iterable[T], total: int, unit: str, what: str | None = None, *, quiet: bool = False
) -> Iterator[T]:
    """Yield the items, and count them with a bar on the terminal; ``what`` stands before it."""
    with counting(total, 0, unit, quiet) as counted:
        counted.set_description(what)
        for item in items:
            yield item
            counted.update()


class Progress:
    """A bar over all steps of a run with time left and losses, and the run's metrics.jsonl."""

    def __init__(
        self,
        metrics: Path | None,
        metrics_bytes: int,
        done: int,
        total: int,
        unit: str = "step",
        quiet: bool = False,
        seconds_left: Callable[[], float] | None = None,
    ) -> None:
        """Start at step ``done`` of ``total``. ``metrics`` is the file, or None for no file.

        ``seconds_left`` says how long it still takes, where that is known better than from the
        steps so far.

        The file is cut to ``metrics_bytes``: a killed run may have written past its checkpoint.
        Raises OutputError if it cannot be written.
        """
        self._metrics = Metrics(metrics, metrics_bytes) if metrics else None
        self._quiet = quiet
        self._bar = counting(total, done, unit, quiet, seconds_left)

    def step(self, phase: str, totals: Mapping[str, float], count: int = 1) -> None:
        """Count one step as ``count``. ``totals`` are the total losses by the name of the stage."""
        self._bar.set_postfix({k: f"{v:.2f}" for k, v in totals.items()}, refresh=False)
        self.count(phase, count)

    def count(self, phase: str, count: int = 1) -> None:
        """Count what is no step."""
        self._bar.set_description(phase, refresh=False)
        self._bar.update(count)

    def plan(self, total: int) -> None:
        """Say anew how much there is to count."""
        self._bar.total = total

    def record(self, entry: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl. Raises OutputError."""
        if self._metrics is not None:
            self._metrics.record(entry)

    def metrics_bytes(self) -> int:
        """The length of metrics.jsonl, after all of it is on the disk. Raises OutputError."""
        return 0 if self._metrics is None else self._metrics.synced_size()

    def say(self, line: str) -> None:
        """Write a line to stderr, above the bar."""
        if not self._quiet:
            self._bar.write(one_line(line), file=sys.stderr)

    def rewind(self, done: int, metrics_bytes: int) -> None:
        """Go back to step ``done``, when metrics.jsonl had ``metrics_bytes`` bytes."""
        if self._metrics is not None:
            self._metrics.rewind(metrics_bytes)
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()
        if self._metrics is not None:
            self._metrics.close()


class PictureBar:
    """A bar over the pictures of a batch. There is none for ``total`` 0 or without a terminal."""

    def __init__(self, total: int) -> None:
        self._bar = counting(total, 0, "picture", quiet=not total)

    def done(self) -> None:
        """Count a picture that is painted, was there already, or failed."""
        self._bar.update()

    def __enter__(self) -> PictureBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


def say(line: str, *, error: bool = False) -> None:
    """Write a line to stdout or stderr, above any bar. Control characters become escapes."""
    with tqdm.external_write_mode(file=sys.stderr):
        stream = sys.stderr if error else sys.stdout
        stream.write(one_line(line) + "\n")
        stream.flush()


def tell(line: str) -> None:
    """Write to a terminal what goes on now; nothing to a file, where only results are wanted."""
    if sys.stderr.isatty():
        say(line, error=True)


def say_path(path: Path | str) -> None:
    """Write a path or an address to stdout: to a terminal as `say` does, else its bytes."""
    if sys.stdout.isatty():
        say(str(path))
        return
    with tqdm.external_write_mode(file=sys.stderr):
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
        sys.stdout.flush()


class OneLine(logging.Formatter):
    """Log messages as `say` writes lines."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


class _Bar(tqdm):  # type: ignore[misc]
    """A bar that may be told how long it still takes."""

    def __init__(self, *, seconds_left: Callable[[], float] | None, **options: Any) -> None:
        self._seconds_left = seconds_left
        super().__init__(bar_format=TIMED_BAR if seconds_left else None, **options)

    @property
    def format_dict(self) -> dict[str, Any]:
        left = self._seconds_left() if self._seconds_left else 0.0
        return {**super().format_dict, "left": self.format_interval(left)}


def counting(
    total: int,
    done: int,
    unit: str,
    quiet: bool = False,
    seconds_left: Callable[[], float] | None = None,
) -> Any:
    """A bar on stderr: a context with ``update(n)``; silent where stderr is no terminal."""
    return _Bar(
        total=total,
        initial=done,
        unit=unit,
        file=sys.stderr,
        disable=quiet or None,
        seconds_left=seconds_left,
        **({"dynamic_ncols": True} if _has_size() else NO_SIZE),
    )


def _has_size() -> bool:
    """Whether the terminal says how large it is: tqdm draws nothing on one of no columns."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return True


def table(rows: Sequence[Sequence[str]]) -> str:
    """Format rows of cells as lines. The first column is aligned left, the others right."""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def number(value: float | None, digits: int = 2) -> str:
    """Format a value with ``digits`` digits after the point; None gives a dash."""
    return "-" if value is None else f"{value:.{digits}f}"
