"""Which photo is painted to which file: files, folders, patterns, and one machine's share of them.

Only paths are looked at here; no picture is opened.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from neuralart.errors import ConfigError, ImageError, OutputError
from neuralart.pictures.formats import READABLE, WRITABLE

T = TypeVar("T")

STANDARD = Path("-")
"""Standard input or output."""


@dataclass(frozen=True)
class Job:
    """A photo and the file that its painting is written to.

    clash  the photo of an earlier job with the same target, if there is one
    """

    source: Path
    target: Path
    clash: Path | None = None


@dataclass(frozen=True)
class Jobs:
    """What is to be painted.

    many          whether this is a batch, which goes on after an error and reports at the end
    into_folder   whether missing folders of paintings are made
    not_pictures  suffixes of the files in the folders that are no pictures, with their numbers
    """

    jobs: list[Job]
    many: bool
    into_folder: bool
    not_pictures: Counter[str] = field(default_factory=Counter)


def file_ids(paths: Iterable[Path]) -> set[tuple[int, int]]:
    """Device and inode of every path that exists: all names and links of one file have the same."""
    ids = set()
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            ids.add((status.st_dev, status.st_ino))
    return ids


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths name one existing file."""
    return bool(file_ids([one]) & file_ids([other]))


def check_order(job: Job) -> None:
    """Raise OutputError if the painting is a picture that exists: it may be meant as a photo."""
    if job.target.suffix.lower() not in READABLE or not os.path.isfile(job.target):
        return
    if job.source != STANDARD and not os.path.lexists(job.source):
        raise OutputError(
            f"{job.source}: no such photo, and {job.target} exists; "
            "name the photo first and the painting last"
        )
    if same_file(job.source, job.target):
        raise OutputError(f"{job.target}: exists, and is the photo itself; name another file")
    raise OutputError(
        f"{job.target}: exists; add --overwrite to replace it, or if it is a photo, too, "
        "name a folder after both, as painted/"
    )


def find_jobs(sources: Sequence[str], target: str, format: str | None = None) -> Jobs:
    """One job for each photo that the sources name.

    sources  Files, folders and patterns with ``*``, ``?`` or ``[``. A folder gives all pictures in
             it and below, and the paintings keep its tree. A folder, a pattern, or more than one
             source makes a batch.
    target   A file or a folder. It is a folder for a batch, if it ends in ``/``, or if it is an
             existing folder without a picture's suffix.
    format   Suffix, without its dot, of the paintings in a folder; by default the photo's own.

    Raises ImageError if a source names no photo, ConfigError or OutputError if the target is wrong.
    """
    root = Path(target)
    not_pictures: Counter[str] = Counter()
    many = len(sources) > 1
    found: list[tuple[Path, Path]] = []
    for word in sources:
        source = Path(word)
        # Not `Path.is_dir` and `Path.exists`, which raise for names that are too long.
        if os.path.isdir(source):
            many = True
            if same_file(root, source):
                raise OutputError(f"{target}: is the folder of the photos itself; name another")
            found += [(source / name, name) for name in _pictures_below(source, root, not_pictures)]
        elif glob.has_magic(word) and not os.path.lexists(source):
            many = True
            found += _matches(word)
        else:
            found.append((source, Path(source.name)))
    is_folder = os.path.isdir(root) and root.suffix.lower() not in WRITABLE
    if not (many or is_folder or target.endswith(("/", os.sep))):
        return Jobs([Job(found[0][0], root)], many=False, into_folder=False)
    if STANDARD in (root, *(source for source, _ in found)):
        raise ConfigError("- stands for one picture; give one photo and one painting with it")
    if os.path.exists(root) and not os.path.isdir(root):
        raise OutputError(
            f"{target}: is a file; several paintings need a folder: name one last, as painted/"
        )
    if not is_folder and root.suffix.lower() in WRITABLE and not target.endswith(("/", os.sep)):
        raise needs_folder(target)
    jobs: list[Job] = []
    first_sources: dict[Path, Path] = {}
    for source, name in found:
        painting = root / name.with_suffix(_suffix(name, format))
        clash = first_sources.setdefault(painting, source)
        jobs.append(Job(source, painting, None if clash == source else clash))
    return Jobs(jobs, many=many, into_folder=True, not_pictures=not_pictures)


def needs_folder(target: str) -> OutputError:
    """What to say of several photos and a painting's name."""
    return OutputError(
        f"{target}: the last name is where the paintings go, and several need a folder: "
        "name one last, as painted/"
    )


def _suffix(name: Path, format: str | None) -> str:
    if format:
        return f".{format}"
    return name.suffix if name.suffix.lower() in WRITABLE else ".png"


def _pictures_below(folder: Path, target: Path, not_pictures: Counter[str]) -> Iterator[Path]:
    """The pictures in a folder and below, as sorted paths relative to it.

    Links to folders are followed, and each folder is looked into once. Hidden files and folders and
    the target folder are left out. Other files are counted by suffix.
    """
    seen = file_ids([target])
    empty = True
    for where, folders, files in os.walk(folder, followlinks=True):
        here = file_ids([Path(where)])
        if here & seen:
            folders.clear()
            continue
        seen |= here
        # Links last: a picture keeps the name that it has without them.
        folders[:] = sorted(
            (name for name in folders if not name.startswith(".")),
            key=lambda name: (os.path.islink(os.path.join(where, name)), name),
        )
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if name.startswith("."):
                continue
            if suffix not in READABLE:
                not_pictures[suffix or "no suffix"] += 1
            elif _is_pipe(os.path.join(where, name)):
                not_pictures["pipe or device"] += 1
            else:
                empty = False
                yield Path(where, name).relative_to(folder)
    if empty:
        others = ", ".join(f"{count} {kind}" for kind, count in sorted(not_pictures.items()))
        there = f" but {others}" if others else ""
        raise ImageError(f"{folder}: holds no pictures{there}; name a folder of photos")


def _is_pipe(path: str) -> bool:
    """Whether reading it might wait for ever. False for a link to nothing: reading it says so."""
    return os.path.exists(path) and not os.path.isfile(path)


def _matches(pattern: str) -> Iterator[tuple[Path, Path]]:
    """The files that a pattern matches, each with its path below the pattern's fixed folders.

    A folder whose own name looks like a pattern is taken by its name.
    """
    parts, fixed = Path(pattern).parts, Path()
    for part in parts:
        if glob.has_magic(part) and not os.path.lexists(fixed / part):
            break
        fixed /= part
    rest = Path(*parts[len(fixed.parts) :])
    found = glob.glob(os.path.join(glob.escape(str(fixed)), str(rest)), recursive=True)
    files = sorted(Path(name) for name in found)
    files = [file for file in files if file.is_file()]
    if not files:
        raise ImageError(f"{pattern}: matches no file; check the pattern")
    return ((file, file.relative_to(fixed)) for file in files)


def parse_shard(text: str | None) -> tuple[int, int]:
    """Index, from 1, and number of parts: ``2/8`` -> (2, 8), None -> (1, 1). Raises ConfigError."""
    match = re.fullmatch(r"(\d+)/(\d+)", text or "1/1")
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard {text}: write I/N, as 1/8 to 8/8 for eight machines")
    return int(match[1]), int(match[2])


def shard(jobs: Sequence[T], part: tuple[int, int]) -> list[T]:
    """Part I of N: every N-th job from the I-th on.

    The N parts hold every job exactly once; their sizes differ by at most one.
    """
    index, count = part
    return list(jobs[index - 1 :: count])
