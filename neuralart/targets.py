"""What a style is exported to: which files each format is, and how they are run to be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralart import page
from neuralart.config import ExportConfig
from neuralart.engine import mx, settle
from neuralart.images import PIXEL_MEAN, X
from neuralart.modules.painter import compose
from neuralart.parity import Difference, Style
from neuralart.specs import Generator
from neuralart.symbols.generator import Norms, cut_back, extended, per_channel
from neuralart.tiles import FRAME_PX

NAME = "model"


def exported_symbol(
    specs: Sequence[Generator], statistics: str, *, every_stage: bool = False
) -> Any:
    """One graph from ``data`` to ``painting``, or to ``stage1``, ``stage2`` and so on.

    Shape:  (N, 3, H, W) RGB 0..255 -> the same, clipped to 0..255; H and W more than 32
    """
    norms = Norms("instance" if statistics == "picture" else "batch")
    mean = per_channel(PIXEL_MEAN)
    x = mx.sym.broadcast_sub(mx.sym.Variable("data"), mean)
    outputs = compose(extended(x, FRAME_PX, "frame"), specs, norms)
    names = [f"stage{k}" for k in range(1, len(outputs) + 1)]
    if not every_stage:
        outputs, names = outputs[-1:], ["painting"]
    pictures = []
    for out, name in zip(outputs, names, strict=True):
        rgb = mx.sym.broadcast_add(cut_back(out, FRAME_PX), mean)
        pictures.append(mx.sym.clip(rgb, a_min=0, a_max=255, name=name))
    return mx.sym.Group(pictures)


def write_card(style: Style, folder: Path) -> None:
    """The card and the painting beside the model, for people and programs that cannot look into it."""
    (folder / "style.png").write_bytes(style.model.thumbnail)
    (folder / "card.json").write_text(json.dumps(style.model.card, indent=2) + "\n")


def write_mxnet(style: Style, folder: Path, precision: str) -> Path:
    """The composed graph and its parameters, for any program with plain MXNet."""
    write_card(style, folder)
    symbol = exported_symbol(style.specs, style.statistics)
    arrays = {**style.model.params, **style.model.statistics}
    arguments, auxiliary = symbol.list_arguments(), symbol.list_auxiliary_states()
    mx.model.save_checkpoint(
        str(folder / NAME),
        0,
        symbol,
        {name: mx.nd.array(arrays[name]) for name in arguments if name != "data"},
        {name: mx.nd.array(arrays[name]) for name in auxiliary},
    )
    return folder / f"{NAME}-symbol.json"


def run_mxnet(file: Path, pictures: Sequence[X]) -> list[X]:
    """Load an export as any MXNet program would, and paint."""
    prefix = str(file).removesuffix("-symbol.json")
    module = mx.mod.Module.load(prefix, 0, data_names=["data"], label_names=None)
    paintings: list[X] = []
    for picture in pictures:
        module.bind(data_shapes=[("data", picture.shape)], for_training=False, force_rebind=True)
        module.forward(mx.io.DataBatch([mx.nd.array(picture)]), is_train=False)
        settle()
        paintings.append(module.get_outputs()[0].asnumpy())
    return paintings


def write_onnx(style: Style, folder: Path, precision: str) -> Path:
    """One file, with everything about the style in it."""
    from neuralart.onnx_graph import onnx_model

    write_card(style, folder)
    model = onnx_model(
        exported_symbol(style.specs, style.statistics),
        {**style.model.params, **style.model.statistics},
        {**style.metadata, "precision": precision},
        size=style.size,
        half=precision == "fp16",
    )
    file = folder / f"{NAME}.onnx"
    file.write_bytes(model.SerializeToString())
    return file


def run_onnx(file: Path, pictures: Sequence[X]) -> list[X]:
    """Paint in ONNX Runtime."""
    from neuralart.onnx_runtime import paint

    return [outputs[-1] for outputs in paint(file, pictures)]


def write_web(style: Style, folder: Path, precision: str) -> Path:
    """A model of the page: the pictures of all stages, and statistics in and out, for large photos."""
    from neuralart.onnx_graph import onnx_model
    from neuralart.onnx_operators import MeasuredNorms

    model = onnx_model(
        exported_symbol(style.specs, style.statistics, every_stage=True),
        style.model.params,
        {**style.metadata, "precision": precision},
        half=precision == "fp16",
        norms=MeasuredNorms(),
    )
    file = folder / page.MODELS / f"{style.name}.onnx"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(model.SerializeToString())
    return file


@dataclass(frozen=True)
class Target:
    """A format.

    write     puts a style into a folder and names the file that is run
    run       paints pictures with that file
    limits    by precision, the largest differences to the chain that pass, in 0..255 units; the first
              is the default
    packages  that it needs beside MXNet
    check     whether these options can be met, before anything is written
    finish    what the styles have in common, in one folder; without it each style has its own
    """

    write: Callable[[Style, Path, str], Path]
    run: Callable[[Path, Sequence[X]], list[X]]
    limits: dict[str, Difference]
    packages: tuple[str, ...] = ()
    check: Callable[[ExportConfig], None] = lambda config: None
    finish: Callable[[Sequence[Style], Path, ExportConfig], None] | None = None


_ONNX = ("onnx", "onnxruntime")
_FP32, _FP16 = Difference(1.0, 0.1), Difference(2.0, 0.2)

TARGETS = {
    # Rounding to a pixel value is 0.5.
    "mxnet": Target(write_mxnet, run_mxnet, {"fp32": Difference(0.1, 0.1)}),
    "onnx": Target(write_onnx, run_onnx, {"fp32": _FP32, "fp16": _FP16}, _ONNX),
    "web": Target(
        write_web, run_onnx, {"fp16": _FP16, "fp32": _FP32}, _ONNX, page.check, page.finish
    ),
}
