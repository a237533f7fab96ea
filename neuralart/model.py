"""A trained style on disk: one file that says everything about itself.

A zip archive: ``header.json`` (the generators' specifications, the pixel convention, the card),
``style.png`` (a thumbnail of the painting), and the arrays. Nothing else is needed to paint with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.checkpoint import MODEL_NAME
from neuralart.errors import ConfigError, ModelError
from neuralart.files import Arrays, read_archive, write_archive
from neuralart.images import PIXEL_MEAN
from neuralart.modules.painter import Painter, array_shapes
from neuralart.specs import Generator, generator_from_dict

FORMAT = 1
# Of float16's ten bits of mantissa, not stored: zeros pack 10% smaller, and weights that are off by 0.09%
# rather than 0.02% paint the same picture.
DROPPED_BITS = 2

LARGEST_HALF = 6e4  # below 65504, which rounding must not pass

LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Model:
    """A chain that paints.

    specs        the generators in order
    params       their parameters by name, ``g0_conv0_weight`` ...
    statistics   averages over photos of every norm, ``g0_conv0_norm_moving_mean`` ...
    card         what it is and how it was made, as plain data
    thumbnail    the painting, a PNG of 96 pixels
    painting     the painting as large as its style was learned, a JPEG; empty if not there
    """

    specs: tuple[Generator, ...]
    params: Arrays
    statistics: Arrays
    card: dict[str, Any]
    thumbnail: bytes
    painting: bytes = b""

    def painter(self, context: Any, stages: int | None = None) -> Painter:
        """The first ``stages`` generators, or all, ready to paint."""
        return Painter(self.specs[:stages], self.params, context)

    def check_stage(self, stage: int | None) -> int:
        """The number of stages to run. Raises ConfigError if the chain is not that long."""
        if stage is not None and stage > len(self.specs):
            raise ConfigError(f"--stage {stage}: the model has {len(self.specs)} stages")
        return stage or len(self.specs)

    def save(self, path: Path, *, half: bool = False) -> None:
        """Write the model; ``half`` stores the weights of convolutions in half precision (float16).

        Raises OutputError if it cannot be written, ModelError if a weight is beyond float16.
        """
        params = {k: _half(k, v) if half and v.ndim > 1 else v for k, v in self.params.items()}
        header = {
            "format": FORMAT,
            "pixels": {"order": "RGB", "range": [0, 255], "mean": PIXEL_MEAN.tolist()},
            "generators": [spec.to_dict() for spec in self.specs],
            "card": self.card,
        }
        blobs = {"style.png": self.thumbnail}
        if self.painting:
            blobs["painting.jpg"] = self.painting
        write_archive(path, header, {**params, **self.statistics}, blobs)


def load_model(path: Path) -> Model:
    """The model in a file, or in a run's folder.

    Raises ModelError if it is missing, damaged, of a later format, or its arrays do not fit its
    generators.
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
    """The mean over pictures of every statistic."""
    return {
        name: np.mean([one[name] for one in statistics], axis=0, dtype=np.float64).astype(
            np.float32
        )
        for name in statistics[0]
    }
