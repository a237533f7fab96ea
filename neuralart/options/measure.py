"""The options of ``optimize`` and ``evaluate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuralart.loss.layers import CONTENT_LAYER
from neuralart.options.field import DEVICE_HELP, FEATURES_HELP, THREADS_HELP, option


@dataclass(frozen=True, kw_only=True)
class _LossConfig:
    """The options of the losses, which `optimize` and `evaluate` share."""

    features: str = option("small", help=FEATURES_HELP, unit="NAME|FILE")
    content_layer: str = option(
        CONTENT_LAYER, help="VGG layer of the content loss, as relu4_2 or conv4_2.", unit="LAYER"
    )
    style_weight: float = option(
        20.0, help="Weight of each style layer.", unit="W", range=(0, None)
    )
    one_scale: bool = option(
        False,
        help="Compare the style at the picture's size alone; by default the mean of that and of "
        "half the size counts.",
    )
    content_weight: float = option(2.0, help="Weight of the content.", unit="W", range=(0, None))
    device: str = option("cpu", help=DEVICE_HELP, unit="DEVICE")
    threads: int | None = option(None, help=THREADS_HELP, unit="N", range=(1, 1024))


@dataclass(frozen=True, kw_only=True)
class OptimizeConfig(_LossConfig):
    """Options of ``neuralart optimize``."""

    style: Path = option(help="The style image.", unit="PICTURE")
    method: str = option(
        "lbfgs",
        help="Optimiser: L-BFGS, or Adam with learning rate 0.02 (pixels in 0..1).",
        choices=("lbfgs", "adam"),
    )
    iterations: int = option(
        200,
        help="Iterations at the smallest size; half as many each time the size doubles.",
        unit="N",
        range=(1, None),
    )
    start: str = option(
        "photo", help="Start from the photo or from noise.", choices=("photo", "noise")
    )
    size: int = option(
        600,
        help="Longer edge of the painting, at most that of the photo.",
        unit="PX",
        range=(32, 8192),
    )
    style_scale: int | None = option(
        None,
        help="Shorter edge of the style image; by default that of the painting. Larger gives "
        "larger strokes.",
        unit="PX",
        range=(32, 8192),
    )
    layout_weight: float = option(
        8.0,
        help="Weight of the layout: where the photo is light and dark, yellow and blue.",
        unit="W",
        range=(0, None),
    )
    palette_weight: float = option(
        3.0, help="Weight of the style image's colours.", unit="W", range=(0, None)
    )
    tv_weight: float = option(
        20.0, help="Weight of the total variation.", unit="W", range=(0, None)
    )
    checkerboard_weight: float = option(
        0.0,
        help="Weight of the checkerboard: faint stripes with a period of 2 pixels.",
        unit="W",
        range=(0, None),
    )
    preserve_colors: bool = option(
        False, help="Keep the photo's colours: only the luminance is painted."
    )
    preview: Path | None = option(
        None, help="Write the painting so far to this file every 10 iterations.", unit="PICTURE"
    )
    metrics: Path | None = option(
        None, help="Write a line with the losses of each iteration to this file.", unit="FILE.jsonl"
    )
    seed: int = option(0, help="Seed of the noise.", unit="N", range=(0, 2**31 - 1))
    overwrite: bool = option(False, help="Replace files that exist.")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(_LossConfig):
    """Options of ``neuralart evaluate``."""

    data: Path = option(
        help="Folder of photos to measure on, read recursively, or a file that `neuralart pack` "
        "made of one.",
        unit="FOLDER|FILE.rec",
    )
    held_out: bool = option(
        False,
        help="Measure only on the photos that training held out; --data is then the training's.",
    )
    photos: int | None = option(
        None, help="Largest number of photos, spread evenly over --data.", unit="N", range=(1, None)
    )
    size: int | None = option(
        None,
        help="Edge of the middle squares of the photos, by default 256; with --whole, the largest "
        "longer edge of a photo, by default its own.",
        unit="PX",
        range=(64, 8192),
    )
    whole: bool = option(False, help="Measure on whole photos instead of their middle squares.")
    style: str | None = option(
        None,
        help="The style to measure, of a model that knows several, or a file of one as mine.style; "
        "by default the first.",
        unit="STYLE",
    )
    every_style: bool = option(False, help="Measure every style of the model.")
    style_image: Path | None = option(
        None,
        help="The style image; by default the file that training read, or the model's copy.",
        unit="PICTURE",
    )
    style_scale: int | None = option(
        None,
        help="Shorter edge of the style image; by default as in the model's training.",
        unit="PX",
        range=(64, 4096),
    )
    layout_weight: float = option(1.0, help="Weight of the layout.", unit="W", range=(0, None))
    palette_weight: float = option(1.0, help="Weight of the palette.", unit="W", range=(0, None))
    tv_weight: float = option(
        0.0,
        help="Weight of the total variation in the total loss; training's default is 5.",
        unit="W",
        range=(0, None),
    )
    iterations: int = option(
        60,
        help="Iterations of the optimiser that each photo is compared with; 0 for no comparison.",
        unit="N",
        range=(0, 10000),
    )
    json: Path | None = option(None, help="Write the result to this file, too.", unit="FILE.json")
    sheet: Path | None = option(
        None,
        help="Write a contact sheet: photo, stages, and the optimiser's picture with the same "
        "total loss.",
        unit="PICTURE",
    )
    overwrite: bool = option(False, help="Replace --json and --sheet if they exist.")
