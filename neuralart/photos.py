"""A folder of photos as a seeded, resumable stream of x0, decoded ahead by threads.

The stream is a function of the seed and a position alone: the photo at position c of epoch c // n is the
one that the epoch's own permutation puts there, cut by the position's own random numbers. So a run that
resumes at a position sees what it would have seen.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np

from neuralart.errors import ImageError, PhotosError
from neuralart.files import write_aside
from neuralart.images import (
    Image,
    X,
    centre_crop,
    read_image,
    resize_shorter_edge,
    to_x,
)
from neuralart.pictures import READABLE

DECODERS = 2
AHEAD = 8

# Photos are scaled so that the shorter edge is 1 to this many times the crop before it is cut.
LARGEST_SCALE = 1.6

# What the random numbers of a seed are for.
_SPLIT, _EPOCH, _CROP = 0, 1, 2


class Photos:
    """The photos below a folder, some of them held out.

    Attributes: ``held_out``, the middle squares of the photos kept out; ``samples``, up to three squares
    for contact sheets; ``skipped``, why a file is not used, by its path relative to the folder;
    ``digest``, a checksum of the files' names and sizes, which tells whether the folder has changed.
    """

    def __init__(self, folder: Path, crop_px: int, seed: int, holdout: int) -> None:
        """Raises PhotosError for a folder that is missing, empty, or without one usable photo."""
        self.folder, self.crop_px, self.seed = folder, crop_px, seed
        self.skipped: dict[str, str] = {}
        self._skipped_file: Path | None = None
        files = self._list_files()
        self.digest = self._digest(files)
        self.count = len(files)
        order = np.random.default_rng([seed, _SPLIT]).permutation(len(files))
        shuffled = [files[i] for i in order]
        self.held_out, used = self._first_squares(shuffled, min(holdout, len(files) // 5))
        self._training: list[Path] = sorted(shuffled[used:])
        first, _ = self._first_squares(self._training, 1)
        if not first:
            raise PhotosError(
                f"--data {folder}: none of its files can be learned on; "
                + next((f"{path}: {why}" for path, why in self.skipped.items()), "add photos")
            )
        self.samples = self.held_out[:3] or first

    def _list_files(self) -> list[Path]:
        if not self.folder.is_dir():
            what = "is not a folder" if self.folder.exists() else "no such folder"
            raise PhotosError(f"--data {self.folder}: {what}; name a folder of photos")
        files = []
        for path in sorted(self.folder.rglob("*")):
            relative = path.relative_to(self.folder)
            if path.is_dir() or any(part.startswith(".") for part in relative.parts):
                continue
            if path.suffix.lower() in READABLE:
                files.append(relative)
            else:
                self._skip(relative, "no picture's suffix")
        if not files:
            raise PhotosError(f"--data {self.folder}: holds no pictures; name a folder of photos")
        return files

    def _digest(self, files: list[Path]) -> str:
        rows = (f"{file.as_posix()} {os.stat(self.folder / file).st_size}" for file in files)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()

    def _first_squares(self, files: list[Path], count: int) -> tuple[list[Image], int]:
        """The middle squares of the first ``count`` usable photos, and how many files that took."""
        squares: list[Image] = []
        for used, file in enumerate(files):
            if len(squares) == count:
                return squares, used
            try:
                image = resize_shorter_edge(self._read(file), self.crop_px)
            except ImageError as error:
                self._skip(file, str(error))
            else:
                squares.append(centre_crop(image, self.crop_px))
        return squares, len(files)

    def _read(self, file: Path) -> Image:
        """The photo. Raises ImageError with the bare reason, if it cannot be read or is too small."""
        try:
            image = read_image(self.folder / file)
        except ImageError as error:
            raise ImageError(str(error).removeprefix(f"{self.folder / file}: ")) from None
        height, width = image.shape[:2]
        if min(height, width) < self.crop_px // 2:
            raise ImageError(f"too small: {width}x{height}, under half of --crop {self.crop_px}")
        return image

    def _skip(self, file: Path, why: str) -> None:
        self.skipped[file.as_posix()] = why
        if self._skipped_file:
            self.write_skipped(self._skipped_file)

    def write_skipped(self, path: Path) -> None:
        """List the skipped files with their reasons there, now and whenever another is found.

        What the file lists already stays in it: a run that resumes has not met those again yet.
        """
        self._skipped_file = path
        rows = set(path.read_text().splitlines()) if path.exists() else set()
        rows |= {f"{file}: {why}" for file, why in self.skipped.items()}
        if rows:
            write_aside(path, ("\n".join(sorted(rows)) + "\n").encode())

    def stream(self, position: int) -> Iterator[tuple[int, X]]:
        """(the position after it, x0) without end; x0 is (1, 3, crop, crop) float32 RGB minus mean.

        Photos that cannot be used are passed over and listed. Raises PhotosError if a whole epoch has
        none that can.
        """
        positions = (at for at in itertools.count(position) if not self._is_skipped(at))
        ahead: deque[tuple[int, Future[X]]] = deque()
        with ThreadPoolExecutor(DECODERS) as pool:
            try:
                while any(file.as_posix() not in self.skipped for file in self._training):
                    while len(ahead) < AHEAD:
                        at = next(positions)
                        ahead.append((at, pool.submit(self._x0, at)))
                    at, future = ahead.popleft()
                    try:
                        yield at + 1, future.result()
                    except ImageError as error:
                        self._skip(self._file_at(at), str(error))
            finally:
                for _, future in ahead:
                    future.cancel()
        raise PhotosError(f"--data {self.folder}: its photos cannot be read any more")

    def _is_skipped(self, position: int) -> bool:
        return self._file_at(position).as_posix() in self.skipped

    def _file_at(self, position: int) -> Path:
        epoch, index = divmod(position, len(self._training))
        order = _permutation(self.seed, epoch, len(self._training))
        return self._training[order[index]]

    def _x0(self, position: int) -> X:
        return to_x(self._cut(self._read(self._file_at(position)), position))

    def _cut(self, image: Image, position: int) -> Image:
        """A random square of the photo, at a random scale, mirrored or not."""
        rng = np.random.default_rng([self.seed, _CROP, position])
        image = resize_shorter_edge(image, round(self.crop_px * rng.uniform(1, LARGEST_SCALE)))
        top, left = (int(rng.integers(size - self.crop_px + 1)) for size in image.shape[:2])
        square = image[top : top + self.crop_px, left : left + self.crop_px]
        return square[:, ::-1] if rng.random() < 0.5 else square


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> list[int]:
    order: list[int] = np.random.default_rng([seed, _EPOCH, epoch]).permutation(count).tolist()
    return order
