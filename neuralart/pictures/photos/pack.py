"""``neuralart pack``: pack a folder of photos into one RecordIO file for ``train --data``.

The files are those of MXNet's im2rec:

NAME.rec  the photos as JPEGs
NAME.idx  key and offset of each record
NAME.lst  key and path of each photo

Processes pack chunks of photos into a folder beside the file, which is joined from them at the end.
Whole chunks stay when packing is stopped, so that the same command goes on.
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

from neuralart.errors import ImageError, Interrupted, OutputError, PhotosError
from neuralart.machine.files import PART, check_place, write_aside
from neuralart.machine.processor import available_cores
from neuralart.machine.terminal import counting
from neuralart.pictures.editing import resize_shorter_edge
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
    cannot be written, Interrupted on Ctrl-C; the chunks packed so far then stay beside ``out``.
    """
    if out.suffix != RECORDS:
        raise OutputError(f"{out}: a file of records ends in {RECORDS}")
    check_place(out, overwrite, make_folders=True)
    folder = Folder(photos, option="")
    parts = out.with_name(f".{out.name}.parts")
    try:
        _start(parts, {"photos": folder.digest, "edge": edge, "quality": quality})
        _pack_chunks(folder, parts, edge, quality, processes)
        chunks = [json.loads(path.read_text()) for path in sorted(parts.glob("chunk-*.json"))]
        skipped = dict(folder.skipped)
        for chunk in chunks:
            skipped |= chunk["skipped"]
        count = sum(len(chunk["keys"]) for chunk in chunks)
        if not count:
            shutil.rmtree(parts)
            name, why = next(iter(skipped.items()))
            raise PhotosError(f"{photos}: none of its files can be packed; {name}: {why}")
        _join(out, parts, chunks)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; what is packed so far is in {parts}, and the same command goes on",
            signal.SIGINT,
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
    if not file.exists() or json.loads(file.read_text()) != inputs:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        write_aside(file, json.dumps(inputs).encode())


def _pack_chunks(
    folder: Folder, parts: Path, edge: int, quality: int, processes: int | None
) -> None:
    """Pack the chunks that are missing, several at a time."""
    starts = range(0, len(folder), CHUNK)
    missing = [start for start in starts if not _chunk(parts, start).exists()]
    done = len(folder) - sum(len(folder.files[start : start + CHUNK]) for start in missing)
    pool = ProcessPoolExecutor(
        min(processes or available_cores(), max(1, len(missing))),
        # Not fork: a forked process lacks the threads of MXNet and OpenCV.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
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


def _chunk(parts: Path, start: int) -> Path:
    """The JSON file of the chunk whose first photo has this number."""
    return parts / f"chunk-{start:09d}.json"


def pack_chunk(
    folder: Path, files: Sequence[str], start: int, chunk: Path, edge_px: int, quality: int
) -> int:
    """Pack ``files`` as the records ``start``, ``start`` + 1 and so on; return how many files.

    The chunk's JSON is written last: where it is, the records are whole.
    """
    from neuralart.engine.door import mx

    skipped: dict[str, str] = {}
    names: dict[int, str] = {}
    records = mx.recordio.MXIndexedRecordIO(
        str(chunk.with_suffix(".idx")), str(chunk.with_suffix(RECORDS)), "w"
    )
    for key, name in enumerate(files, start):
        try:
            image = read_image(folder / name, with_notes=False)
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


def _join(out: Path, parts: Path, chunks: Sequence[dict[str, Any]]) -> None:
    """Join the chunks to one file with its index and list, then delete them."""
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
