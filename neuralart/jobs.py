"""Which photo becomes which painting: files, folders, globs, and the share of one machine among several.

Only paths are looked at here; no picture is opened.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neuralart.errors import ConfigError, ImageError, OutputError
from neuralart.pictures import READABLE, WRITABLE

STANDARD = Path("-")
"""Standard input or output."""


@dataclass(frozen=True)
class Job:
    """One photo and the file that its painting goes to.

    clash  the photo that an earlier job paints to the same file, if there is one
    """

    source: Path
    target: Path
    clash: Path | None = None


@dataclass(frozen=True)
class Jobs:
    """What is to be done.

    many         whether this is a batch, which goes on after an error and reports at the end
    into_folder  whether the paintings' folders are made where they are missing
    passed       suffixes of files in the folders that are no pictures, and how many have them
    """

    jobs: list[Job]
    many: bool
    into_folder: bool
    passed: Counter[str] = field(default_factory=Counter)


def find_jobs(sources: Sequence[str], target: str, format: str | None = None) -> Jobs:
    """A job for each photo that ``sources`` stand for.

    A folder stands for the pictures in it and below, whose paintings keep the tree; a pattern with ``*``
    for what it matches. Those, and several photos, make a batch, and the target is a folder then; it also is
    if it ends in ``/``, or if it is one without a picture's suffix.
    ``format`` is the suffix of paintings in a folder without its dot; by default the photo's own.
    Raises ImageError for a source that stands for nothing, ConfigError or OutputError for a target that
    does not fit.
    """
    root = Path(target)
    passed: Counter[str] = Counter()
    many = len(sources) > 1
    found: list[tuple[Path, Path]] = []
    for word in sources:
        source = Path(word)
        if source.is_dir():
            many = True
            if root.exists() and root.samefile(source):
                raise OutputError(f"{target}: is the folder of the photos itself; name another")
            found += [(source / name, name) for name in _pictures_below(source, root, passed)]
        elif any(letter in word for letter in "*?[") and not source.exists():
            many = True
            found += _matches(word)
        else:
            found.append((source, Path(source.name)))
    is_folder = root.is_dir() and root.suffix.lower() not in WRITABLE
    if not (many or is_folder or target.endswith(("/", os.sep))):
        return Jobs([Job(found[0][0], root)], many=False, into_folder=False)
    if STANDARD in (root, *(source for source, _ in found)):
        raise ConfigError("- stands for one picture; give one photo and one painting with it")
    if root.exists() and not root.is_dir():
        raise OutputError(f"{target}: is a file; several paintings need a folder")
    jobs: list[Job] = []
    first: dict[Path, Path] = {}
    for source, name in found:
        painting = root / name.with_suffix(_suffix(name, format))
        clash = first.setdefault(painting, source)
        jobs.append(Job(source, painting, None if clash == source else clash))
    return Jobs(jobs, many=many, into_folder=True, passed=passed)


def _suffix(name: Path, format: str | None) -> str:
    if format:
        return f".{format}"
    return name.suffix if name.suffix.lower() in WRITABLE else ".png"


def _pictures_below(folder: Path, target: Path, passed: Counter[str]) -> Iterator[Path]:
    """Paths relative to the folder, in order; hidden files and the target's own are left out."""
    target_key = os.path.realpath(target)
    empty = True
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and os.path.realpath(os.path.join(where, name)) != target_key
        )
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if suffix in READABLE:
                empty = False
                yield Path(where, name).relative_to(folder)
            else:
                passed[suffix or "no suffix"] += 1
    if empty:
        raise ImageError(f"{folder}: holds no pictures")


def _matches(pattern: str) -> Iterator[tuple[Path, Path]]:
    """The files that a pattern matches, and what lies below the last folder that it names plainly."""
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)
    fixed = Path(*plain)
    files = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
    files = [file for file in files if file.is_file()]
    if not files:
        raise ImageError(f"{pattern}: matches no file")
    return ((file, file.relative_to(fixed)) for file in files)


def parse_shard(text: str | None) -> tuple[int, int]:
    """``2/8`` -> (2, 8), the second of eight parts. Raises ConfigError."""
    match = re.fullmatch(r"(\d+)/(\d+)", text or "1/1")
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard {text}: write I/N, as 1/8 to 8/8 for eight machines")
    return int(match[1]), int(match[2])


def shard(jobs: Sequence[Job], part: tuple[int, int]) -> list[Job]:
    """Every N-th job from the I-th: the N parts are as large as each other, apart, and all of it."""
    index, count = part
    return list(jobs[index - 1 :: count])
