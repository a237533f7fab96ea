"""The options of ``stylize`` and ``plan``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuralart.chain.specs import LARGEST_GRAIN
from neuralart.options.field import DEVICE_HELP, MODEL_HELP, THREADS_HELP, option

# Files that `stylize` paints frame by frame.
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm")


# The fields of `StylizeConfig` that `plan` uses.
PLANNED = (
    "model", "style", "stage", "strength", "mask", "keep", "stroke", "size", "keep_size", "quality",
    "format", "max_pixels", "precision", "max_memory", "tile", "engine",
    "device", "threads",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StylizeConfig:
    """Options of ``neuralart stylize``, some of which ``neuralart plan`` has, too."""

    model: str | None = option(
        None,
        help=f"{MODEL_HELP} By default the shipped model that has --style, or starry-night.",
        unit="MODEL",
    )
    style: str | None = option(
        None,
        help="A style of the model, a mixture as wave=0.7,scream=0.3, or a style file as "
        "mine.style; by default the first.",
        unit="STYLE",
    )
    stage: int | None = option(
        None,
        help="Stop after this stage, counted from 1; by default after the last.",
        unit="K",
        range=(1, None),
    )
    strength: float = option(
        1.0,
        help="Strength of the style: 0 is the photo, 1 the last stage, the others lie between.",
        unit="0..1",
        range=(0, 1),
    )
    mask: Path | None = option(
        None,
        help="A grey picture of the photo's proportions: white is painted with --strength, black "
        "stays the photo, gray lies between.",
        unit="PICTURE",
    )
    keep: str | None = option(
        None,
        help="Paint faces with strength 0.4, or with S, so that people stay recognisable.",
        unit="faces[=S]",
    )
    colors: str | None = option(
        None,
        help="Colours of the painting: its own (painting, the default), matched to the photo's in "
        "mean and covariance (photo), or between the two: 0 is photo, 1 painting.",
        unit="photo|painting|0..1",
    )
    preserve_colors: bool = option(
        False, help="Keep the photo's colours: only the luminance is painted."
    )
    stroke: float | None = option(
        None,
        help="Size of the strokes at the same size of the painting: 1 as the chain has learned "
        "them, 0.5 finer, 2 broader; by default what fits the painting's size, at least 1.",
        unit="0.5..2",
        range=(0.5, 2),
    )
    grain: float | None = option(
        None,
        help="Standard deviation, in levels of 255, of the grain that plain places become strokes "
        "by: 0 leaves them smooth; by default the model's.",
        unit="G",
        range=(0, LARGEST_GRAIN),
    )
    size: int | None = option(
        None,
        help="Longer edge to paint at: smaller gives larger strokes; by default the photo's.",
        unit="PX",
        range=(1, 65535),
    )
    keep_size: bool = option(
        False, help="With --size, scale the painting back to the photo's size."
    )
    quality: int = option(
        95, help="Quality of AVIF, HEIC, JPEG and WebP.", unit="Q", range=(1, 100)
    )
    format: str | None = option(
        None,
        help="Format of paintings in a folder or on standard output; by default that of the photo.",
        choices=("jpg", "png", "webp", "tiff", "bmp", "avif", "heic"),
    )
    overwrite: bool = option(False, help="Replace paintings that exist.")
    skip_existing: bool = option(False, help="Skip photos whose paintings exist.")
    on_error: str = option(
        "skip",
        help="When one of several photos fails: skip it, or stop.",
        choices=("skip", "stop"),
    )
    shard: str | None = option(
        None,
        help="Paint the I-th of N equal parts of the photos, on one of N machines.",
        unit="I/N",
    )
    cluster: str | None = option(
        None,
        help="Let Dask's workers paint the photos: local:4 starts four processes on this machine.",
        unit="local:N|ADDRESS",
    )
    max_pixels: float = option(
        120.0,
        help="Refuse larger photos, since a damaged or hostile file may claim any size.",
        unit="MEGAPIXELS",
        range=(0, None),
    )
    precision: str = option(
        "float32",
        help="Number format to paint with: bfloat16 is faster on a CPU with AVX512_BF16 or AMX, "
        "int8 on one with VNNI; the pictures are nearly the same.",
        choices=("float32", "bfloat16", "int8"),
    )
    max_memory: str | None = option(
        None,
        help="Memory that painting may take, photo and painting included, as 1GB; by default half "
        "of the free memory, beside them, at most 1GB, or 2GB where smaller tiles take longer.",
        unit="SIZE",
    )
    tile: int | None = option(
        None,
        help="Longest edge of a tile, 0 for the whole picture at once; by default what fits in "
        "--max-memory. The painting is the same.",
        unit="PX",
        range=(0, None),
    )
    engine: str | None = option(
        None,
        help="What computes: MXNet, PyTorch or ONNX Runtime; by default MXNet, else ONNX Runtime, "
        "else PyTorch, as installed.",
        choices=("mxnet", "torch", "onnx"),
    )
    device: str = option("cpu", help=DEVICE_HELP, unit="DEVICE")
    threads: int | None = option(None, help=THREADS_HELP, unit="N", range=(1, 1024))
