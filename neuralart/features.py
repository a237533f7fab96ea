"""VGG features: a net that measures pictures, where it lies, and what a name stands for.

A features file is a zip of ``header.json`` and one ``.npy`` for each array of `neuralart.weights`, so it
says by itself how it must be run. The user cache has one for each name, the package has ``small``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from neuralart.errors import OutputError, WeightsError
from neuralart.files import read_archive, write_archive
from neuralart.formats import read_arrays
from neuralart.symbols.vgg import STYLE_LAYERS, VggSpec
from neuralart.weights import (
    CONVS,
    PARTS,
    Array,
    Weights,
    check_convs,
    check_names,
    fold_head,
    recognise,
    unit_rgb,
)

__all__ = ["Array", "Features", "fold_head", "load_features", "random_features", "read_features"]

FORMAT = 1
KIND = "neuralart features"

# torchvision and MXNet's model zoo name a file by the first eight digits of its SHA-256, or SHA-1.
_CHECKSUM = re.compile(r"-(?P<digits>[0-9a-f]{8})\.(?P<form>pth|params)$")

_WORDS = ("source", "licence", "pixels", "padding", "pooling")

FULL_WIDTHS = (64, 128, 256, 512, 512)

# A quarter of VGG-19's channels: random features need no more, and cost a tenth.
RANDOM_WIDTHS = (16, 32, 64, 128, 128)

SMALL = Path(__file__).parent / "data" / "features-small.npz"


@dataclass(frozen=True)
class Features:
    """A VGG with its weights, ready to measure pictures.

    ``source`` says in words where the weights come from, ``pixels`` what the net was trained on;
    ``sha256`` is that of the file, or of the arrays where there is none.
    """

    name: str
    source: str
    sha256: str
    spec: VggSpec
    weights: Weights
    licence: str = "unknown"
    pixels: str = "unknown"

    @property
    def parameters(self) -> int:
        return sum(array.size for array in self.weights.values())


@dataclass(frozen=True)
class Entry:
    """A name that `load_features` knows; ``path`` is None for features that are made when used."""

    name: str
    path: Path | None

    @property
    def is_there(self) -> bool:
        return self.path is None or self.path.is_file()


def cache_path(name: str) -> Path:
    """Where the user cache has the features of a name, if it has them."""
    return platformdirs.user_cache_path("neuralart", appauthor=False) / "features" / f"{name}.npz"


def entries() -> list[Entry]:
    """The names that stand for features: the three that are always known, and what else is cached."""
    known = {"small": SMALL, "vgg19": cache_path("vgg19"), "random": None}
    cached = sorted(cache_path("vgg19").parent.glob("[!.]*.npz"))
    known.update({path.stem: path for path in cached if path.stem not in known})
    return [Entry(name, path) for name, path in known.items()]


def load_features(name: str) -> Features:
    """The features of a name in `entries`, or else of a file of any format that we know.

    Raises WeightsError that says what to do if they are not there, or which arrays are wrong.
    """
    known = {entry.name: entry for entry in entries()}
    # The names that are always known mean the same in every folder; ./small is a file.
    entry = known.get(name) if name in ("small", "vgg19", "random") or not _exists(name) else None
    if entry is None:
        if not _exists(name):
            raise WeightsError(
                f"features {name}: no such file, and no name of features ({', '.join(known)})"
            )
        return _read_as_named(Path(name))
    if entry.path is None:
        return random_features()
    if not entry.is_there and name == "vgg19":
        raise WeightsError(
            f"features vgg19: not here yet; run `neuralart features fetch`, or `neuralart features "
            f"convert vgg19-dcbb9e9d.pth` if you have the file; it goes to {entry.path}"
        )
    if not entry.is_there:
        raise WeightsError(
            f"features {name}: {entry.path} is missing from this installation; "
            "install neuralart again, or use --features vgg19, random or a file"
        )
    return dataclasses.replace(read_features(entry.path), name=name)


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # a name too long for a file
        return False


def random_features(seed: int = 0, widths: tuple[int, ...] = RANDOM_WIDTHS) -> Features:
    """A VGG with random weights (He et al. 2015), the same for a seed on every machine.

    Random features know textures and no objects: good enough to try the tool, not to judge it.
    """
    rng = np.random.default_rng(seed)
    pixels = unit_rgb("RGB in -1..1", np.eye(3, dtype=np.float32) * 2, np.full(3, -1, np.float32))
    weights = pixels.input()
    channels = 3
    for block, name in CONVS:
        out = widths[block - 1]
        scale = np.sqrt(2 / (9 * channels))
        weights[f"conv{name}_weight"] = np.float32(scale) * rng.standard_normal(
            (out, channels, 3, 3), dtype=np.float32
        )
        weights[f"conv{name}_bias"] = np.zeros(out, np.float32)
        channels = out
    digest = hashlib.sha256(b"".join(weights[key].tobytes() for key in sorted(weights)))
    spec = VggSpec(widths, padding="reflect", pooling="avg")
    return Features(
        "random",
        f"random weights of seed {seed}",
        digest.hexdigest(),
        spec,
        weights,
        licence="none needed",
        pixels=pixels.words,
    )


def read_features(path: Path, pixels: str | None = None) -> Features:
    """The VGG of a file: our own, or any that `neuralart.formats` and `neuralart.weights` know.

    ``pixels`` names another convention of the pixels than the arrays' names imply (`weights.PIXELS`).
    Raises WeightsError if the file is missing, damaged, carries code, or is not such a net.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None
    sha256 = hashlib.sha256(data).hexdigest()
    if _is_ours(data):
        if pixels is not None:
            raise WeightsError(f"{path}: is converted already and knows its pixels")
        return _read_ours(path, sha256)
    net = recognise(path, read_arrays(path, data), pixels)
    source = f"{net.source}: the file {path.name} of SHA-256 {sha256}"
    return Features(path.name, source, sha256, net.spec, net.weights, net.licence, net.pixels)


def _read_as_named(path: Path, pixels: str | None = None) -> Features:
    """`read_features`, of a file whose checksum begins as its name says, if its name says it."""
    features = read_features(path, pixels)
    match = _CHECKSUM.search(path.name)
    if match is None:
        return features
    kind, digest = "SHA-256", features.sha256
    if match["form"] == "params":
        kind, digest = "SHA-1", hashlib.sha1(path.read_bytes()).hexdigest()
    if not digest.startswith(match["digits"]):
        raise WeightsError(
            f"{path}: its {kind} is {digest[:8]}..., not {match['digits']}... as its name says: damaged, or "
            "another file; fetch it again, or give it another name to use it as it is"
        )
    return features


def write_features(path: Path, features: Features) -> None:
    """Write a features file; equal features give equal bytes.

    Raises OutputError if it cannot be written; nothing is left behind then.
    """
    header = {
        "kind": KIND,
        "format": FORMAT,
        "source": features.source,
        "licence": features.licence,
        "pixels": features.pixels,
        "padding": features.spec.padding,
        "pooling": features.spec.pooling,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
    write_archive(path, header, features.weights)


def convert(
    path: Path, out: Path | None = None, pixels: str | None = None, overwrite: bool = False
) -> Path:
    """Check a file of weights and write it as a features file; where, is returned.

    Without ``out`` it goes to the cache: as vgg19 if it has the full VGG-19's widths, or else by its
    own name. Raises WeightsError if it is no VGG, OutputError if something is there already.
    """
    features = _read_as_named(path, pixels)
    if out is None:
        is_full = features.spec.widths == FULL_WIDTHS and not any(features.spec.heads)
        name = "vgg19" if is_full else path.stem
        if name in ("small", "random") or (name == "vgg19" and not is_full):
            raise OutputError(f"{path}: {name} is the name of other features; add --out FILE.npz")
        out = cache_path(name)
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists already; add --overwrite to replace it")
    write_features(out, features)
    return out


def describe(features: Features) -> dict[str, str]:
    """What `features info` shows, by its headings."""
    spec = features.spec

    def numbers(values: tuple[int, ...]) -> str:
        return " ".join(map(str, values))

    return {
        "name": features.name,
        "source": features.source,
        "licence": features.licence,
        "sha256": features.sha256,
        "pixels": features.pixels,
        "widths": numbers(spec.widths),
        "heads": numbers(spec.heads) if any(spec.heads) else "none",
        "padding": spec.padding,
        "pooling": spec.pooling,
        "parameters": str(features.parameters),
    }


def _is_ours(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "header.json" in archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _read_ours(path: Path, sha256: str) -> Features:
    header, arrays, _ = read_archive(path, WeightsError, "a features file")
    if header.get("kind") != KIND:
        raise WeightsError(f"{path}: not a features file, but some other of neuralart's")
    if header.get("format") != FORMAT:
        raise WeightsError(f"{path}: of another version of neuralart; convert the original again")
    words = {key: str(header.get(key)) for key in _WORDS}
    if words["padding"] not in ("zero", "reflect") or words["pooling"] not in ("max", "avg"):
        raise WeightsError(f"{path}: damaged, or not a features file")
    heads = [layer for layer in STYLE_LAYERS if f"head_{layer}_weight" in arrays]
    layers = ["input", *(f"conv{name}" for _, name in CONVS), *(f"head_{layer}" for layer in heads)]
    check_names(path, arrays, {f"{layer}_{part}" for layer in layers for part in PARTS})
    widths = check_convs(path, arrays)
    channels = dict(zip(STYLE_LAYERS, widths, strict=True))
    outputs = {layer: arrays[f"head_{layer}_weight"].shape[:1] for layer in heads}
    shapes: dict[str, tuple[int, ...]] = {"input_weight": (3, 3, 1, 1), "input_bias": (3,)}
    for layer, out in outputs.items():
        shapes[f"head_{layer}_weight"] = (*out, channels[layer], 1, 1)
        shapes[f"head_{layer}_bias"] = out
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise WeightsError(f"{path}: {name} is {arrays[name].shape}, not {shape}")
    spec = VggSpec(
        widths,
        words["padding"],
        words["pooling"],
        tuple(outputs[layer][0] if layer in heads else 0 for layer in STYLE_LAYERS),
    )
    weights = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    return Features(
        path.name, words["source"], sha256, spec, weights, words["licence"], words["pixels"]
    )
