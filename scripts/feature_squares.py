"""What the small VGG of train_features.py learns on: photos, distorted, in strokes, or painted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from neuralart.chain.model import Model
from neuralart.chain.reference import ReferencePainter
from neuralart.engine.contract import Devices
from neuralart.pictures.editing import random_crop, resize_shorter_edge
from neuralart.pictures.photos.stream import LARGEST_SCALE, Photos
from neuralart.pictures.pixels import Image, X, to_image, to_x

HELD_OUT = 40
SEED = 11


@dataclass(frozen=True)
class Phase:
    """So many steps on batches of squares; ``rate`` is the peak of the learning rate."""

    name: str
    steps: int
    rate: float
    crop_px: int = 128
    batch: int = 4


def distorted(image: Image, rng: np.random.Generator) -> Image:
    """Distort a photo as a painter or a bad camera might; 40% stay as they are.

    Shape:   (H, W, 3) uint8 -> the same
    """
    if rng.random() < 0.4:
        return image
    out = image.astype(np.float32)
    if rng.random() < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 4))
    if rng.random() < 0.5:
        mix = np.eye(3) + rng.normal(0, 0.4, (3, 3))
        out = (out - 128) @ mix.T.astype(np.float32) * rng.uniform(0.3, 1.6) + rng.uniform(60, 200)
    if rng.random() < 0.3:  # strokes: noise blurred along one direction
        length, angle = int(rng.integers(5, 21)), rng.uniform(0, 180)
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1
        turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), angle, 1)
        kernel = cv2.warpAffine(kernel, turn, (length, length))
        noise = rng.normal(0, rng.uniform(30, 200), out.shape).astype(np.float32)
        out += cv2.filter2D(noise, -1, kernel / max(kernel.sum(), 1e-6))
    if rng.random() < 0.4:
        out += rng.normal(0, rng.uniform(2, 60), out.shape)
    if rng.random() < 0.15:
        out = np.round(out / 64) * 64
    return out.clip(0, 255).astype(np.uint8)


def painted(image: Image, rng: np.random.Generator) -> Image:
    """Paint a square photo in strokes of its own colours along a smooth field.

    Shape:   (edge, edge, 3) uint8 -> the same
    """
    edge = image.shape[0]
    coarse = rng.normal(0, 1, (4, 4, 2)).astype(np.float32)
    field = cv2.resize(coarse, (edge, edge), interpolation=cv2.INTER_CUBIC)
    contrast, jitter = rng.uniform(0.8, 2), rng.uniform(5, 50)
    colours = (image.astype(np.float32) - 128) * contrast + 128
    out = colours.clip(0, 255).astype(np.uint8).copy()
    length, thickest = rng.uniform(3, 14), int(rng.integers(1, 5))
    for row, column in rng.integers(0, edge, (int(rng.integers(200, 900)), 2)):
        right, down = field[row, column] / (np.linalg.norm(field[row, column]) + 1e-6) * length
        colour = (colours[row, column] + rng.normal(0, jitter, 3)).clip(0, 255).tolist()
        end = (int(column + right), int(row + down))
        cv2.line(
            out,
            (int(column), int(row)),
            end,
            colour,
            int(rng.integers(1, thickest + 1)),
            cv2.LINE_AA,
        )
    return out


def halved(image: Image) -> Image:
    """Means of 2x2 pixels, as of the style loss at half the size.

    Shape:   (2H, 2W, 3) uint8 -> (H, W, 3)
    """
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Squares:
    """What the student looks at.

    photos    folder of photos
    pictures  like the style images of a training, for the last phase
    painters  chains, each in one style, for the last phase
    """

    photos: Path
    pictures: list[Image]
    painters: list[Model]
    devices: Devices

    def batches(self, phase: Phase, step: int) -> Iterator[X]:
        """Yield the batches of a phase from a step on, (batch, 3, crop, crop).

        They depend on the squares' sources, the phase and the step alone.
        """
        pairs = phase.name == "chains"
        photos = phase.batch // 2 if pairs else phase.batch
        edge_px = phase.crop_px * 2 if pairs else phase.crop_px
        stream = Photos(self.photos, edge_px, SEED, HELD_OUT).stream(step * photos)
        for number in itertools.count(step):
            rng = np.random.default_rng([SEED, number])
            images = [to_image(next(stream)[1]) for _ in range(photos)]
            if phase.name == "painted":
                images = [painted(s, rng) if rng.random() < 0.6 else s for s in images]
            if pairs:
                images = self._by_a_chain(images, rng)
                images = [
                    square
                    for image in images
                    for square in (halved(image), random_crop(image, phase.crop_px, rng))
                ]
            else:
                images = [distorted(image, rng) for image in images]
            yield np.concatenate([to_x(image) for image in images])

    def _by_a_chain(self, photos: list[Image], rng: np.random.Generator) -> list[Image]:
        """Two pictures: what a chain painted of the first photo, and something else.

        Half of the paintings are mixed with the photo; most stay as they are, since the student
        will judge such pictures. The other picture is painted by the first stages alone, or is of
        the pictures, or the second photo in strokes, distorted or as it is.
        """
        model, x = self.painters[rng.integers(len(self.painters))], to_x(photos[0])

        def painting(stages: int) -> Image:
            painter = ReferencePainter(model.specs[:stages], model.params, self.devices)
            share = np.float32(max(0, rng.uniform(-1, 1)))
            image = to_image(x * share + painter.paint_at_once(x) * (1 - share))
            return image if rng.random() < 0.8 else distorted(image, rng)

        first, chance = painting(len(model.specs)), rng.random()
        if chance < 0.4:
            return [first, painting(int(rng.integers(1, len(model.specs) + 1)))]
        if chance < 0.6 and self.pictures:
            edge_px = photos[1].shape[0]
            picture = self.pictures[rng.integers(len(self.pictures))]
            picture = resize_shorter_edge(picture, int(edge_px * rng.uniform(1, LARGEST_SCALE)))
            return [first, random_crop(picture, edge_px, rng)]
        if chance < 0.75:
            return [first, painted(photos[1], rng)]
        return [first, distorted(photos[1], rng)]
