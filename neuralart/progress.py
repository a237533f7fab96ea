"""What a run says of itself: a bar on the terminal and ``metrics.jsonl``. And a bar for a
batch of pictures. The only place that knows tqdm."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from tqdm import tqdm

from neuralart.errors import OutputError

T = TypeVar("T")

# Steps between lines of metrics.jsonl.
REPORT_EVERY = 10


def bar(items: Iterable[T], total: int, unit: str) -> Iterator[T]:
    """The items one after the other, with a bar on the terminal."""
    yield from tqdm(
        items, total=total, unit=unit, file=sys.stderr, disable=None, dynamic_ncols=True
    )


class Progress:
    """One bar over all steps of a run, with time left and the losses, and one JSON line now and then."""

    def __init__(
        self,
        metrics: Path | None,
        metrics_bytes: int,
        done: int,
        total: int,
        unit: str = "step",
        quiet: bool = False,
    ) -> None:
        """Go on after ``metrics_bytes`` of the file: what a killed run wrote past its checkpoint goes."""
        self._path = metrics
        with self._writing():
            self._file: IO[bytes] = metrics.open("ab") if metrics else io.BytesIO()
            self._file.truncate(metrics_bytes)
        self._quiet = quiet
        self._bar = counting(total, done, unit, quiet)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self._path}: cannot be written: {error.strerror or error}"
            ) from None

    def step(self, phase: str, step: int, totals: Mapping[str, float]) -> None:
        """One step is done; ``totals`` are the total losses of the stages that learn, by name."""
        self._bar.set_description(phase, refresh=False)
        self._bar.set_postfix({k: f"{v:.2f}" for k, v in totals.items()}, refresh=False)
        self._bar.update()

    def record(self, entry: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl, for whoever watches it."""
        with self._writing():
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()

    def metrics_bytes(self) -> int:
        """How long metrics.jsonl is, all written."""
        with self._writing():
            self._file.flush()
        return self._file.tell()

    def say(self, line: str) -> None:
        """A line on stderr, above the bar."""
        if not self._quiet:
            self._bar.write(line, file=sys.stderr)

    def rewind(self, done: int, metrics_bytes: int) -> None:
        """Go back to an earlier step."""
        self._file.truncate(metrics_bytes)
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()
        self._file.close()


class PictureBar:
    """A bar over the pictures of a batch; none for 0 of them, or where stderr is no terminal."""

    def __init__(self, total: int) -> None:
        self._bar = tqdm(
            total=total,
            unit="picture",
            file=sys.stderr,
            disable=None if total else True,
            dynamic_ncols=True,
        )

    def done(self) -> None:
        """One picture more is painted, was there already, or failed."""
        self._bar.update()

    def __enter__(self) -> PictureBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


def say(line: str | bytes, *, error: bool = False) -> None:
    """A line on stdout or stderr, above any bar."""
    with tqdm.external_write_mode(file=sys.stderr):
        stream = sys.stderr if error else sys.stdout
        if isinstance(line, bytes):
            stream.flush()
            stream.buffer.write(line + b"\n")
        else:
            stream.write(line + "\n")
        stream.flush()


def counting(total: int, done: int, unit: str, quiet: bool = False) -> Any:
    """A bar on stderr to count with: a context with ``update(n)``; silent where stderr is no terminal."""
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        file=sys.stderr,
        disable=quiet or None,
        dynamic_ncols=True,
    )
