"""Train the small VGG that ships: a student of a larger VGG, the teacher.

  python scripts/train_features.py --teacher vgg19.npz --data photos/ --out features-small.npz \\
      --painter starry-night --painter wave

The student has VGG-19's topology with fewer channels and zero padding (a separate Pad is no oneDNN
operator). It starts from random weights and learns to reproduce the teacher's style layers and
content layers, on crops of photos as they are and distorted. The phases:

normalised  with batch normalisation, which makes thirteen layers learn quickly
plain       without it: the norms are folded into the convolutions
grams       with losses of the Gram matrices too
painted     on photos in painted strokes too
chains      on what the trained chains of --painter painted too

At the end the heads are folded (neuralart.loss.features.weights.fold_head). --start goes on from
features that this script made, with the last phase alone. The same command goes on where a killed
one stopped. 40 photos are held out; benchmarks/features.py measures on those.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neuralart.chain.choice import load_style
from neuralart.chain.reference import ReferencePainter
from neuralart.engine.contract import Batch, Devices
from neuralart.engine.devices import open_device
from neuralart.engine.door import mx
from neuralart.errors import ModelError
from neuralart.loss.features.store import Features, load_features, write_features
from neuralart.loss.features.weights import fold_head
from neuralart.loss.layers import CONTENT_LAYERS, STYLE_LAYERS, VggSpec, conv_names
from neuralart.loss.terms import content_loss, gram, style_loss
from neuralart.loss.vgg import style_maps
from neuralart.machine.archive import Arrays, read_archive, write_archive
from neuralart.pictures.photos.stream import Photos
from neuralart.pictures.pixels import X, to_image, to_x

WIDTHS = (16, 32, 64, 128, 128)
CROP_PX = 128
BATCH = 4
HELD_OUT = 40
SEED = 11
INPUT_SCALE = 64
EPSILON = 1e-3
FITTED_ON = 20  # batches

# (name, steps, peak of the learning rate)
PHASES = (
    ("normalised", 4900, 3e-3),
    ("plain", 2100, 1e-3),
    ("grams", 3000, 1e-3),
    ("painted", 2500, 1e-3),
    ("chains", 1200, 5e-4),
)

WARM_UP = 50
SAVE_EVERY = 500
TAPS = (*STYLE_LAYERS, *CONTENT_LAYERS)
NAMES = (*TAPS, *(f"gram_{layer}" for layer in STYLE_LAYERS))
GRAM_WEIGHT = 1.0


def distorted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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


def painted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
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


def by_a_chain(
    image: np.ndarray, painters: list[ReferencePainter], rng: np.random.Generator
) -> np.ndarray:
    """Mix the outputs of two successive stages of a trained chain; x0 counts as a stage.

    Shape:   (H, W, 3) uint8 -> the same
    """
    painter, x = painters[rng.integers(len(painters))], to_x(image)
    xs = [x, *painter.paint(x, painter.measure(x))]
    stage, share = rng.integers(len(xs) - 1), np.float32(rng.random())
    return to_image(xs[stage] * share + xs[stage + 1] * (1 - share))


def batches(photos: Photos, step: int, phase: str, painters: list[ReferencePainter]) -> Iterator[X]:
    """Yield the batches from a step on, (BATCH, 3, crop, crop).

    They depend on photos, step, phase and painters alone.
    """
    stream = photos.stream(step * BATCH)
    for number in itertools.count(step):
        squares = [to_image(next(stream)[1]) for _ in range(BATCH)]
        rng = np.random.default_rng([SEED, number])
        if phase == "painted":
            squares = [painted(s, rng) if rng.random() < 0.6 else s for s in squares]
        if phase == "chains":
            squares = [by_a_chain(s, painters, rng) if rng.random() < 0.6 else s for s in squares]
            squares = [painted(s, rng) if rng.random() < 0.1 else s for s in squares]
        yield np.concatenate([to_x(distorted(square, rng)) for square in squares])


def tapped(spec: VggSpec, norm: Callable[[Any, str], Any] | None = None) -> list[Any]:
    """The maps of the style layers, behind their heads, and of the content layers, as in `TAPS`."""
    heads, taps = style_maps(mx.sym.Variable("x"), spec, list(CONTENT_LAYERS), norm)
    return [*heads, *(taps[layer] for layer in CONTENT_LAYERS)]


class Teacher:
    """The net whose maps the student learns to give, in the order of `TAPS`.

    Each map is divided by its standard deviation, which does not change the losses that the student
    is for, since they are relative. While ``centred``, the style maps have a mean of 0 in each
    channel; `with_means` gives the means to the student afterwards.

    Hazard:  where conv4_2 and relu4_2 are both outputs of a graph without gradients, MXNet 1.9.1
             fuses them and gives relu4_2 for both. So relu4_2 is the target of conv4_2, too.
    """

    def __init__(self, features: Features, x: X, devices: Devices) -> None:
        """Measure shapes, means and deviations of the maps on one batch, (N, 3, H, W)."""
        self._devices = devices
        self._executor = devices.executor(mx.sym.Group(tapped(features.spec)), {"x": x.shape})
        self._executor.set_parameters(features.weights)
        maps = [devices.get(out) for out in self._maps(x)]
        self.shapes = {tap: out.shape for tap, out in zip(TAPS, maps, strict=True)}
        self.means = [out.mean(axis=(0, 2, 3), keepdims=True) for out in maps]
        self.scales = [
            float(np.sqrt(np.square(out - mean).mean()))
            for out, mean in zip(maps, self.means, strict=True)
        ]
        for mean in self.means[len(STYLE_LAYERS) :]:
            mean[:] = 0  # content has no head that could give its own back
        self._shifts = [
            devices.put_common(np.broadcast_to(mean, out.shape))
            for out, mean in zip(maps, self.means, strict=True)
        ]
        self.centred = True

    def _maps(self, x: X) -> list[Batch]:
        return self._executor.forward(x=self._devices.put(x))

    def __call__(self, x: X) -> list[Batch]:
        maps = self._maps(x)
        if self.centred:
            maps = [
                [array - shift for array, shift in zip(out, shifts, strict=True)]
                for out, shifts in zip(maps, self._shifts, strict=True)
            ]
        return [
            [array / scale for array in out] for out, scale in zip(maps, self.scales, strict=True)
        ]


def target(tap: str) -> str:
    """The student's input that takes the teacher's map."""
    return f"target_{tap}"


def batch_norm(out: Any, name: str) -> Any:
    return mx.sym.BatchNorm(out, fix_gamma=False, eps=EPSILON, momentum=0.99, name=f"{name}_norm")


class Student:
    """The small net in training. A map's loss is its error relative to the teacher's variance."""

    def __init__(
        self, teacher: Teacher, phase: str, arrays: Arrays, step: int, devices: Devices
    ) -> None:
        """Go on from a step of the phase; ``arrays`` without Adam's moments start it."""
        heads = tuple(teacher.shapes[layer][1] for layer in STYLE_LAYERS)
        spec = VggSpec(WIDTHS, "zero", "max", heads)
        norm = batch_norm if phase == "normalised" else None
        outputs = dict(zip(TAPS, tapped(spec, norm), strict=True))
        targets = {tap: mx.sym.Variable(target(tap)) for tap in TAPS}
        losses = [content_loss(out, targets[tap]) for tap, out in outputs.items()]
        if phase in ("grams", "painted", "chains"):
            # An estimate varies less than what it estimates, above all on unusual pictures, which
            # makes Gram matrices too small. They are what the student is for.
            losses += [
                style_loss(gram(outputs[layer]), gram(targets[layer])) * GRAM_WEIGHT
                for layer in STYLE_LAYERS
            ]
        self._devices = devices
        symbol = mx.sym.concat(*losses, dim=0)
        inputs = {target(tap): shape for tap, shape in teacher.shapes.items()}
        inputs["x"] = (BATCH, 3, CROP_PX, CROP_PX)
        frozen = {*inputs, "input_weight", "input_bias"}
        self._executor = devices.executor(
            symbol, inputs, gradients=set(symbol.list_arguments()) - frozen
        )
        self._executor.set_parameters(arrays)
        self._executor.start_adam(1 / BATCH)
        self._executor.set_moments(arrays, step)
        self.losses = len(losses)
        self._ones = devices.put_common(np.ones(len(losses), np.float32))

    def learn(self, x: X, targets: list[Batch], rate: float) -> np.ndarray:
        """Make a step of Adam on the sum of the losses, and return them, (losses,)."""
        named = {target(tap): batch for tap, batch in zip(TAPS, targets, strict=True)}
        (errors,) = self._executor.forward(x=self._devices.put(x), **named)
        self._executor.backward(self._ones)
        self._executor.adam_step(rate)
        return self._devices.get(errors)

    def arrays(self) -> Arrays:
        """Weights, statistics of the norms, and Adam's moments, by name."""
        executor = self._executor
        return {**executor.parameters(), **executor.statistics(), **executor.moments()}


def initial_weights(features: Features, heads: list[int]) -> Arrays:
    """First weights (He et al. 2015); those of ``input`` are the teacher's, over `INPUT_SCALE`."""
    rng = np.random.default_rng(SEED)
    weights = {k: features.weights[k] / INPUT_SCALE for k in ("input_weight", "input_bias")}
    channels = 3

    def convolution(name: str, shape: tuple[int, ...]) -> None:
        deviation = math.sqrt(2 / math.prod(shape[1:]))
        weights[f"{name}_weight"] = (deviation * rng.standard_normal(shape)).astype(np.float32)
        weights[f"{name}_bias"] = np.zeros(shape[0], np.float32)

    for block, name in conv_names(STYLE_LAYERS[-1]):
        out = WIDTHS[block - 1]
        convolution(f"conv{name}", (out, channels, 3, 3))
        for part, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_var", 1)):
            weights[f"conv{name}_norm_{part}"] = np.full(out, value, np.float32)
        channels = out
    for layer, width, out in zip(STYLE_LAYERS, WIDTHS, heads, strict=True):
        convolution(f"head_{layer}", (out, width, 1, 1))
    return weights


def without_moments(arrays: Arrays) -> Arrays:
    return {k: v for k, v in arrays.items() if not k.endswith((".mean", ".variance"))}


def without_norms(arrays: Arrays) -> Arrays:
    """The net with its norms folded, on their moving statistics, into the convolutions."""
    weights = {k: v for k, v in without_moments(arrays).items() if "_norm_" not in k}
    for _, name in conv_names(STYLE_LAYERS[-1]):
        conv, norm = f"conv{name}", f"conv{name}_norm"
        scale = arrays[f"{norm}_gamma"] / np.sqrt(arrays[f"{norm}_moving_var"] + EPSILON)
        weights[f"{conv}_weight"] = arrays[f"{conv}_weight"] * scale[:, None, None, None]
        shift = (arrays[f"{conv}_bias"] - arrays[f"{norm}_moving_mean"]) * scale
        weights[f"{conv}_bias"] = shift + arrays[f"{norm}_beta"]
    return weights


def with_means(arrays: Arrays, teacher: Teacher) -> Arrays:
    """The net with the means that the teacher's maps lost added to the biases of its heads."""
    weights = without_moments(arrays)
    for layer, mean, scale in zip(STYLE_LAYERS, teacher.means, teacher.scales, strict=False):
        weights[f"head_{layer}_bias"] = weights[f"head_{layer}_bias"] + mean.ravel() / scale
    return weights


def fitted(features: Features, teacher: Teacher, xs: list[X], devices: Devices) -> Arrays:
    """A finished student's weights to go on from.

    Its own heads are folded, so new ones are fitted to the teacher by ridge regression.
    """
    weights = {k: v.astype(np.float32) for k, v in features.weights.items() if "head_" not in k}
    executor = devices.executor(
        mx.sym.Group(tapped(VggSpec(WIDTHS, "zero", "max"))), {"x": xs[0].shape}
    )
    executor.set_parameters(weights)
    teacher.centred = False
    pairs = []
    for x in xs:
        maps = [devices.get(out) for out in executor.forward(x=devices.put(x))]
        pairs.append((maps, [devices.get(out) for out in teacher(x)]))
    for i, layer in enumerate(STYLE_LAYERS):
        own = np.concatenate([_rows(mine[i]) for mine, _ in pairs])
        wanted = np.concatenate([_rows(theirs[i]) for _, theirs in pairs])
        own = np.hstack([own, np.ones((len(own), 1), np.float32)])
        head = np.linalg.solve(own.T @ own + 1e-4 * np.eye(own.shape[1]), own.T @ wanted).T
        weights[f"head_{layer}_weight"] = head[:, :-1, None, None].astype(np.float32)
        weights[f"head_{layer}_bias"] = head[:, -1].astype(np.float32)
    return weights


def _rows(maps: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (pixels, C)"""
    return maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


def folded(arrays: Arrays) -> Arrays:
    """The student's weights with its heads folded (see `fold_head`)."""
    out = without_moments(arrays)
    for layer in STYLE_LAYERS:
        head = f"head_{layer}"
        matrix, bias = arrays[f"{head}_weight"][:, :, 0, 0], arrays[f"{head}_bias"]
        out[f"{head}_weight"], out[f"{head}_bias"] = fold_head(matrix, bias)
    return out


def rate_at(step: int, steps: int, peak: float) -> float:
    """The learning rate: a linear rise over `WARM_UP` steps, and a cosine to ``peak / 100``."""
    fall = 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return peak * min(1, (step + 1) / WARM_UP) * (0.01 + 0.99 * fall)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--teacher", required=True, help="VGG features: a name or a file")
    parser.add_argument("--data", required=True, type=Path, help="folder of photos")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    parser.add_argument(
        "--painter", action="append", default=[], help="a trained style, for the last phase"
    )
    parser.add_argument("--start", help="features to go on from, with the last phase alone")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor of all numbers of steps, for trials"
    )
    options = parser.parse_args()

    devices = open_device("cpu")
    features = load_features(options.teacher)
    photos = Photos(options.data, CROP_PX, SEED, HELD_OUT)
    models = [load_style(name) for name in options.painter]
    painters = [ReferencePainter(model.specs, model.params, devices) for model in models]
    phases = PHASES if painters else PHASES[:-1]
    teacher = Teacher(features, next(batches(photos, 0, PHASES[0][0], [])), devices)
    checkpoint = options.out.with_suffix(".checkpoint")
    done = 0
    arrays = initial_weights(features, [teacher.shapes[layer][1] for layer in STYLE_LAYERS])
    if options.start:
        phases = PHASES[-1:]
        seen = itertools.islice(batches(photos, 0, phases[0][0], painters), FITTED_ON)
        arrays = fitted(load_features(options.start), teacher, list(seen), devices)
    if checkpoint.exists():
        header, arrays, _ = read_archive(checkpoint, ModelError, "a checkpoint of this script")
        done = header["step"]
    end = 0
    for phase, phase_steps, peak in phases:
        steps = max(1, int(phase_steps * options.scale))
        begin, end = end, end + steps
        if done >= end:
            continue
        if done == begin and phase == "plain":
            arrays = without_norms(arrays)
        if done == begin and phase == "grams":
            arrays = with_means(arrays, teacher)
        if done == begin and phase in ("painted", "chains"):
            arrays = without_moments(arrays)
        teacher.centred = phase in ("normalised", "plain")
        student = Student(teacher, phase, arrays, done - begin, devices)
        started, sums = time.monotonic(), np.zeros(student.losses)
        for step, x in zip(range(done, end), batches(photos, done, phase, painters), strict=False):
            sums += student.learn(x, teacher(x), rate_at(step - begin, steps, peak))
            done = step + 1
            if done % 100 == 0:
                errors = " ".join(f"{n} {v:.3f}" for n, v in zip(NAMES, sums / 100, strict=False))
                pace = (time.monotonic() - started) / 100
                sys.stderr.write(f"{phase}, step {done}: {errors} ({pace:.3f} s a step)\n")
                started, sums = time.monotonic(), np.zeros(student.losses)
            if done % SAVE_EVERY == 0 or done == end:
                write_archive(checkpoint, {"step": done}, student.arrays())
        arrays = student.arrays()
    shipped = Features(
        name="small",
        source=f"trained by neuralart's scripts/train_features.py; teacher: {features.source}",
        sha256="",
        spec=VggSpec(WIDTHS, "zero", "max", tuple(width + 1 for width in WIDTHS)),
        weights={k: v.astype(np.float16) for k, v in folded(arrays).items()},
        licence="Apache-2.0",
        pixels=f"{features.pixels}, divided by {INPUT_SCALE}",
    )
    write_features(options.out, shipped)


if __name__ == "__main__":
    main()
