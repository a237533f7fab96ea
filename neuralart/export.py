"""``neuralart export``: the chain as one Symbol and its parameters, for any program with plain MXNet.

Pixels go in and come out as RGB in 0..255, (N, 3, H, W) float32; pre- and post-processing are in the
graph. What was written is loaded back with MXNet alone and compared with the chain before it counts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuralart.config import ExportConfig
from neuralart.engine import mx, settle
from neuralart.errors import OutputError
from neuralart.files import Arrays
from neuralart.images import PIXEL_MEAN, X
from neuralart.model import Model, load_model
from neuralart.modules.painter import compose
from neuralart.shipped import find_model
from neuralart.specs import Generator
from neuralart.symbols.generator import Norms, cut_back, extended, per_channel
from neuralart.tiles import FRAME_PX

NAME = "model"

# Largest difference to the chain that passes, in 0..255 units; rounding to a pixel value is 0.5.
TOLERANCE = 0.1

# (height, width) of the pictures it is compared on: one of them odd.
CHECKED_SIZES = ((64, 96), (75, 53))


def exported_symbol(specs: Sequence[Generator], statistics: str) -> Any:
    """One graph from ``data`` to the painting.

    Shape:  (N, 3, H, W) RGB 0..255 -> the same, clipped to 0..255; H and W more than 32
    """
    norms = Norms("instance" if statistics == "picture" else "batch")
    mean = per_channel(PIXEL_MEAN)
    x = mx.sym.broadcast_sub(mx.sym.Variable("data"), mean)
    x = cut_back(compose(extended(x, FRAME_PX, "frame"), specs, norms)[-1], FRAME_PX)
    return mx.sym.clip(mx.sym.broadcast_add(x, mean), a_min=0, a_max=255, name="painting")


def run_plain(prefix: Path, data: X) -> X:
    """Load an export as any MXNet program would, and paint."""
    module = mx.mod.Module.load(str(prefix), 0, data_names=["data"], label_names=None)
    module.bind(data_shapes=[("data", data.shape)], for_training=False)
    module.forward(mx.io.DataBatch([mx.nd.array(data)]), is_train=False)
    settle()
    painting: X = module.get_outputs()[0].asnumpy()
    return painting


def _checked_picture(height: int, width: int) -> X:
    """Waves and noise in 0..255."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = 127 + 80 * np.stack(
        [np.sin(rows / 9), np.cos(columns / 7), np.sin((rows + columns) / 5)]
    )
    picture: X = (waves + rng.normal(0, 20, waves.shape)).clip(0, 255).astype(np.float32)[None]
    return picture


def largest_difference(prefix: Path, model: Model, stages: int, statistics: str) -> float:
    """Between an export and the chain, over `CHECKED_SIZES`, in 0..255 units."""
    painter = model.painter(mx.cpu(), stages)
    mean = PIXEL_MEAN[None, :, None, None]
    worst = 0.0
    for height, width in CHECKED_SIZES:
        data = _checked_picture(height, width)
        used: Arrays = model.statistics if statistics == "average" else painter.measure(data - mean)
        ours = (painter.paint(data - mean, used)[-1] + mean).clip(0, 255)
        worst = max(worst, float(np.abs(run_plain(prefix, data) - ours).max()))
    return worst


def export(source: str, config: ExportConfig) -> tuple[Path, float]:
    """Write the export's folder; return it and the largest difference to the chain (0..255 units).

    Raises NeuralArtError if the model cannot be read, the folder must not or cannot be written, or the
    export differs from the chain; then nothing is left behind.
    """
    folder = config.to
    if folder.exists():
        if not folder.is_dir():
            raise OutputError(f"--to {folder}: is a file; name a new folder")
        ours = {f"{NAME}-symbol.json", f"{NAME}-0000.params", "card.json", "style.png"}
        found = {path.name for path in folder.iterdir()}
        if found and not (config.overwrite and found <= ours):
            hint = "add --overwrite to replace it" if found <= ours else "name a new folder"
            raise OutputError(f"--to {folder}: is not empty; {hint}")
    model = load_model(find_model(source))
    stages = model.check_stage(config.stage)
    symbol = exported_symbol(model.specs[:stages], config.statistics)
    arrays = {**model.params, **model.statistics}
    aside = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        mx.model.save_checkpoint(
            str(aside / NAME),
            0,
            symbol,
            {k: mx.nd.array(arrays[k]) for k in symbol.list_arguments() if k != "data"},
            {k: mx.nd.array(arrays[k]) for k in symbol.list_auxiliary_states()},
        )
        (aside / "style.png").write_bytes(model.thumbnail)
        (aside / "card.json").write_text(json.dumps(model.card, indent=2) + "\n")
        difference = largest_difference(aside / NAME, model, stages, config.statistics)
        if not difference <= TOLERANCE:
            raise OutputError(
                f"--to {folder}: the export differs from the chain by {difference:.3g} of 255; not written"
            )
        if folder.exists():
            shutil.rmtree(folder)
        aside.replace(folder)
    except OSError as error:
        raise OutputError(f"--to {folder}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder, difference
