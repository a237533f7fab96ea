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
from neuralart.frame import FRAME_PX
from neuralart.images import PIXEL_MEAN, X
from neuralart.modules.chain import prefix
from neuralart.modules.painter import compose
from neuralart.parity import Difference, Style, as_picture, extended_photo
from neuralart.specs import Generator
from neuralart.symbols.generator import Norms, cut_back, extended, per_channel

NAME = "model"


def exported_symbol(
    specs: Sequence[Generator], statistics: str, *, every_stage: bool = False
) -> Any:
    """One graph from ``data`` to ``painting``, or to ``stage1``, ``stage2`` and so on.

    Shape:  (N, 3, H, W) RGB 0..255 -> the same, clipped to 0..255; H and W more than `FRAME_PX`
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


def _write_onnx(style: Style, file: Path, precision: str, *, for_page: bool = False) -> Path:
    from neuralart import onnx_graph, onnx_operators, onnx_runtime

    model = onnx_graph.onnx_model(
        exported_symbol(style.specs, style.statistics, every_stage=for_page),
        {**style.model.params, **style.model.statistics},
        {**style.metadata, "precision": precision},
        size=style.size,
        half=precision == "fp16",
        norms=onnx_operators.MeasuredNorms() if for_page else None,
    )
    file.write_bytes(model.SerializeToString())
    if precision == "int8":
        photos = [as_picture(photo) for photo in style.calibrate]
        if style.size is not None:
            photos = [extended_photo(photo, *style.size) for photo in style.calibrate]
        whole = file.with_suffix(".fp32")
        file.replace(whole)
        onnx_runtime.quantize(whole, file, photos, _next_to_pixels(style.specs))
        whole.unlink()
    return file


def _next_to_pixels(specs: Sequence[Generator]) -> list[str]:
    """The first and last layer of every stage: few weights, and rounding them is seen most."""
    return [
        f"{prefix(k)}{layer.name}"
        for k, spec in enumerate(specs)
        for layer in (spec.layers[0], spec.layers[-1])
    ]


def write_onnx(style: Style, folder: Path, precision: str) -> Path:
    """One file, with everything about the style in it."""
    write_card(style, folder)
    return _write_onnx(style, folder / f"{NAME}.onnx", precision)


def write_ort(style: Style, folder: Path, precision: str) -> Path:
    """The same in ONNX Runtime's own format, for phones, and the operators that it needs."""
    from neuralart.onnx_runtime import convert_to_ort

    write_card(style, folder)
    whole = _write_onnx(style, folder / f"{NAME}.onnx", precision)
    convert_to_ort(whole, folder / f"{NAME}.ort")
    whole.unlink()
    return folder / f"{NAME}.ort"


def write_web(style: Style, folder: Path, precision: str) -> Path:
    """A model of the page: the pictures of all stages, and statistics in and out, for large photos."""
    (folder / page.MODELS).mkdir(exist_ok=True)
    file = folder / page.MODELS / f"{style.name}.onnx"
    return _write_onnx(style, file, precision, for_page=True)


def run_onnx(file: Path, pictures: Sequence[X]) -> list[X]:
    """Paint in ONNX Runtime."""
    from neuralart.onnx_runtime import paint

    return [outputs[-1] for outputs in paint(file, pictures)]


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
_FP32, _FP16, _INT8 = Difference(1.0, 0.1), Difference(2.0, 0.2), Difference(64, 4)

TARGETS = {
    # Rounding to a pixel value is 0.5.
    "mxnet": Target(write_mxnet, run_mxnet, {"fp32": Difference(0.1, 0.1)}),
    "onnx": Target(write_onnx, run_onnx, {"fp32": _FP32, "fp16": _FP16, "int8": _INT8}, _ONNX),
    "ort": Target(write_ort, run_onnx, {"fp16": _FP16, "fp32": _FP32, "int8": _INT8}, _ONNX),
    "web": Target(
        write_web, run_onnx, {"fp16": _FP16, "fp32": _FP32}, _ONNX, page.check, page.finish
    ),
}
