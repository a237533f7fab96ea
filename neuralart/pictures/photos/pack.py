"""``neuralart pack``: pack a folder of photos into one RecordIO file for ``train --data``.

The files are those of MXNet's im2rec:

NAME.rec  the photos as JPEGs
NAME.idx  key and offset of each record
NAME.lst  key and path of each photo

Processes pack chunks of photos into a folder beside the file, which is joined from them at the end.
Whole chunks stay when packing is stopped, so that the same command goes on.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import shutil
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuralart.errors import ImageError, Interrupted, OutputError, PhotosError
from neuralart.machine.documents import parse_json
from neuralart.machine.files import (
    check_place,
    make_folder,
    write_aside,
    written_aside,
    written_together,
)
from neuralart.machine.locks import locked
from neuralart.machine.processor import available_cores
from neuralart.machine.signals import number_of
from neuralart.machine.terminal import counting
from neuralart.machine.words import one_line
from neuralart.pictures.editing import resize_shorter_edge
from neuralart.pictures.photos.records import record
from neuralart.pictures.photos.sources import RECORDS, Folder
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import encode_image

CHUNK = 128  # photos; a stopped process loses less than that


@dataclass(frozen=True)
class Packed:
    """How many photos the file has, and the reason for each file that was skipped."""

    photos: int
    skipped: dict[str, str]


def pack(
    photos: Path, out: Path, *, edge: int, quality: int, processes: int | None, overwrite: bool
) -> Packed:
    """Pack the photos of a folder and its subfolders into ``out``, or go on with a stopped packing.

    edge       shorter edge in pixels that larger photos are scaled down to
    quality    of the JPEGs, 1..100
    processes  that pack; None for one on each core

    Raises PhotosError for a folder without a readable photo, OutputError if ``out`` must not or
    cannot be written or another process packs into it, Interrupted on Ctrl-C; the chunks packed so
    far then stay beside ``out``.
    """
    if out.suffix != RECORDS:
        raise OutputError(f"{out}: a file of records ends in {RECORDS}")
    check_place(out, overwrite, make_folders=True)
    folder = Folder(photos, option="")
    make_folder(out.parent)
    parts = out.with_name(f".{out.name}.parts")
    skipped = dict(folder.skipped)
    try:
        with locked(out.with_name(f".{out.name}.lock"), str(out)):
            _start(parts, {"photos": folder.digest, "edge": edge, "quality": quality})
            chunks = _pack_chunks(folder, parts, edge, quality, processes)
            for chunk in chunks:
                skipped |= chunk.skipped
            count = sum(len(chunk.keys) for chunk in chunks)
            if not count:
                shutil.rmtree(parts)
                name, why = next(iter(skipped.items()))
                raise PhotosError(f"{photos}: none of its files can be packed; {name}: {why}")
            _join(out, parts, chunks, overwrite)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"stopped; what is packed so far is in {parts}, and the same command goes on",
            number_of(error),
        ) from None
    except BrokenProcessPool:
        raise OutputError(
            f"{out}: a process that packed was killed, out of memory perhaps; "
            "the same command goes on, with --processes 1 in less memory"
        ) from None
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from None
    return Packed(count, skipped)


def _start(parts: Path, inputs: dict[str, Any]) -> None:
    """Make the folder of chunks; remove chunks of other photos or options."""
    file = parts / "plan.json"
    if parts.is_symlink():
        parts.unlink()
    try:
        plan = parse_json(file.read_bytes())
    except (OSError, ValueError):
        plan = None
    if plan != inputs:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir()
        write_aside(file, json.dumps(inputs).encode())


@dataclass(frozen=True)
class Chunk:
    """A chunk of records, as its JSON file has it.

    size     of its records in bytes
    keys     of the photos that it has
    offsets  of their records in the chunk
    names    of their files
    skipped  the other files, and why
    """

    size: int
    keys: list[int]
    offsets: list[int]
    names: list[str]
    skipped: dict[str, str]


def _whole_chunk(path: Path) -> Chunk | None:
    """The chunk of a JSON file; None if it is missing or damaged, and has to be packed again."""
    try:
        chunk = Chunk(**parse_json(path.read_bytes()))
        is_whole = (
            path.with_suffix(RECORDS).stat().st_size == chunk.size
            and len(chunk.keys) == len(chunk.offsets) == len(chunk.names)
            and all(isinstance(n, int) for n in (*chunk.keys, *chunk.offsets))
            and all(isinstance(s, str) for s in (*chunk.names, *chunk.skipped.values()))
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return chunk if is_whole else None


def _pack_chunks(
    folder: Folder, parts: Path, edge: int, quality: int, processes: int | None
) -> list[Chunk]:
    """Pack the chunks that are missing, several at a time, and return all."""
    starts = range(0, len(folder), CHUNK)
    missing = [start for start in starts if _whole_chunk(_chunk(parts, start)) is None]
    done = len(folder) - sum(len(folder.files[start : start + CHUNK]) for start in missing)
    pool = ProcessPoolExecutor(
        min(processes or available_cores(), max(1, len(missing))),
        # Not fork: a forked process lacks the threads of libraries.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_follow_parent,
    )
    with pool, counting(len(folder), done, "photo") as bar:
        futures = [
            pool.submit(
                pack_chunk, folder.path, folder.files[start : start + CHUNK], start,
                _chunk(parts, start), edge, quality,
            )
            for start in missing
        ]  # fmt: skip
        try:
            for future in as_completed(futures):
                bar.update(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    chunks = [_whole_chunk(_chunk(parts, start)) for start in starts]
    if None in chunks:
        raise OutputError(f"{parts}: was changed by another process; pack the photos again")
    return [chunk for chunk in chunks if chunk is not None]


_PR_SET_PDEATHSIG = 1  # Linux, include/uapi/linux/prctl.h


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it is killed: a pool's process would wait for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _chunk(parts: Path, start: int) -> Path:
    """The JSON file of the chunk whose first photo has this number."""
    return parts / f"chunk-{start:09d}.json"


def pack_chunk(
    folder: Path, files: Sequence[str], start: int, chunk: Path, edge_px: int, quality: int
) -> int:
    """Pack ``files`` as the records ``start``, ``start`` + 1 and so on; return how many files.

    The chunk's JSON is written last: where it is, the records are whole.
    """
    skipped: dict[str, str] = {}
    keys: list[int] = []
    offsets: list[int] = []
    names: list[str] = []
    with written_aside(chunk.with_suffix(RECORDS)) as file:
        for key, name in enumerate(files, start):
            try:
                image = read_image(folder / name, with_notes=False)
            except ImageError as error:
                skipped[name] = str(error).removeprefix(f"{folder / name}: ")
                continue
            if min(image.shape[:2]) > edge_px:
                image = resize_shorter_edge(image, edge_px)
            keys.append(key)
            offsets.append(file.tell())
            names.append(name)
            file.write(record(key, encode_image(image, ".jpg", quality)))
        size = file.tell()
    content = Chunk(size, keys, offsets, names, skipped)
    write_aside(chunk, json.dumps(asdict(content)).encode())
    return len(files)


def _join(out: Path, parts: Path, chunks: Sequence[Chunk], overwrite: bool) -> None:
    """Join the chunks to one file with its list and index, then delete them."""
    index, rows = [], []
    with written_together(overwrite=overwrite) as together:
        file = together.open(out)
        starts = sorted(parts.glob(f"chunk-*{RECORDS}"))
        for path, chunk in zip(starts, chunks, strict=True):
            begin = file.tell()
            with path.open("rb") as records:
                shutil.copyfileobj(records, file, 1 << 20)
            for key, offset, name in zip(chunk.keys, chunk.offsets, chunk.names, strict=True):
                index.append(f"{key}\t{begin + offset}\n")
                rows.append(f"{key}\t0\t{one_line(name)}\n")
        together.open(out.with_suffix(".lst")).write("".join(rows).encode())
        together.open(out.with_suffix(".idx")).write("".join(index).encode())
    shutil.rmtree(parts)
