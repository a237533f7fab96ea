"""Photos as a seeded, resumable stream of x0, decoded ahead by threads.

The stream is a function of the seed and a step alone. A batch has places, and each place has a shard of
the photos of its own: every so-many-th. At step c a place has the photo that the own permutation of epoch
c // n of its shard puts there, cut by the step's and place's own random numbers. So a run that resumes at a
step sees what it would have seen, and workers that have some of the places each see together what one
process with all of them sees.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuralart.errors import ImageError, PhotosError
from neuralart.files import write_aside
from neuralart.images import Image, X, centre_crop, resize_shorter_edge, to_x
from neuralart.sources import open_source

DECODERS = min(8, max(2, len(os.sched_getaffinity(0)) // 2))
AHEAD = 8

# Photos are scaled so that the shorter edge is 1 to this many times the crop before it is cut.
LARGEST_SCALE = 1.6

# What the random numbers of a seed are for.
_SPLIT, _EPOCH, _CROP, _INSTEAD = 0, 1, 2, 3

Numbers = npt.NDArray[np.int64]


class Photos:
    """The photos of a folder or a file of records, some of them held out.

    Attributes: ``held_out``, the middle squares of the photos kept out; ``samples``, up to three squares
    for contact sheets; ``skipped``, why a file is not used, by its name; ``digest``, a checksum that tells
    whether the photos have changed.
    """

    def __init__(self, data: Path, crop_px: int, seed: int, holdout: int, batch: int = 1) -> None:
        """Raises PhotosError for data that are missing, damaged, empty, without one usable photo, or with
        too few for every place of a batch to have one."""
        self.data, self.crop_px, self.seed, self.batch = data, crop_px, seed, batch
        self._source = open_source(data)
        self.digest, self.count = self._source.digest, len(self._source)
        self.skipped = dict(self._source.skipped)
        self._unusable: set[int] = set()
        self._skipped_file: Path | None = None
        self._lock = threading.Lock()
        order = np.random.default_rng([seed, _SPLIT]).permutation(self.count)
        self.held_out, used = self._first_squares(order, min(holdout, self.count // 5))
        self._kept_out = order[:used]
        training = np.sort(order[used:])
        if len(training) < batch:
            raise PhotosError(
                f"--batch {batch}: --data {data} has {len(training)} photos to learn on, so that some place "
                "of the batch has none; add photos, or take fewer at a time"
            )
        self._shards = [_Shard(training[place::batch], seed, place) for place in range(batch)]
        first, _ = self._first_squares(training, 1)
        if not first:
            raise PhotosError(
                f"--data {data}: none of its files can be learned on; "
                + next((f"{name}: {why}" for name, why in self.skipped.items()), "add photos")
            )
        self.samples = self.held_out[:3] or first

    def squares(self, edge_px: int, *, held_out: bool, count: int) -> Iterator[tuple[str, Image]]:
        """Name and middle square, (edge, edge, 3), of the usable among ``count`` photos, spread evenly over
        all of them, or over those kept out."""
        numbers = self._kept_out if held_out else np.arange(self.count)
        for place in range(count):
            number = int(numbers[place * len(numbers) // count])
            image = self._read(number)
            if image is not None:
                square = centre_crop(resize_shorter_edge(image, edge_px), edge_px)
                yield self._source.name(number), square

    def _first_squares(self, numbers: Numbers, count: int) -> tuple[list[Image], int]:
        """The middle squares of the first ``count`` usable photos, and how many photos that took."""
        squares: list[Image] = []
        for used, number in enumerate(numbers.tolist()):
            if len(squares) == count:
                return squares, used
            image = self._read(number)
            if image is not None:
                squares.append(centre_crop(resize_shorter_edge(image, self.crop_px), self.crop_px))
        return squares, len(numbers)

    def _read(self, number: int) -> Image | None:
        """The photo, or None if it cannot be read or is too small, which is noted."""
        if number in self._unusable:
            return None
        try:
            image = self._source.read(number)
            height, width = image.shape[:2]
            if min(height, width) < self.crop_px // 2:
                raise ImageError(
                    f"too small: {width}x{height}, under half of --crop {self.crop_px}"
                )
        except ImageError as error:
            with self._lock:
                self._unusable.add(number)
                self.skipped[self._source.name(number)] = str(error)
                if self._skipped_file:
                    self._write_skipped(self._skipped_file)
            return None
        return image

    def write_skipped(self, path: Path) -> None:
        """List the skipped files with their reasons there, now and whenever another is found.

        What the file lists already stays in it: a run that resumes has not met those again yet.
        """
        with self._lock:
            self._skipped_file = path
            self._write_skipped(path)

    def _write_skipped(self, path: Path) -> None:
        rows = set(path.read_text().splitlines()) if path.exists() else set()
        rows |= {f"{name}: {why}" for name, why in self.skipped.items()}
        if rows:
            write_aside(path, ("\n".join(sorted(rows)) + "\n").encode())

    def stream(self, step: int, places: Sequence[int] | None = None) -> Iterator[tuple[int, X]]:
        """(the step after it, x0) without end, for all places of the batch or some.

        Shape:   x0 (places, 3, crop, crop) float32 RGB minus mean
        A photo that cannot be used is listed, and another of its shard taken instead. Raises PhotosError
        if a shard has none that can.
        """
        places = range(self.batch) if places is None else places
        tasks = ((at, place) for at in itertools.count(step) for place in places)
        ahead: deque[Future[X]] = deque()
        with ThreadPoolExecutor(DECODERS) as pool:
            try:
                for at in itertools.count(step + 1):
                    while len(ahead) < max(AHEAD, 2 * len(places)):
                        ahead.append(pool.submit(self._x0, *next(tasks)))
                    yield at, np.concatenate([ahead.popleft().result() for _ in places])
            finally:
                for future in ahead:
                    future.cancel()

    def _x0(self, step: int, place: int) -> X:
        for number in self._shards[place].candidates(step):
            image = self._read(number)
            if image is not None:
                return to_x(self._cut(image, step, place))
        raise PhotosError(f"--data {self.data}: its photos cannot be read any more")

    def _cut(self, image: Image, step: int, place: int) -> Image:
        """A random square of the photo, at a random scale, mirrored or not."""
        rng = np.random.default_rng([self.seed, _CROP, step, place])
        image = resize_shorter_edge(image, round(self.crop_px * rng.uniform(1, LARGEST_SCALE)))
        top, left = (int(rng.integers(size - self.crop_px + 1)) for size in image.shape[:2])
        square = image[top : top + self.crop_px, left : left + self.crop_px]
        return square[:, ::-1] if rng.random() < 0.5 else square


class _Shard:
    """The photos of one place of a batch, in an order of their own in every epoch."""

    def __init__(self, numbers: Numbers, seed: int, place: int) -> None:
        self._numbers, self._seed, self._place = numbers, seed, place
        self._orders: dict[int, Numbers] = {}

    def candidates(self, step: int) -> Iterator[int]:
        """The photo of this step, then all others in some order, should it not be usable."""
        epoch, index = divmod(step, len(self._numbers))
        order = self._orders.get(epoch)
        if order is None:
            order = self._shuffled(_EPOCH, epoch)
            # Decoders that are ahead of others may ask for the epoch before.
            self._orders = {**dict([*self._orders.items()][-1:]), epoch: order}
        yield int(order[index])
        yield from self._shuffled(_INSTEAD, step).tolist()

    def _shuffled(self, purpose: int, number: int) -> Numbers:
        rng = np.random.default_rng([self._seed, purpose, number, self._place])
        shuffled: Numbers = rng.permutation(self._numbers)
        return shuffled
