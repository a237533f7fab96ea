"""The export formats: which files each one writes, and how they are run for the comparison."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuralart.chain.graph import FRAME_SIZE
from neuralart.chain.specs import Generator, prefix
from neuralart.exporting import page
from neuralart.exporting.graph import MIXTURE, exported_symbol
from neuralart.exporting.parity import (
    Case,
    Difference,
    as_picture,
    every_style,
    extended_photo,
)
from neuralart.exporting.subject import Subject, file_names
from neuralart.loss.features.formats import read_arrays
from neuralart.options.export import ExportConfig
from neuralart.pictures.pixels import X

NAME = "model"


def write_card(subject: Subject, folder: Path) -> None:
    """Write the card and a thumbnail of the style image, for whoever cannot read the model.

    With several styles the file has their cards by name, and the thumbnails are in ``styles``.
    """
    pictures = [folder / "style.png"]
    if subject.styles > 1:
        pictures = [folder / "styles" / f"{name}.png" for name in file_names(subject.chain.names)]
    for style, picture in zip(subject.chain.styles, pictures, strict=True):
        if style.thumbnail:
            picture.parent.mkdir(exist_ok=True)
            picture.write_bytes(style.thumbnail)
    (folder / "card.json").write_text(json.dumps(subject.card, indent=2) + "\n")


def write_mxnet(subject: Subject, folder: Path, precision: str) -> Path:
    """Write the graph and its parameters, for any program with plain MXNet."""
    from neuralart.engine.door import mx

    write_card(subject, folder)
    symbol = exported_symbol(subject.specs, styles=subject.styles)
    names = [name for name in symbol.list_arguments() if name not in ("data", MIXTURE)]
    params = subject.params
    arrays = {name: mx.nd.array(params[name]) for name in names}
    mx.model.save_checkpoint(str(folder / NAME), 0, symbol, arrays, {})
    return folder / f"{NAME}-symbol.json"


def run_mxnet(file: Path, cases: Sequence[Case]) -> list[X]:
    """Load an export as any MXNet program would, and paint.

    Raises WeightsError if the parameters are damaged. This is checked before MXNet reads them,
    since one wrong bit makes it allocate all memory.
    """
    from neuralart.engine.door import mx

    params = file.with_name(f"{NAME}-0000.params")
    read_arrays(params, params.read_bytes())
    names = ["data"] if cases[0].mixture is None else ["data", MIXTURE]
    block = mx.gluon.SymbolBlock.imports(str(file), names)
    # Not given to `imports`, which then warns that it does not know the type of ``data``.
    block.load_parameters(str(params))
    inputs = [[case.picture, case.mixture][: len(names)] for case in cases]
    return [block(*map(mx.nd.array, each)).asnumpy() for each in inputs]


def _write_onnx(subject: Subject, file: Path, precision: str, *, for_page: bool = False) -> Path:
    from neuralart.exporting.to_onnx import graph, norms, runtime

    model = graph.onnx_model(
        exported_symbol(subject.specs, styles=subject.styles, every_stage=for_page),
        subject.params,
        {**subject.metadata, "precision": precision},
        styles=subject.styles,
        size=subject.size,
        half=precision == "fp16",
        norms=norms.MeasuredNorms(subject.norm_channels) if for_page else None,
        grain=0.0 if for_page else subject.specs[0].grain,
    )
    file.write_bytes(model.SerializeToString())
    if precision == "int8":
        photos = [as_picture(photo) for photo in subject.calibrate]
        if subject.size is not None:
            photos = [extended_photo(photo, *subject.size) for photo in subject.calibrate]
        feeds = [_feeds(case) for case in every_style(subject, photos)]
        whole = file.with_suffix(".fp32")
        file.replace(whole)
        runtime.quantize(whole, file, feeds, _next_to_pixels(subject.specs))
        whole.unlink()
    return file


def _feeds(case: Case) -> dict[str, X]:
    """The inputs of an ONNX model by name."""
    mixture = {} if case.mixture is None else {MIXTURE: case.mixture}
    return {"image": case.picture, **mixture}


def _next_to_pixels(specs: Sequence[Generator]) -> list[str]:
    """The first and last layer of every stage: they are small, and rounding them shows most."""
    layers = [
        f"{prefix(k)}{layer.name}"
        for k, spec in enumerate(specs)
        for layer in (spec.layers[0], spec.layers[-1])
    ]
    return [FRAME_SIZE, *layers]


def write_onnx(subject: Subject, folder: Path, precision: str) -> Path:
    """Write one file that also holds the card as metadata."""
    write_card(subject, folder)
    return _write_onnx(subject, folder / f"{NAME}.onnx", precision)


def write_ort(subject: Subject, folder: Path, precision: str) -> Path:
    """Write ONNX Runtime's own format, for phones, and the list of operators that it needs."""
    from neuralart.exporting.to_onnx.runtime import convert_to_ort

    write_card(subject, folder)
    whole = _write_onnx(subject, folder / f"{NAME}.onnx", precision)
    convert_to_ort(whole, folder / f"{NAME}.ort")
    whole.unlink()
    return folder / f"{NAME}.ort"


def write_web(subject: Subject, folder: Path, precision: str) -> Path:
    """Write a model for the page.

    It outputs every stage. Its statistics are an output and an input, so that large photos can be
    painted in tiles.
    """
    (folder / page.MODELS).mkdir(exist_ok=True)
    file = folder / page.MODELS / f"{subject.name}.onnx"
    return _write_onnx(subject, file, precision, for_page=True)


def run_onnx(file: Path, cases: Sequence[Case]) -> list[X]:
    """Paint in ONNX Runtime."""
    from neuralart.exporting.to_onnx.runtime import paint

    return [outputs[-1] for outputs in paint(file, [_feeds(case) for case in cases])]


@dataclass(frozen=True)
class Target:
    """A format.

    write     writes a chain's styles into a folder and returns the file to run
    run       paints pictures with that file, without grain if the file adds none
    limits    the largest allowed differences from the chain, by precision, in 0..255 units; the
              first precision is the default
    packages  the packages that it needs
    grains    whether the file adds the chain's grain to the picture; else who runs it does
    check     raises if the options cannot be met; called before anything is written
    finish    completes a folder that all exported chains share; without it each has a folder
    """

    write: Callable[[Subject, Path, str], Path]
    run: Callable[[Path, Sequence[Case]], list[X]]
    limits: dict[str, Difference]
    packages: tuple[str, ...] = ()
    grains: bool = True
    check: Callable[[ExportConfig], None] = lambda config: None
    finish: Callable[[Sequence[Subject], Path], None] | None = None

    def paint(self, file: Path, cases: Sequence[Case]) -> list[X]:
        """Paint pictures with an exported file, see `Case`."""
        return self.run(file, cases if self.grains else [case.with_grain() for case in cases])


_ONNX = ("onnx", "onnxruntime")

_FP32, _FP16, _INT8 = Difference(1.0, 0.1), Difference(2.0, 0.2), Difference(64, 4)

TARGETS = {
    # For scale: rounding to whole pixel values changes them by up to 0.5.
    "mxnet": Target(
        write_mxnet, run_mxnet, {"fp32": Difference(0.1, 0.1)}, ("mxnet",), grains=False
    ),
    "onnx": Target(write_onnx, run_onnx, {"fp32": _FP32, "fp16": _FP16, "int8": _INT8}, _ONNX),
    "ort": Target(write_ort, run_onnx, {"fp16": _FP16, "fp32": _FP32, "int8": _INT8}, _ONNX),
    "web": Target(
        write_web,
        run_onnx,
        {"fp16": _FP16, "fp32": _FP32},
        _ONNX,
        grains=False,
        check=page.check,
        finish=page.finish,
    ),
}
