"""Loss against cost: chains of other widths, depths and stages, and Johnson's network, trained alike.

python benchmarks/cost_curve.py train --out curve --data photos/ --style starry.jpg --style wave.jpg
python benchmarks/cost_curve.py table curve

`train` begins each chain with random weights and gives all the same photos in the same order; what
is finished is skipped. `table` adds multiply-adds and measured seconds of painting, every chain in
turn, several times. Options that `train` does not know go to `neuralart train`.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from neuralart.chain.kinds import GENERATORS, block, conv, up
from neuralart.chain.model import Style, StyledChain
from neuralart.chain.params import initial_params
from neuralart.chain.specs import RGB, Generator, generator_from_dict
from neuralart.engine.devices import open_device
from neuralart.painting.photo_painter import PhotoPainter

ROUNDS = 5
STEPS = 500
PAINTED_PX = 512
Layers = list[dict[str, Any]]


def blocks(channels: int, count: int, on: str) -> Layers:
    """Residual blocks, the first on the layer ``on``."""
    layers = []
    for number in range(count):
        name = f"block{number}"
        layers += block(channels, on, name)
        on = name
    return layers


def paint(kernel: int = 5) -> dict[str, Any]:
    return conv(RGB, kernel, resize=2, norm=False, act="tanh", name="paint")


def fast(width: float = 1.0, depth: int = 1, last: int = 5) -> Layers:
    """`conv-fast` with other numbers of channels and blocks, and another kernel at its end."""

    def scaled(channels: int) -> int:
        return round(channels * width / 8) * 8

    quarter = conv(scaled(64), stride=2, name="quarter")
    return [
        *(conv(scaled(32), 5, stride=2, name="half"), quarter),
        *blocks(scaled(64), depth, "quarter"),
        *(up(scaled(32), add="half"), conv(scaled(32)), paint(last)),
    ]


def at_half() -> Layers:
    """All work at half the size."""
    return [conv(32, 5, stride=2, name="half"), *blocks(32, 1, "half"), conv(32), paint()]


def johnson() -> Layers:
    """Johnson et al. 2016, supplementary table 1, but for means of 2x2 behind deconvolutions."""
    return [
        *(conv(32, 9), conv(64, stride=2), conv(128, stride=2, name="quarter")),
        *blocks(128, 5, "quarter"),
        *(up(64), up(32), conv(RGB, 9, norm=False, act="tanh")),
    ]


EIGHTH = list(GENERATORS["deconv-fast"].to_dict()["layers"])

CHAINS: dict[str, list[Layers]] = {
    "width-1": [fast()] * 4,
    "first-wide": [fast(), *[fast(0.5)] * 3],
    "width-1.25": [fast(1.25)] * 4,
    "width-0.75": [fast(0.75)] * 4,
    "width-0.5": [fast(0.5)] * 4,
    "stages-1": [fast()],
    "stages-2": [fast()] * 2,
    "stages-3": [fast()] * 3,
    "stages-6-width-0.5": [fast(0.5)] * 6,
    "stages-2-width-1.5": [fast(1.5)] * 2,
    "stages-2-depth-3": [fast(depth=3)] * 2,
    "last-9": [fast(last=9)] * 4,
    "at-half": [at_half()] * 4,
    "eighth-first": [EIGHTH, *[fast()] * 3],
    "eighth-last": [*[fast()] * 3, EIGHTH],
    "johnson": [johnson()],
}


def specs_of(name: str) -> list[Generator]:
    residual = 0.05 if name == "johnson" else 0.4
    return [
        generator_from_dict(f"{name}-{k}", {"layers": layers, "residual": residual})
        for k, layers in enumerate(CHAINS[name])
    ]


def config_of(name: str) -> str:
    """A config file of ``neuralart train`` with the chain. JSON's values are TOML's, too."""
    specs = specs_of(name)
    lines = ["[train]", f"chain = {json.dumps([spec.name for spec in specs])}"]
    for spec, layers in zip(specs, CHAINS[name], strict=True):
        rows = [
            "  { " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in layer.items()) + " },"
            for layer in layers
        ]
        lines += ["", f"[generators.{spec.name}]", f"residual = {spec.residual}"]
        lines += ["layers = [", *rows, "]"]
    return "\n".join(lines) + "\n"


def train(out: Path, names: list[str], more: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (out / name / "evaluation.json").exists():
            continue
        config = out / f"{name}.toml"
        config.write_text(config_of(name))
        command = [sys.executable, "-m", "neuralart", "train", "--config", config]
        options = ["--start", "random", "--joint-steps", STEPS, "--out", out / name, "--overwrite"]
        subprocess.run([*map(str, [*command, *options]), *more], check=True)


def losses(folder: Path) -> list[str]:
    """The last stage's mean held-out losses over the styles; of steps 291 to 390 while learning."""
    columns = []
    file = folder / "evaluation.json"
    if file.exists():
        found = json.loads(file.read_text())
        rows = [each["losses"] for each in found["styles"].values()]
        last = [list(row.values())[-1] for row in rows]
        for term in ("total", "style", "half", "content"):
            columns.append(f"{np.mean([row[term] for row in last]):.2f}")
    else:
        columns += ["-"] * 4
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    totals = [
        math.log(list(line["losses"].values())[-1]["total"])
        for line in lines
        if line.get("losses") and 290 < line["step"] <= 390
    ]
    return [*columns, f"{math.exp(np.mean(totals)):.2f}" if len(totals) == 10 else "-"]


def seconds(names: list[str], size_px: int) -> dict[str, float]:
    """The fastest of several rounds in which every chain paints a square once."""
    photo = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3), np.uint8)
    painters = {}
    for name in names:
        specs = tuple(specs_of(name))
        model = StyledChain(specs, initial_params(specs, 0), (Style("random", {}),)).model()
        painters[name] = PhotoPainter(model, open_device("cpu"), len(specs))
        painters[name].paint(photo)
    found: dict[str, float] = {name: math.inf for name in names}
    for _ in range(ROUNDS):
        for name, painter in painters.items():
            begin = time.perf_counter()
            painter.paint(photo)
            found[name] = min(found[name], time.perf_counter() - begin)
    return found


def table(folder: Path, names: list[str]) -> None:
    took = seconds(names, PAINTED_PX)
    head = (
        "chain",
        "multiply-adds",
        "weights",
        "s",
        "total",
        "style",
        "half",
        "content",
        "learning",
    )
    rows = [head, ["---"] * len(head)]
    for name in names:
        specs = specs_of(name)
        work = sum(spec.multiply_adds() for spec in specs)
        weights = sum(array.size for array in initial_params(specs, 0).values())
        found = losses(folder / name) if (folder / name).exists() else ["-"] * 5
        rows.append([name, f"{work:,.0f}", f"{weights:,}", f"{took[name]:.3f}", *found])
    sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("train", "table"):
        added = commands.add_parser(command)
        added.add_argument("--chains", nargs="+", default=list(CHAINS), choices=list(CHAINS))
        if command == "train":
            added.add_argument("--out", type=Path, required=True)
        else:
            added.add_argument("folder", type=Path, help="what train wrote")
    options, more = parser.parse_known_args()
    if options.command == "train":
        train(options.out, options.chains, more)
    elif more:
        parser.error(f"unknown: {' '.join(more)}")
    else:
        table(options.folder, options.chains)


if __name__ == "__main__":
    main()
