"""Train the small VGG that ships: a student of a larger VGG, the teacher.

  python scripts/train_features.py --teacher vgg19.npz --data photos/ --out features-small.npz \\
      --painter masters --painter runs/mine/model.neuralart

The student has VGG-19's topology with fewer channels and zero padding (a separate Pad is no oneDNN
operator). It starts from random weights and learns to reproduce the teacher's style layers and
content layers, on crops of photos as they are and distorted. The phases:

normalised  with batch normalisation, which makes thirteen layers learn quickly
plain       without it: the norms are folded into the convolutions
grams       with losses of the Gram matrices too
painted     on photos in painted strokes too
chains      on what the trained chains of --painter painted too, in every style that they know, at
            the two scales of the style loss

A chain learns what its features judge wrongly, too: it finds pictures that the student likes and
the teacher does not. So the last phase comes again, with painters that learned on the student:
--start goes on from features that this script made, with the last phase alone.

At the end the heads are folded (neuralart.loss.features.weights.fold_head). The same command goes
on where a killed one stopped. 40 photos are held out; benchmarks/features.py measures on those.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from feature_squares import SEED, Phase, Squares

from neuralart.chain.choice import load_choice
from neuralart.engine.contract import Batch, Devices
from neuralart.engine.devices import open_device
from neuralart.engine.symbols import sym
from neuralart.errors import ModelError
from neuralart.loss.features.store import Features, load_features, write_features
from neuralart.loss.features.weights import fold_head
from neuralart.loss.layers import CONTENT_LAYERS, STYLE_LAYERS, VggSpec, conv_names
from neuralart.loss.terms import content_loss, gram, style_loss
from neuralart.loss.vgg import style_maps
from neuralart.machine.archive import Arrays, open_archive, write_archive
from neuralart.pictures.pixels import X
from neuralart.pictures.reading import read_image

WIDTHS = (16, 32, 64, 128, 128)
PADDING = "deep"
INPUT_SCALE = 64
EPSILON = 1e-3
FITTED_ON = 20  # batches


PHASES = (
    Phase("normalised", 4900, 3e-3),
    Phase("plain", 2100, 1e-3),
    Phase("grams", 3000, 1e-3),
    Phase("painted", 2500, 1e-3),
    Phase("chains", 8000, 5e-4, crop_px=160),
)

WARM_UP = 50
SAVE_EVERY = 500
TAPS = (*STYLE_LAYERS, *CONTENT_LAYERS)
RELU, CONV = CONTENT_LAYERS
NAMES = (*TAPS, *(f"gram_{layer}" for layer in STYLE_LAYERS))


def tapped(spec: VggSpec, norm: Callable[[Any, str], Any] | None = None) -> list[Any]:
    """The maps of the style layers, behind their heads, and of the content layers, as in `TAPS`."""
    heads, taps = style_maps(sym.Variable("x"), spec, list(CONTENT_LAYERS), norm)
    return [*heads, *(taps[layer] for layer in CONTENT_LAYERS)]


class Teacher:
    """The net whose maps the student learns to give, in the order of `TAPS`.

    Each map is divided by its standard deviation, which does not change the losses that the student
    is for, since they are relative. While ``centred``, the style maps have a mean of 0 in each
    channel; `with_means` gives the means to the student afterwards.

    Hazard:  where a convolution and its ReLU are both outputs of a graph without gradients, MXNet
             1.9.1 fuses them and gives the ReLU for both. So relu4_2 is made of conv4_2 here.
    """

    def __init__(
        self, features: Features, x: X, devices: Devices, scales: list[float] | None = None
    ) -> None:
        """Measure shapes, means and deviations of the maps on one batch, (N, 3, H, W).

        ``scales`` are those of another teacher, whose student goes on with this one.
        """
        self._devices = devices
        maps = [out for tap, out in zip(TAPS, tapped(features.spec), strict=True) if tap != RELU]
        self._executor = devices.executor(sym.Group(maps), {"x": x.shape})
        self._executor.set_parameters(features.weights)
        maps = [devices.get(out) for out in self._maps(x)]
        self.shapes = {tap: out.shape for tap, out in zip(TAPS, maps, strict=True)}
        self.means = [out.mean(axis=(0, 2, 3), keepdims=True) for out in maps]
        self.scales = scales or [
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
        maps = iter(self._executor.forward(x=self._devices.put(x)))
        named = {tap: next(maps) for tap in TAPS if tap != RELU}
        named[RELU] = [out * (out > 0) for out in named[CONV]]
        return [named[tap] for tap in TAPS]

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
    return sym.BatchNorm(out, fix_gamma=False, eps=EPSILON, momentum=0.99, name=f"{name}_norm")


def gram_error(maps: Any, targets: Any, photos: int) -> Any:
    """The mean over photos of |G - G*| / |G*|.

    Not squared: one flat picture, whose Gram matrix is nearly zero, would outweigh all others.

    Shape:   (photos, C, H, W) twice -> (1,)
    """
    pairs = [(maps, targets)]
    if photos > 1:
        halves = [sym.split(out, num_outputs=photos, axis=0) for out in (maps, targets)]
        pairs = list(zip(*halves, strict=True))
    errors = [sym.sqrt(style_loss(gram(mine), gram(theirs)) + 1e-4) for mine, theirs in pairs]
    return sym.add_n(*errors) / photos


class Student:
    """The small net in training. A map's loss is its error relative to the teacher's variance."""

    def __init__(
        self, teacher: Teacher, phase: Phase, arrays: Arrays, step: int, devices: Devices
    ) -> None:
        """Go on from a step of the phase; ``arrays`` without Adam's moments start it."""
        heads = tuple(teacher.shapes[layer][1] for layer in STYLE_LAYERS)
        spec = VggSpec(WIDTHS, PADDING, "max", heads)
        norm = batch_norm if phase.name == "normalised" else None
        outputs = dict(zip(TAPS, tapped(spec, norm), strict=True))
        targets = {tap: sym.Variable(target(tap)) for tap in TAPS}
        losses = [content_loss(out, targets[tap]) for tap, out in outputs.items()]
        if phase.name in ("grams", "painted", "chains"):
            # An estimate varies less than what it estimates, above all on unusual pictures, which
            # makes Gram matrices too small. They are what the student is for.
            losses += [gram_error(outputs[k], targets[k], phase.batch) for k in STYLE_LAYERS]
        self._devices = devices
        symbol = sym.concat(*losses, dim=0)
        inputs = {target(tap): shape for tap, shape in teacher.shapes.items()}
        inputs["x"] = (phase.batch, 3, phase.crop_px, phase.crop_px)
        frozen = {*inputs, "input_weight", "input_bias"}
        self._executor = devices.executor(
            symbol, inputs, gradients=set(symbol.list_arguments()) - frozen
        )
        self._executor.set_parameters(arrays)
        self._executor.start_adam(1 / phase.batch)
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
        sym.Group(tapped(VggSpec(WIDTHS, PADDING, "max"))), {"x": xs[0].shape}
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
        "--painter", action="append", default=[], help="a trained chain, for the last phase"
    )
    parser.add_argument(
        "--pictures", type=Path, help="folder of pictures like style images, for the last phase"
    )
    parser.add_argument("--start", help="features to go on from, with the last phase alone")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor of all numbers of steps, for trials"
    )
    parser.add_argument("--device", default="cpu", help="as of neuralart train")
    parser.add_argument("--precision", default="float32", help="as of neuralart train")
    options = parser.parse_args()

    devices = open_device(options.device, options.precision)
    features = load_features(options.teacher)
    painters = [
        chain.model(style)
        for chain, _ in map(load_choice, options.painter)
        for style in chain.names
    ]
    phases = PHASES if painters else PHASES[:-1]
    if options.start:
        phases = PHASES[-1:]
    pictures = sorted(options.pictures.iterdir()) if options.pictures else []
    squares = Squares(options.data, [read_image(path) for path in pictures], painters, devices)
    teacher = Teacher(features, next(squares.batches(phases[0], 0)), devices)
    checkpoint = options.out.with_suffix(".checkpoint")
    done = 0
    arrays = initial_weights(features, [teacher.shapes[layer][1] for layer in STYLE_LAYERS])
    if options.start:
        seen = itertools.islice(squares.batches(phases[0], 0), FITTED_ON)
        arrays = fitted(load_features(options.start), teacher, list(seen), devices)
    if checkpoint.exists():
        with open_archive(checkpoint, ModelError, "a checkpoint of this script") as archive:
            arrays, done = archive.arrays(), archive.header["step"]
    end = 0
    for phase in phases:
        steps = max(1, int(phase.steps * options.scale))
        begin, end = end, end + steps
        if done >= end:
            continue
        if done == begin and phase.name == "plain":
            arrays = without_norms(arrays)
        if done == begin and phase.name == "grams":
            arrays = with_means(arrays, teacher)
        if done == begin and phase.name in ("painted", "chains"):
            arrays = without_moments(arrays)
        if phase.name == "chains":  # of another size
            teacher = Teacher(features, next(squares.batches(phase, 0)), devices, teacher.scales)
        teacher.centred = phase.name in ("normalised", "plain")
        student = Student(teacher, phase, arrays, done - begin, devices)
        started, sums = time.monotonic(), np.zeros(student.losses)
        stream = squares.batches(phase, done)
        for step, x in zip(range(done, end), stream, strict=False):
            sums += student.learn(x, teacher(x), rate_at(step - begin, steps, phase.rate))
            done = step + 1
            if done % 100 == 0:
                errors = " ".join(f"{n} {v:.3f}" for n, v in zip(NAMES, sums / 100, strict=False))
                pace = (time.monotonic() - started) / 100
                sys.stderr.write(f"{phase.name}, step {done}: {errors} ({pace:.3f} s a step)\n")
                started, sums = time.monotonic(), np.zeros(student.losses)
            if done % SAVE_EVERY == 0 or done == end:
                write_archive(checkpoint, {"step": done}, student.arrays())
        arrays = student.arrays()
    shipped = Features(
        name="small",
        source=f"trained by neuralart's scripts/train_features.py; teacher: {features.source}",
        sha256="",
        spec=VggSpec(WIDTHS, PADDING, "max", tuple(width + 1 for width in WIDTHS)),
        weights={k: v.astype(np.float16) for k, v in folded(arrays).items()},
        licence="Apache-2.0",
        pixels=f"{features.pixels}, divided by {INPUT_SCALE}",
    )
    write_features(options.out, shipped)


if __name__ == "__main__":
    main()
