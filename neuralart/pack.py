"""``neuralart pack``: a folder of photos as one RecordIO file with an index, for ``train --data photos.rec``.

The files are those of MXNet's im2rec: NAME.rec with JPEGs, NAME.idx with each record's key and offset, NAME.lst
with each key's path. Processes pack a chunk of photos each into a folder beside the file. A chunk that is
whole stays there, so packing again goes on where it was stopped; last the chunks are put together.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralart.config import PackConfig
from neuralart.engine import mx
from neuralart.errors import ImageError, Interrupted, OutputError, PhotosError
from neuralart.files import PART, write_aside
from neuralart.images import encode_image, read_image, resize_shorter_edge
from neuralart.progress import counting
from neuralart.sources import RECORDS, Folder

CHUNK = 128  # photos; what a stopped process packs again at most


@dataclass(frozen=True)
class Packed:
    """How many photos are in the file, and why the others are not."""

    photos: int
    skipped: dict[str, str]


def pack(photos: Path, out: Path, config: PackConfig) -> Packed:
    """Pack the photos below a folder into ``out``, or go on with it.

    Raises PhotosError for a folder without one readable photo, OutputError if ``out`` must not or cannot be
    written, Interrupted on Ctrl-C; then what is packed so far stays beside ``out``.
    """
    if out.suffix != RECORDS:
        raise OutputError(f"{out}: a file of records ends in {RECORDS}")
    if out.exists() and not config.overwrite:
        raise OutputError(f"{out}: exists; add --overwrite to replace it")
    folder = Folder(photos, option="")
    parts = out.with_name(f".{out.name}.parts")
    try:
        _start(parts, {"photos": folder.digest, "edge": config.edge, "quality": config.quality})
        _pack_chunks(folder, parts, config)
        chunks = [json.loads(path.read_text()) for path in sorted(parts.glob("chunk-*.json"))]
        skipped = dict(folder.skipped)
        for chunk in chunks:
            skipped |= chunk["skipped"]
        count = sum(len(chunk["keys"]) for chunk in chunks)
        if not count:
            shutil.rmtree(parts)
            name, why = next(iter(skipped.items()))
            raise PhotosError(f"{photos}: none of its files can be packed; {name}: {why}")
        _put_together(out, parts, chunks)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; what is packed so far is in {parts}, and the same command goes on",
            signal.SIGINT,
        ) from None
    except BrokenProcessPool:
        raise OutputError(
            f"{out}: a process that packed was killed, out of memory perhaps; the same command goes on, "
            "with --processes 1 in less memory"
        ) from None
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from None
    return Packed(count, skipped)


def _start(parts: Path, plan: dict[str, Any]) -> None:
    """Make the folder of chunks, without those of another plan."""
    file = parts / "plan.json"
    if not file.exists() or json.loads(file.read_text()) != plan:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        write_aside(file, json.dumps(plan).encode())


def _pack_chunks(folder: Folder, parts: Path, config: PackConfig) -> None:
    """Pack every chunk that is not there, several at a time."""
    starts = range(0, len(folder), CHUNK)
    missing = [start for start in starts if not _chunk(parts, start).exists()]
    done = len(folder) - sum(len(folder.files[start : start + CHUNK]) for start in missing)
    pool = ProcessPoolExecutor(
        min(config.processes or len(os.sched_getaffinity(0)), max(1, len(missing))),
        # MXNet runs threads, which a forked process would not have.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )
    with pool, counting(len(folder), done, "photo") as bar:
        futures = [
            pool.submit(
                pack_chunk, folder.path, folder.files[start : start + CHUNK], start,
                _chunk(parts, start), config.edge, config.quality,
            )
            for start in missing
        ]  # fmt: skip
        try:
            for future in as_completed(futures):
                bar.update(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _chunk(parts: Path, start: int) -> Path:
    return parts / f"chunk-{start:09d}.json"


def pack_chunk(
    folder: Path, files: Sequence[str], start: int, chunk: Path, edge_px: int, quality: int
) -> int:
    """Write some photos, whose keys begin with ``start``, as records; then the chunk's JSON, which says that
    the records are whole. Returns how many files that were."""
    skipped: dict[str, str] = {}
    names: dict[int, str] = {}
    records = mx.recordio.MXIndexedRecordIO(
        str(chunk.with_suffix(".idx")), str(chunk.with_suffix(RECORDS)), "w"
    )
    for key, name in enumerate(files, start):
        try:
            image = read_image(folder / name)
        except ImageError as error:
            skipped[name] = str(error).removeprefix(f"{folder / name}: ")
            continue
        if min(image.shape[:2]) > edge_px:
            image = resize_shorter_edge(image, edge_px)
        header = mx.recordio.IRHeader(0, 0.0, key, 0)
        records.write_idx(key, mx.recordio.pack(header, encode_image(image, ".jpg", quality)))
        names[key] = name
    records.close()
    content = {
        "keys": list(names),
        "offsets": [records.idx[key] for key in names],
        "names": list(names.values()),
        "skipped": skipped,
    }
    write_aside(chunk, json.dumps(content).encode())
    return len(files)


def _put_together(out: Path, parts: Path, chunks: Sequence[dict[str, Any]]) -> None:
    """One file of all chunks, its index and its list; then the chunks go."""
    whole = out.with_name(f".{out.name}.{os.getpid()}{PART}")
    index, names = [], []
    try:
        with whole.open("wb") as file:
            for path, chunk in zip(sorted(parts.glob(f"chunk-*{RECORDS}")), chunks, strict=True):
                begin = file.tell()
                with path.open("rb") as records:
                    shutil.copyfileobj(records, file, 1 << 20)
                for key, offset, name in zip(
                    chunk["keys"], chunk["offsets"], chunk["names"], strict=True
                ):
                    index.append(f"{key}\t{begin + offset}\n")
                    names.append(f"{key}\t0\t{name}\n")
            file.flush()
            os.fsync(file.fileno())
        write_aside(out.with_suffix(".idx"), "".join(index).encode())
        write_aside(out.with_suffix(".lst"), "".join(names).encode())
        whole.replace(out)
    finally:
        whole.unlink(missing_ok=True)
    shutil.rmtree(parts)
