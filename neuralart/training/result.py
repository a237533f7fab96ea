"""What a training leaves: contact sheets, held-out losses, and the model with its cards."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neuralart import __version__
from neuralart.chain.model import LICENCE, STYLE_SUFFIX, THUMBNAIL_PX, Model, Style, StyledChain
from neuralart.chain.params import is_row, unshare
from neuralart.chain.reference import ReferencePainter
from neuralart.loss.objective import KEPT, mean_losses
from neuralart.loss.perceptual import stage_losses
from neuralart.loss.spots import mean_spots, spots
from neuralart.machine.archive import Arrays
from neuralart.machine.files import make_folder
from neuralart.pictures.editing import contact_sheet, resize_shorter_edge
from neuralart.pictures.frame import MIDDLE_FRAME
from neuralart.pictures.pixels import to_image, to_x
from neuralart.pictures.writing import encode_image, write_image
from neuralart.training.beginning import Setup
from neuralart.training.gallery import write_gallery, write_style_sheet
from neuralart.training.run import Checkpoint, State
from neuralart.training.schedule import Phase
from neuralart.training.stages import Chain


def write_sheet(setup: Setup, state: State, chain: Chain) -> None:
    """Write a contact sheet: rows of photo, x1 .. xk, a few photos in one style or one in each."""
    chain.frame = MIDDLE_FRAME
    photos = itertools.cycle(setup.photos.samples)
    count = max(len(setup.styles), len(setup.photos.samples))
    rows = [
        [sample, *(to_image(x) for x in chain.paint(to_x(sample), k % len(setup.styles)))]
        for k, sample in zip(range(count), photos, strict=False)
    ]
    folder = setup.run.samples
    make_folder(folder)
    write_image(folder / f"{state.phase}-{state.step:08d}.png", contact_sheet(rows))
    if setup.cluster.leads:
        if not setup.run.style.exists():
            write_style_sheet(setup.run, setup.style_images)
        write_gallery(setup.run)


def write_model(
    setup: Setup,
    phases: Sequence[Phase],
    checkpoint: Checkpoint,
    stages: int,
    evaluated: int,
    count: Callable[[], None],
) -> dict[str, Any]:
    """Measure the first stages on held-out photos, write them as a model, return the losses.

    ``evaluated`` photos are measured in each style; ``count`` is called after each. The losses are
    those of the first style, with those of all by name under ``styles``.
    """
    specs = tuple(setup.specs[:stages])
    params = {name: checkpoint.params[name] for name in setup.params}  # no discriminator
    params = _params_of(params, stages, shared=setup.config.share_weights)
    learned = StyledChain(specs, params, tuple(Style(name, {}) for name in setup.styles))
    evaluations = {
        name: _evaluate(setup, learned.model(name), k, evaluated, count)
        for k, name in enumerate(setup.styles)
    }
    styles = [
        Style(
            name,
            _card(setup, phases, checkpoint, k, specs, evaluations[name]),
            encode_image(resize_shorter_edge(image, THUMBNAIL_PX), ".png"),
            encode_image(image, ".jpg"),
        )
        for k, (name, image) in enumerate(zip(setup.styles, setup.style_images, strict=True))
    ]
    chain = StyledChain(specs, params, tuple(styles))
    if setup.added_to is not None and stages == len(setup.specs):
        rows = {name: array for name, array in params.items() if is_row(name)}
        chain = setup.added_to.with_style(styles[0], rows)
        chain.save_style(setup.run.path / f"{styles[0].name}{STYLE_SUFFIX}", styles[0].name)
    chain.save(setup.run.model)
    evaluation = dict(evaluations[setup.styles[0]])
    if len(evaluations) > 1:
        evaluation["styles"] = evaluations
    setup.run.write_json(setup.run.evaluation, evaluation)
    if setup.cluster.leads:
        write_gallery(setup.run)
    return evaluation


def _card(
    setup: Setup,
    phases: Sequence[Phase],
    checkpoint: Checkpoint,
    style: int,
    specs: Sequence[Any],
    evaluation: Mapping[str, Any],
) -> dict[str, Any]:
    weights = setup.perceptual.weights
    layers = dict(zip(weights.style_terms, setup.layer_weights[style], strict=True))
    balance = setup.balance(checkpoint)
    keep = float(balance.factors[style]) if balance else 1.0
    kept = {name: value * keep for name, value in weights.others().items() if name in KEPT}
    return {
        "style": setup.config.style[style].name,
        "licence": LICENCE,
        "neuralart": __version__,
        "features": {
            "name": setup.features.name,
            "source": setup.features.source,
            "sha256": setup.features.sha256,
        },
        "photos": setup.photos.count,
        "steps": [phase.steps for phase in phases],
        "batch": setup.batch,
        "seconds": round(checkpoint.state.seconds, 1),
        "weights": {**layers, **weights.others(), **kept},
        "multiply_adds_per_pixel": round(sum(spec.multiply_adds() for spec in specs)),
        "options": without_folders(setup.config.result_options()),
        "held_out": dict(evaluation),
    }


def _params_of(params: Arrays, stages: int, *, shared: bool) -> Arrays:
    """The parameters of the first stages, each under names of its own."""
    if shared:
        return unshare(params, stages)
    return {k: v for k, v in params.items() if int(k[1 : k.index("_")]) < stages}


def _evaluate(
    setup: Setup, model: Model, style: int, evaluated: int, count: Callable[[], None]
) -> dict[str, Any]:
    """Mean losses of held-out photos and after each stage, against one style."""
    squares = setup.photos.held_out[:evaluated]
    if not squares:
        return {"photos": 0}
    painter = ReferencePainter(model.specs, model.params, setup.devices)
    rows, spotted = [], []
    for square in squares:
        x0 = to_x(square)
        xs = painter.paint(x0, painter.measure(x0))
        rows.append(stage_losses(setup.perceptual, x0, xs, style))
        spotted.append([spots(x0, x) for x in [x0, *xs]])
        count()
    losses = mean_losses(rows)
    return {
        "photos": len(rows),
        "edge_px": setup.config.crop,
        "losses": losses,
        "spots": {
            name: mean_spots(column)
            for name, column in zip(losses, zip(*spotted, strict=True), strict=True)
        },
    }


def without_folders(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a card: files by their names, not where they lay on somebody's disk."""

    def name(value: Any) -> Any:
        return [Path(each).name for each in value] if isinstance(value, list) else Path(value).name

    paths = ("style", "data", "features", "start", "add_to")
    return {**options, **{key: name(options[key]) for key in paths if options.get(key)}}


def summary(name: str, evaluation: Mapping[str, Any]) -> str:
    """A line that says how good a phase's model is."""
    if not evaluation["photos"]:
        return f"{name}: done; too few photos to keep any out, so no held-out loss"
    totals = {
        style: " > ".join(f"{key} {row['total']:.2f}" for key, row in result["losses"].items())
        for style, result in evaluation.get("styles", {"": evaluation}).items()
    }
    photos = "1 photo" if evaluation["photos"] == 1 else f"{evaluation['photos']} photos"
    listed = "; ".join(f"{style} {total}".strip() for style, total in totals.items())
    return f"{name}: held-out total of {photos}: {listed}"
