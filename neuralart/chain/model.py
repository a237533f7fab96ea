"""Trained chains on disk: one file that knows one or more styles, and says everything about them.

A model file is a zip archive:

``header.json``      format, pixel convention, specification of the generators, card, styles
``styles/NAME.png``  the style image of each style, its shorter edge 96 pixels
``styles/NAME.jpg``  the same at the size of training
``ARRAY.npy``        the parameters; a norm's scales and shifts have a row for each style

A style file (``.style``) has the rows of one style and the checksum of the chain they belong to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.chain.params import array_shapes, is_row
from neuralart.chain.shipped import MODEL_NAME
from neuralart.chain.specs import MOST_WEIGHTS, Generator, generator_from_dict
from neuralart.errors import ConfigError, ModelError
from neuralart.machine.archive import Archive, Arrays, Shapes, open_archive, write_archive
from neuralart.machine.words import did_you_mean
from neuralart.pictures.pixels import PIXEL_MEAN

FORMAT = 2
STYLE_FORMAT = 1
STYLE_SUFFIX = ".style"
ROW = "scales_and_shifts"
"""The array of a style file: the rows of all norms, one after the other in the graph's order."""

# The lowest bits of float16's ten bits of mantissa are stored as zeros: the file gets 10% smaller.
# Weights with an error of 0.09% instead of 0.02% paint the same picture.
DROPPED_BITS = 2

LARGEST_HALF = 6e4  # rounding must not exceed float16's largest number, 65504

LICENCE = "Apache-2.0"

THUMBNAIL_PX = 96  # shorter edge of a thumbnail


@dataclass(frozen=True)
class Style:
    """One style of a chain.

    card         how the style was trained and how good it is, as plain data
    thumbnail    the style image as a PNG; its shorter edge has `THUMBNAIL_PX`
    style_image  the style image at the size of training, as a JPEG; empty if it was not kept
    """

    name: str
    card: dict[str, Any]
    thumbnail: bytes = b""
    style_image: bytes = b""


@dataclass(frozen=True)
class Model:
    """A chain that paints in one style, or in a mixture of several.

    specs        the generators, in order
    params       their parameters by name, ``g0_conv0_weight`` ...; scales and shifts are (C,)
    card         the card of the style, or of the one with the largest weight in a mixture
    thumbnail    that style's image, see `Style`
    style_image  the same
    name         of the style, or ``wave=0.7,scream=0.3``
    """

    specs: tuple[Generator, ...]
    params: Arrays
    card: dict[str, Any]
    thumbnail: bytes = b""
    style_image: bytes = b""
    name: str = ""

    def check_stage(self, stage: int | None) -> int:
        """The number of stages to run: ``stage``, or all for None.

        Raises ConfigError if the chain has fewer.
        """
        if stage is not None and stage > len(self.specs):
            raise ConfigError(
                f"--stage {stage}: the model has {len(self.specs)} stages; name one of them"
            )
        return stage or len(self.specs)


@dataclass(frozen=True)
class StyledChain:
    """A trained chain of generators with one or more styles.

    params  the parameters by name; a norm's scales and shifts are (styles, C), the rest is shared
    """

    specs: tuple[Generator, ...]
    params: Arrays
    styles: tuple[Style, ...]

    @classmethod
    def of(cls, model: Model) -> StyledChain:
        """A chain of one style."""
        params = {k: v[None] if is_row(k) else v for k, v in model.params.items()}
        style = Style(model.name or "style", model.card, model.thumbnail, model.style_image)
        return cls(model.specs, params, (style,))

    @property
    def names(self) -> list[str]:
        return [style.name for style in self.styles]

    @property
    def digest(self) -> str:
        """The checksum of what all styles share; a style file names it."""
        shared = sorted(name for name in self.params if not is_row(name))
        data = b"".join(_half(name, self.params[name]).tobytes() for name in shared)
        return hashlib.sha256(data).hexdigest()

    @property
    def checksum(self) -> str:
        """The checksum of all parameters."""
        return hashlib.sha256(
            b"".join(self.params[name].tobytes() for name in sorted(self.params))
        ).hexdigest()

    def model(self, choice: str | None = None) -> Model:
        """The chain in a style or in a mixture, ``wave=0.7,scream=0.3``; by default the first.

        The scales and shifts of a mixture are the weighted means of its styles'.
        Source:  Dumoulin et al. 2017, section 3.3.
        Raises ConfigError for an unknown style, or weights that are no numbers, negative or all 0.
        """
        weights = self.mixture(choice)
        params = {
            k: np.tensordot(weights, v, 1).astype(np.float32) if is_row(k) else v
            for k, v in self.params.items()
        }
        main = self.styles[int(weights.argmax())]
        name = choice or main.name
        return Model(self.specs, params, main.card, main.thumbnail, main.style_image, name)

    def mixture(self, choice: str | None) -> npt.NDArray[np.float64]:
        """The weight of each style, (styles,), with a sum of 1. Raises ConfigError, see `model`."""
        weights = np.zeros(len(self.styles))
        if choice is None or choice in self.names:
            weights[0 if choice is None else self.names.index(choice)] = 1
            return weights
        for part in choice.split(","):
            name, equals, number = part.strip().partition("=")
            if name not in self.names:
                raise ConfigError(
                    f"--style {name}: the model has no such style; it has {', '.join(self.names)}"
                    f"{did_you_mean(name, self.names)}"
                )
            try:
                weight = float(number) if equals else 1.0
            except ValueError:
                weight = math.nan
            if not (0 <= weight < math.inf):
                raise ConfigError(
                    f"--style {part}: {number!r} is no weight; write numbers from 0 on, "
                    "as wave=0.7,scream=0.3"
                )
            weights[self.names.index(name)] += weight
        if not weights.max() > 0:
            raise ConfigError(f"--style {choice}: all weights are 0; give one style a weight")
        weights /= weights.max()  # first, so that large weights do not add up to infinity
        mixture: npt.NDArray[np.float64] = weights / weights.sum()
        return mixture

    def with_style(self, style: Style, rows: Arrays) -> StyledChain:
        """The chain with one more style, whose rows are (C,) or (1, C).

        Raises ConfigError if the chain has a style of that name.
        """
        if style.name in self.names:
            raise ConfigError(
                f"{style.name}: the chain has a style of that name already; rename the style image"
            )
        params = {
            k: np.concatenate([v, rows[k].reshape(1, -1)]) if is_row(k) else v
            for k, v in self.params.items()
        }
        return StyledChain(self.specs, params, (*self.styles, style))

    def save(self, path: Path, *, half: bool = False) -> None:
        """Write the model to a file; ``half`` stores weights, scales and shifts as float16.

        Raises OutputError if the file cannot be written, ModelError if a weight is too large for
        float16.
        """
        header = {
            "format": FORMAT,
            "pixels": {"order": "RGB", "range": [0, 255], "mean": PIXEL_MEAN.tolist()},
            "generators": [spec.to_dict() for spec in self.specs],
            "styles": [{"name": style.name, "card": style.card} for style in self.styles],
        }
        write_archive(path, header, _stored(self.params, half), _pictures(self.styles))

    def save_style(self, path: Path, name: str) -> None:
        """Write one style to a style file. Raises ConfigError if the chain has no such style."""
        index = int(self.mixture(name).argmax())
        style = self.styles[index]
        row = np.concatenate([v[index] for k, v in self.params.items() if is_row(k)])
        options = {k: v for k, v in style.card.get("options", {}).items() if k != "generators"}
        header = {
            "style_format": STYLE_FORMAT,
            "chain": self.digest,
            "name": style.name,
            # The generators are the chain's.
            "card": {**style.card, "options": options} if options else style.card,
        }
        write_archive(path, header, {ROW: _half(ROW, row)}, {})


def _stored(params: Arrays, half: bool) -> Arrays:
    return {k: _half(k, v) if half and v.ndim > 1 else v for k, v in params.items()}


def _pictures(styles: Sequence[Style]) -> dict[str, bytes]:
    blobs: dict[str, bytes] = {}
    for style in styles:
        pictures = {"png": style.thumbnail, "jpg": style.style_image}
        blobs |= {f"styles/{style.name}.{kind}": data for kind, data in pictures.items() if data}
    return blobs


def load_chain(path: Path) -> StyledChain:
    """Read the model in a file, or in a run's folder.

    Raises ModelError if the file is missing, damaged or of a later format, or if its arrays do not
    fit its generators.
    """
    file = path
    if path.is_dir():
        file = path / MODEL_NAME
        if not file.exists():
            raise ModelError(
                f"{path}: no {MODEL_NAME} in this folder; finish its training with --resume"
            )
    with open_archive(file, ModelError, "a neuralart model") as archive:
        header = archive.header
        version = header["format"]
        if version not in (1, FORMAT):
            raise ModelError(f"{file}: of format {str(version)[:40]}; install a newer neuralart")
        try:
            specs = tuple(generator_from_dict(row["name"], row) for row in header["generators"])
        except ConfigError:
            raise ModelError(
                f"{file}: damaged, or not a neuralart model; name another, or get it anew"
            ) from None
        mean = np.asarray(header["pixels"]["mean"], np.float32)
        styles = _styles(archive, path)
        shapes = array_shapes(specs, len(styles) if version == FORMAT else None)
        # Format 1 has the average statistics of photos, too, which nothing needs.
        unused = ("_moving_mean", "_moving_var") if version == 1 else ()
        _check_shapes(file, archive.shapes, shapes, unused)
        arrays = {name: archive.array(name) for name in shapes}
    if not np.array_equal(mean, PIXEL_MEAN):
        raise ModelError(
            f"{file}: made for pixels minus {str(mean.tolist())[:80]}, which this version cannot run"
        )
    _check_finite(file, arrays)
    if version == 1:
        arrays = {k: v[None] if is_row(k) else v for k, v in arrays.items()}
    return StyledChain(specs, {k: v.astype(np.float32) for k, v in arrays.items()}, styles)


def _styles(archive: Archive, path: Path) -> tuple[Style, ...]:
    header = archive.header
    if header["format"] == 1:
        name = path.name if path.is_dir() else path.stem
        pictures = archive.blob("style.png"), archive.blob("painting.jpg")
        return (Style(name, _card(header["card"]), *pictures),)
    styles = tuple(
        Style(
            str(row["name"]),
            _card(row["card"]),
            archive.blob(f"styles/{row['name']}.png"),
            archive.blob(f"styles/{row['name']}.jpg"),
        )
        for row in header["styles"]
    )
    if not styles or len({style.name for style in styles}) < len(styles):
        raise ValueError("no style, or two of one name")
    return styles


def _card(data: Any) -> dict[str, Any]:
    """A card whose parts have the form that readers expect. Raises ValueError or TypeError."""
    card = dict(data)
    for part in ("options", "held_out", "features", "precisions"):
        if not isinstance(card.get(part, {}), dict):
            raise ValueError(f"{part} is no table")
    return card


def load_model(path: Path, choice: str | None = None) -> Model:
    """Read a model file and choose a style, see `load_chain` and `StyledChain.model`."""
    return load_chain(path).model(choice)


def add_style_file(chain: StyledChain, path: Path) -> StyledChain:
    """The chain with the style of a file; one that it has already takes the file's rows.

    Raises ModelError if the file is missing or damaged, or belongs to another chain.
    """
    names = [k for k in chain.params if is_row(k)]
    sizes = [chain.params[k].shape[1] for k in names]
    with open_archive(path, ModelError, "a style of neuralart") as archive:
        header = archive.header
        style = Style(str(header["name"]), _card(header["card"]))
        digest, version = str(header["chain"]), header["style_format"]
        if version != STYLE_FORMAT:
            raise ModelError(f"{path}: of format {str(version)[:40]}; install a newer neuralart")
        if digest != chain.digest:
            raise ModelError(
                f"{path}: belongs to another chain; name that chain with --model "
                f"(its checksum begins {digest[:12]})"
            )
        _check_shapes(path, archive.shapes, {ROW: (sum(sizes),)})
        arrays = archive.arrays()
    _check_finite(path, arrays)
    parts = np.split(arrays[ROW].astype(np.float32), np.cumsum(sizes)[:-1])
    rows = {k: part[None] for k, part in zip(names, parts, strict=True)}
    if style.name not in chain.names:
        return chain.with_style(style, rows)
    index = chain.names.index(style.name)
    params = dict(chain.params)
    for name, row in rows.items():
        params[name] = params[name].copy()
        params[name][index] = row[0]
    return dataclasses.replace(chain, params=params)


def _half(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    if not np.abs(array).max(initial=0) <= LARGEST_HALF:
        raise ModelError(f"{name}: has weights too large for half precision; save it without")
    bits = array.astype(np.float16).view(np.uint16).astype(np.uint32)
    rounded = (bits + (1 << DROPPED_BITS - 1)) >> DROPPED_BITS << DROPPED_BITS
    return rounded.astype(np.uint16).view(np.float16)


def _check_shapes(file: Path, found: Shapes, wanted: Shapes, unused: tuple[str, ...] = ()) -> None:
    """Raise ModelError unless a file has the arrays of these shapes, and of names that end in
    ``unused`` any.
    """
    wrong = {
        "missing": wanted.keys() - found.keys(),
        "unknown": {k for k in found.keys() - wanted.keys() if not k.endswith(unused)},
        "of another shape": {k for k in wanted.keys() & found.keys() if found[k] != wanted[k]},
    }
    _refuse(file, wrong)
    if sum(map(math.prod, wanted.values())) > MOST_WEIGHTS:
        raise ModelError(f"{file}: has over {MOST_WEIGHTS:,} parameters")


def _check_finite(file: Path, arrays: Arrays) -> None:
    wrong = {k for k, v in arrays.items() if v.dtype.kind != "f" or not np.isfinite(v).all()}
    _refuse(file, {"not finite": wrong})


def _refuse(file: Path, wrong: Mapping[str, Set[str]]) -> None:
    for problem, names in wrong.items():
        if names:
            raise ModelError(
                f"{file}: {len(names)} arrays {problem}: {', '.join(sorted(names)[:3])}"
            )
