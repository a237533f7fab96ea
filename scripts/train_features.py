"""Train the small VGG that ships: a student whose heads estimate a teacher's style layers and relu4_2.

  python scripts/train_features.py --teacher vgg19.npz --data photos/ --out features-small.npz

The student has VGG-19's topology with the widths below, zero padding (a separate Pad is no oneDNN
operator), and starts from random weights. It learns, on crops of photos and on blurred, noisy, recoloured
and smeared versions of them, to reproduce what the teacher's style heads and its relu4_2 say of a picture;
then its heads are folded (neuralart.features.fold_head). The same command goes on where a killed one
stopped. 40 photos are kept out; benchmarks/features.py measures on those.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neuralart.engine import mx, settle
from neuralart.errors import ModelError
from neuralart.features import Features, fold_head, load_features, write_features
from neuralart.files import Arrays, read_archive, write_archive
from neuralart.images import X, to_image, to_x
from neuralart.photos import Photos
from neuralart.symbols.losses import content_loss
from neuralart.symbols.vgg import CONTENT_LAYER, STYLE_LAYERS, VggSpec, style_maps

WIDTHS = (16, 32, 64, 128, 128)
CROP_PX = 128
BATCH = 4
HELD_OUT = 40
SEED = 11
INPUT_SCALE = 64
RATE = 3e-3
WARM_UP = 50
SAVE_EVERY = 500
TAPS = (*STYLE_LAYERS, CONTENT_LAYER)


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


def batches(photos: Photos, step: int) -> Iterator[X]:
    """(BATCH, 3, crop, crop), a function of the step alone."""
    stream = photos.stream(step * BATCH)
    for number in itertools.count(step):
        squares = [to_image(next(stream)[1]) for _ in range(BATCH)]
        rng = np.random.default_rng([SEED, number])
        yield np.concatenate([to_x(distorted(square, rng)) for square in squares])


class Teacher:
    """What the student has to say of a batch: the maps behind the style heads, and relu4_2.

    Each tap is brought to a spread of 1, which the losses that the student is for, being relative, do not
    see, and the heads' channels to a mean of 0, which `folded` gives back to the student's heads.
    """

    def __init__(self, features: Features, shape: tuple[int, ...]) -> None:
        maps, taps = style_maps(mx.sym.Variable("x"), features.spec, [CONTENT_LAYER])
        symbol = mx.sym.Group([*maps, taps[CONTENT_LAYER]])
        self.module = mx.mod.Module(symbol, data_names=["x"], label_names=None)
        self.module.bind(data_shapes=[("x", shape)], for_training=False)
        weights = {k: mx.nd.array(v) for k, v in features.weights.items()}
        self.module.init_params(
            arg_params={k: v for k, v in weights.items() if k in symbol.list_arguments()}
        )
        self.scales = [1.0] * len(TAPS)
        self.means: list[Any] = [0.0] * len(TAPS)
        self.shapes = dict(zip(TAPS, symbol.infer_shape(x=shape)[1], strict=True))

    def __call__(self, x: X) -> list[Any]:
        self.module.forward(mx.io.DataBatch([mx.nd.array(x)]), is_train=False)
        settle()
        outputs = self.module.get_outputs()
        return [
            mx.nd.broadcast_sub(out, mean) / scale if tap != CONTENT_LAYER else out / scale
            for tap, out, mean, scale in zip(TAPS, outputs, self.means, self.scales, strict=True)
        ]

    def standardise(self, x: X) -> None:
        """Measure means and spreads on a batch."""
        self.means = [mx.nd.zeros((1, 1, 1, 1))] * len(TAPS)
        outputs = self(x)
        self.means = [out.mean(axis=(0, 2, 3), keepdims=True) for out in outputs]
        self.scales = [
            float((out - mean).square().mean().sqrt().asscalar())
            for out, mean in zip(
                outputs,
                (m.broadcast_to(o.shape) for m, o in zip(self.means, outputs, strict=True)),
                strict=True,
            )
        ]


def student_module(teacher: Teacher, spec: VggSpec, shape: tuple[int, ...]) -> Any:
    """Bound for training; its losses are each tap's error relative to how much the teacher's varies."""
    maps, taps = style_maps(mx.sym.Variable("x"), spec, [CONTENT_LAYER])
    losses = [
        content_loss(out, mx.sym.Variable(f"target_{tap}"))
        for tap, out in zip(TAPS, [*maps, taps[CONTENT_LAYER]], strict=True)
    ]
    symbol = mx.sym.Group(
        [mx.sym.BlockGrad(mx.sym.concat(*losses, dim=0)), mx.sym.MakeLoss(mx.sym.add_n(*losses))]
    )
    module = mx.mod.Module(
        symbol,
        data_names=["x"],
        label_names=[f"target_{tap}" for tap in TAPS],
        fixed_param_names=["input_weight", "input_bias"],
    )
    module.bind(
        data_shapes=[("x", shape)],
        label_shapes=[(f"target_{tap}", teacher.shapes[tap]) for tap in TAPS],
    )
    return module


def initial_weights(module: Any, features: Features) -> Arrays:
    """He et al. 2015; the input convolution is the teacher's, brought from 0..255 units to about 1, or
    Adam's steps, which are as large for every weight, would be too large for conv1_1's."""
    rng = np.random.default_rng(SEED)
    weights: Arrays = {}
    for name, array in module._exec_group.execs[0].arg_dict.items():
        if name.startswith("input"):
            weights[name] = features.weights[name] / INPUT_SCALE
        elif name.endswith("_weight"):
            deviation = math.sqrt(2 / math.prod(array.shape[1:]))
            weights[name] = (deviation * rng.standard_normal(array.shape)).astype(np.float32)
        elif name.endswith("_bias"):
            weights[name] = np.zeros(array.shape, np.float32)
    return weights


def folded(weights: Arrays, teacher: Teacher) -> Arrays:
    """The student's weights with its heads as small as its own layers allow."""
    out = {k: v for k, v in weights.items() if not k.startswith("head")}
    for layer, mean, scale in zip(STYLE_LAYERS, teacher.means, teacher.scales, strict=False):
        head = f"head_{layer}"
        matrix = weights[f"{head}_weight"][:, :, 0, 0]
        bias = weights[f"{head}_bias"] + mean.asnumpy().ravel() / scale
        out[f"{head}_weight"], out[f"{head}_bias"] = fold_head(matrix, bias)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--teacher", required=True, help="VGG features: a name or a file")
    parser.add_argument("--data", required=True, type=Path, help="folder of photos")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    parser.add_argument("--steps", type=int, default=9000)
    options = parser.parse_args()

    features = load_features(options.teacher)
    photos = Photos(options.data, CROP_PX, SEED, HELD_OUT)
    shape = (BATCH, 3, CROP_PX, CROP_PX)
    teacher = Teacher(features, shape)
    teacher.standardise(next(batches(photos, 0)))
    heads = tuple(teacher.shapes[layer][1] for layer in STYLE_LAYERS)
    module = student_module(teacher, VggSpec(WIDTHS, "zero", "max", heads), shape)
    adam = mx.optimizer.Adam(rescale_grad=1 / BATCH)
    checkpoint = options.out.with_suffix(".checkpoint")
    weights, moments, done = initial_weights(module, features), {}, 0
    if checkpoint.exists():
        header, arrays, _ = read_archive(checkpoint, ModelError, "a checkpoint of this script")
        done = header["step"]
        weights = {k[2:]: v for k, v in arrays.items() if k.startswith("w/")}
        moments = {k[2:]: v for k, v in arrays.items() if k.startswith("m/")}
    module.init_params(arg_params={k: mx.nd.array(v) for k, v in weights.items()})
    module.init_optimizer(kvstore=None, optimizer=adam)
    names = module._param_names  # the updater counts parameters in this order (mxnet 1.9.1)
    for i, name in enumerate(names):
        if f"{name}.0" in moments:
            module._updater.states[i] = tuple(mx.nd.array(moments[f"{name}.{j}"]) for j in (0, 1))
            module._updater.states_synced[i] = True
            adam._index_update_count[i] = done
    adam.num_update = done

    begin, sums = time.monotonic(), np.zeros(len(TAPS))
    for step, x in zip(range(done, options.steps), batches(photos, done), strict=False):
        fall = 0.5 + 0.5 * math.cos(math.pi * step / options.steps)
        adam.lr = RATE * min(1, (step + 1) / WARM_UP) * (0.005 + 0.995 * fall)
        module.forward(mx.io.DataBatch([mx.nd.array(x)], teacher(x)), is_train=True)
        module.backward()
        module.update()
        sums += module.get_outputs()[0].asnumpy()
        if (step + 1) % 100 == 0:
            errors = " ".join(f"{tap} {v:.3f}" for tap, v in zip(TAPS, sums / 100, strict=True))
            pace = (time.monotonic() - begin) / 100
            sys.stderr.write(f"step {step + 1}: {errors} ({pace:.3f} s a step)\n")
            begin, sums = time.monotonic(), np.zeros(len(TAPS))
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == options.steps:
            settle()
            weights = {k: v.asnumpy() for k, v in module.get_params()[0].items()}
            states = {
                f"m/{names[i]}.{j}": moment.asnumpy()
                for i, pair in module._updater.states.items()
                for j, moment in enumerate(pair or ())
            }
            arrays = {f"w/{k}": v for k, v in weights.items()} | states
            write_archive(checkpoint, {"step": step + 1}, arrays)
    arrays = folded(weights, teacher)
    shipped = Features(
        name="small",
        source=f"trained by neuralart's scripts/train_features.py; teacher: {features.source}",
        sha256="",
        spec=VggSpec(WIDTHS, "zero", "max", tuple(width + 1 for width in WIDTHS)),
        weights={name: array.astype(np.float16) for name, array in arrays.items()},
        licence="Apache-2.0",
        pixels=f"{features.pixels}, divided by {INPUT_SCALE}",
    )
    write_features(options.out, shipped)


if __name__ == "__main__":
    main()
