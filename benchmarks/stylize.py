"""Compare the speed of painting with that of exports and of Johnson et al.'s network.

python benchmarks/stylize.py --sizes 512x512 1920x1080

neuralart's time includes everything: measuring the photo's statistics, painting, and 8-bit pixels
in and out. The others' time is that of the network alone: the same chain as `neuralart export
--format onnx` writes it, and Johnson's with random weights. Each engine runs in a process of its
own, all with the same number of threads; --turns lets all engines take turns, for machines whose
speed changes from minute to minute. --torch-device cuda:0 takes PyTorch's rows to a card. Engines
that are not installed are left out: pip install '.[bench]'.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neuralart.engine.devices import open_device
from neuralart.machine.processor import faster_precisions

# Rounds for each engine, size and turn: until both are reached, and at most these seconds. The
# fastest round counts.
ROUNDS, LEAST_SECONDS = 5, 2.0
SECONDS = 12.0

ENGINES = {
    "neuralart": "mxnet",
    "neuralart bfloat16": "mxnet",
    "neuralart int8": "mxnet",
    "neuralart, PyTorch": "torch",
    "neuralart, PyTorch bfloat16": "torch",
    "its ONNX, ONNX Runtime": "onnxruntime",
    "its int8 ONNX, ONNX Runtime": "onnxruntime",
    "Johnson, ONNX Runtime": "onnxruntime",
    "Johnson, OpenCV dnn": "cv2",
    "Johnson, PyTorch": "torch",
}

# Channels, kernel and stride of Johnson et al. 2016, supplementary table 1. A negative stride is
# that of a transposed convolution.
JOHNSON = [
    (32, 9, 1),
    (64, 3, 2),
    (128, 3, 2),
    *[(128, 3, 1)] * 10,
    (64, 3, -2),
    (32, 3, -2),
    (3, 9, 1),
]
FIRST_OF_BLOCKS, LAST_OF_BLOCKS = 3, 12


def johnson_onnx(path: Path) -> None:
    """Write Johnson's network: instance normalisation, free height and width, random weights."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    nodes, weights, channels, x = [], [], 3, "data"

    def constant(name: str, array: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(op: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, list(inputs), [f"y{len(nodes)}"], **attributes))
        return f"y{len(nodes) - 1}"

    block = x
    for i, (out, kernel, stride) in enumerate(JOHNSON):
        up = stride < 0
        if i in range(FIRST_OF_BLOCKS, LAST_OF_BLOCKS + 1, 2):
            block = x
        shape = (channels, out, kernel, kernel) if up else (out, channels, kernel, kernel)
        weight = constant(f"w{i}", rng.normal(0, (2 / (channels * kernel**2)) ** 0.5, shape))
        edges = {
            "kernel_shape": [kernel] * 2,
            "strides": [abs(stride)] * 2,
            "pads": [kernel // 2] * 4,
        }
        if up:
            x = node("ConvTranspose", x, weight, output_padding=[1, 1], **edges)
        else:
            x = node("Conv", x, weight, **edges)
        if out != 3:
            one, zero = constant(f"s{i}", np.ones(out)), constant(f"b{i}", np.zeros(out))
            x = node("InstanceNormalization", x, one, zero)
        if FIRST_OF_BLOCKS <= i <= LAST_OF_BLOCKS and (i - FIRST_OF_BLOCKS) % 2:
            x = node("Add", x, block)
        else:
            x = node("Tanh" if out == 3 else "Relu", x)
        channels = out
    free = [1, 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "johnson",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, free)],
        weights,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def johnson_torch() -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self, layers: list[Any]) -> None:
            super().__init__()
            self.layers = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            return x + self.layers(x)

    layers: list[Any] = []
    inner: list[Any] = []
    channels = 3
    for i, (out, kernel, stride) in enumerate(JOHNSON):
        if stride < 0:
            new = [nn.ConvTranspose2d(channels, out, kernel, -stride, kernel // 2, 1, bias=False)]
        else:
            new = [nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)]
        second = FIRST_OF_BLOCKS <= i <= LAST_OF_BLOCKS and (i - FIRST_OF_BLOCKS) % 2
        new += [nn.Tanh()] if out == 3 else [nn.InstanceNorm2d(out, affine=True)]
        new += [] if second or out == 3 else [nn.ReLU()]
        if FIRST_OF_BLOCKS <= i <= LAST_OF_BLOCKS:
            inner += new
            if second:
                layers.append(Block(inner))
                inner = []
        else:
            layers += new
        channels = out
    return nn.Sequential(*layers).eval()


def loaded(model: str | None) -> Any:
    """The named model, or the default chain with random weights."""
    from neuralart.chain.choice import load_style
    from neuralart.chain.kinds import GENERATORS
    from neuralart.chain.model import Style, StyledChain
    from neuralart.chain.params import initial_params
    from neuralart.options.train import DEFAULT_CHAIN
    from neuralart.pictures.writing import encode_image

    if model:
        return load_style(model)
    specs = tuple(GENERATORS[kind] for kind in DEFAULT_CHAIN.split(","))
    # int8 needs a style image to find its ranges on.
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    style = Style("random", {}, style_image=encode_image(noise, ".png"))
    return StyledChain(specs, initial_params(specs, 0), (style,)).model()


def exported(model: str | None, precision: str, folder: Path) -> Path:
    """Write the chain as an ONNX file, and return its path."""
    from neuralart.chain.model import StyledChain
    from neuralart.exporting.parity import calibration_photos
    from neuralart.exporting.subject import Subject
    from neuralart.exporting.targets import TARGETS

    chain = StyledChain.of(loaded(model))
    photos = calibration_photos(None) if precision == "int8" else ()
    subject = Subject("style", chain, len(chain.specs), None, photos)
    return TARGETS["onnx"].write(subject, folder, precision)


def paint_function(
    engine: str, size: tuple[int, int], threads: int, model: str | None, torch_device: str
) -> Callable[[], Any]:
    """Load an engine and return a function that paints one picture."""
    height, width = size
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    if engine.startswith("neuralart"):
        from neuralart.painting.photo_painter import PhotoPainter

        chain = loaded(model)
        words = engine.replace(",", "").split()
        precision = words[-1] if words[-1] in ("bfloat16", "int8") else "float32"
        device = open_device(torch_device if "PyTorch" in words else "cpu")
        painter = PhotoPainter(chain, device, len(chain.specs), precision=precision)
        return lambda: painter.paint(photo)
    data = np.ascontiguousarray(photo.transpose(2, 0, 1)[None]).astype(np.float32)
    if engine.endswith("PyTorch"):
        import torch

        torch.set_num_threads(threads)
        device = open_device(torch_device)  # sets the precision that neuralart computes in
        place = torch_device.removeprefix("torch:")
        net, tensor = johnson_torch().to(place), torch.from_numpy(data).to(place)

        def run() -> Any:
            with torch.inference_mode():
                out = net(tensor)
            device.settle()
            return out

        return run
    with tempfile.TemporaryDirectory() as folder:
        if engine.startswith("its"):
            file = exported(model, "int8" if "int8" in engine else "fp32", Path(folder))
        else:
            file = Path(folder) / "johnson.onnx"
            johnson_onnx(file)
        if engine.endswith("ONNX Runtime"):
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(str(file), options)
            name = session.get_inputs()[0].name
            return lambda: session.run(None, {name: data})
        import cv2

        cv2.setNumThreads(threads)
        dnn = cv2.dnn.readNetFromONNX(str(file))

    def forward() -> Any:
        dnn.setInput(data)
        return dnn.forward()

    return forward


def measure(
    engine: str, size: tuple[int, int], threads: int, model: str | None, torch_device: str
) -> dict[str, float]:
    """Measure an engine.

    first  seconds until the first picture, loading included
    wall   seconds of the fastest later picture
    core   processor seconds of the later picture with the fewest
    peak   largest resident memory, MB
    """
    start = time.perf_counter()
    paint = paint_function(engine, size, threads, model, torch_device)
    paint()
    first = time.perf_counter() - start
    walls, cores = [], []
    begin = time.perf_counter()
    while (spent := time.perf_counter() - begin) < SECONDS and (
        len(walls) < ROUNDS or spent < LEAST_SECONDS
    ):
        wall, core = time.perf_counter(), time.process_time()
        paint()
        walls.append(time.perf_counter() - wall)
        cores.append(time.process_time() - core)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"first": first, "wall": min(walls), "core": min(cores), "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["256x256", "512x512", "1920x1080"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--model", help="a trained style; by default random weights")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--turns", type=int, default=1, help="the fastest of them counts")
    parser.add_argument("--torch-device", default="torch:cpu")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        width, height = map(int, options.sizes[0].split("x"))
        result = measure(
            options.engines[0],
            (height, width),
            options.threads,
            options.model,
            options.torch_device,
        )
        print(json.dumps(result))  # noqa: T201
        return
    print(  # noqa: T201
        "| engine | size | megapixels/s | megapixels per core second | MB | first picture, s |"
    )
    print("|---|---|---|---|---|---|")  # noqa: T201
    engines = [engine for engine in options.engines if runs_here(engine)]
    for size in options.sizes:
        turns = [
            [in_a_process(engine, size, options) for engine in engines]
            for _ in range(options.turns)
        ]
        width, height = map(int, size.split("x"))
        pixels = width * height / 1e6
        for engine, rows in zip(engines, zip(*turns, strict=True), strict=True):
            first, wall, core, peak = (
                choose(row[key] for row in rows)
                for key, choose in (("first", min), ("wall", min), ("core", min), ("peak", max))
            )
            print(  # noqa: T201
                f"| {engine} | {size} | {pixels / wall:.2f} | {pixels / core:.2f} "
                f"| {peak:.0f} | {first:.1f} |",
                flush=True,
            )


def runs_here(engine: str) -> bool:
    if importlib.util.find_spec(ENGINES[engine]) is None:
        return False
    return not engine.endswith("bfloat16") or "bfloat16" in faster_precisions()


def in_a_process(engine: str, size: str, options: argparse.Namespace) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--child", "--sizes", size, "--engines", engine]
    command += ["--threads", str(options.threads), "--torch-device", options.torch_device]
    command += ["--model", options.model] if options.model else []
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
