"""The folder of a training run. A resumed run ends with the same bits as one that never stopped.

RUN/config.json         the options that decide the result, and checksums of what was read
RUN/checkpoints/*.zip   parameters, Adam's moments, and `State`; the newest two
RUN/metrics.jsonl       losses every few steps
RUN/samples/*.png       contact sheets
RUN/skipped.txt         photos that were skipped, and why
RUN/evaluation.json     held-out losses
RUN/style.jpg           the style images
RUN/index.html          all of it as a page
RUN/model.neuralart     the trained style
RUN/.lock               only while a process writes the run

None of them may be a link: what is behind one is not the run's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuralart.chain.shipped import MODEL_NAME
from neuralart.errors import ModelError, OutputError, RunError
from neuralart.machine.archive import Arrays, Shapes, open_archive, write_archive
from neuralart.machine.documents import parse_json
from neuralart.machine.files import PART, write_aside
from neuralart.machine.locks import check_unlocked, locked
from neuralart.machine.words import short

FORMAT = 1

KEPT = 2  # checkpoints

# Files to delete before a new run. config.json is replaced last: it marks a folder as a run.
_FILES = (
    "metrics.jsonl", "skipped.txt", "evaluation.json", MODEL_NAME, "style.jpg", "index.html",
)  # fmt: skip

_FOLDERS = ("checkpoints", "samples")

_LOCK = ".lock"


@dataclass(frozen=True)
class State:
    """Where a run stands.

    phase, step     the phase's index, and how many of its steps are done
    position        batches taken from the stream of photos
    rate_scale      factor of the learning rate; each roll-back halves it
    rollbacks       number of roll-backs
    metrics_bytes   length of metrics.jsonl
    seconds         training time so far
    planned         steps of the phase, if --minutes has given it another number than config.json
    """

    phase: int = 0
    step: int = 0
    position: int = 0
    rate_scale: float = 1.0
    rollbacks: int = 0
    metrics_bytes: int = 0
    seconds: float = 0.0
    planned: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A run at one step: its state, and parameters and Adam's moments by name."""

    state: State
    params: Arrays
    moments: Arrays


class RunFolder:
    """The files of one run; ``path`` need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples = path / "samples"
        self.metrics = path / "metrics.jsonl"
        self.skipped = path / "skipped.txt"
        self.evaluation = path / "evaluation.json"
        self.style = path / "style.jpg"
        self.gallery = path / "index.html"
        self.model = path / MODEL_NAME
        self._config = path / "config.json"
        self._checkpoints = path / "checkpoints"
        self.lock_file = path / _LOCK

    def check_free(self, *, resume: bool, overwrite: bool, writes: bool = True) -> None:
        """Raise OutputError if ``path`` is a file, or a folder that must not be written to.

        A folder with a run needs ``resume`` or ``overwrite``; one with other files is refused, and
        so is one that another process writes to, unless this one ``writes`` nothing.
        """
        try:
            if not self.path.exists():
                return
            if not self.path.is_dir():
                raise OutputError(f"--out {self.path}: is a file; name a new folder")
            if writes:
                check_unlocked(self.lock_file, f"--out {self.path}")
            self._check_entries(resume=resume, overwrite=overwrite)
        except OSError as error:
            raise OutputError(f"--out {self.path}: {error.strerror or error}") from None

    def _check_entries(self, *, resume: bool, overwrite: bool) -> None:
        others = [p for p in self.path.iterdir() if p.suffix != PART and p.name != _LOCK]
        if not others:
            return
        if resume and self._config.exists():
            for path in (*self._folders(), *self._files(), self._config):
                if path.is_symlink():
                    raise OutputError(f"{path}: is a link; put what it leads to in its place")
            return
        if not self._config.exists():
            raise OutputError(f"--out {self.path}: holds other files; name a new folder")
        if not overwrite:
            raise OutputError(
                f"--out {self.path}: holds a run; "
                "add --resume to go on with it or --overwrite to replace it"
            )

    @contextlib.contextmanager
    def lock(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Make the folder, and keep other processes from it in the block.

        Removes what killed processes left half-written. Raises OutputError as `check_free` does,
        or if the folder cannot be written. An empty folder is removed in the end.
        """
        self._make(self.path)
        try:
            with locked(self.lock_file, f"--out {self.path}"):
                with self._errors():
                    self._check_entries(resume=resume, overwrite=overwrite)
                    for folder in (self.path, *self._folders()):
                        if not folder.is_symlink():
                            for left in folder.glob(f".*{PART}"):
                                left.unlink(missing_ok=True)
                yield
        finally:
            with contextlib.suppress(OSError):  # it is not empty
                self.path.rmdir()

    def _folders(self) -> list[Path]:
        return [self.path / name for name in _FOLDERS]

    def _files(self) -> list[Path]:
        return [self.path / name for name in _FILES]

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"--out {self.path}: cannot be written: {reason}") from None

    def _make(self, folder: Path) -> None:
        with self._errors():
            folder.mkdir(parents=folder == self.path, exist_ok=True)

    def create(self, record: dict[str, Any]) -> None:
        """Make the folder, delete what an earlier run left in it, and write config.json.

        Links are deleted, and not what is behind them. Raises OutputError if it cannot be written.
        """
        self._make(self.path)
        with self._errors():
            for folder in self._folders():
                if folder.is_symlink() or not folder.is_dir():
                    folder.unlink(missing_ok=True)
                else:
                    shutil.rmtree(folder)
            for path in self._files():
                path.unlink(missing_ok=True)
        self.write_json(self._config, {"format": FORMAT, **record})

    def write_json(self, path: Path, data: Any) -> None:
        write_aside(path, (json.dumps(data, indent=2) + "\n").encode())

    def read_record(self) -> dict[str, Any] | None:
        """Read config.json; None if there is no run yet.

        Raises RunError if the file is damaged or of another version.
        """
        try:
            record = parse_json(self._config.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self._config}: cannot be read: {error}; start anew with --overwrite"
            ) from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise RunError(f"{self._config}: of another version; start anew with --overwrite")
        tables = all(isinstance(record.get(key), dict) for key in ("options", "inputs"))
        counts = record.get("steps"), record.get("joint_steps"), record.get("evaluated", 0)
        if not tables or not all(map(_is_count, counts)):
            raise RunError(f"{self._config}: damaged; start anew with --overwrite")
        return record

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then delete all but the newest two.

        Raises OutputError if it cannot be written.
        """
        self._make(self._checkpoints)
        state = checkpoint.state
        write_archive(
            self._checkpoints / f"{state.phase}-{state.step:08d}.zip",
            {"format": FORMAT, "state": dataclasses.asdict(state)},
            {f"params/{k}": v for k, v in checkpoint.params.items()}
            | {f"adam/{k}": v for k, v in checkpoint.moments.items()},
        )
        for old in self._list()[:-KEPT]:
            with contextlib.suppress(OSError):  # one too many does no harm
                old.unlink(missing_ok=True)

    def load(self, shapes: Shapes) -> Checkpoint | None:
        """Read the newest undamaged checkpoint; None if there are no checkpoints.

        shapes  of the parameters by name; a checkpoint of others counts as damaged

        Raises RunError if all are damaged.
        """
        checkpoints = self._list()
        for path in reversed(checkpoints):
            with contextlib.suppress(ModelError):
                return _read(path, shapes)
        if checkpoints:
            raise RunError(
                f"{self._checkpoints}: all checkpoints are damaged; start anew with --overwrite"
            )
        return None

    def portable(self) -> dict[str, bytes]:
        """The files that another machine needs to resume the run, by their paths in it."""
        files = [self._config, *self._list()]
        return {path.relative_to(self.path).as_posix(): path.read_bytes() for path in files}

    def _list(self) -> list[Path]:
        """The checkpoints, oldest first."""
        found = sorted(self._checkpoints.glob("*-*.zip"))
        return [path for path in found if path.is_file() and not path.is_symlink()]


def _read(path: Path, shapes: Shapes) -> Checkpoint:
    """Read a checkpoint. Raises ModelError if it is damaged, or has other shapes."""
    parts = "params/", "adam/"
    with open_archive(path, ModelError, "a checkpoint") as archive:
        state = State(**archive.header["state"])
        if not all(_fits(field.type, getattr(state, field.name)) for field in _STATE_FIELDS):
            raise ValueError("a state that no run has")
        wanted = {f"params/{name}": shape for name, shape in shapes.items()}
        moments = {
            f"adam/{name}.{moment}": shape
            for name, shape in shapes.items()
            for moment in ("mean", "variance")
        }
        found = archive.shapes
        if wanted.keys() - found.keys() or not found.items() <= (wanted | moments).items():
            raise ValueError("arrays of another chain")
        arrays = archive.arrays()
    if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays.values()):
        raise ModelError(f"{path}: damaged, or not a checkpoint")
    params, moments_ = (
        {k.removeprefix(part): v for k, v in arrays.items() if k.startswith(part)} for part in parts
    )
    return Checkpoint(state, params, moments_)


_STATE_FIELDS = dataclasses.fields(State)


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value of a state is of its type, not negative, and of a size that a run reaches."""
    return _is_count(value) if kind == "int" else _is_number(value) and value >= 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_number(value: Any) -> bool:
    return _is_count(value) or (isinstance(value, float) and math.isfinite(value))


def check_same(what: str, now: dict[str, Any], then: dict[str, Any]) -> None:
    """Raise RunError if a resumed run began with other options or inputs.

    ``what`` names them in the message.
    """
    changed = differences(now, then)
    if changed:
        raise RunError(
            f"--resume: the run's {what} differ: {short(', '.join(changed), 200)} "
            f"(now {short(now.get(changed[0]))}, then {short(then.get(changed[0]))}); "
            "use the same, or start anew with --overwrite"
        )


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """The keys whose values differ, in order."""
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
