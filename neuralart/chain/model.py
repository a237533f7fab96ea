"""A trained style on disk, in one file that is all that painting needs.

The file is a zip archive of

``header.json``    the generators' specifications, the pixel convention, the card
``style.png``      a thumbnail of the style image
``painting.jpg``   the style image, if it is kept
``NAME.npy``       the arrays: parameters and statistics
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.chain.params import array_shapes
from neuralart.chain.shipped import MODEL_NAME
from neuralart.chain.specs import Generator, generator_from_dict
from neuralart.errors import ConfigError, ModelError
from neuralart.machine.archive import Arrays, read_archive, write_archive
from neuralart.pictures.pixels import PIXEL_MEAN

FORMAT = 1

# The lowest bits of float16's ten bits of mantissa are stored as zeros: the file gets 10% smaller.
# Weights with an error of 0.09% instead of 0.02% paint the same picture.
DROPPED_BITS = 2

LARGEST_HALF = 6e4  # rounding must not exceed float16's largest number, 65504

LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Model:
    """A trained chain of generators.

    specs        the generators, in order
    params       their parameters by name, ``g0_conv0_weight`` ...
    statistics   every norm's statistics, averaged over photos: ``g0_conv0_norm_moving_mean`` ...
    card         what the style is and how it was trained, as plain data
    thumbnail    the style image as a PNG; its shorter edge is 96 pixels
    style_image  the style image at the size of training, as a JPEG; empty if it was not kept
    """

    specs: tuple[Generator, ...]
    params: Arrays
    statistics: Arrays
    card: dict[str, Any]
    thumbnail: bytes
    style_image: bytes = b""

    def check_stage(self, stage: int | None) -> int:
        """The number of stages to run: ``stage``, or all for None.

        Raises ConfigError if the chain has fewer.
        """
        if stage is not None and stage > len(self.specs):
            raise ConfigError(f"--stage {stage}: the model has {len(self.specs)} stages")
        return stage or len(self.specs)

    def save(self, path: Path, *, half: bool = False) -> None:
        """Write the model to a file; ``half`` stores convolutions' weights as float16.

        Raises OutputError if the file cannot be written, ModelError if a weight is too large for
        float16.
        """
        params = {k: _half(k, v) if half and v.ndim > 1 else v for k, v in self.params.items()}
        header = {
            "format": FORMAT,
            "pixels": {"order": "RGB", "range": [0, 255], "mean": PIXEL_MEAN.tolist()},
            "generators": [spec.to_dict() for spec in self.specs],
            "card": self.card,
        }
        blobs = {"style.png": self.thumbnail}
        if self.style_image:
            blobs["painting.jpg"] = self.style_image
        write_archive(path, header, {**params, **self.statistics}, blobs)


def load_model(path: Path) -> Model:
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
    header, arrays, blobs = read_archive(file, ModelError, "a neuralart model")
    if header.get("format") != FORMAT:
        raise ModelError(f"{file}: of format {header.get('format')}; install a newer neuralart")
    try:
        rows = header["generators"]
        specs = tuple(generator_from_dict(row["name"], row) for row in rows)
        card = dict(header["card"])
        mean = np.asarray(header["pixels"]["mean"], np.float32)
        thumbnail = blobs["style.png"]
    except (KeyError, TypeError, ValueError, ConfigError):
        raise ModelError(f"{file}: damaged, or not a neuralart model") from None
    if not np.array_equal(mean, PIXEL_MEAN):
        raise ModelError(
            f"{file}: made for pixels minus {mean.tolist()}, which this version cannot run"
        )
    shapes = array_shapes(specs)
    _check_arrays(file, arrays, shapes)
    arrays = {k: v.astype(np.float32) for k, v in arrays.items()}
    statistics = {k: v for k, v in arrays.items() if k.endswith(("_moving_mean", "_moving_var"))}
    params = {k: v for k, v in arrays.items() if k not in statistics}
    return Model(specs, params, statistics, card, thumbnail, blobs.get("painting.jpg", b""))


def _half(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    if not np.abs(array).max(initial=0) <= LARGEST_HALF:
        raise ModelError(f"{name}: has weights too large for half precision; save it without")
    bits = array.astype(np.float16).view(np.uint16).astype(np.uint32)
    rounded = (bits + (1 << DROPPED_BITS - 1)) >> DROPPED_BITS << DROPPED_BITS
    return rounded.astype(np.uint16).view(np.float16)


def _check_arrays(file: Path, arrays: Arrays, shapes: dict[str, tuple[int, ...]]) -> None:
    wrong = {
        "missing": shapes.keys() - arrays.keys(),
        "unknown": arrays.keys() - shapes.keys(),
        "of another shape": {
            k for k in shapes.keys() & arrays.keys() if arrays[k].shape != shapes[k]
        },
        "not finite": {
            k for k, v in arrays.items() if v.dtype.kind != "f" or not np.isfinite(v).all()
        },
    }
    for problem, names in wrong.items():
        if names:
            raise ModelError(
                f"{file}: {len(names)} arrays {problem}: {', '.join(sorted(names)[:3])}"
            )


def average(statistics: Sequence[Arrays]) -> Arrays:
    """The mean of every statistic over pictures, in float64 and stored as float32."""

    return {
        name: np.mean([one[name] for one in statistics], axis=0, dtype=np.float64).astype(
            np.float32
        )
        for name in statistics[0]
    }
