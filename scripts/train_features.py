"""Train the small VGG that ships: a student whose heads estimate a teacher's style layers and relu4_2.

  python scripts/train_features.py --teacher vgg19.npz --data photos/ --out features-small.npz \\
      --painter starry-night --painter wave

The student has VGG-19's topology with the widths below, zero padding (a separate Pad is no oneDNN
operator), and starts from random weights. It learns, on crops of photos and on blurred, noisy, recoloured
and smeared versions of them, to reproduce what the teacher's style heads and its relu4_2 say of a picture.
Batch normalisation makes thirteen layers learn quickly; after most of the steps it is folded into the
convolutions, which learn on without it, then on the Grams themselves, then on photos in painted strokes
too, and last on what trained chains painted; at the end the heads are folded
(neuralart.features.fold_head). --start goes on from features made by this script, with that last phase.
The same command goes on where a killed one stopped. 40 photos are kept out; benchmarks/features.py
measures on those.
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

from neuralart.chain.model import load_model
from neuralart.chain.reference import ReferencePainter
from neuralart.chain.shipped import find_model
from neuralart.engine.door import mx, settle
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
    """A photo as a painter's tools or a bad camera might leave it, (H, W, 3) uint8; half the time as it was."""
    if rng.random() < 0.4:
        return image
    out = image.astype(np.float32)
    if rng.random() < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 4))
    if rng.random() < 0.5:
        mix = np.eye(3) + rng.normal(0, 0.4, (3, 3))
        out = (out - 128) @ mix.T.astype(np.float32) * rng.uniform(0.3, 1.6) + rng.uniform(60, 200)
    if rng.random() < 0.3:  # strokes: noise smeared along one direction
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
    """A photo in strokes of its own colours along a smooth field, (H, W, 3) uint8."""
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
    """A photo on its way from one stage of a trained chain to the next, (H, W, 3) uint8."""
    painter, x = painters[rng.integers(len(painters))], to_x(image)
    xs = [x, *painter.paint(x, painter.measure(x))]
    stage, share = rng.integers(len(xs) - 1), np.float32(rng.random())
    return to_image(xs[stage] * share + xs[stage + 1] * (1 - share))


def batches(photos: Photos, step: int, phase: str, painters: list[ReferencePainter]) -> Iterator[X]:
    """(BATCH, 3, crop, crop), a function of the step, the phase and the painters alone."""
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
    """The maps behind the style heads, and those of the content, in the order of `TAPS`."""
    heads, taps = style_maps(mx.sym.Variable("x"), spec, list(CONTENT_LAYERS), norm)
    return [*heads, *(taps[layer] for layer in CONTENT_LAYERS)]


class Teacher:
    """What the student has to say of a batch.

    Each tap is brought to a spread of 1, which the losses that the student is for, being relative, do not
    see, and while ``centred`` the heads' channels to a mean of 0 (`with_means` gives it back to the student).
    """

    def __init__(self, features: Features, x: X) -> None:
        symbol = mx.sym.Group(tapped(features.spec))
        self.module = mx.mod.Module(symbol, data_names=["x"], label_names=None)
        self.module.bind(data_shapes=[("x", x.shape)], for_training=False)
        used = set(symbol.list_arguments())
        weights = {k: mx.nd.array(v) for k, v in features.weights.items() if k in used}
        self.module.init_params(arg_params=weights)
        outputs = self._outputs(x)
        self.shapes = {tap: out.shape for tap, out in zip(TAPS, outputs, strict=True)}
        self.means = [out.mean(axis=(0, 2, 3), keepdims=True) for out in outputs]
        for mean in self.means[len(STYLE_LAYERS) :]:
            mean *= 0  # content has no head that could give it back
        self.scales = [
            float((out - out.mean(axis=(0, 2, 3), keepdims=True).broadcast_to(out.shape)).square().mean().sqrt().asscalar())
            for out in outputs
        ]  # fmt: skip

        self.centred = True

    def _outputs(self, x: X) -> list[Any]:
        self.module.forward(mx.io.DataBatch([mx.nd.array(x)]), is_train=False)
        settle()
        outputs: list[Any] = self.module.get_outputs()
        return outputs

    def __call__(self, x: X) -> list[Any]:
        return [
            (mx.nd.broadcast_sub(out, mean) if self.centred else out) / scale
            for out, mean, scale in zip(self._outputs(x), self.means, self.scales, strict=True)
        ]


def batch_norm(out: Any, name: str) -> Any:
    return mx.sym.BatchNorm(out, fix_gamma=False, eps=EPSILON, momentum=0.99, name=f"{name}_norm")


class Student:
    """Bound for training; its losses are each tap's error relative to how much the teacher's varies."""

    def __init__(self, teacher: Teacher, phase: str, weights: Arrays, step: int) -> None:
        heads = tuple(teacher.shapes[layer][1] for layer in STYLE_LAYERS)
        spec = VggSpec(WIDTHS, "zero", "max", heads)
        norm = batch_norm if phase == "normalised" else None
        outputs = dict(zip(TAPS, tapped(spec, norm), strict=True))
        targets = {tap: mx.sym.Variable(f"target_{tap}") for tap in TAPS}
        losses = [content_loss(out, targets[tap]) for tap, out in outputs.items()]
        if phase in ("grams", "painted", "chains"):
            # An estimate varies less than what it estimates, and the less the stranger the picture:
            # so the Grams, which are what the student is for, count themselves.
            losses += [
                style_loss(gram(outputs[layer]), gram(targets[layer])) * GRAM_WEIGHT
                for layer in STYLE_LAYERS
            ]
        self.losses = len(losses)
        each = mx.sym.BlockGrad(mx.sym.concat(*losses, dim=0))
        self.module = mx.mod.Module(
            mx.sym.Group([each, mx.sym.MakeLoss(mx.sym.add_n(*losses))]),
            data_names=["x"],
            label_names=[f"target_{tap}" for tap in TAPS],
            fixed_param_names=["input_weight", "input_bias"],
        )
        self.module.bind(
            data_shapes=[("x", (BATCH, 3, CROP_PX, CROP_PX))],
            label_shapes=[(f"target_{tap}", teacher.shapes[tap]) for tap in TAPS],
        )
        names = (
            self.module._param_names
        )  # the updater counts parameters in this order (mxnet 1.9.1)
        self.module.init_params(
            arg_params={k: mx.nd.array(weights[k]) for k in names},
            aux_params={k: mx.nd.array(weights[k]) for k in self.module._aux_names},
        )
        self.adam = mx.optimizer.Adam(rescale_grad=1 / BATCH)
        self.module.init_optimizer(kvstore=None, optimizer=self.adam)
        for i, name in enumerate(names):
            if f"{name}.0" in weights:
                moments = tuple(mx.nd.array(weights[f"{name}.{j}"]) for j in (0, 1))
                self.module._updater.states[i] = moments
                self.module._updater.states_synced[i] = True
                self.adam._index_update_count[i] = step
        self.adam.num_update = step

    def learn(self, x: X, targets: list[Any], rate: float) -> np.ndarray:
        self.adam.lr = rate
        self.module.forward(mx.io.DataBatch([mx.nd.array(x)], targets), is_train=True)
        self.module.backward()
        self.module.update()
        errors: np.ndarray = self.module.get_outputs()[0].asnumpy()
        return errors

    def arrays(self) -> Arrays:
        """Weights by name, and Adam's moments as ``name.0`` and ``name.1``."""
        settle()
        weights, statistics = self.module.get_params()
        arrays = {k: v.asnumpy() for k, v in {**weights, **statistics}.items()}
        for i, pair in self.module._updater.states.items():
            for j, moment in enumerate(pair or ()):
                arrays[f"{self.module._param_names[i]}.{j}"] = moment.asnumpy()
        return arrays


def initial_weights(features: Features, heads: list[int]) -> Arrays:
    """He et al. 2015; the input convolution is the teacher's, brought from 0..255 units to about 1."""
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
    return {k: v for k, v in arrays.items() if not k.endswith((".0", ".1"))}


def without_norms(arrays: Arrays) -> Arrays:
    """The same net with each normalisation, on its moving statistics, in the convolution before it."""
    weights = {k: v for k, v in without_moments(arrays).items() if "_norm_" not in k}
    for _, name in conv_names(STYLE_LAYERS[-1]):
        conv, norm = f"conv{name}", f"conv{name}_norm"
        scale = arrays[f"{norm}_gamma"] / np.sqrt(arrays[f"{norm}_moving_var"] + EPSILON)
        weights[f"{conv}_weight"] = arrays[f"{conv}_weight"] * scale[:, None, None, None]
        shift = (arrays[f"{conv}_bias"] - arrays[f"{norm}_moving_mean"]) * scale
        weights[f"{conv}_bias"] = shift + arrays[f"{norm}_beta"]
    return weights


def with_means(arrays: Arrays, teacher: Teacher) -> Arrays:
    """The same net with the means that the teacher's heads had lost in its own heads' biases."""
    weights = without_moments(arrays)
    for layer, mean, scale in zip(STYLE_LAYERS, teacher.means, teacher.scales, strict=False):
        weights[f"head_{layer}_bias"] = (
            weights[f"head_{layer}_bias"] + mean.asnumpy().ravel() / scale
        )
    return weights


def fitted(features: Features, teacher: Teacher, xs: list[X]) -> Arrays:
    """Weights to go on from: a student's own, with heads fitted anew, as its own are folded."""
    weights = {k: v.astype(np.float32) for k, v in features.weights.items() if "head_" not in k}
    plain = VggSpec(WIDTHS, "zero", "max")
    maps = mx.sym.Group(tapped(plain))
    module = mx.mod.Module(maps, data_names=["x"], label_names=None)
    module.bind(data_shapes=[("x", xs[0].shape)], for_training=False)
    module.init_params(arg_params={k: mx.nd.array(weights[k]) for k in module._param_names})
    teacher.centred = False
    said = []
    for x in xs:
        module.forward(mx.io.DataBatch([mx.nd.array(x)]), is_train=False)
        own = [out.asnumpy() for out in module.get_outputs()]
        said.append((own, [out.asnumpy() for out in teacher(x)]))
    for i, layer in enumerate(STYLE_LAYERS):
        own = np.concatenate([_rows(mine[i]) for mine, _ in said])
        wanted = np.concatenate([_rows(theirs[i]) for _, theirs in said])
        own = np.hstack([own, np.ones((len(own), 1), np.float32)])
        head = np.linalg.solve(own.T @ own + 1e-4 * np.eye(own.shape[1]), own.T @ wanted).T
        weights[f"head_{layer}_weight"] = head[:, :-1, None, None].astype(np.float32)
        weights[f"head_{layer}_bias"] = head[:, -1].astype(np.float32)
    return weights


def _rows(maps: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (pixels, C)"""
    return maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


def folded(arrays: Arrays) -> Arrays:
    """The student's weights with its heads as small as its own layers allow."""
    out = without_moments(arrays)
    for layer in STYLE_LAYERS:
        head = f"head_{layer}"
        matrix, bias = arrays[f"{head}_weight"][:, :, 0, 0], arrays[f"{head}_bias"]
        out[f"{head}_weight"], out[f"{head}_bias"] = fold_head(matrix, bias)
    return out


def rate_at(step: int, steps: int, peak: float) -> float:
    """A rise, then a cosine down to a hundredth."""
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
        "--painter", action="append", default=[], help="a trained style that paints"
    )
    parser.add_argument("--start", help="features to go on from, with the last phase only")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the numbers of steps, to try it"
    )
    options = parser.parse_args()

    features = load_features(options.teacher)
    photos = Photos(options.data, CROP_PX, SEED, HELD_OUT)
    models = [load_model(find_model(name)) for name in options.painter]
    painters = [ReferencePainter(model.specs, model.params, mx.cpu()) for model in models]
    phases = PHASES if painters else PHASES[:-1]
    teacher = Teacher(features, next(batches(photos, 0, PHASES[0][0], [])))
    checkpoint = options.out.with_suffix(".checkpoint")
    done = 0
    arrays = initial_weights(features, [teacher.shapes[layer][1] for layer in STYLE_LAYERS])
    if options.start:
        phases = PHASES[-1:]
        seen = itertools.islice(batches(photos, 0, phases[0][0], painters), FITTED_ON)
        arrays = fitted(load_features(options.start), teacher, list(seen))
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
        student = Student(teacher, phase, arrays, done - begin)
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
