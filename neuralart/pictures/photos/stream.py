"""A seeded, resumable stream of training photos (x0), decoded ahead by threads.

The stream depends only on the seed and the step. A batch of B photos has places 0 to B - 1.

1. Place p has a shard of its own: the training photos p, p + B, p + 2B and so on; n photos.
2. Each epoch shuffles the shard anew. At step c, the place takes photo c mod n of epoch c // n.
3. Random numbers of the seed, step and place choose the scale, position and mirroring of the crop.

So a run that resumes at a step sees what it would have seen, and workers that share the places see
together what one process with all places sees.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuralart.errors import ImageError, PhotosError
from neuralart.machine.files import write_aside
from neuralart.machine.processor import available_cores
from neuralart.machine.seeds import Purpose, random_numbers
from neuralart.machine.words import one_line
from neuralart.pictures.editing import centre_crop, resize_shorter_edge
from neuralart.pictures.photos.sources import open_source
from neuralart.pictures.pixels import Image, X, to_x

DECODERS = min(16, max(2, available_cores() // 2))

AHEAD = 8  # photos decoded before they are asked for, at least

# A photo is scaled until its shorter edge is 1 to this many times the crop's edge.
LARGEST_SCALE = 1.6

Numbers = npt.NDArray[np.int64]


class Photos:
    """The photos of a folder or a RecordIO file, some of them held out of training.

    held_out  middle squares of the photos held out
    samples   up to three squares for contact sheets
    skipped   name of each file that is not used, and the reason
    digest    checksum that changes with the photos
    """

    def __init__(self, data: Path, crop_px: int, seed: int, holdout: int, batch: int = 1) -> None:
        """Open ``data``; hold out ``holdout`` photos, at most a fifth of them.

        Raises PhotosError for data that are missing, damaged or empty, without a usable photo, or
        with fewer training photos than ``batch``.
        """
        self.data, self.crop_px, self.seed, self.batch = data, crop_px, seed, batch
        self._source = open_source(data)
        self.digest, self.count = self._source.digest, len(self._source)
        self.skipped = dict(self._source.skipped)
        self._unusable: set[int] = set()
        self._skipped_file: Path | None = None
        self._lock = threading.Lock()
        order = random_numbers(seed, Purpose.SPLIT).permutation(self.count)
        self.held_out, used = self._first_squares(order, min(holdout, self.count // 5))
        self._kept_out = order[:used]
        training = np.sort(order[used:])
        if len(training) < batch:
            raise PhotosError(
                f"--batch {batch}: --data {data} has {len(training)} photos to learn on, "
                "so that some place of the batch has none; add photos, or take fewer at a time"
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
        """Yield (name, middle square) of ``count`` photos, spread over all or the held-out ones.

        Shape:   (edge_px, edge_px, 3) uint8
        Photos that cannot be used are left out.
        """
        for name, image in self.whole(held_out=held_out, count=count):
            yield name, centre_crop(resize_shorter_edge(image, edge_px), edge_px)

    def whole(self, *, held_out: bool, count: int) -> Iterator[tuple[str, Image]]:
        """Yield (name, photo) of ``count`` photos, spread over all or the held-out ones.

        Photos that cannot be used are left out.
        """
        numbers = self._kept_out if held_out else np.arange(self.count)
        for index in range(count):
            number = int(numbers[index * len(numbers) // count])
            image = self._read(number)
            if image is not None:
                yield self._source.name(number), image

    def _first_squares(self, numbers: Numbers, count: int) -> tuple[list[Image], int]:
        """Middle squares of the first ``count`` usable photos, and how many photos were tried."""
        squares: list[Image] = []
        for used, number in enumerate(numbers.tolist()):
            if len(squares) == count:
                return squares, used
            image = self._read(number)
            if image is not None:
                squares.append(centre_crop(resize_shorter_edge(image, self.crop_px), self.crop_px))
        return squares, len(numbers)

    def _read(self, number: int) -> Image | None:
        """Read a photo. None if it is damaged or too small; then it is added to ``skipped``."""
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
        """Write the skipped files and the reasons to ``path``, now and whenever another is found.

        Lines that the file has stay: a run that resumes has not met those photos again yet.
        """
        with self._lock:
            self._skipped_file = path
            self._write_skipped(path)

    def _write_skipped(self, path: Path) -> None:
        try:
            rows = set(path.read_text(errors="backslashreplace").splitlines())
        except OSError:  # there is none yet
            rows = set()
        rows |= {f"{name}: {why}" for name, why in self.skipped.items()}
        rows = {one_line(row) for row in rows}
        if rows:
            write_aside(path, ("\n".join(sorted(rows)) + "\n").encode())

    def stream(self, step: int, places: Sequence[int] | None = None) -> Iterator[tuple[int, X]]:
        """Yield (next step, x0) from ``step`` on without end, for all places of the batch or some.

        Shape:   x0 (places, 3, crop, crop) float32 RGB minus mean
        Another photo of the shard replaces one that cannot be used. Raises PhotosError if a shard
        has no usable photo left.
        """
        places = range(self.batch) if places is None else places
        tasks = ((now, place) for now in itertools.count(step) for place in places)
        ahead: deque[Future[X]] = deque()
        with ThreadPoolExecutor(DECODERS) as pool:
            try:
                for next_step in itertools.count(step + 1):
                    while len(ahead) < max(AHEAD, 2 * len(places)):
                        ahead.append(pool.submit(self._x0, *next(tasks)))
                    yield next_step, np.concatenate([ahead.popleft().result() for _ in places])
            finally:
                for future in ahead:
                    future.cancel()

    def _x0(self, step: int, place: int) -> X:
        """The photo of a step and place, (1, 3, crop, crop)."""
        for number in self._shards[place].candidates(step):
            image = self._read(number)
            if image is not None:
                return to_x(self._crop(image, step, place))
        raise PhotosError(f"--data {self.data}: its photos cannot be read any more")

    def _crop(self, image: Image, step: int, place: int) -> Image:
        """Crop a random square of the photo at a random scale, mirrored or not."""
        rng = random_numbers(self.seed, Purpose.CROP, step, place)
        image = resize_shorter_edge(image, round(self.crop_px * rng.uniform(1, LARGEST_SCALE)))
        top, left = (int(rng.integers(size - self.crop_px + 1)) for size in image.shape[:2])
        square = image[top : top + self.crop_px, left : left + self.crop_px]
        return square[:, ::-1] if rng.random() < 0.5 else square


class _Shard:
    """The photos of one place of the batch, shuffled anew in each epoch."""

    def __init__(self, numbers: Numbers, seed: int, place: int) -> None:
        self._numbers, self._seed, self._place = numbers, seed, place
        self._orders: dict[int, Numbers] = {}

    def candidates(self, step: int) -> Iterator[int]:
        """Yield the photo of a step, then the shuffled shard, in case that photo is unusable."""
        epoch, index = divmod(step, len(self._numbers))
        order = self._orders.get(epoch)
        if order is None:
            order = self._shuffled(Purpose.EPOCH, epoch)
            # Keep the epoch before, too: another decoder may still be in it.
            self._orders = dict([*self._orders.items()][-1:]) | {epoch: order}
        yield int(order[index])
        yield from self._shuffled(Purpose.INSTEAD, step).tolist()

    def _shuffled(self, purpose: Purpose, number: int) -> Numbers:
        rng = random_numbers(self._seed, purpose, number, self._place)
        shuffled: Numbers = rng.permutation(self._numbers)
        return shuffled
