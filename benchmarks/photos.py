"""Measure how many photos a second a folder and records give, and how many training takes.

python benchmarks/photos.py --data photos/ [--edge 416]

Packing the records is measured too, and for comparison MXNet's own ImageRecordIter. It resizes and
crops, but it has one scale for all photos and cannot start at a step.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np

from neuralart.chain.params import initial_params
from neuralart.engine.devices import open_device
from neuralart.engine.door import mx
from neuralart.loss.features.store import load_features
from neuralart.loss.perceptual import Perceptual
from neuralart.options.train import PackConfig, TrainConfig
from neuralart.pictures.photos.pack import pack
from neuralart.pictures.photos.stream import DECODERS, Photos
from neuralart.training.beginning import loss_weights
from neuralart.training.stages import Chain
from neuralart.training.step import batch_gradients

CONFIG = TrainConfig(style=(), data=Path())
CROP_PX = CONFIG.crop
COUNT = 400
STEPS = 10


def from_stream(data: Path) -> float:
    """Photos a second that training's stream reads, with nothing else running."""
    with contextlib.closing(Photos(data, CROP_PX, 0, 0).stream(0)) as stream:
        next(stream)
        begin = time.perf_counter()
        for _ in itertools.islice(stream, COUNT):
            pass
        return COUNT / (time.perf_counter() - begin)


def from_mxnet(records: Path) -> float:
    """Photos a second that MXNet's ImageRecordIter reads, with as many threads."""
    images = mx.io.ImageRecordIter(
        path_imgrec=str(records), data_shape=(3, CROP_PX, CROP_PX), batch_size=1, rand_crop=True,
        rand_mirror=True, resize=round(1.15 * CROP_PX), preprocess_threads=DECODERS, shuffle=True,
    )  # fmt: skip
    begin, count = time.perf_counter(), 0
    while count < COUNT:
        images.reset()
        for batch in images:
            batch.data[0].wait_to_read()
            count += 1
    return count / (time.perf_counter() - begin)


def taken_by_training(features: str) -> float:
    """Photos a second that training learns from: the mean over steps of the four stages."""
    specs = CONFIG.specs()
    devices = open_device("cpu")
    loss = Perceptual(load_features(features), loss_weights(CONFIG), devices)
    photo = np.random.default_rng(0).normal(0, 50, (1, 3, CROP_PX, CROP_PX)).astype(np.float32)
    loss.set_style(photo, photo[:, :, ::2, ::2].copy())
    params = initial_params(specs, 0)
    seconds = 0.0
    for stage in range(len(specs)):
        chain = Chain(specs, params, [stage], CROP_PX, devices)
        for step in range(STEPS + 1):
            if step == 1:
                devices.settle()
                begin = time.perf_counter()
            batch_gradients(loss, chain, photo, [0], {stage: 1.0})
            chain.update(1e-3)
        devices.settle()
        seconds += time.perf_counter() - begin
    return STEPS * len(specs) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of photos")
    parser.add_argument(
        "--edge", default=416, type=int, help="shorter edge of the photos in the records, pixels"
    )
    parser.add_argument("--features", default="small")
    options = parser.parse_args()

    rates = {"training takes": taken_by_training(options.features)}
    rates["the folder gives"] = from_stream(options.data)
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "photos.rec"
        begin = time.perf_counter()
        packed = pack(
            options.data,
            records,
            edge=options.edge,
            quality=PackConfig().quality,
            processes=None,
            overwrite=False,
        )
        rates["packing does"] = packed.photos / (time.perf_counter() - begin)
        rates["records give"] = from_stream(records)
        rates["MXNet's reader gives"] = from_mxnet(records)
    for what, rate in rates.items():
        times = rate / rates["training takes"]
        print(f"{what:22} | {rate:7.1f} photos a second | {times:6.1f} times")  # noqa: T201


if __name__ == "__main__":
    main()
