"""PyTorch against MXNet: every operator, graph, training and painting, on this machine.

Set NEURALART_TORCH_DEVICE=cuda:0 to compare a card.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from helpers import lively, noise, random_chain
from kinds import KINDS
from small_graphs import numbers

from neuralart.chain.graph import measuring_graph, training_graph
from neuralart.chain.kinds import GENERATORS
from neuralart.chain.specs import Generator, norm_names, prefix
from neuralart.engine.contract import Devices
from neuralart.engine.devices import open_devices
from neuralart.engine.door import mx
from neuralart.loss.features.store import Features, load_features
from neuralart.loss.objective import LossWeights
from neuralart.loss.perceptual import Perceptual
from neuralart.machine.archive import Arrays
from neuralart.painting.photo_painter import PhotoPainter
from neuralart.pictures.pixels import to_x
from neuralart.training.stages import Chain
from neuralart.training.step import batch_gradients

pytest.importorskip("torch")

sym = mx.sym
CLOSE = 1e-4  # of the largest value


@pytest.fixture(scope="module")
def pair() -> tuple[Devices, Devices]:
    """MXNet's processor, and PyTorch's device to compare."""
    return open_devices("cpu"), open_devices(os.environ.get("NEURALART_TORCH_DEVICE", "torch:cpu"))


def assert_close(
    got: np.ndarray, want: np.ndarray, what: str, tolerance: float = CLOSE, least: float = 1e-6
) -> None:
    """Equal to a part of the largest value, or of ``least`` where all should be zero."""
    assert got.shape == want.shape, what
    limit = tolerance * max(least, float(abs(want).max()))
    assert abs(got - want).max() <= limit, (what, abs(got - want).max(), abs(want).max())


def run(devices: Devices, symbol: Any, arrays: Arrays) -> tuple[list[np.ndarray], Arrays]:
    """The outputs of a graph, and its gradients by all arguments for heads of noise."""
    shapes = {name: array.shape for name, array in arrays.items()}
    executor = devices.executor(symbol, shapes, gradients=list(arrays), common=list(arrays)[1:])
    outputs = executor.forward(**{n: devices.put_common(array) for n, array in arrays.items()})
    found = [devices.get(each).copy() for each in outputs]
    heads = [numbers(*out.shape, seed=50 + i) for i, out in enumerate(found)]
    executor.backward(*map(devices.put_common, heads))
    return found, {n: devices.get(executor.input_gradient(n)).copy() for n in arrays}


X, Y, W = (sym.Variable(name) for name in "xyw")
MAP = (2, 4, 6, 8)
OPERATORS: dict[str, tuple[Any, dict[str, tuple[int, ...]]]] = {
    "conv": (
        sym.Convolution(X, Y, num_filter=3, kernel=(3, 3), stride=(2, 2), pad=(1, 1), no_bias=True),
        {"x": MAP, "y": (3, 4, 3, 3)},
    ),
    "conv dilated": (
        sym.Convolution(X, Y, num_filter=3, kernel=(2, 2), dilate=(2, 2), no_bias=True),
        {"x": MAP, "y": (3, 4, 2, 2)},
    ),
    "conv in groups": (
        sym.Convolution(X, Y, num_filter=4, kernel=(2, 2), num_group=4, no_bias=True),
        {"x": MAP, "y": (4, 1, 2, 2)},
    ),
    "conv with bias": (
        sym.Convolution(X, W, Y, num_filter=2, kernel=(1, 3), no_bias=False),
        {"x": MAP, "w": (2, 4, 1, 3), "y": (2,)},
    ),
    "deconv": (
        sym.Deconvolution(X, Y, num_filter=3, kernel=(4, 4), stride=(2, 2), pad=(1, 1)),
        {"x": MAP, "y": (4, 3, 4, 4)},
    ),
    "max pooling": (
        sym.Pooling(X, kernel=(2, 2), stride=(2, 2), pool_type="max"), {"x": MAP},
    ),
    "mean pooling": (sym.Pooling(X, kernel=(2, 2), pool_type="avg"), {"x": MAP}),
    "reflection": (
        sym.Pad(X, mode="reflect", pad_width=(0, 0, 0, 0, 2, 3, 1, 4)), {"x": MAP},
    ),
    "zeros around": (
        sym.Pad(X, mode="constant", pad_width=(0, 0, 0, 0, 0, 1, 2, 0)), {"x": MAP},
    ),
    "relu": (sym.Activation(X, act_type="relu"), {"x": MAP}),
    "tanh": (sym.Activation(X, act_type="tanh"), {"x": MAP}),
    "leaky": (sym.LeakyReLU(X, act_type="leaky", slope=0.25), {"x": MAP}),
    "sigmoid": (sym.sigmoid(X), {"x": MAP}),
    "sigmoid, an activation": (sym.Activation(X, act_type="sigmoid"), {"x": MAP}),
    "pixels": (sym.depth_to_space(X, block_size=2), {"x": (2, 12, 3, 5)}),
    "reshape 0 -3": (sym.reshape(X, shape=(0, -3, 0)), {"x": MAP}),
    "reshape -4": (sym.reshape(X, shape=(0, -4, 2, -1, 0, 0)), {"x": MAP}),
    "reshape -4 -1": (sym.reshape(X, shape=(-4, -1, 2, 0, -3)), {"x": MAP}),
    "reshape -2": (sym.reshape(X, shape=(-3, -2)), {"x": MAP}),
    "transpose": (sym.transpose(X, axes=(0, 2, 3, 1)), {"x": MAP}),
    "dot of maps": (sym.dot(X, Y), {"x": (2, 3, 4, 5), "y": (5, 6)}),
    "dot of rows": (sym.dot(X, Y), {"x": (7,), "y": (7,)}),
    "dot transposed": (sym.dot(X, Y, transpose_b=True), {"x": (3, 5), "y": (4, 5)}),
    "instance norm": (
        sym.InstanceNorm(X, Y, sym.sqrt(sym.square(Y) + 1), eps=1e-3), {"x": MAP, "y": (4,)},
    ),
    "sum": (sym.sum(X, axis=1, keepdims=True), {"x": MAP}),
    "sum of all": (sym.sum(X), {"x": MAP}),
    "mean": (sym.mean(X, axis=(2, 3)), {"x": MAP}),
    "slice": (
        sym.slice(X, begin=(None, None, 1, None), end=(None, None, -1, None),
                  step=(None, None, 2, None)),
        {"x": MAP},
    ),
    "slice like": (
        sym.slice_like(X, Y, axes=(2, 3)), {"x": MAP, "y": (2, 4, 5, 7)},
    ),
    "split": (sym.split(X, num_outputs=2, axis=1)[1], {"x": MAP}),
    "stack": (sym.stack(X, Y, axis=0), {"x": MAP, "y": MAP}),
    "concat": (sym.concat(X, Y, dim=1), {"x": MAP, "y": (2, 3, 6, 8)}),
    "tile": (sym.tile(X, reps=4), {"x": (3,)}),
    "one hot": (
        sym.dot(X, sym.one_hot(sym.arange(4), depth=3)), {"x": (2, 4)},
    ),
    "broadcast": (
        sym.broadcast_div(sym.broadcast_mul(X, Y), sym.square(sym.broadcast_sub(X, Y)) + 1),
        {"x": MAP, "y": (1, 4, 1, 1)},
    ),
    "numbers": ((2 - X * 3) / 4 + 1 / (sym.square(X) + 1) - 5, {"x": MAP}),
    "like": (sym.broadcast_like(Y, X) * X + sym.reshape_like(X, X), {"x": MAP, "y": (1, 4, 1, 1)}),
    "clip": (sym.clip(X, a_min=-0.5, a_max=0.5), {"x": MAP}),
    "blocked": (X * sym.BlockGrad(X), {"x": MAP}),
    "sums": (sym.add_n(X, Y, X * Y), {"x": MAP, "y": MAP}),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operator(name: str, pair: tuple[Devices, Devices]) -> None:
    symbol, shapes = OPERATORS[name]
    arrays = {n: numbers(*shape, seed=i) for i, (n, shape) in enumerate(shapes.items())}
    (want, want_gradients), (got, gradients) = (run(d, symbol, arrays) for d in pair)
    for ours, theirs in zip(got, want, strict=True):
        assert_close(ours, theirs, name)
    for argument, theirs in want_gradients.items():
        assert_close(gradients[argument], theirs, f"{name}, gradient by {argument}")


@pytest.mark.parametrize("photos", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_generator(kind: str, photos: int, pair: tuple[Devices, Devices]) -> None:
    """A stage as it trains: its output, and its gradients by the photos and by all parameters."""
    spec, styles = KINDS[kind], 3
    symbol = training_graph(spec, prefix(0), styles, photos)
    params = lively([spec], styles=styles)
    x, head = 50 * numbers(photos, 3, 32, 48), numbers(photos, 3, 32, 48, seed=1)
    style = np.eye(styles, dtype=np.float32)[[2, 0][:photos]]
    found = []
    for devices in pair:
        inputs = {"x": x} | ({"style": style} if "style" in symbol.list_arguments() else {})
        shapes = {name: array.shape for name, array in inputs.items()}
        executor = devices.executor(symbol, shapes, gradients=["x", *params])
        executor.set_parameters(params)
        (out,) = executor.forward(**{n: devices.put(array) for n, array in inputs.items()})
        values = {"output": devices.get(out).copy()}
        executor.backward(devices.put(head))
        values["x"] = devices.get(executor.input_gradient()).copy()
        found.append(values | {n: devices.get(g).copy() for n, g in executor.gradients().items()})
    want, got = found
    assert want.keys() == got.keys()
    # A norm takes the gradient by the bias before it away.
    largest = max(float(abs(want[name]).max()) for name in params)
    for name, array in want.items():
        assert_close(got[name], array, name, least=largest if name.endswith("_bias") else 1e-6)


@pytest.fixture(scope="module")
def features() -> Features:
    return load_features("small")


ALL_TERMS = LossWeights(
    content=6.0, layout=12.0, palette=5.0, tv=5.0, checkerboard=1e5, two_scales=True
)


@pytest.mark.parametrize("photos", [1, 2])
def test_losses_and_their_gradient(
    photos: int, pair: tuple[Devices, Devices], features: Features
) -> None:
    pictures = [to_x(noise(96, 128).astype(np.uint8)[:, ::sign]) for sign in (1, -1)][:photos]
    contents = np.concatenate(pictures)
    x = contents[:, :, ::-1].copy() * np.float32(0.7)
    found = []
    for devices in pair:
        perceptual = Perceptual(features, ALL_TERMS, devices)
        styles = [[to_x(noise(80, 96)), to_x(noise(48, 48))] for _ in range(2)]
        styles[1] = [each * np.float32(0.5) for each in styles[1]]
        perceptual.set_styles(styles)
        perceptual.set_contents(devices.put(contents))
        rows, d_x = perceptual.score_batch(devices.put(x), [1, 0][:photos], log_weight=1.0)
        found.append((devices.get(rows).copy(), devices.get(d_x).copy()))
    (want, want_d), (got, got_d) = found
    np.testing.assert_allclose(got, want, rtol=CLOSE, atol=1e-5)
    assert_close(got_d, want_d, "gradient", 1e-3)
    assert abs(got_d - want_d).mean() < CLOSE * abs(want_d).mean()


def learned(
    devices: Devices, specs: list[Generator], features: Features, steps: int, **more: Any
) -> tuple[Arrays, np.ndarray]:
    """The parameters after some steps of training from the same ones, and the last losses."""
    perceptual = Perceptual(features, ALL_TERMS, devices)
    perceptual.set_styles([[to_x(noise(64, 80)), to_x(noise(40, 48))]])
    trained = range(len(specs))
    chain = Chain(specs, lively(specs, styles=1), trained, 64, devices, batch=2, **more)
    photos = np.concatenate([to_x(noise(64, 64 + i)[:, i:]) for i in (0, 1)])
    for _ in range(steps):
        rows = batch_gradients(perceptual, chain, photos, [0, 0], {k: 0.5 for k in trained})
        chain.update(5e-4)
    return chain.params(), rows


def assert_learned_alike(got: Arrays, want: Arrays) -> None:
    """Compare parameters after five steps of 5e-4.

    A step of Adam has the size of the rate, whatever the gradient's size: where that is nearly
    zero, rounding decides which way it goes. So single numbers may be a few steps apart.
    """
    for name, array in want.items():
        difference = abs(got[name] - array)
        assert difference.mean() < 5e-5 and difference.max() < 3e-3, name


@pytest.mark.parametrize("coupling", ["own", "through", "suffix_sum"])
def test_five_steps_of_training(
    coupling: str, pair: tuple[Devices, Devices], features: Features
) -> None:
    specs = [GENERATORS["conv-fast"], GENERATORS["deconv-fast"]]
    (want, losses), (got, same) = (
        learned(devices, specs, features, 5, coupling=coupling) for devices in pair
    )
    # The engines' roundings grow with each step of Adam, and layout and palette are small.
    np.testing.assert_allclose(same[:, :-1], losses[:, :-1], rtol=1e-2)
    assert_learned_alike(got, want)


def test_photos_at_once_learn_what_they_learn_in_turn(
    pair: tuple[Devices, Devices], features: Features
) -> None:
    # One graph, mapped over the photos; a card records it at the third step and replays it.
    specs = [GENERATORS["conv-fast"], GENERATORS["deconv-fast"]]
    (want, losses), (got, same) = (
        learned(pair[1], specs, features, 5, coupling="through", photos=count) for count in (1, 2)
    )
    np.testing.assert_allclose(same[:, :-1], losses[:, :-1], rtol=1e-2)
    assert_learned_alike(got, want)


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("size", [(64, 96), (61, 87)])
def test_painting(kind: str, size: tuple[int, int], pair: tuple[Devices, Devices]) -> None:
    model = random_chain([GENERATORS[kind]] * 2, ["a"]).model("a")
    want, got = (PhotoPainter(model, devices, 2).paint(noise(*size)) for devices in pair)
    assert abs(want.astype(int) - got).max() <= 1


def test_painting_in_tiles_and_in_bfloat16(pair: tuple[Devices, Devices]) -> None:
    model = random_chain([GENERATORS["conv-fast"]] * 2, ["a"]).model("a")
    photo = noise(300, 200)
    want, got = (PhotoPainter(model, devices, 2, tile=160).paint(photo) for devices in pair)
    assert abs(want.astype(int) - got).max() <= 1
    half = PhotoPainter(model, pair[1], 2, precision="bfloat16").paint(photo).astype(int)
    assert 0 < abs(want - half).mean() < 3


def test_statistics_of_norms_of_a_picture(pair: tuple[Devices, Devices]) -> None:
    specs = [GENERATORS["conv-fast"]]
    symbol, params = measuring_graph(specs), lively(specs)
    x = 50 * numbers(1, 3, 48, 56)
    found = []
    for devices in pair:
        executor = devices.executor(symbol, {"x": x.shape}, gradients=list(params)[:1])
        executor.set_parameters(params)
        found.append([devices.get(out).copy() for out in executor.forward(x=devices.put(x))])
    assert len(found[0]) == 2 * len(norm_names(specs))
    for i, (want, got) in enumerate(zip(*found, strict=True)):
        assert_close(got, want, str(i))
