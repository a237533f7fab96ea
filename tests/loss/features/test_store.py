"""Features files and random features: what they compute, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuralart.engine.door import mx
from neuralart.errors import WeightsError
from neuralart.loss.features.store import Features, load_features, random_features, read_features
from neuralart.loss.features.weights import fold_head
from neuralart.loss.layers import STYLE_LAYERS, conv_names
from neuralart.loss.vgg import style_maps, vgg
from neuralart.pictures.pixels import PIXEL_MEAN


def evaluate(features: Features, taps: list[str], x: np.ndarray) -> list[np.ndarray]:
    symbol = mx.sym.Group(list(vgg(mx.sym.Variable("x"), features.spec, taps).values()))
    arrays = {k: mx.nd.array(v) for k, v in features.weights.items()}
    arrays = {k: v for k, v in arrays.items() if k in symbol.list_arguments()}
    outputs = symbol.bind(mx.cpu(), {**arrays, "x": mx.nd.array(x)}).forward()
    return [out.asnumpy() for out in outputs]


def by_numpy(arrays: dict[str, np.ndarray], rgb: np.ndarray, until: str) -> np.ndarray:
    """A distilled VGG-19 in numpy: RGB in 0..1, reflection padding, ReLU, max pooling."""
    out = (
        np.tensordot(arrays["input_weight"][:, :, 0, 0], rgb, 1)
        + arrays["input_bias"][:, None, None]
    )
    pooled = 1
    for block, name in conv_names(until):
        if block != pooled:
            c, h, w = out.shape
            out = out[:, : h // 2 * 2, : w // 2 * 2].reshape(c, h // 2, 2, w // 2, 2).max((2, 4))
            pooled = block
        padded = np.pad(out, ((0, 0), (1, 1), (1, 1)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        out = np.einsum("oikl,ihwkl->ohw", arrays[f"conv{name}_weight"], windows)
        out = np.maximum(out + arrays[f"conv{name}_bias"][:, None, None], 0)
    return out


@pytest.mark.parametrize("layer", ["relu1_1", "relu3_1", "relu4_2", "relu5_1"])
def test_a_file_is_run_as_its_description_says(
    features_file: Path, tiny_file_arrays: dict[str, np.ndarray], layer: str
) -> None:
    rgb = np.random.default_rng(0).uniform(0, 1, (3, 34, 40)).astype(np.float32)
    x = (rgb * 255 - PIXEL_MEAN[:, None, None])[None]
    got = evaluate(read_features(features_file), [layer], x)[0][0]
    want = by_numpy(tiny_file_arrays, rgb, layer)
    np.testing.assert_allclose(got, want, atol=2e-4 * abs(want).max())


def test_a_folded_head_keeps_gram_distances() -> None:
    rng = np.random.default_rng(0)
    matrix, bias = (
        rng.normal(size=(40, 6)).astype(np.float32),
        rng.normal(size=40).astype(np.float32),
    )
    weight, shift = fold_head(matrix, bias)
    assert weight.shape == (7, 6, 1, 1) and shift.shape == (7,)

    def distance(m: np.ndarray, b: np.ndarray) -> float:
        grams = []
        for seed in (1, 2):
            f = np.random.default_rng(seed).normal(size=(6, 50))
            h = m @ f + b[:, None]
            grams.append(h @ h.T / 50)
        return float(((grams[0] - grams[1]) ** 2).sum())

    assert distance(weight[:, :, 0, 0], shift) == pytest.approx(distance(matrix, bias), rel=1e-4)


def test_style_maps_have_the_heads_channels(features_file: Path) -> None:
    features = read_features(features_file)
    maps, _ = style_maps(mx.sym.Variable("x"), features.spec)
    shapes = [m.infer_shape(x=(1, 3, 64, 48))[1][0] for m in maps]
    assert shapes == [(1, 5, 64, 48), (1, 7, 32, 24), (1, 9, 16, 12), (1, 11, 8, 6), (1, 13, 4, 3)]


def test_vgg_has_its_sixteen_convolutions() -> None:
    names = [name for _, name in conv_names("relu5_4")]
    assert len(names) == 16 and names[:5] == ["1_1", "1_2", "2_1", "2_2", "3_1"]
    with pytest.raises(WeightsError, match="relu6_1"):
        list(conv_names("relu6_1"))


def test_random_features_are_the_same_every_time() -> None:
    assert random_features().sha256 == load_features("random").sha256
    assert random_features(seed=5).sha256 != random_features().sha256


def broken(arrays: dict[str, np.ndarray], change: str) -> dict[str, np.ndarray]:
    arrays = dict(arrays)
    if change == "missing":
        del arrays["conv3_2_bias"]
    elif change == "unknown":
        arrays["fc6_weight"] = np.zeros(3, np.float32)
    elif change == "nan":
        arrays["conv4_1_weight"] = arrays["conv4_1_weight"] * np.nan
    elif change == "shape":
        arrays["conv2_1_weight"] = arrays["conv2_1_weight"][:, :-1]
    elif change == "head":
        arrays["head2_1_weight"] = arrays["head2_1_weight"][:, :-1]
    elif change == "pickle":
        arrays["conv1_1_bias"] = np.array([{"a": 1}], dtype=object)
    return arrays


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "1 arrays missing: conv3_2_bias"),
        ("unknown", "1 arrays unknown: fc6_weight"),
        ("nan", "not finite numbers: conv4_1_weight"),
        ("shape", "conv2_1_weight is"),
        ("head", "head2_1_weight is"),
        ("pickle", "damaged"),
    ],
)
def test_a_wrong_file_is_refused(
    tmp_path: Path, tiny_file_arrays: dict[str, np.ndarray], change: str, words: str
) -> None:
    np.savez(tmp_path / "vgg.npz", **broken(tiny_file_arrays, change))
    with pytest.raises(WeightsError, match=words):
        read_features(tmp_path / "vgg.npz")


def test_a_file_cut_short_is_refused(tmp_path: Path, features_file: Path) -> None:
    data = features_file.read_bytes()
    for length in (0, 100, len(data) // 2, len(data) - 30):
        (tmp_path / "cut.npz").write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"cut\.npz"):
            read_features(tmp_path / "cut.npz")
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(flipped)
    with pytest.raises(WeightsError, match="damaged"):
        read_features(tmp_path / "flipped.npz")
    with pytest.raises(WeightsError, match="No such file"):
        read_features(tmp_path / "none.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(WeightsError, match=r"one\.npy"):
        read_features(tmp_path / "one.npy")


def test_all_style_layers_have_a_head_or_none(
    tmp_path: Path, tiny_file_arrays: dict[str, np.ndarray]
) -> None:
    plain = {k: v for k, v in tiny_file_arrays.items() if not k.startswith("head")}
    np.savez(tmp_path / "plain.npz", **plain)
    assert read_features(tmp_path / "plain.npz").spec.heads == (0,) * len(STYLE_LAYERS)
