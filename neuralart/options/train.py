"""The options of ``train``, ``launch`` and ``pack``: default, unit, range and help of each.

`neuralart.options.command_line` makes command-line options and config-file keys of them.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.specs import DEFAULT_GRAIN, LARGEST_GRAIN, Generator, with_grain_of
from neuralart.errors import ConfigError
from neuralart.loss.layers import CONTENT_LAYER, CONTENT_LAYERS
from neuralart.options.field import FEATURES_HELP, THREADS_HELP, option

RATE, ROWS_RATE = 3e-3, 1e-2  # of all weights, and of scales and shifts alone

OPTIONS_BEFORE = {"gan_weight": 0.0, "grain": 0.0, "palette_weight": 0.0, "style_left": 0.0}
"""What runs had that were begun before these options were there."""

DEFAULT_CHAIN = "conv-fast,conv-slim,conv-slim,conv-slim"
"""The first stage decides what the others refine, which narrow ones do as well."""

RANDOM_START = "random"
"""The --start that begins with random weights."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of ``neuralart train``."""

    style: tuple[Path, ...] = option(
        help="The style image, whose style is learned; repeat it for several styles.",
        unit="PICTURE",
    )
    data: Path = option(
        help="Folder of photos to learn from, read recursively, or a file that `neuralart pack` "
        "made of one.",
        unit="FOLDER|FILE.rec",
    )
    out: Path | None = option(
        None,
        help="Folder of the run; by default runs/ and the name of the first style image.",
        unit="FOLDER",
    )
    features: str = option(
        "small",
        help=FEATURES_HELP,
        unit="NAME|FILE",
    )
    chain: str = option(
        DEFAULT_CHAIN,
        help="Kinds of the chain's generators, in order.",
        unit="KIND,KIND,...",
    )
    start: str | None = option(
        None,
        help="Model of the same chain whose weights to begin with, or random; by default a shipped "
        "style, if one has that chain.",
        unit="MODEL",
    )
    add_to: str | None = option(
        None,
        help="Model to add the style to; its weights and other styles stay as they are.",
        unit="MODEL",
    )
    share_weights: bool = option(
        False, help="Use one generator for all stages and train them together."
    )
    coupling: str = option(
        "own",
        help="Gradients that train a stage: of its own loss, stage by stage (own), or of later "
        "losses, too, as in 2016 (suffix_sum) or by back-propagation (through).",
        choices=("own", "suffix_sum", "through"),
    )
    steps: int = option(
        0,
        help="Steps of each stage by itself at the beginning, of --batch photos each.",
        unit="N",
        range=(0, None),
    )
    minutes: float | None = option(
        None,
        help="Time for the whole training, instead of numbers of steps.",
        unit="MINUTES",
        range=(0.05, None),
    )
    joint_steps: int = option(
        1000,
        help="Steps in which all stages learn together.",
        unit="N",
        range=(0, None),
    )
    crop: int = option(
        320, help="Edge of the squares cut from the photos.", unit="PX", range=(32, 2048)
    )
    style_scale: int = option(
        400,
        help="Shorter edge of the style image; larger gives larger strokes.",
        unit="PX",
        range=(32, 4096),
    )
    style_weight: float | None = option(
        None,
        help="Weight of each style layer; by default set so that every layer counts the same and "
        "photos have a style loss of 70, at the photos' size and at half of it.",
        unit="W",
        range=(0, None),
    )
    content_weight: float = option(
        8.0,
        help="Weight of the content, at least; see --style-left.",
        unit="W",
        range=(0, None),
    )
    content_layer: str = option(
        CONTENT_LAYER,
        help="VGG layer of the content loss; conv4_2, before the ReLU, keeps more of the photo.",
        choices=CONTENT_LAYERS,
    )
    layout_weight: float = option(
        16.0,
        help="Weight of the layout: where the photo is light and dark, yellow and blue; at least, "
        "see --style-left.",
        unit="W",
        range=(0, None),
    )
    style_left: float = option(
        0.125,
        help="Share of the photos' own style loss that may be left: where less is left, content "
        "and layout count more, up to four times; 0 leaves them at their weights, and so does "
        "--style-weight.",
        unit="SHARE",
        range=(0, 1),
    )
    palette_weight: float = option(
        3.0,
        help="Weight of the palette: the style image's colours, and how they vary in small squares "
        "and in large ones.",
        unit="W",
        range=(0, None),
    )
    tv_weight: float = option(5.0, help="Weight of the total variation.", unit="W", range=(0, None))
    checkerboard_weight: float = option(
        1e5,
        help="Weight of the checkerboard: faint stripes with a period of 2 pixels.",
        unit="W",
        range=(0, None),
    )
    grain: float = option(
        DEFAULT_GRAIN,
        help="Standard deviation, in levels of 255, of a fixed grain that the chain's photos get; "
        "plain places become strokes by it.",
        unit="G",
        range=(0, LARGEST_GRAIN),
    )
    gan_weight: float = option(
        0.0,
        help="Weight of the GAN loss: a discriminator learns to tell squares of the style image "
        "from the chain's paintings; 0 is without.",
        unit="W",
        range=(0, None),
    )
    rate: float | None = option(
        None,
        help="Learning rate of Adam at its peak; by default 0.003, and 0.01 with --add-to.",
        unit="RATE",
        range=(0, None),
    )
    seed: int = option(
        0,
        help="Seed of all that is random: weights, order of photos, crops.",
        unit="N",
        range=(0, 2**31 - 1),
    )
    holdout: int = option(
        20,
        help="Photos to hold out and measure on, at most a fifth of all.",
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
        "cpu",
        help="Where to compute: cpu (with MXNet on two cores the same as cpu:0,1) or gpu:0 with MXNet, cuda:0 or mps with PyTorch, or several as "
        "cuda:0,1,2,3.",
        unit="DEVICE",
        same_result=True,
    )
    precision: str = option(
        "float32",
        help="Number format of convolutions: tf32 and bfloat16 are faster on cards, with PyTorch.",
        choices=("float32", "tf32", "bfloat16"),
    )
    batch: int | None = option(
        None,
        help="Photos of a step, over all devices and machines; by default two for each card, and "
        "one for each CPU device, but at least two.",
        unit="N",
        range=(1, 4096),
    )
    kvstore: str = option(
        "local",
        help="Where gradients of several devices are added: in memory (local), on a GPU (device), "
        "or on servers (dist_sync, which `neuralart launch` sets).",
        choices=("local", "device", "dist_sync"),
        same_result=True,
    )
    threads: int | None = option(None, help=THREADS_HELP, unit="N", range=(1, 1024))
    dry_run: bool = option(
        False,
        help="Time a few steps, print what the training would cost, and write nothing.",
        same_result=True,
    )
    resume: bool = option(
        False, help="Go on with the run in --out where it stopped.", same_result=True
    )
    overwrite: bool = option(False, help="Replace the run in --out.", same_result=True)
    generators: dict[str, Generator] = field(default_factory=dict)

    def run_folder(self) -> Path:
        """--out or its default."""
        return self.out or Path("runs") / self.style[0].stem

    def peak_rate(self) -> float:
        """The learning rate at its peak."""
        if self.rate is not None:
            return self.rate
        return ROWS_RATE if self.add_to else RATE

    def style_names(self) -> list[str]:
        """The names of the styles: those of their files. Raises ConfigError for two of one name."""
        names = [path.stem for path in self.style]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"--style: two style images are called {name}; rename one")
            if not re.fullmatch(r"[^\s,=/]+", name):
                raise ConfigError(
                    f"--style: {name!r} is no good as a style's name; rename the style image, "
                    "without spaces, commas and ="
                )
        return names

    def on_threads(self, threads: int) -> TrainConfig:
        """The same options with two threads as two devices, where --device is cpu.

        Two devices with a photo each take 0.83 of the time of one with two threads on each photo
        in turn (docs/scaling.md). A device computes with one thread, as `threads_each` says, but
        --threads stays as it was given: a run that is resumed must have the same.
        """
        computing = self.threads or threads
        is_here, is_even = self.kvstore != "dist_sync", (self.batch or 2) % 2 == 0
        if self.device == "cpu" and computing == 2 and is_here and is_even:
            return dataclasses.replace(self, device="cpu:0,1")
        return self

    def threads_each(self) -> int | None:
        """Threads of each device: --threads, None for the default, or 1 on several CPU devices.

        Raises ConfigError if --threads asks for more on several CPU devices.
        Hazard:  with more, matrix products of two devices can wait for each other for ever, in the
                 OpenBLAS of MXNet 1.9.1.
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
        """The specifications of the chain's generators. Raises ConfigError for an unknown kind."""
        known = {**GENERATORS, **self.generators}
        names = [name.strip() for name in self.chain.split(",")]
        for name in names:
            if name not in known:
                raise ConfigError(f"--chain: no generator {name!r}; known are {', '.join(known)}")
        return with_grain_of([known[name] for name in names], self.grain)

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
    """Options of ``neuralart launch``."""

    hosts: Path | None = option(
        None,
        help="File of machines: a name that ssh knows on each line. Workers use no password: use a "
        "network where whoever reaches their ports may run code, as they do.",
        unit="FILE",
    )
    workers: int = option(
        2,
        help="Workers on this machine, without --hosts; they listen on loopback alone.",
        unit="N",
        range=(1, 64),
    )
    servers: int | None = option(
        None,
        help="Servers, which add up gradients; by default one on each machine.",
        unit="N",
        range=(1, 64),
    )
    address: str | None = option(
        None,
        help="This machine's address as the others see it, on which the scheduler listens; by "
        "default that of the route to them.",
        unit="ADDRESS",
    )
    port: int | None = option(
        None,
        help="Port of the scheduler on this machine; by default a free one.",
        unit="N",
        range=(1, 65535),
    )


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """Options of ``neuralart pack``."""

    edge: int = option(
        416,
        help="Shorter edge that larger photos are scaled down to; train uses up to 1.6 times its "
        "--crop.",
        unit="PX",
        range=(32, 4096),
    )
    quality: int = option(95, help="Quality of the JPEGs.", unit="Q", range=(1, 100))
    processes: int | None = option(
        None, help="Number of processes; by default one for each core.", unit="N", range=(1, 1024)
    )
    overwrite: bool = option(False, help="Replace the file if it exists.")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
