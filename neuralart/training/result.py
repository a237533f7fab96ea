"""What a training leaves: contact sheets, held-out losses, and the model with its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuralart import __version__
from neuralart.chain.model import LICENCE, Model, average
from neuralart.chain.params import unshare
from neuralart.chain.reference import ReferencePainter
from neuralart.loss.objective import mean_losses
from neuralart.loss.perceptual import stage_losses
from neuralart.machine.archive import Arrays
from neuralart.pictures.editing import contact_sheet, resize_shorter_edge
from neuralart.pictures.frame import MIDDLE_FRAME
from neuralart.pictures.pixels import Image, to_image, to_x
from neuralart.pictures.writing import encode_image, write_image
from neuralart.training.beginning import Setup
from neuralart.training.run import Checkpoint, State
from neuralart.training.schedule import Phase
from neuralart.training.stages import Chain

THUMBNAIL_PX = 96


def write_sheet(setup: Setup, state: State, chain: Chain) -> None:
    """Write a contact sheet: a row of photo, x1 .. xk for each of a few photos."""
    chain.frame = MIDDLE_FRAME
    rows = [
        [sample, *(to_image(x) for x in chain.paint(to_x(sample)))]
        for sample in setup.photos.samples
    ]
    folder = setup.run.samples
    folder.mkdir(exist_ok=True)
    write_image(folder / f"{state.phase}-{state.step:08d}.png", contact_sheet(rows))


def write_model(
    setup: Setup, phases: Sequence[Phase], checkpoint: Checkpoint, stages: int
) -> dict[str, Any]:
    """Measure the first stages on the held-out photos, write them as a model, and return the losses."""
    params = _params_of(checkpoint.params, stages, shared=setup.config.share_weights)
    painter = ReferencePainter(setup.specs[:stages], params, setup.devices)
    squares = setup.photos.held_out or setup.photos.samples
    statistics = [painter.measure(to_x(square)) for square in squares]
    evaluation = _evaluate(setup, setup.photos.held_out, painter, statistics)
    card = {
        "style": setup.config.style.name,
        "licence": LICENCE,
        "neuralart": __version__,
        "features": {
            "name": setup.features.name,
            "source": setup.features.source,
            "sha256": setup.features.sha256,
        },
        "photos": setup.photos.count,
        "steps": [phase.steps for phase in phases],
        "seconds": round(checkpoint.state.seconds, 1),
        "weights": {
            **setup.weights.of_layers(),
            "content": setup.weights.content,
            "tv": setup.weights.tv,
            "checkerboard": setup.weights.checkerboard,
        },
        "multiply_adds_per_pixel": round(sum(s.multiply_adds() for s in setup.specs[:stages])),
        "options": without_folders(setup.config.result_options()),
        "held_out": evaluation,
    }
    Model(
        tuple(setup.specs[:stages]),
        params,
        average(statistics),
        card,
        encode_image(resize_shorter_edge(setup.style_image, THUMBNAIL_PX), ".png"),
        encode_image(setup.style_image, ".jpg"),
    ).save(setup.run.model)
    setup.run.write_json(setup.run.evaluation, evaluation)
    return evaluation


def _params_of(params: Arrays, stages: int, *, shared: bool) -> Arrays:
    """The parameters of the first stages, each under names of its own."""
    if shared:
        return unshare(params, stages)
    return {k: v for k, v in params.items() if int(k[1 : k.index("_")]) < stages}


def _evaluate(
    setup: Setup, squares: Sequence[Image], painter: ReferencePainter, statistics: Sequence[Arrays]
) -> dict[str, Any]:
    """Mean losses of photos and after each stage; the statistics are those of the photos."""
    if not squares:
        return {"photos": 0}
    rows = []
    for square, measured in zip(squares, statistics, strict=True):
        x0 = to_x(square)
        rows.append(stage_losses(setup.perceptual, x0, painter.paint(x0, measured)))
    return {"photos": len(rows), "edge_px": setup.config.crop, "losses": mean_losses(rows)}


def without_folders(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a card: files by their names, not where they lay on somebody's disk."""
    paths = ("style", "data", "features", "start")
    return {**options, **{key: Path(options[key]).name for key in paths if options.get(key)}}


def summary(name: str, evaluation: Mapping[str, Any]) -> str:
    """A line that says how good a phase's model is."""
    if not evaluation["photos"]:
        return f"{name}: done; too few photos to keep any out, so no held-out loss"
    losses = evaluation["losses"]
    totals = " > ".join(f"{key} {row['total']:.2f}" for key, row in losses.items())
    photos = "1 photo" if evaluation["photos"] == 1 else f"{evaluation['photos']} photos"
    return f"{name}: held-out total of {photos}: {totals}"
