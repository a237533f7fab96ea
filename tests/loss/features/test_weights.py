"""One tiny VGG-19 in every known file format, compared with a VGG in numpy."""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from weight_files import (
    EMPTY_DICT,
    Arrays,
    caffe_names,
    gluon_names,
    numpy_vgg,
    op,
    state_dict,
    tiny_vgg,
    torch_names,
    torch_tensor,
    write_h5,
    write_params,
    write_safetensors,
    write_torch_legacy,
    write_torch_zip,
)

from neuralart.engine.door import mx
from neuralart.errors import WeightsError
from neuralart.loss.features.formats import read_arrays
from neuralart.loss.features.store import Features, read_features, write_features
from neuralart.loss.vgg import vgg
from neuralart.pictures.pixels import PIXEL_MEAN

DATA = Path(__file__).parents[2] / "data"

RGB = np.random.default_rng(0).uniform(0, 255, (3, 34, 40))

LAYERS = ["relu1_2", "relu2_1", "relu4_2", "relu5_1"]


def activations(features: Features) -> dict[str, np.ndarray]:
    """The activations that neuralart computes from x, by layer."""
    x = (RGB - PIXEL_MEAN[:, None, None])[None].astype(np.float32)
    symbol = mx.sym.Group(list(vgg(mx.sym.Variable("x"), features.spec, LAYERS).values()))
    bound = {k: mx.nd.array(v) for k, v in features.weights.items()}
    outputs = symbol.bind(mx.cpu(), {**bound, "x": mx.nd.array(x)}).forward()
    return {name: out.asnumpy()[0] for name, out in zip(LAYERS, outputs, strict=True)}


def per_channel(values: list[float]) -> np.ndarray:
    return np.array(values)[:, None, None]


# The pixels that each source expects, written independently of neuralart's own conventions.
PIXELS: dict[str, np.ndarray] = {
    "imagenet": (RGB / 255 - per_channel([0.485, 0.456, 0.406]))
    / per_channel([0.229, 0.224, 0.225]),
    "rgb": RGB - per_channel([123.68, 116.779, 103.939]),
    "bgr": RGB[::-1] - per_channel([103.939, 116.779, 123.68]),
}

Writer = Callable[[Path, Arrays], None]


def npz(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


# file -> (name of its pixel convention, pooling, writer)
FORMS: dict[str, tuple[str, str, Writer]] = {
    "torch-zip.pth": ("imagenet", "max", lambda p, a: write_torch_zip(p, torch_names(a))),
    "torch-2017.pth": ("imagenet", "max", lambda p, a: write_torch_legacy(p, torch_names(a))),
    "torch.safetensors": ("imagenet", "max", lambda p, a: write_safetensors(p, torch_names(a))),
    "gluon.params": ("imagenet", "max", lambda p, a: write_params(p, gluon_names(a), 2)),
    "gluon-features.params": ("imagenet", "max", lambda p, a: write_params(p, torch_names(a), 2)),
    "saved-by-mxnet.params": (
        "imagenet",
        "max",
        lambda p, a: mx.nd.save(str(p), {k: mx.nd.array(v) for k, v in gluon_names(a).items()}),
    ),
    "web-data-2015.params": ("rgb", "avg", lambda p, a: write_params(p, arg(caffe_names(a)), 0)),
    "web-data-2017.params": ("rgb", "avg", lambda p, a: write_params(p, arg(caffe_names(a)), 1)),
    "plain.npz": ("rgb", "avg", lambda p, a: npz(p, a)),
    "keras-2.h5": ("bgr", "max", lambda p, a: write_h5(p, a, "weights")),
    "keras-model.h5": ("bgr", "max", lambda p, a: write_h5(p, a, "model")),
    "keras-1-notop.h5": ("bgr", "max", lambda p, a: write_h5(p, a, "notop")),
}


def arg(arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"arg:{name}": array for name, array in arrays.items()}


def write(folder: Path, form: str, arrays: Arrays) -> Path:
    if form.endswith(".h5"):
        pytest.importorskip("h5py")
    FORMS[form][2](folder / form, arrays)
    return folder / form


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_run_as_its_source_says(tmp_path: Path, form: str) -> None:
    arrays = tiny_vgg()
    pixels, pooling, _ = FORMS[form]
    features = read_features(write(tmp_path, form, arrays))
    assert (features.spec.padding, features.spec.pooling) == ("zero", pooling)
    for layer, got in activations(features).items():
        want = numpy_vgg(arrays, PIXELS[pixels], layer, padding="zero", pooling=pooling)
        np.testing.assert_allclose(got, want, atol=2e-4 * abs(want).max(), err_msg=layer)


@pytest.mark.parametrize("form", FORMS)
def test_one_net_in_every_form_gives_the_same_activations(tmp_path: Path, form: str) -> None:
    """The same net is rewritten for each source's pixels; zero padding changes two edge pixels."""
    ours = tiny_vgg()
    matrix, shift = affine(PIXELS[FORMS[form][0]])
    theirs = dict(ours)
    # conv1_1 expects RGB in 0..1, which is inverse @ (pixels - shift).
    inverse = np.linalg.inv(matrix)
    weight = np.einsum("ochw,cd->odhw", ours["conv1_1_weight"], inverse)
    theirs["conv1_1_weight"] = weight.astype(np.float32)
    offset = np.einsum("odhw,d->o", weight, shift)
    theirs["conv1_1_bias"] = (ours["conv1_1_bias"] - offset).astype(np.float32)
    got = activations(read_features(write(tmp_path, form, theirs)))["relu1_2"]
    want = numpy_vgg(ours, RGB / 255, "relu1_2", padding="zero", pooling="max")
    inside = np.s_[:, 2:-2, 2:-2]
    np.testing.assert_allclose(got[inside], want[inside], atol=1e-4 * want.max())


def affine(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit (matrix, shift) so that pixels = matrix @ (RGB / 255) + shift."""
    ones = np.ones((1, RGB[0].size))
    known = np.concatenate([RGB.reshape(3, -1) / 255, ones])
    found = np.linalg.lstsq(known.T, pixels.reshape(3, -1).T, rcond=None)[0]
    return found[:3].T, found[3]


@pytest.mark.parametrize("name", ["torch-zip.pth", "torch-legacy.pth"])
def test_files_that_torch_wrote(name: str) -> None:
    """tests/data/README.md says how the files were made."""
    widths = (2, 3, 4, 5, 6)
    features = read_features(DATA / name)
    assert features.spec.widths == widths
    for key, array in tiny_vgg(widths=widths).items():
        if key.startswith(("conv5_2", "conv5_3", "conv5_4")):
            assert key not in features.weights
        else:
            np.testing.assert_array_equal(features.weights[key], array)


@pytest.mark.parametrize("generation", [0, 1, 2])
def test_mxnet_reads_what_the_test_writes_as_params(tmp_path: Path, generation: int) -> None:
    arrays = tiny_vgg()
    write_params(tmp_path / "a.params", arrays, generation)
    loaded = mx.nd.load(str(tmp_path / "a.params"))
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name].asnumpy(), array)


@pytest.mark.parametrize(("kind", "tolerance"), [("F64", 0), ("F16", 1e-3), ("BF16", 1e-2)])
def test_other_kinds_of_numbers(tmp_path: Path, kind: str, tolerance: float) -> None:
    arrays = tiny_vgg()
    write_safetensors(tmp_path / "a.safetensors", torch_names(arrays), kind)
    features = read_features(tmp_path / "a.safetensors")
    for name, array in features.weights.items():
        assert array.dtype == np.float32
        if name.startswith("conv"):
            np.testing.assert_allclose(array, arrays[name], rtol=tolerance, atol=1e-6)


def test_a_transposed_tensor_of_torch(tmp_path: Path) -> None:
    arrays = torch_names(tiny_vgg())
    name = "features.5.weight"
    want = arrays[name]
    transposed = np.asfortranarray(want)
    assert transposed.strides != want.strides
    write_torch_zip(tmp_path / "a.pth", {**arrays, name: transposed})
    np.testing.assert_array_equal(read_features(tmp_path / "a.pth").weights["conv2_1_weight"], want)


def test_named_pixels_replace_the_implied_ones(tmp_path: Path) -> None:
    arrays = tiny_vgg()
    path = write(tmp_path, "torch-zip.pth", arrays)
    got = activations(read_features(path, "bgr"))["relu2_1"]
    want = numpy_vgg(arrays, PIXELS["bgr"], "relu2_1", padding="zero", pooling="max")
    np.testing.assert_allclose(got, want, atol=2e-4 * want.max())


@pytest.mark.parametrize("form", ["torch-zip.pth", "plain.npz"])
def test_our_own_file_keeps_everything(tmp_path: Path, form: str) -> None:
    features = read_features(write(tmp_path, form, tiny_vgg()))
    write_features(tmp_path / "ours.npz", features)
    again = read_features(tmp_path / "ours.npz")
    for field in ("spec", "source", "licence", "pixels"):
        assert getattr(again, field) == getattr(features, field)
    assert features.sha256 in again.source
    assert again.weights.keys() == features.weights.keys()
    for name, array in features.weights.items():
        np.testing.assert_array_equal(again.weights[name], array)
    data = (tmp_path / "ours.npz").read_bytes()
    write_features(tmp_path / "ours.npz", features)
    assert (tmp_path / "ours.npz").read_bytes() == data
    with np.load(tmp_path / "ours.npz") as file:  # numpy reads it too
        assert file["conv1_1_weight"].shape == (4, 3, 3, 3)


def test_our_own_file_keeps_heads(tmp_path: Path, features_file: Path) -> None:
    features = read_features(features_file)
    write_features(tmp_path / "ours.npz", features)
    again = read_features(tmp_path / "ours.npz")
    assert again.spec == features.spec and any(again.spec.heads)
    write_features(
        tmp_path / "bad.npz",
        Features(
            "", "", "", again.spec,
            {**again.weights, "head_relu2_1_bias": np.zeros(2, np.float32)},
        ),
    )  # fmt: skip
    with pytest.raises(WeightsError, match="head_relu2_1_bias is"):
        read_features(tmp_path / "bad.npz")


def without(arrays: Arrays, *names: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays.items() if name not in names}


def broken(arrays: Arrays, change: str) -> dict[str, np.ndarray]:
    """The arrays under torch's names, with one error."""
    named = torch_names(arrays)
    if change == "missing":
        return without(named, "features.7.bias")
    if change == "many missing":
        return {name: array for name, array in named.items() if name < "features.2"}
    if change == "nan":
        named["features.28.weight"] = named["features.28.weight"] * np.nan
    elif change == "shape":
        named["features.5.weight"] = named["features.5.weight"][:, :-1].copy()
    elif change == "kernel":
        named["features.0.weight"] = named["features.0.weight"][:, :, :1, :1].copy()
    elif change == "scalar":
        named["features.0.weight"] = np.float32(3).reshape(())
    elif change == "bias":
        named["features.10.bias"] = named["features.10.bias"][:-1].copy()
    elif change == "normalised":  # a vgg19_bn has a batch norm after every convolution
        named["features.1.running_mean"] = np.zeros(4, np.float32)
    elif change == "other":
        named = {f"layer{i}.weight": np.zeros(2, np.float32) for i in range(9)}
    return named


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "params", "npz"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("missing", "1 arrays missing: features.7.bias"),
        ("many missing", "missing: features.2.bias, features.2.weight, .*, ..."),
        ("nan", "1 arrays not finite numbers: features.28.weight"),
        ("shape", r"features.5.weight is \(5, 3, 3, 3\), not \(5, 4, 3, 3\)"),
        ("kernel", r"features.0.weight is \(4, 3, 1, 1\), not \(4, 3, 3, 3\)"),
        ("scalar", "features.0.weight is|damaged"),
        ("bias", r"features.10.bias is \(5,\), not \(6,\)"),
        ("normalised", "1 arrays unknown: features.1.running_mean"),
        ("other", "none of its 9 arrays is VGG-19's: layer0.weight"),
    ],
)
def test_another_net_is_refused(tmp_path: Path, form: str, change: str, words: str) -> None:
    path = tmp_path / "vgg.file"
    named = broken(tiny_vgg(), change)
    writers: dict[str, Writer] = {
        "zip": write_torch_zip,
        "legacy": write_torch_legacy,
        "safetensors": write_safetensors,
        "params": lambda p, a: write_params(p, a, 2),
        "npz": npz,
    }
    writers[form](path, named)
    with pytest.raises(WeightsError, match=words) as caught:
        read_features(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_number_too_large_for_float32_is_refused(tmp_path: Path) -> None:
    arrays = {**tiny_vgg(), "conv1_1_bias": np.full(4, 1e300)}
    npz(tmp_path / "a.npz", arrays)
    with pytest.raises(WeightsError, match="not finite numbers: conv1_1_bias"):
        read_features(tmp_path / "a.npz")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_short_is_refused(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form, tiny_vgg())
    data = path.read_bytes()
    for length in (0, 1, 9, 40, len(data) // 3, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        # The last byte of an HDF5 file may be padding, so that no number is cut.
        if form.endswith(".h5") and length == len(data) - 1:
            continue
        with pytest.raises(WeightsError, match=form):
            read_features(path)


@pytest.mark.parametrize("form", [f for f in FORMS if not f.endswith(".h5")])
def test_changed_bytes_give_a_weights_error_or_a_vgg(tmp_path: Path, form: str) -> None:
    path = write(tmp_path, form, tiny_vgg(widths=(1, 1, 1, 1, 1)))
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    places = [*range(0, min(len(data), 120), 2), *rng.integers(0, len(data), 60)]
    refused = 0
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            read_features(path)
        except WeightsError:
            refused += 1
    assert refused > len(places) // 10


EXECUTED: list[str] = []


def evil() -> None:
    EXECUTED.append("executed")


EVIL = b"ctest_weights\nevil\n)R"


@pytest.mark.parametrize("layout", ["zip", "legacy", "magic"])
@pytest.mark.parametrize(
    ("code", "name"),
    [
        (EVIL, "test_weights.evil"),
        (b"cposix\nsystem\nX\4\0\0\0true\x85R", "posix.system"),
        (b"cbuiltins\neval\n", "builtins.eval"),
        (b"ctorch\nload\n", "torch.load"),
        (b"ctorch.storage\n_load_from_bytes\n", "torch.storage._load_from_bytes"),
        (b"\x8c\x05torch\x8c\x13hub.load_state_dict\x93", "torch.hub.load_state_dict"),
    ],
)
def test_a_file_that_carries_code_is_refused_and_not_run(
    tmp_path: Path, layout: str, code: bytes, name: str
) -> None:
    path = tmp_path / "evil.pth"
    if layout == "zip":
        write_torch_zip(path, torch_names(tiny_vgg()), {"evil": code})
    elif layout == "legacy":
        write_torch_legacy(path, torch_names(tiny_vgg()))
        data = path.read_bytes()
        at = data.index(b"\x80\x02ccollections") + 2
        path.write_bytes(data[:at] + code + b"0" + data[at:])
    else:
        path.write_bytes(b"\x80\x04" + code + b".")
    with pytest.raises(WeightsError, match="carries code") as caught:
        read_features(path)
    assert name in str(caught.value)
    assert not EXECUTED


@pytest.mark.parametrize(
    "state",
    [
        b"\x80\x02K\5.",
        b"\x80\x02]K\5a.",
        state_dict({"a": b"K\5"}),
        state_dict({"a": torch_tensor("0", np.zeros(3, np.float32)) + b"}X\1\0\0\0aK\1sb"}),
        state_dict({"a": b"ctorch._utils\n_rebuild_tensor_v2\n(K\1K\0)K\1\x89Nt" + b"R"}),
        state_dict({"a": EMPTY_DICT}),
    ],
    ids=["number", "list", "number in it", "attributes", "no storage", "nested"],
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, state: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", state)
        archive.writestr("a/data/0", bytes(12))
    with pytest.raises(WeightsError, match="damaged"):
        read_features(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((4,), (1,), 0),
        ((3,), (1,), 1),
        ((2,), (-1,), 1),
        ((10**6, 10**6), (0, 0), 0),
        ((-1,), (1,), 0),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    tmp_path: Path, size: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    storage = op(("storage", b"ctorch\nFloatStorage\n", "0", "cpu", 3)) + b"Q"
    tensor = b"ctorch._utils\n_rebuild_tensor\n" + op((storage, offset, size, stride)) + b"R"
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", state_dict({"a": tensor}))
        archive.writestr("a/data/0", bytes(12))
    with pytest.raises(WeightsError, match="damaged"):
        read_arrays(tmp_path / "a.pth", (tmp_path / "a.pth").read_bytes())


def test_a_params_file_with_a_huge_shape_is_refused_at_once(tmp_path: Path) -> None:
    """``mx.nd.load`` fills the memory for such a file."""
    write_params(tmp_path / "a.params", tiny_vgg(), 2)
    data = bytearray((tmp_path / "a.params").read_bytes())
    struct.pack_into("<I", data, 24, 0x7993FAC9)
    (tmp_path / "a.params").write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        read_features(tmp_path / "a.params")


def test_h5_without_h5py_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "keras-2.h5", tiny_vgg())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=r"pip install .*\[keras\]'"):
        read_features(path)
