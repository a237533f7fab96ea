"""Which photo is painted to where, if photos or paintings are at addresses such as s3://."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from neuralart.errors import ConfigError, ImageError, OutputError
from neuralart.painting.cluster.addresses import (
    canonical,
    files_below,
    has_pattern,
    is_address,
    is_folder,
    matches,
)
from neuralart.painting.jobs import STANDARD, find_jobs, needs_folder
from neuralart.pictures.formats import READABLE, WRITABLE


@dataclass(frozen=True)
class RemoteJob:
    """A photo and the place of its painting: addresses, or absolute paths.

    clash                     the photo of an earlier job with the same place, if there is one
    source_name, target_name  as the user wrote them, for messages
    """

    source: str
    target: str
    clash: str | None
    source_name: str
    target_name: str

    @classmethod
    def of(cls, source: str, target: str, clash: str | None = None) -> RemoteJob:
        """The job of a photo and a painting whose paths may be relative."""
        return cls(_absolute(source), _absolute(target), clash, source, target)


@dataclass(frozen=True)
class RemoteJobs:
    """What is to be painted: see `neuralart.painting.jobs.Jobs`.

    root  the folder of the paintings, or the only painting
    """

    jobs: list[RemoteJob]
    many: bool
    into_folder: bool
    root: str
    not_pictures: Counter[str] = field(default_factory=Counter)


def find_remote_jobs(sources: Sequence[str], target: str, format: str | None = None) -> RemoteJobs:
    """One job for each photo that the sources name, with the rules and errors of `find_jobs`."""
    if str(STANDARD) in (target, *sources):
        raise ConfigError("- stands for a picture of this process; name files or addresses")
    target, *sources = (word.removeprefix("file://") for word in (target, *sources))
    if not any(map(is_address, (target, *sources))):
        found = find_jobs(sources, target, format)
        jobs = [
            RemoteJob.of(
                str(job.source), str(job.target), None if job.clash is None else str(job.clash)
            )
            for job in found.jobs
        ]
        return RemoteJobs(jobs, found.many, found.into_folder, target, found.not_pictures)
    return _find(sources, target, format)


def _absolute(word: str) -> str:
    return word if is_address(word) else os.path.abspath(word)


def _find(sources: Sequence[str], target: str, format: str | None) -> RemoteJobs:
    not_pictures: Counter[str] = Counter()
    root = target.rstrip("/")
    many = len(sources) > 1
    found: list[tuple[str, str]] = []
    for word in sources:
        if is_folder(word):
            many = True
            folder = word.rstrip("/")
            if _same(folder, root):
                raise OutputError(f"{target}: is the folder of the photos itself; name another")
            names = _pictures(folder, root, not_pictures)
            found += [(f"{folder}/{name}", name) for name in names]
        elif has_pattern(word):
            many = True
            found += matches(word)
        else:
            found.append((word, PurePosixPath(word).name))
    into_folder = target.endswith("/") or is_folder(target)
    if not (many or into_folder):
        return RemoteJobs([RemoteJob.of(found[0][0], target)], False, False, target)
    if not into_folder and PurePosixPath(target).suffix.lower() in WRITABLE:
        raise needs_folder(target)
    jobs = []
    first_sources: dict[str, str] = {}
    for source, name in found:
        path = PurePosixPath(name)
        own = path.suffix if path.suffix.lower() in WRITABLE else ".png"
        painting = f"{root}/{path.with_suffix(f'.{format}' if format else own)}"
        clash = first_sources.setdefault(painting, source)
        jobs.append(RemoteJob.of(source, painting, None if clash == source else clash))
    return RemoteJobs(jobs, many, True, root, not_pictures)


def _same(one: str, other: str) -> bool:
    """Whether two words name one place."""
    if is_address(one) and is_address(other):
        return canonical(one) == canonical(other)
    return one == other


def _pictures(folder: str, root: str, not_pictures: Counter[str]) -> list[str]:
    """The pictures in a folder and below, without hidden files and the folder of the paintings."""
    pictures = []
    inside = root.startswith(f"{folder}/")
    for name in files_below(folder):
        path = PurePosixPath(name)
        if any(part.startswith(".") for part in path.parts):
            continue
        if inside and f"{folder}/{name}".startswith(f"{root}/"):
            continue
        suffix = path.suffix.lower()
        if suffix in READABLE:
            pictures.append(name)
        else:
            not_pictures[suffix or "no suffix"] += 1
    if not pictures:
        raise ImageError(f"{folder}: holds no pictures")
    return pictures
