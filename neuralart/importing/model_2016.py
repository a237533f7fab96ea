"""``neuralart import``: make a model of the parameters that were published in 2016.

They are a zip file with MXNet's ``.params`` of each generator. Nothing is unpacked to the disk, and
no member is read before its size has been judged.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import struct
from pathlib import Path, PurePosixPath

import numpy as np

from neuralart import __version__
from neuralart.chain.model import THUMBNAIL_PX, Model, StyledChain
from neuralart.chain.shipped import SUFFIX
from neuralart.errors import ConfigError, ModelError, OutputError
from neuralart.importing.generators_2016 import SPECS, folded_params, published_shapes
from neuralart.loss.features.formats import read_params
from neuralart.machine.archive import DAMAGE, Arrays, Shapes, ZipOfArrays
from neuralart.machine.files import check_place
from neuralart.machine.words import short
from neuralart.options.import_ import ImportConfig
from neuralart.pictures.editing import resize_shorter_edge
from neuralart.pictures.reading import read_image
from neuralart.pictures.writing import encode_image

PARAMS = ".params"

# Bytes. A generator's largest file has 14 million, the published zip file about 30 million.
MOST_MEMBER = 64_000_000

MOST_FILES = 64
"""The most parameter files in a zip file: training kept some of each generator."""

TRAINED_AT_PX = 384
"""Edge of the style image in the training of 2016."""

LICENCE = "that of the owner of the imported parameters"

_BROKEN = (*DAMAGE, struct.error)

_NUMBERED = re.compile(r"(?:convolution|deconvolution|batchnorm)\d+_\w+")


def import_model(source: Path, config: ImportConfig) -> Path:
    """Turn a zip file of the 2016 parameters into a model file, and return its path.

    Raises ModelError if the zip file is not such a one, ConfigError for a name that cannot be a
    style's, ImageError for a wrong style image, OutputError if the model cannot be written. Nothing
    is written then.
    """
    target = config.to
    if target.suffix != SUFFIX:
        raise OutputError(f"--to {target}: a model's file name ends with {SUFFIX}; name it so")
    if not re.fullmatch(r"[^\s,=/]+", target.stem):
        raise ConfigError(
            f"--to {target}: {target.stem!r} is no good as a style's name; choose a file name "
            "without spaces, commas and ="
        )
    check_place(target, config.overwrite)
    image = None if config.style_image is None else read_image(config.style_image)
    params = folded_params(_read_generators(source))
    wrong = [name for name, array in params.items() if not np.isfinite(array).all()]
    if wrong:
        raise ModelError(f"{source}: arrays with numbers that are not finite; fetch the file again")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    card = {
        "style": config.style_image.name if config.style_image else "",
        "licence": LICENCE,
        "started": f"imported from {source.name} (SHA-256 {digest[:16]}...)",
        "neuralart": __version__,
        "multiply_adds_per_pixel": round(sum(spec.multiply_adds() for spec in SPECS)),
        "options": {"style_scale": TRAINED_AT_PX},
    }
    model = Model(SPECS, params, card, name=target.stem)
    if image is not None:
        small, kept = (resize_shorter_edge(image, px) for px in (THUMBNAIL_PX, TRAINED_AT_PX))
        model = dataclasses.replace(
            model,
            thumbnail=encode_image(small, ".png"),
            style_image=encode_image(kept, ".jpg"),
        )
    StyledChain.of(model).save(target)
    return target


def _read_generators(source: Path) -> Arrays:
    """The published arrays of all four generators by name, float32. Raises ModelError."""
    if source.is_dir():
        raise ModelError(f"{source}: is a folder; name the zip file of the parameters")
    try:
        with contextlib.closing(ZipOfArrays(source)) as archive:
            members = _members(source, archive.sizes)
            found: dict[int, Arrays] = {}
            for member in members:
                stage, arrays = _generator(f"{source}: {member}", archive.blob(member, MOST_MEMBER))
                found[stage] = arrays  # of several checkpoints, the last by name
    except OSError as error:
        raise ModelError(f"{source}: cannot be read: {error.strerror or error}") from None
    except _BROKEN:
        raise ModelError(
            f"{source}: damaged, or not a zip file of MXNet's parameters; fetch it again"
        ) from None
    missing = [f"g{stage}" for stage in range(len(SPECS)) if stage not in found]
    if missing:
        raise ModelError(
            f"{source}: holds no parameters of {', '.join(missing)}; the model has four "
            "generators, g0 to g3, with a .params file each"
        )
    return {name: array for arrays in found.values() for name, array in arrays.items()}


def _members(source: Path, sizes: dict[str, int]) -> list[str]:
    """The parameter files in a zip file, sorted. Raises ModelError for what no such file has."""
    members = []
    for name in sorted(sizes):
        path = PurePosixPath(name.replace("\\", "/"))
        shown = short(repr(name))
        if path.is_absolute() or ".." in path.parts:
            raise ModelError(f"{source}: holds {shown}, a path out of its folder: refused")
        if path.suffix != PARAMS or path.name.startswith("."):  # macOS adds ._ files
            continue
        if sizes[name] > MOST_MEMBER:
            raise ModelError(
                f"{source}: {shown} has {sizes[name]:,} bytes, over {MOST_MEMBER:,}: not a generator "
                "of 2016"
            )
        members.append(name)
    if not members:
        raise ModelError(f"{source}: holds no {PARAMS} file; name the zip file of the parameters")
    if len(members) > MOST_FILES:
        raise ModelError(
            f"{source}: holds {len(members)} {PARAMS} files, over {MOST_FILES}; keep one of each "
            "generator"
        )
    return members


def _generator(where: str, data: bytes) -> tuple[int, Arrays]:
    """The number of a generator, from 0, and its arrays. Raises ModelError."""
    try:
        arrays = {name.removeprefix("aux:"): v for name, v in read_params(data).items()}
    except _BROKEN:
        raise ModelError(f"{where}: damaged, or not MXNet's format of parameters") from None
    known = published_shapes()
    shared = [len(arrays.keys() & shapes.keys()) for shapes in known]
    stage = max(range(len(known)), key=lambda k: shared[k])
    if not shared[stage]:
        numbered = next((name for name in arrays if _NUMBERED.fullmatch(name)), None)
        example = short(numbered or next(iter(arrays), "nothing"))
        raise ModelError(
            f"{where}: not a generator of 2016, whose layers are numbered through all four, as "
            f"convolution0 to convolution29; it holds {example}"
        )
    _check_arrays(f"{where}: g{stage}", arrays, known[stage])
    return stage, {name: array.astype(np.float32) for name, array in arrays.items()}


def _check_arrays(where: str, arrays: Arrays, shapes: Shapes) -> None:
    """Raise ModelError unless the arrays have these names and shapes, and are finite numbers."""
    for problem, names in (
        ("is missing", shapes.keys() - arrays.keys()),
        ("is unknown", arrays.keys() - shapes.keys()),
    ):
        if names:
            others = f" ({len(names)} of them)" if len(names) > 1 else ""
            raise ModelError(
                f"{where}: {short(min(names))} {problem}{others}; not a whole generator"
            )
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape:
            raise ModelError(f"{where}: {name} is {short(array.shape)}, not {shape}")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ModelError(f"{where}: {name} holds what is not a finite number")
        if name.endswith("_moving_var") and (array < 0).any():
            raise ModelError(f"{where}: {name} holds a variance below 0")
