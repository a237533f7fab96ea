"""``neuralart export``: writes styles for other runtimes and compares each with the chain.

An exported graph takes and makes RGB in 0..255, (N, 3, H, W) float32, and does its own pre- and
post-processing. A chain of several styles is exported with all of them: its graph has a second
input, the weights of the styles. An export is written beside its place, run in its own runtime, and
renamed if it passes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neuralart import __version__
from neuralart.chain.choice import load_choice
from neuralart.chain.model import StyledChain
from neuralart.chain.shipped import MODEL_NAME, find_style
from neuralart.errors import ConfigError, EngineError, NeuralArtError, OutputError
from neuralart.exporting.graph import smallest_px
from neuralart.exporting.parity import (
    MOST_KEPT,
    Case,
    Difference,
    calibration_photos,
    chain_paintings,
    compared_cases,
    keep,
    kept,
    on_grid,
)
from neuralart.exporting.subject import Subject, file_names
from neuralart.exporting.targets import TARGETS
from neuralart.machine.archive import DAMAGE, Arrays, ZipOfArrays
from neuralart.machine.crash import reason
from neuralart.machine.documents import parse_json
from neuralart.machine.files import PART, make_folder, sync_folder
from neuralart.machine.installation import install_command
from neuralart.machine.leftovers import half_written
from neuralart.machine.locks import locked
from neuralart.machine.words import short
from neuralart.options.export import ExportConfig
from neuralart.pictures.pixels import X

RECORD = "export.json"
"""The file that lists an export's models with their differences, and the checksums of all files."""

PARITY = "parity.npz"
"""The file with pictures and the chain's paintings of them, for `verify`."""


@dataclass(frozen=True)
class Compared:
    """An exported file and its difference from the chain.

    style   the name of what was exported: of a style, or of a chain of several
    file    relative to the export's folder
    """

    style: str
    file: str
    format: str
    precision: str
    difference: Difference

    def __str__(self) -> str:
        return (
            f"{self.file} ({self.style}, {self.precision}): "
            f"differs from the chain by {self.difference} (of 255)"
        )


def export(sources: Sequence[str], config: ExportConfig) -> tuple[Path, list[Compared]]:
    """Write a folder with every model, in its styles, in every format.

    Raises NeuralArtError if a model cannot be read or exported, a package is missing, the folder
    must not or cannot be written, another process exports to it, or an export differs too much from
    the chain. Then nothing is left behind.
    """
    if not sources:
        raise ConfigError("MODEL is missing: name the model or the style to export")
    if config.to is None:
        raise ConfigError("--to is missing: name the folder to write")
    precisions = {name: _precision(name, config.precision) for name in config.format}
    _need_packages(config.format)
    for name in config.format:
        TARGETS[name].check(config)
    _check_place(config.to, config.overwrite)
    subjects = _subjects(sources, config)
    compared: list[Compared] = []
    reference: Arrays = {}
    with _aside(config.to, config.overwrite) as aside:
        for subject in subjects:
            cases = compared_cases(subject)
            ours = [outputs[-1] for outputs in chain_paintings(subject, cases)]
            reference |= {f"{subject.name}/{k}": v for k, v in keep(cases, ours).items()}
            for name, precision in precisions.items():
                folder = _folder(aside, subject, name, subjects, config.format)
                with _by_library(name, f"--to {config.to}: {name} cannot be written"):
                    file = TARGETS[name].write(subject, folder, precision)
                    paintings = TARGETS[name].paint(file, cases)
                difference = Difference.between(paintings, ours)
                where = file.relative_to(aside).as_posix()
                compared.append(Compared(subject.name, where, name, precision, difference))
                _check(compared[-1], f"--to {config.to}", "; not written")
        for name in config.format:
            finish = TARGETS[name].finish
            if finish is not None:
                finish(subjects, aside / name if len(config.format) > 1 else aside)
        np.savez_compressed(aside / PARITY, **reference)
        record = {
            "neuralart": __version__,
            "exports": [asdict(entry) for entry in compared],
            "sha256": _checksums(aside),
        }
        (aside / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    return config.to, compared


def verify(folder: Path) -> list[Compared]:
    """Run an export's files again, and compare with the chain's paintings stored beside them.

    Raises OutputError if the folder is no export, a file is missing or changed, or a model paints
    something else here.
    """
    where = f"--verify {folder}"
    damaged = OutputError(f"{where}: no {RECORD} of `neuralart export` in it, or a damaged one")
    try:
        record = _read_record(folder)
        exports = [_exported(row, record["sha256"]) for row in record["exports"]]
        with open(folder / PARITY, "rb") as file:
            reference = _read_parity(ZipOfArrays(file))
    except (OSError, *DAMAGE):
        raise damaged from None
    found = _checksums(folder)
    for name, checksum in record["sha256"].items():
        if found.get(name) != checksum:
            problem = "not what was exported" if name in found else "missing"
            raise OutputError(f"{where}: {short(name, 80)} is {problem}; export it again")
    _need_packages([entry.format for entry in exports])
    compared = []
    for entry in exports:
        try:
            cases, ours = _cases(reference, entry.style)
        except DAMAGE:
            raise damaged from None
        with _by_library(None, f"{where}: {short(entry.file, 80)} cannot be run"):
            theirs = TARGETS[entry.format].paint(folder / entry.file, cases)
            on_grids = [on_grid(painting) for painting in theirs]
        if [painting.shape for painting in on_grids] != [painting.shape for painting in ours]:
            raise OutputError(f"{where}: {short(entry.file, 80)} paints pictures of another size")
        compared.append(replace(entry, difference=Difference.between(on_grids, ours)))
        _check(compared[-1], where, "")
    return compared


def _read_record(folder: Path) -> dict[str, Any]:
    """The record of an export. Raises OSError, or one of `DAMAGE`."""
    record = parse_json((folder / RECORD).read_bytes())
    sums = record["sha256"]
    if not all(isinstance(each, str) for pair in sums.items() for each in pair):
        raise ValueError("a checksum that is no text")
    return {"sha256": dict(sums), "exports": list(record["exports"])}


def _exported(row: dict[str, Any], sums: dict[str, str]) -> Compared:
    """A row of the record. Its file is one that has a checksum. Raises one of `DAMAGE`."""
    style, file, form, precision = (
        str(row[key]) for key in ("style", "file", "format", "precision")
    )
    entry = Compared(style, file, form, precision, Difference(0, 0))
    if entry.file not in sums or entry.precision not in TARGETS[entry.format].limits:
        raise ValueError("a file without a checksum, or of an unknown precision")
    return entry


def _read_parity(archive: ZipOfArrays) -> Arrays:
    """The pictures and paintings of an export. Raises one of `DAMAGE`."""
    sizes = [int(np.prod(shape, dtype=object)) for shape in archive.shapes.values()]
    if sum(sizes) > MOST_KEPT:
        raise ValueError("more pictures than are kept")
    return {name: archive.array(name) for name in archive.shapes}


def _cases(reference: Arrays, style: str) -> tuple[list[Case], list[X]]:
    """What to compare an export of this name on. Raises one of `DAMAGE`."""
    prefix = f"{style}/"
    cases, paintings = kept(
        {k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)}
    )
    if not cases:
        raise ValueError("no picture")
    return cases, paintings


@contextmanager
def _by_library(name: str | None, what: str) -> Iterator[None]:
    """Make an error of a library one line that begins with ``what``.

    name  the format that is being written, or None where a file of others is read. In writing,
          only a runtime's own errors are a user's: it has no other for a full disk.
    """
    try:
        yield
    except (NeuralArtError, MemoryError):
        raise
    except Exception as error:
        kind = type(error)
        is_runtimes = kind.__name__ == "MXNetError" or kind.__module__.startswith("onnxruntime")
        if name is not None and not is_runtimes:
            raise
        raise OutputError(f"{what}: {short(reason(error), 200)}") from None


def _check(entry: Compared, where: str, then: str) -> None:
    limit = TARGETS[entry.format].limits[entry.precision]
    if not entry.difference.within(limit):
        raise OutputError(f"{where}: {entry}; the limit is {limit}{then}")


def _precision(name: str, precision: str | None) -> str:
    known = list(TARGETS[name].limits)
    if precision is None:
        return known[0]
    if precision not in known:
        raise ConfigError(f"--precision {precision}: --format {name} is {' or '.join(known)}")
    return precision


def _need_packages(formats: Sequence[str]) -> None:
    for name in formats:
        for package in TARGETS[name].packages:
            if importlib.util.find_spec(package) is None:
                raise EngineError(f"--format {name} needs {package}; {_where(package)}")


def _where(package: str) -> str:
    return install_command("cpu" if package == "mxnet" else "onnx")


def _check_place(folder: Path, overwrite: bool) -> None:
    """Raise OutputError if the place is a file, or a folder that must not be replaced.

    Only an empty folder, or with ``overwrite`` one that holds an export and nothing else, may be.
    """
    if folder.name in ("", ".."):
        raise OutputError(f"--to {folder}: has no name of its own; name a new folder")
    try:
        if folder.is_symlink():
            raise OutputError(f"--to {folder}: is a link; name what it leads to, or a new folder")
        if not folder.exists():
            return
        if not folder.is_dir():
            raise OutputError(f"--to {folder}: is a file; name a new folder")
        found = _files(folder)
        if not found and not any(folder.iterdir()):
            return
    except OSError as error:
        raise OutputError(f"--to {folder}: {error.strerror or error}") from None
    try:
        ours = {RECORD, *_read_record(folder)["sha256"]} >= found
    except (OSError, *DAMAGE):
        ours = False
    if not (ours and overwrite):
        hint = "add --overwrite to replace it" if ours else "name a new folder"
        raise OutputError(f"--to {folder}: is not empty; {hint}")


def _subjects(sources: Sequence[str], config: ExportConfig) -> list[Subject]:
    """What the words on the command line name: each a model with all styles, or one style."""
    size = config.size()
    photos = calibration_photos(config.calibrate) if config.precision == "int8" else []
    chosen = [_chosen(source, config.style) for source in sources]
    for _, chain in chosen:
        least = smallest_px(chain.specs)
        if size is not None and min(size) < least:
            raise ConfigError(
                f"--static {config.static}: too small for the frame around it; "
                f"use {least} pixels or more"
            )
    names = file_names(name for name, _ in chosen)
    return [
        Subject(name, chain, chain.model().check_stage(config.stage), size, photos)
        for name, (_, chain) in zip(names, chosen, strict=True)
    ]


def _chosen(source: str, choice: str | None) -> tuple[str, StyledChain]:
    """The chain of a MODEL, in one style or mixture if one is chosen, and a name for it.

    Raises ModelError if there is no such model, ConfigError if it has no such style.
    """
    chain, choice = load_choice(source, choice)
    if choice is not None:
        return choice, _alone(chain, choice)
    path = find_style(source)[0].resolve()
    return path.parent.name if path.name == MODEL_NAME else path.stem, chain


def _alone(chain: StyledChain, choice: str) -> StyledChain:
    """A chain of one style: that of ``choice``. The card of a mixture says so."""
    model = chain.model(choice)
    if (chain.mixture(choice) > 0).sum() > 1:
        card = {key: value for key, value in model.card.items() if key != "title"}
        model = replace(model, card={**card, "mixture": choice})
    return StyledChain.of(model)


def _folder(
    aside: Path, subject: Subject, name: str, subjects: Sequence[Subject], formats: Sequence[str]
) -> Path:
    """Make and return the folder of a subject in a format.

    Several formats have a folder each. In it several subjects have a folder each, unless the
    format's subjects share one.
    """
    folder = aside / name if len(formats) > 1 else aside
    if len(subjects) > 1 and TARGETS[name].finish is None:
        folder = folder / subject.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _aside(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Give a new folder to write into. At the end it replaces ``folder``; an error deletes it.

    Keeps other exports from ``folder``. Raises OutputError if one writes it, or has meanwhile.
    """
    aside, before = (folder.with_name(f".{folder.name}{end}{PART}") for end in ("", ".old"))
    make_folder(folder.parent)
    with locked(folder.with_name(f".{folder.name}.lock"), f"--to {folder}"):
        try:
            # Killed exports left these: no other has them while this one holds the lock.
            _remove(aside)
            if before.exists() and not folder.exists():
                before.replace(folder)
            _check_place(folder, overwrite)
            aside.mkdir()
            with half_written(aside):
                yield aside
                sync_folder(aside)
                _check_place(folder, overwrite)
                _remove(before)
                if folder.exists():
                    folder.replace(before)
                aside.replace(folder)
                _remove(before)
        except OSError as error:
            raise OutputError(
                f"--to {folder}: cannot be written: {error.strerror or error}"
            ) from None
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            if before.exists() and not folder.exists():
                before.replace(folder)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _files(folder: Path) -> set[str]:
    """The files in a folder and below, by their paths in it; links out of it do not count."""
    root = folder.resolve()
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.resolve().is_relative_to(root)
    }


def _checksums(folder: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(_files(folder))
        if name != RECORD
    }
