"""Make a narrower chain that paints what a wider one paints.

python scripts/distil.py MODEL OUT --chain conv-fast,conv-slim,conv-slim,conv-slim --data photos/

The new generators have the layers of MODEL's, with fewer channels. Each begins with the channels
that MODEL's next layer takes most of, and learns to paint what MODEL's same stage paints of a
photo: the gradient by its output is the difference of the two pictures (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network"). A first stage as wide as MODEL's stays as it is.

OUT has every style of MODEL. `neuralart train --start OUT`, with the same style images, goes on by
the losses of `train`, which sharpen what a difference of pictures leaves blurred.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neuralart.chain.model import StyledChain, load_chain
from neuralart.chain.params import array_shapes, outputs_first
from neuralart.chain.specs import Generator, prefix, with_grain_of
from neuralart.engine.devices import open_devices
from neuralart.errors import ConfigError, NeuralArtError
from neuralart.machine.archive import Arrays
from neuralart.options.train import TrainConfig
from neuralart.pictures.frame import learning_frame
from neuralart.pictures.grain import grain_place
from neuralart.pictures.photos.stream import Photos
from neuralart.training.schedule import Phase, drawn_styles
from neuralart.training.stages import Chain

HELD_OUT = 20
REPORT_EVERY = 25
SAVE_EVERY = 250
ROWS_FACTOR = 5.0  # of the rate, for scales and shifts

Channels = npt.NDArray[np.intp]


def kept_channels(wide: Generator, narrow: Generator, params: Arrays, stage: int) -> list[Channels]:
    """The channels of each layer that stay: those of which the next layer takes most.

    A channel counts as its scale and shift, mean over the styles, times the length of the weights
    that the next layer has for it. Layers that are added to each other keep the same channels.
    """
    score: dict[str, npt.NDArray[np.float32]] = {}
    group: dict[str, str] = {}
    for layer, following in zip(wide.layers, [*wide.layers[1:], None], strict=True):
        name = f"{prefix(stage)}{layer.name}"
        group[layer.name] = group[layer.add] if layer.add else layer.name
        loud = np.ones(layer.channels, np.float32)
        if layer.norm:
            scale, shift = (np.abs(params[f"{name}_norm_{part}"]) for part in ("gamma", "beta"))
            loud = (scale + shift / 2).mean(axis=0)
        if following:
            weight = outputs_first(params[f"{prefix(stage)}{following.name}_weight"], following)
            loud = loud * np.sqrt((weight**2).sum(axis=(0, 2, 3)))
        score[group[layer.name]] = score.get(group[layer.name], 0) + loud
    return [
        np.sort(np.argsort(-score[group[old.name]], kind="stable")[: new.channels])
        for old, new in zip(wide.layers, narrow.layers, strict=True)
    ]


def narrowed(chain: StyledChain, specs: Sequence[Generator]) -> Arrays:
    """The parameters of a chain with the same layers and fewer channels, see `kept_channels`."""
    shapes = array_shapes(specs, len(chain.styles))
    params: Arrays = {}
    for k, (wide, narrow) in enumerate(zip(chain.specs, specs, strict=True)):
        kept = kept_channels(wide, narrow, chain.params, k)
        inputs: Channels = np.arange(3)
        for old, new, outputs in zip(wide.layers, narrow.layers, kept, strict=True):
            before, after = f"{prefix(k)}{old.name}", f"{prefix(k)}{new.name}"
            weight = outputs_first(chain.params[f"{before}_weight"], old)[np.ix_(outputs, inputs)]
            params[f"{after}_weight"] = np.zeros(shapes[f"{after}_weight"], np.float32)
            outputs_first(params[f"{after}_weight"], new)[: new.channels] = weight
            if new.has_bias:
                params[f"{after}_bias"] = np.zeros(shapes[f"{after}_bias"], np.float32)
                params[f"{after}_bias"][: new.channels] = chain.params[f"{before}_bias"][outputs]
            for part in ("gamma", "beta") if new.norm else ():
                rows = chain.params[f"{before}_norm_{part}"]
                params[f"{after}_norm_{part}"] = rows[:, outputs]
            inputs = outputs
        residual = f"{prefix(k)}residual"
        if residual in shapes:
            params[residual] = chain.params[residual]
    return params


def learn(
    original: StyledChain, specs: Sequence[Generator], params: Arrays, options: argparse.Namespace
) -> Iterator[tuple[int, npt.NDArray[np.float32], Chain]]:
    """Yield, after each step, its number, the mean difference of each stage, in levels, and the
    chain that learns.
    """
    devices = open_devices(options.device, options.precision)
    trained = [k for k in range(len(specs)) if k or specs[0].layers != original.specs[0].layers]
    styles, stages = len(original.styles), range(len(specs))
    at_once, batch = len(devices), options.batch
    pupil = Chain(
        specs, params, trained, options.crop, devices,
        styles=styles, rows_factor=ROWS_FACTOR, batch=batch,
    )  # fmt: skip
    teacher = Chain(original.specs, original.params, stages, options.crop, devices, styles=styles)
    phase = Phase("distil", tuple(trained), "own", options.steps, options.rate)
    photos = Photos(options.data, options.crop, options.seed, HELD_OUT, batch)
    for position, x0 in photos.stream(0):
        pupil.frame = teacher.frame = learning_frame(options.seed, position)
        pupil.place = teacher.place = grain_place(options.seed, position)
        drawn = drawn_styles(styles, options.seed, position, range(batch))
        differences = np.zeros(len(specs), np.float32)
        for here, chosen in pupil.passes(x0, drawn):
            rows = pupil.one_hot(chosen)
            pairs = zip(pupil.forward(here, rows), teacher.forward(here, rows), strict=True)
            wrong = [[x - y for x, y in zip(*pair, strict=True)] for pair in pairs]
            differences += [np.abs(devices.get(each)).mean() for each in wrong]
            pixels = 3 * options.crop**2
            pupil.backward([pupil.framed([x / pixels for x in wrong[k]]) for k in trained])
        pupil.update(phase.rate_at(position - 1))
        yield position, differences * (at_once / batch), pupil
        if position == options.steps:
            return


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chain", required=True, help="built-in kinds of the new generators")
    parser.add_argument("--data", type=Path, required=True, help="photos, as train takes them")
    parser.add_argument("--begin", type=Path, help="an OUT to go on with")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    original = load_chain(options.model)
    kinds = TrainConfig(style=(), data=options.data, chain=options.chain).specs()
    specs = with_grain_of(kinds, original.specs[0].grain)
    for old, new in itertools.zip_longest(original.specs, specs):
        if not (old and new) or len(old.layers) != len(new.layers):
            raise ConfigError("--chain: its generators have other layers than the model's")
    params = load_chain(options.begin).params if options.begin else narrowed(original, specs)
    recent: list[npt.NDArray[np.float32]] = []
    for step, differences, pupil in learn(original, specs, params, options):
        recent.append(differences)
        ends = step == options.steps
        if step % REPORT_EVERY == 0 or ends:
            means = np.mean(recent, axis=0).round(2).tolist()
            print(f"step {step}: {means} levels from the original's stages", flush=True)  # noqa: T201
            recent.clear()
        if step % SAVE_EVERY == 0 or ends:
            StyledChain(tuple(specs), pupil.params(), original.styles).save(options.out)


if __name__ == "__main__":
    try:
        main()
    except NeuralArtError as error:
        sys.exit(f"distil: {error}")
