"""Finds, reads and writes VGG features: the weights of the net that the losses are measured with.

A features file is a zip of ``header.json``, which says how the net must be run, and one ``.npy``
for each array of `neuralart.loss.features.weights`. The user cache holds one for each name; the
package ships ``small``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from neuralart.errors import OutputError, WeightsError
from neuralart.loss.features.formats import read_arrays
from neuralart.loss.features.weights import (
    CONVS,
    FULL_WIDTHS,
    PARTS,
    Weights,
    check_convs,
    check_known,
    check_names,
    recognise,
    unit_rgb,
)
from neuralart.loss.layers import PADDINGS, STYLE_LAYERS, VggSpec
from neuralart.machine.archive import Archive, open_archive, write_archive
from neuralart.machine.files import DATA
from neuralart.machine.words import did_you_mean

FORMAT = 1

KIND = "neuralart features"

# torchvision puts the first eight digits of a file's SHA-256 in its name, MXNet's model zoo those
# of its SHA-1.
_CHECKSUM = re.compile(r"-(?P<digits>[0-9a-f]{8})\.(?P<form>pth|params)$")

_WORDS = ("source", "licence", "pixels", "padding", "pooling")

# Bytes. VGG-19 with its three dense layers has 575 MB; twice that in float64.
_MOST_BYTES = 2_000_000_000

# Rows of a head. A folded one has at most 513.
_MOST_HEAD = 4096

# A quarter of VGG-19's channels: enough for random features, at a tenth of the cost.
RANDOM_WIDTHS = (16, 32, 64, 128, 128)

SMALL = DATA / "features-small.npz"


@dataclass(frozen=True)
class Features:
    """A VGG with its weights.

    source    where the weights come from, in words
    sha256    of the file; of the arrays where there is no file
    pixels    the pixels that the net was trained on, in words
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
        """The number of weights."""
        return sum(array.size for array in self.weights.values())


@dataclass(frozen=True)
class Entry:
    """A name that `load_features` knows, and its file; None for features that are computed."""

    name: str
    path: Path | None

    @property
    def is_there(self) -> bool:
        return self.path is None or self.path.is_file()


def cache_path(name: str) -> Path:
    """The file for the features ``name`` in the user cache, whether it exists or not."""
    return platformdirs.user_cache_path("neuralart", appauthor=False) / "features" / f"{name}.npz"


def entries() -> list[Entry]:
    """All names of features: small, vgg19, random, and the other files in the user cache."""
    known = {"small": SMALL, "vgg19": cache_path("vgg19"), "random": None}
    cached = sorted(cache_path("vgg19").parent.glob("[!.]*.npz"))
    known.update({path.stem: path for path in cached if path.stem not in known})
    return [Entry(name, path) for name, path in known.items()]


def load_features(name: str) -> Features:
    """Load the features of a name in `entries`, or of any file that `read_features` reads.

    The order is: small, vgg19 and random; a file; another name in the cache.
    Raises WeightsError that says what to do if they are missing, or which arrays are wrong.
    """
    known = {entry.name: entry for entry in entries()}
    # small, vgg19 and random mean the same in every folder; ./small is a file.
    entry = known.get(name) if name in ("small", "vgg19", "random") or not _exists(name) else None
    if entry is None:
        if not _exists(name):
            raise WeightsError(
                f"features {name}: no such file, and no name of features ({', '.join(known)})"
                f"{did_you_mean(name, known)}"
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
    """Make a VGG with random weights (He et al. 2015); a seed gives the same on every machine.

    Random features respond to textures but not to objects: they serve to try the tool, not to
    judge its results.
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
    """Read the VGG in a file: a features file, or one that `recognise` knows.

    ``pixels`` is a name in `weights.PIXELS`; by default the arrays' names decide it.
    Raises WeightsError if the file is missing, damaged, carries code, or holds no VGG-19.
    """
    data = _read_bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if _is_ours(data):
        if pixels is not None:
            raise WeightsError(f"{path}: is converted already and knows its pixels")
        with open_archive(path, WeightsError, "a features file", io.BytesIO(data)) as archive:
            return _read_ours(path, archive, sha256)
    net = recognise(path, read_arrays(path, data), pixels)
    source = f"{net.source}: the file {path.name} of SHA-256 {sha256}"
    return Features(path.name, source, sha256, net.spec, net.weights, net.licence, net.pixels)


def _read_bytes(path: Path) -> bytes:
    try:
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISFIFO(kind)):
            raise WeightsError(f"{path}: is a device, not a file of weights")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > _MOST_BYTES:
        raise WeightsError(f"{path}: is over {_MOST_BYTES / 1e9:g} GB, which no VGG-19 is")
    return data


def _read_as_named(path: Path, pixels: str | None = None) -> Features:
    """`read_features`; raises WeightsError too if the file's name has another checksum."""
    features = read_features(path, pixels)
    match = _CHECKSUM.search(path.name)
    if match is None:
        return features
    kind, digest = "SHA-256", features.sha256
    if match["form"] == "params":
        kind, digest = "SHA-1", hashlib.sha1(path.read_bytes()).hexdigest()
    if not digest.startswith(match["digits"]):
        raise WeightsError(
            f"{path}: its {kind} is {digest[:8]}..., not {match['digits']}... as its name says: "
            "damaged, or another file; fetch it again, or give it another name to use it as it is"
        )
    return features


def write_features(path: Path, features: Features) -> None:
    """Write a features file; the same features give the same bytes.

    Raises OutputError if the file cannot be written; then no file is left behind.
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
    """Check a file of weights, write it as a features file, and return that file's path.

    Without ``out`` the file goes to the cache: as vgg19 if it has the full VGG-19's widths, else
    under its own name.
    Raises WeightsError if it is no VGG-19, OutputError if the features file exists already.
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
    """The values that `features info` shows, by heading."""
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


def _read_ours(path: Path, archive: Archive, sha256: str) -> Features:
    header, found = archive.header, archive.shapes
    if header.get("kind") != KIND:
        raise WeightsError(f"{path}: not a features file, but some other of neuralart's")
    if header.get("format") != FORMAT:
        raise WeightsError(f"{path}: of another version of neuralart; convert the original again")
    words = {key: str(header.get(key)) for key in _WORDS}
    if words["padding"] not in PADDINGS or words["pooling"] not in ("max", "avg"):
        raise WeightsError(f"{path}: damaged, or not a features file; name another, or get it anew")
    heads = [layer for layer in STYLE_LAYERS if f"head_{layer}_weight" in found]
    layers = ["input", *(f"conv{name}" for _, name in CONVS), *(f"head_{layer}" for layer in heads)]
    names = {f"{layer}_{part}" for layer in layers for part in PARTS}
    check_known(path, found, names)
    widths = check_convs(path, found)
    channels = dict(zip(STYLE_LAYERS, widths, strict=True))
    outputs = {
        layer: tuple(min(n, _MOST_HEAD) for n in found[f"head_{layer}_weight"][:1])
        for layer in heads
    }
    shapes: dict[str, tuple[int, ...]] = {"input_weight": (3, 3, 1, 1), "input_bias": (3,)}
    for layer, out in outputs.items():
        shapes[f"head_{layer}_weight"] = (*out, channels[layer], 1, 1)
        shapes[f"head_{layer}_bias"] = out
    for name, shape in shapes.items():
        if found[name] != shape:
            raise WeightsError(f"{path}: {name} is {found[name]}, not {shape}")
    arrays = archive.arrays()
    check_names(path, arrays, names)
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
