"""``neuralart export``: writes styles for other runtimes and compares each with the chain.

An exported graph takes and makes RGB in 0..255, (N, 3, H, W) float32, and does its own pre- and
post-processing. An export is written beside its place, run in its own runtime on two pictures, and
renamed if it passes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from neuralart import __version__
from neuralart.chain.model import load_model
from neuralart.chain.shipped import MODEL_NAME, find_model
from neuralart.errors import ConfigError, EngineError, OutputError
from neuralart.exporting.parity import (
    Difference,
    calibration_photos,
    chain_paintings,
    compared_pictures,
    keep,
    kept,
    on_grid,
)
from neuralart.exporting.style import Style
from neuralart.exporting.targets import TARGETS
from neuralart.machine.archive import Arrays
from neuralart.options.export import ExportConfig

RECORD = "export.json"
"""The file that lists an export's models with their differences, and the checksums of all files."""

PARITY = "parity.npz"
"""The file with two pictures and the chain's paintings of them, for `verify`."""


@dataclass(frozen=True)
class Compared:
    """An exported file and its difference from the chain.

    ``file`` is relative to the export's folder.
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
    """Write a folder with every style in every format.

    Raises NeuralArtError if a model cannot be read or exported, a package is missing, the folder
    must not or cannot be written, or an export differs too much from the chain. Then nothing is
    left behind.
    """
    if not sources:
        raise ConfigError("MODEL is missing: name the style to export")
    if config.to is None:
        raise ConfigError("--to is missing: name the folder to write")
    precisions = {name: _precision(name, config.precision) for name in config.format}
    _need_packages(config.format)
    for name in config.format:
        TARGETS[name].check(config)
    _check_place(config.to, config.overwrite)
    size = config.size()
    styles = _styles(sources, config, size)
    pictures = compared_pictures(size)
    compared: list[Compared] = []
    reference: Arrays = {}
    with _aside(config.to) as aside:
        for style in styles:
            stages = chain_paintings(style, pictures)
            ours = [outputs[-1] for outputs in stages]
            reference |= {f"{style.name}/{k}": v for k, v in keep(pictures, ours).items()}
            for name, precision in precisions.items():
                folder = _folder(aside, style, name, styles, config.format)
                file = TARGETS[name].write(style, folder, precision)
                difference = Difference.between(TARGETS[name].run(file, pictures), ours)
                where = file.relative_to(aside).as_posix()
                compared.append(Compared(style.name, where, name, precision, difference))
                _check(compared[-1], f"--to {config.to}", "; not written")
        for name in config.format:
            finish = TARGETS[name].finish
            if finish is not None:
                finish(styles, aside / name if len(config.format) > 1 else aside)
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
    try:
        record = json.loads((folder / RECORD).read_text())
        exports = [Compared(**row) for row in record["exports"]]
        sums = record["sha256"]
        with np.load(folder / PARITY) as archive:
            reference = dict(archive)
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(
            f"--verify {folder}: no {RECORD} of `neuralart export` in it, or a damaged one"
        ) from None
    found = _checksums(folder)
    for file, checksum in sums.items():
        if found.get(file) != checksum:
            problem = "not what was exported" if file in found else "missing"
            raise OutputError(f"--verify {folder}: {file} is {problem}; export it again")
    _need_packages([entry.format for entry in exports])
    compared = []
    for entry in exports:
        prefix = f"{entry.style}/"
        pictures, ours = kept(
            {k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)}
        )
        theirs = TARGETS[entry.format].run(folder / entry.file, pictures)
        difference = Difference.between([on_grid(painting) for painting in theirs], ours)
        compared.append(
            Compared(entry.style, entry.file, entry.format, entry.precision, difference)
        )
        _check(compared[-1], f"--verify {folder}", "")
    return compared


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
                raise EngineError(
                    f"--format {name} needs {package}: pip install 'neuralart[export]'"
                )


def _check_place(folder: Path, overwrite: bool) -> None:
    """Raise OutputError if the place is a file, or a folder that must not be replaced.

    Only an empty folder, or with ``overwrite`` one that holds an export and nothing else, may be.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"--to {folder}: is a file; name a new folder")
    found = _files(folder)
    if not found and not any(folder.iterdir()):
        return
    try:
        record = json.loads((folder / RECORD).read_text())
        ours = {RECORD, *record["sha256"]} >= found
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not (ours and overwrite):
        hint = "add --overwrite to replace it" if ours else "name a new folder"
        raise OutputError(f"--to {folder}: is not empty; {hint}")


def _styles(
    sources: Sequence[str], config: ExportConfig, size: tuple[int, int] | None
) -> list[Style]:
    styles: list[Style] = []
    photos = calibration_photos(config.calibrate) if config.precision == "int8" else []
    for source in sources:
        path = find_model(source)
        model = load_model(path)
        path = path.resolve()
        stem = path.parent.name if path.name == MODEL_NAME else path.stem
        stem = name = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "style"
        taken = {style.name for style in styles}
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        styles.append(Style(name, model, model.check_stage(config.stage), size, photos))
    return styles


def _folder(
    aside: Path, style: Style, name: str, styles: Sequence[Style], formats: Sequence[str]
) -> Path:
    """Make and return the folder of a style in a format.

    Several formats have a folder each. In it several styles have a folder each, unless the format's
    styles share one.
    """
    folder = aside / name if len(formats) > 1 else aside
    if len(styles) > 1 and TARGETS[name].finish is None:
        folder = folder / style.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """Give a new folder to write into. At the end it replaces ``folder``; an error deletes it."""
    aside = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        yield aside
        if folder.exists():
            shutil.rmtree(folder)
        aside.replace(folder)
    except OSError as error:
        raise OutputError(f"--to {folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _checksums(folder: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(_files(folder))
        if name != RECORD
    }
