"""The generators of 2016 in plain MXNet, with random parameters in files of the published form.

Written from the description of the example: layers without names, which MXNet counts in the order
of construction, and one file of parameters for each generator.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neuralart.engine.door import mx

Part = dict[str, Any]

MEAN = (123.68, 116.779, 103.939)


def _normed(out: Any, act: str = "leaky") -> Any:
    out = mx.sym.BatchNorm(out, fix_gamma=False)
    if act == "tanh":
        return mx.sym.Activation(out, act_type="tanh")
    return mx.sym.LeakyReLU(out, act_type="leaky")


def _mixed(photo: Any, tanh: Any) -> Any:
    red, green, blue = mx.sym.SliceChannel(tanh * 128 + 128, num_outputs=3)
    means = zip((red, green, blue), MEAN, strict=True)
    paint = mx.sym.Concat(*(channel - mean for channel, mean in means))
    return 0.4 * paint + 0.6 * photo


def _conv(out: Any, channels: int, kernel: int, stride: int = 1, bias: bool = True) -> Any:
    return mx.sym.Convolution(
        out,
        num_filter=channels,
        kernel=(kernel, kernel),
        pad=(kernel // 2, kernel // 2),
        stride=(stride, stride),
        no_bias=not bias,
    )


def convolutional(photo: Any, height: int, width: int) -> Any:
    out = photo
    for channels, kernel in ((48, 5), (32, 5), (64, 3), (32, 5), (48, 5)):
        out = _normed(_conv(out, channels, kernel))
    out = _normed(_conv(out, 32, 5, bias=False))
    return _mixed(photo, _normed(_conv(out, 3, 3, bias=False), "tanh"))


def _deconv(out: Any, channels: int, kernel: int, pad: int) -> Any:
    square = {"kernel": (kernel, kernel), "pad": (pad, pad), "stride": (2, 2)}
    return mx.sym.Deconvolution(out, num_filter=channels, no_bias=True, **square)


def hourglass(photo: Any, height: int, width: int) -> Any:
    half = _normed(_conv(photo, 64, 5, stride=2))
    quarter = _normed(_conv(_normed(_conv(half, 48, 3)), 128, 5, stride=2))
    eighth = _normed(_conv(_normed(_conv(quarter, 96, 3)), 256, 5, stride=2))
    out = _deconv(_normed(_conv(eighth, 192, 3)), 128, 7, 2)
    out = mx.sym.Crop(out, offset=(1, 1), h_w=(height // 4, width // 4), num_args=1)
    out = _normed(out) + quarter
    out = _deconv(_normed(_conv(out, 160, 3)), 64, 7, 2)
    out = mx.sym.Crop(out, offset=(1, 1), h_w=(height // 2, width // 2), num_args=1)
    out = _normed(out) + half
    out = _deconv(_normed(_conv(out, 96, 3)), 3, 8, 3)
    return _mixed(photo, _normed(out, "tanh"))


GENERATORS: tuple[Callable[[Any, int, int], Any], ...] = (
    *(convolutional, hourglass, hourglass, convolutional),
)


def graphs(height: int, width: int) -> list[Any]:
    """The four generators, for pictures of one size, with their parameters counted from 0."""
    with mx.name.NameManager():
        return [
            generator(mx.sym.Variable(f"g{k}_data"), height, width)
            for k, generator in enumerate(GENERATORS)
        ]


def random_parts(seed: int = 0) -> list[Part]:
    """Random arrays of each generator: names with ``arg:`` and ``aux:``, float32."""
    rng = np.random.default_rng(seed)
    parts = []
    for k, graph in enumerate(graphs(32, 32)):
        inputs, _, states = graph.infer_shape(**{f"g{k}_data": (1, 3, 32, 32)})
        shapes = dict(zip(graph.list_arguments(), inputs, strict=True))
        arrays: Part = {
            f"arg:{name}": _random(rng, name, shape)
            for name, shape in shapes.items()
            if not name.endswith("_data")
        }
        for name, shape in zip(graph.list_auxiliary_states(), states, strict=True):
            arrays[f"aux:{name}"] = _random(rng, name, shape)
        parts.append(arrays)
    # Photos have numbers up to 128, where later layers have 1.
    parts[0]["arg:convolution0_weight"] /= 60
    parts[1]["arg:convolution7_weight"] /= 60
    parts[2]["arg:convolution15_weight"] /= 60
    parts[3]["arg:convolution23_weight"] /= 60
    return parts


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("_weight"):
        inputs = (
            np.prod(shape[1:]) if not name.startswith("deconv") else np.prod(shape) / shape[1] / 4
        )
        values = rng.normal(0, np.sqrt(2 / inputs), shape)
    elif name.endswith("_var"):
        values = rng.uniform(0.5, 2, shape)
    elif name.endswith("_gamma"):
        values = rng.uniform(0.5, 1.2, shape)
    else:
        values = rng.normal(0, 0.2, shape)
    return values.astype(np.float32)


def params_bytes(arrays: Mapping[str, np.ndarray], folder: Path) -> bytes:
    """The file that MXNet writes."""
    file = folder / "saved.params"
    mx.nd.save(str(file), {name: mx.nd.array(array) for name, array in arrays.items()})
    data = file.read_bytes()
    file.unlink()
    return data


def write_zip(path: Path, files: Mapping[str, bytes], *, deflated: bool = False) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    ) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    return path


def painted(parts: list[Part], photo: np.ndarray) -> list[np.ndarray]:
    """What each generator makes: (1, 3, H, W), RGB minus mean -> four of the same."""
    outputs = []
    for k, (graph, arrays) in enumerate(zip(graphs(*photo.shape[2:]), parts, strict=True)):
        module = mx.mod.Module(graph, data_names=[f"g{k}_data"], label_names=None)
        module.bind([(f"g{k}_data", photo.shape)], for_training=False)
        split: dict[str, Part] = {"arg": {}, "aux": {}}
        for name, array in arrays.items():
            kind, _, plain = name.partition(":")
            split[kind][plain] = mx.nd.array(array)
        module.set_params(split["arg"], split["aux"])
        module.forward(mx.io.DataBatch([mx.nd.array(photo)]), is_train=False)
        photo = module.get_outputs()[0].asnumpy()
        outputs.append(photo)
    return outputs
