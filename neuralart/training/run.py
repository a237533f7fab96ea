"""The folder of a training run. A resumed run ends with the same bits as one that never stopped.

RUN/config.json         the options that decide the result, and checksums of what was read
RUN/checkpoints/*.zip   parameters, Adam's moments, and `State`; the newest two
RUN/metrics.jsonl       losses every few steps
RUN/samples/*.png       contact sheets
RUN/skipped.txt         photos that were skipped, and why
RUN/evaluation.json     held-out losses
RUN/model.neuralart     the trained style
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralart.chain.shipped import MODEL_NAME
from neuralart.errors import ModelError, OutputError, RunError
from neuralart.machine.archive import Arrays, read_archive, write_archive
from neuralart.machine.files import PART, write_aside

FORMAT = 1

KEPT = 2  # checkpoints

# Files to delete before a new run. config.json is replaced last: it marks a folder as a run.
_FILES = ("metrics.jsonl", "skipped.txt", "evaluation.json", MODEL_NAME)

_FOLDERS = ("checkpoints", "samples")


@dataclass(frozen=True)
class State:
    """Where a run stands.

    phase, step     the phase's index, and how many of its steps are done
    position        batches taken from the stream of photos
    rate_scale      factor of the learning rate; each roll-back halves it
    rollbacks       number of roll-backs
    metrics_bytes   length of metrics.jsonl
    seconds         training time so far
    """

    phase: int = 0
    step: int = 0
    position: int = 0
    rate_scale: float = 1.0
    rollbacks: int = 0
    metrics_bytes: int = 0
    seconds: float = 0.0


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
        self.model = path / MODEL_NAME
        self._config = path / "config.json"
        self._checkpoints = path / "checkpoints"

    def check_free(self, *, resume: bool, overwrite: bool) -> None:
        """Raise OutputError if ``path`` is a file, or a folder that must not be written to.

        A folder with a run needs ``resume`` or ``overwrite``; one with other files is refused.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise OutputError(f"--out {self.path}: is a file; name a new folder")
        others = [p for p in self.path.iterdir() if p.suffix != PART]
        if not others or (resume and self._config.exists()):
            return
        if not self._config.exists():
            raise OutputError(f"--out {self.path}: holds other files; name a new folder")
        if not overwrite:
            raise OutputError(
                f"--out {self.path}: holds a run; "
                "add --resume to go on with it or --overwrite to replace it"
            )

    def create(self, record: dict[str, Any]) -> None:
        """Make the folder, delete what an earlier run left in it, and write config.json.

        Raises OutputError if it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in _FOLDERS:
                shutil.rmtree(self.path / name, ignore_errors=True)
            for path in [self.path / name for name in _FILES] + list(self.path.glob(f".*{PART}")):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"--out {self.path}: cannot be written: {error.strerror}") from None
        self.write_json(self._config, {"format": FORMAT, **record})

    def write_json(self, path: Path, data: Any) -> None:
        write_aside(path, (json.dumps(data, indent=2) + "\n").encode())

    def read_record(self) -> dict[str, Any] | None:
        """Read config.json; None if there is no run yet.

        Raises RunError if the file is damaged or of another version.
        """
        try:
            record = json.loads(self._config.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self._config}: cannot be read: {error}; start anew with --overwrite"
            ) from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise RunError(f"{self._config}: of another version; start anew with --overwrite")
        return record

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then delete all but the newest two."""
        self._checkpoints.mkdir(exist_ok=True)
        state = checkpoint.state
        write_archive(
            self._checkpoints / f"{state.phase}-{state.step:08d}.zip",
            {"format": FORMAT, "state": dataclasses.asdict(state)},
            {f"params/{k}": v for k, v in checkpoint.params.items()}
            | {f"adam/{k}": v for k, v in checkpoint.moments.items()},
        )
        for old in self._list()[:-KEPT]:
            old.unlink(missing_ok=True)

    def load(self) -> Checkpoint | None:
        """Read the newest undamaged checkpoint; None if there are no checkpoints.

        Raises RunError if all are damaged.
        """
        checkpoints = self._list()
        for path in reversed(checkpoints):
            try:
                header, arrays, _ = read_archive(path, ModelError, "a checkpoint")
            except ModelError:
                continue
            params, moments = (
                {k.removeprefix(part): v for k, v in arrays.items() if k.startswith(part)}
                for part in ("params/", "adam/")
            )
            return Checkpoint(State(**header["state"]), params, moments)
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
        return sorted(self._checkpoints.glob("*-*.zip"))


def check_same(what: str, now: dict[str, Any], then: dict[str, Any]) -> None:
    """Raise RunError if a resumed run began with other options or inputs.

    ``what`` names them in the message.
    """
    changed = differences(now, then)
    if changed:
        raise RunError(
            f"--resume: the run's {what} differ: {', '.join(changed)} "
            f"(now {short(now.get(changed[0]))}, then {short(then.get(changed[0]))}); "
            "use the same, or start anew with --overwrite"
        )


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """The keys whose values differ, in order."""
    return sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))


def short(value: Any) -> str:
    """A value for a message, in at most 40 characters."""
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
