"""One dataclass for each command: every option's default, unit, range and help, said once.

`neuralart.options` makes command-line options and config-file keys of them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.specs import Generator
from neuralart.errors import ConfigError
from neuralart.loss.layers import CONTENT_LAYER, CONTENT_LAYERS
from neuralart.options.field import FEATURES_HELP, THREADS_HELP, option

RANDOM_START = "random"  # of train's --start


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
    threads: int | None = option(None, help=THREADS_HELP, unit="N", range=(1, 1024))
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


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
