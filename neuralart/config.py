"""One dataclass for each command: every option's default, unit, range and help, said once.

`neuralart.options` makes command-line options and config-file keys of them.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuralart.errors import ConfigError
from neuralart.specs import CONTENT_LAYER, CONTENT_LAYERS, GENERATORS, Generator


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    unit: str = "",
    range: tuple[float | None, float | None] | None = None,
    choices: tuple[str, ...] = (),
    same_result: bool = False,
) -> Any:
    """A dataclass field that is an option.

    unit         what stands for the value in the help text, as PX
    range        smallest and largest value, inclusive; None for open
    same_result  whether a run may be resumed with another value
    """
    metadata = {
        "help": help, "unit": unit, "range": range, "choices": choices, "same_result": same_result
    }  # fmt: skip
    if default is dataclasses.MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


# An exported graph reflects 32 pixels at each edge, which a smaller picture does not have.
SMALLEST_PX, LARGEST_PX = 33, 8192

DEFAULT_MODEL = "starry-night"
RANDOM_START = "random"  # of train's --start
MODEL_HELP = "A style: the name of a shipped one, a model file, or the folder of a run."
FEATURES_HELP = "VGG features that measure: small, vgg19, random, or a file of weights."
# What `stylize` paints frame by frame.
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm")

_DEVICE_HELP = "Where to compute: cpu, or gpu:0."
_THREADS_HELP = "Threads that compute; by default one for each core."


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """``neuralart train``."""

    style: Path = option(help="The painting whose style is learned.", unit="PICTURE")
    data: Path = option(
        help="Folder of photos to learn on, read recursively; or a file that `neuralart pack` made of one.",
        unit="FOLDER|FILE.rec",
    )
    out: Path | None = option(
        None, help="Folder of the run; by default runs/NAME-OF-THE-STYLE.", unit="FOLDER"
    )
    features: str = option(
        "small",
        help=FEATURES_HELP,
        unit="NAME|FILE",
    )
    chain: str = option(
        "conv,deconv,deconv,conv", help="Kinds of the generators in order.", unit="KIND,KIND,..."
    )
    start: str | None = option(
        None,
        help="Begin with the weights of this model, of the same chain: by default those of a shipped style, "
        "if one has that chain, since another style learns sooner from them; random: from none.",
        unit="MODEL",
    )
    share_weights: bool = option(False, help="One generator for all stages, trained all at once.")
    coupling: str = option(
        "own",
        help="What a stage learns from: its own loss (stage by stage), later image gradients added as "
        "in 2016, or true back-propagation (all stages at once).",
        choices=("own", "suffix_sum", "through"),
    )
    steps: int = option(
        400, help="Steps of each stage, of --batch photos.", unit="N", range=(1, None)
    )
    minutes: float | None = option(
        None,
        help="Time for the whole training instead of --steps.",
        unit="MINUTES",
        range=(0.05, None),
    )
    joint_steps: int = option(
        3000,
        help="Photos that all stages learn on at the end, through each other.",
        unit="N",
        range=(0, None),
    )
    crop: int = option(
        192, help="Edge of the squares cut from the photos.", unit="PX", range=(32, 2048)
    )
    style_scale: int = option(
        256,
        help="Shorter edge of the painting: larger gives larger strokes.",
        unit="PX",
        range=(32, 4096),
    )
    style_weight: float | None = option(
        None,
        help="Weight of each style layer; by default set from the painting, so that each layer counts "
        "the same and the photos' distances are 70 in all.",
        unit="W",
        range=(0, None),
    )
    content_weight: float = option(6.0, help="Weight of the content.", unit="W", range=(0, None))
    content_layer: str = option(
        CONTENT_LAYER,
        help="Layer of the content: after its ReLU, or before, which keeps more of the photo.",
        choices=CONTENT_LAYERS,
    )
    tv_weight: float = option(5.0, help="Weight of the total variation.", unit="W", range=(0, None))
    checkerboard_weight: float = option(
        1e5,
        help="Weight of stripes of 2 pixels, of which those that strided layers leave are less than a level.",
        unit="W",
        range=(0, None),
    )
    rate: float = option(
        3e-3, help="Learning rate of Adam at its peak.", unit="RATE", range=(0, None)
    )
    seed: int = option(
        0, help="Seed of weights, photo order and crops.", unit="N", range=(0, 2**31 - 1)
    )
    holdout: int = option(
        20,
        help="Photos kept out to measure on; at most a fifth of them.",
        unit="N",
        range=(0, None),
    )
    save_every: int = option(
        250, help="Steps between checkpoints.", unit="N", range=(1, None), same_result=True
    )
    sheet_every: int = option(
        250, help="Steps between contact sheets.", unit="N", range=(1, None), same_result=True
    )
    device: str = option(
        "cpu", help="Where to compute: cpu, gpu:0, or several as gpu:0,1,2,3.", unit="DEVICE"
    )
    batch: int | None = option(
        None,
        help="Photos of a step, on all devices and machines; by default one on each device.",
        unit="N",
        range=(1, 4096),
    )
    kvstore: str = option(
        "local",
        help="Where several devices add up: in memory, on a GPU (device), or over several machines "
        "(dist_sync, which `neuralart launch` starts).",
        choices=("local", "device", "dist_sync"),
        same_result=True,
    )
    threads: int | None = option(None, help=_THREADS_HELP, unit="N", range=(1, 1024))
    dry_run: bool = option(
        False,
        help="Say what it would cost, as measured on a few steps, and write nothing.",
        same_result=True,
    )
    resume: bool = option(
        False, help="Go on with the run in --out where it stopped.", same_result=True
    )
    overwrite: bool = option(False, help="Replace the run in --out.", same_result=True)
    generators: dict[str, Generator] = field(default_factory=dict)

    def run_folder(self) -> Path:
        return self.out or Path("runs") / self.style.stem

    def threads_each(self) -> int | None:
        """Threads of each device, None for the default; of several CPU devices one. Raises ConfigError for more.

        Hazard:  matrix products of two devices at once, with more threads each, wait for each other without end in
                 the OpenBLAS of MXNet 1.9.1.
        """
        if not (self.device.startswith("cpu:") and "," in self.device):
            return self.threads
        if self.threads not in (None, 1):
            raise ConfigError(
                f"--threads {self.threads}: each of several CPU devices computes with one thread; "
                "name more devices in --device, or one and any --threads"
            )
        return 1

    def specs(self) -> list[Generator]:
        """The specifications of the chain. Raises ConfigError for an unknown kind."""
        known = {**GENERATORS, **self.generators}
        names = [name.strip() for name in self.chain.split(",")]
        for name in names:
            if name not in known:
                raise ConfigError(f"--chain: no generator {name!r}; known are {', '.join(known)}")
        return [known[name] for name in names]

    def result_options(self) -> dict[str, Any]:
        """The options that decide the result, as plain data; a resumed run must have the same."""
        options = {
            f.name: _plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.metadata and not f.metadata["same_result"] and f.name != "out"
        }
        return options | {"generators": [spec.to_dict() for spec in self.specs()]}


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """``neuralart launch``."""

    hosts: Path | None = option(
        None, help="File of machines, a name that ssh knows on each line.", unit="FILE"
    )
    workers: int = option(
        2, help="Processes on this machine, without --hosts.", unit="N", range=(1, 64)
    )
    servers: int | None = option(
        None, help="Processes that add up; by default one on each machine.", unit="N", range=(1, 64)
    )
    address: str | None = option(
        None, help="This machine's address as the others see it; by default found.", unit="ADDRESS"
    )
    port: int | None = option(
        None, help="Port of the scheduler here; by default a free one.", unit="N", range=(1, 65535)
    )


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """``neuralart pack``."""

    edge: int = option(
        416,
        help="Shorter edge that larger photos are scaled down to; train uses up to 1.6 times its --crop.",
        unit="PX",
        range=(32, 4096),
    )
    quality: int = option(95, help="Quality of the JPEGs.", unit="Q", range=(1, 100))
    processes: int | None = option(
        None, help="Processes that pack; by default one for each core.", unit="N", range=(1, 1024)
    )
    overwrite: bool = option(False, help="Replace the file if it exists.")


@dataclass(frozen=True, kw_only=True)
class StylizeConfig:
    """``neuralart stylize``."""

    model: str = option(DEFAULT_MODEL, help=MODEL_HELP, unit="MODEL")
    stage: int | None = option(
        None,
        help="End at this stage, 1 the first; by default the last.",
        unit="K",
        range=(1, None),
    )
    strength: float = option(
        1.0,
        help="From 0, the photo, through the stages to 1, the whole painting.",
        unit="0..1",
        range=(0, 1),
    )
    preserve_colors: bool = option(
        False, help="Paint in light and dark only, in the photo's colours."
    )
    size: int | None = option(
        None,
        help="Longer edge to paint at: smaller gives larger strokes; by default the photo's.",
        unit="PX",
        range=(1, 65535),
    )
    keep_size: bool = option(
        False, help="With --size, bring the painting back to the photo's size."
    )
    quality: int = option(95, help="Quality of JPEG and WebP.", unit="Q", range=(1, 100))
    format: str | None = option(
        None,
        help="Format of paintings in a folder or on standard output; by default the photo's own.",
        choices=("jpg", "png", "webp", "tiff", "bmp"),
    )
    overwrite: bool = option(False, help="Replace paintings that exist.")
    skip_existing: bool = option(False, help="Pass over photos whose paintings exist.")
    on_error: str = option(
        "skip",
        help="When a photo of several fails: go on with the others, or stop.",
        choices=("skip", "stop"),
    )
    shard: str | None = option(
        None,
        help="Paint the I-th of N equal parts of the photos, on one of N machines.",
        unit="I/N",
    )
    max_pixels: float = option(
        120.0,
        help="Refuse larger photos: a damaged or hostile file may claim any size.",
        unit="MEGAPIXELS",
        range=(0, None),
    )
    precision: str = option(
        "float32",
        help="Numbers to paint with: bfloat16 is faster on a CPU with AVX512_BF16 or AMX, int8 on one with VNNI, "
        "and both make nearly the same picture.",
        choices=("float32", "bfloat16", "int8"),
    )
    max_memory: str | None = option(
        None,
        help="Memory to paint with, beside the picture itself: 1GB; by default half of what is free, 2GB at most.",
        unit="SIZE",
    )
    tile: int | None = option(
        None,
        help="Paint in windows of at most this edge, 0 for the whole at once; by default what fits in "
        "--max-memory. The painting is the same.",
        unit="PX",
        range=(0, None),
    )
    device: str = option("cpu", help=_DEVICE_HELP, unit="DEVICE")
    threads: int | None = option(None, help=_THREADS_HELP, unit="N", range=(1, 1024))


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """``neuralart export``."""

    to: Path | None = option(None, help="New folder to write.", unit="FOLDER")
    format: tuple[str, ...] = option(
        ("mxnet",),
        help="What to write: mxnet (a graph and parameters for MXNet), onnx (one file for ONNX Runtime "
        "and others), ort (for phones), web (a page that paints in the browser).",
        unit="FORMAT,...",
        choices=("mxnet", "onnx", "ort", "web"),
    )
    precision: str | None = option(
        None,
        help="fp16 halves the file, int8 quarters it and computes in 8 bits; by default fp32, of ort and "
        "web fp16.",
        choices=("fp32", "fp16", "int8"),
    )
    calibrate: Path | None = option(
        None,
        help="Photos to lay the 8 bits of int8 over; by default four that ship.",
        unit="FOLDER",
    )
    stage: int | None = option(
        None,
        help="End after this stage, 1 the first; by default the last.",
        unit="K",
        range=(1, None),
    )
    statistics: str = option(
        "picture",
        help="Normalise by the statistics of each picture, or by stored averages (faster, and local).",
        choices=("picture", "average"),
    )
    static: str | None = option(
        None,
        help="Take pictures of this size only, one at a time, for runtimes without free sizes.",
        unit="HxW",
    )
    runtime: str = option(
        "folder",
        help="Where web has ONNX Runtime from: with it in the folder, or from a public server.",
        choices=("folder", "cdn"),
    )
    overwrite: bool = option(False, help="Replace an export in --to.")
    verify: Path | None = option(
        None, help="Only run an export again and compare it with the chain.", unit="FOLDER"
    )
    threads: int | None = option(None, help=_THREADS_HELP, unit="N", range=(1, 1024))

    def size(self) -> tuple[int, int] | None:
        """(height, width) of --static. Raises ConfigError if it is no size, or too small for the frame."""
        if self.static is None:
            return None
        match = re.fullmatch(r"(\d+)x(\d+)", self.static)
        size = (int(match[1]), int(match[2])) if match else (0, 0)
        if not all(SMALLEST_PX <= edge <= LARGEST_PX for edge in size):
            raise ConfigError(
                f"--static {self.static}: not HEIGHTxWIDTH of {SMALLEST_PX} to {LARGEST_PX} pixels"
            )
        return size


@dataclass(frozen=True, kw_only=True)
class _LossConfig:
    """What `optimize` and `evaluate` measure with."""

    features: str = option("small", help=FEATURES_HELP, unit="NAME|FILE")
    content_layer: str = option(
        CONTENT_LAYER, help="VGG layer of the content, as relu4_2 or conv4_2.", unit="LAYER"
    )
    style_weight: float = option(
        20.0, help="Weight of each style layer.", unit="W", range=(0, None)
    )
    content_weight: float = option(2.0, help="Weight of the content.", unit="W", range=(0, None))
    device: str = option("cpu", help=_DEVICE_HELP, unit="DEVICE")
    threads: int | None = option(None, help=_THREADS_HELP, unit="N", range=(1, 1024))


@dataclass(frozen=True, kw_only=True)
class OptimizeConfig(_LossConfig):
    """``neuralart optimize``."""

    style: Path = option(help="The painting whose style is wanted.", unit="PICTURE")
    method: str = option(
        "lbfgs", help="L-BFGS, or Adam with a rate of 0.02 of 0..1.", choices=("lbfgs", "adam")
    )
    iterations: int = option(
        200,
        help="Iterations at the coarsest size; half as many at each size twice as large.",
        unit="N",
        range=(1, None),
    )
    start: str = option(
        "photo", help="Begin with the photo or with noise.", choices=("photo", "noise")
    )
    size: int = option(
        600,
        help="Longer edge of the picture, at most the photo's own.",
        unit="PX",
        range=(32, 8192),
    )
    style_scale: int | None = option(
        None,
        help="Shorter edge of the painting; by default the picture's. Larger gives larger strokes.",
        unit="PX",
        range=(32, 8192),
    )
    content_weight: float = option(0.5, help="Weight of the content.", unit="W", range=(0, None))
    tv_weight: float = option(
        20.0, help="Weight of the total variation.", unit="W", range=(0, None)
    )
    preserve_colors: bool = option(
        False, help="Paint in light and dark only, in the photo's colours."
    )
    preview: Path | None = option(
        None, help="Write the picture so far there, every 10 iterations.", unit="PICTURE"
    )
    metrics: Path | None = option(
        None, help="Write the losses of every iteration there, a line each.", unit="FILE.jsonl"
    )
    seed: int = option(0, help="Seed of the noise.", unit="N", range=(0, 2**31 - 1))
    overwrite: bool = option(False, help="Replace files that exist.")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(_LossConfig):
    """``neuralart evaluate``."""

    data: Path = option(
        help="Folder of photos to measure on, read recursively; or a file that `neuralart pack` made of one.",
        unit="FOLDER|FILE.rec",
    )
    held_out: bool = option(
        False,
        help="Only the photos that training kept out, where --data is the folder it learned on.",
    )
    photos: int | None = option(
        None, help="At most so many photos, spread over the folder.", unit="N", range=(1, None)
    )
    size: int = option(256, help="Edge of the photos' middle squares.", unit="PX", range=(64, 2048))
    style: Path | None = option(
        None,
        help="The painting; by default the one in the run's options, or in the model.",
        unit="PICTURE",
    )
    style_scale: int | None = option(
        None,
        help="Shorter edge of the painting; by default as the model was trained.",
        unit="PX",
        range=(32, 4096),
    )
    tv_weight: float = option(
        0.0,
        help="Weight of the total variation in the total; training's default is 5.",
        unit="W",
        range=(0, None),
    )
    iterations: int = option(
        60,
        help="Iterations of the optimiser to compare with on every photo; 0 for no comparison.",
        unit="N",
        range=(0, 10000),
    )
    json: Path | None = option(None, help="Write the result there, too.", unit="FILE.json")
    sheet: Path | None = option(
        None,
        help="Write a contact sheet: photo, stages, and the optimiser's picture of the same total.",
        unit="PICTURE",
    )
    overwrite: bool = option(False, help="Replace --json and --sheet if they exist.")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
