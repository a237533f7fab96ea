"""The commands: their texts, and the file that does each.

A command imports what it needs when it runs, so that ``--help`` does not wait for MXNet.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Any

import click

from neuralart import __version__
from neuralart.cli.features import features
from neuralart.cli.group import Commands, note, run_process, show
from neuralart.errors import ConfigError, EngineError
from neuralart.machine.memory import check_address_space
from neuralart.machine.processor import computing_threads
from neuralart.machine.words import one_line
from neuralart.options.command_line import (
    complete_model,
    config_option,
    generators_of_config,
    options_of,
)
from neuralart.options.export import ExportConfig
from neuralart.options.import_ import ImportConfig
from neuralart.options.measure import EvaluateConfig, OptimizeConfig
from neuralart.options.paint import PLANNED, VIDEO_SUFFIXES, StylizeConfig
from neuralart.options.serve import ServeConfig
from neuralart.options.train import LaunchConfig, PackConfig, TrainConfig


@click.group(
    cls=Commands,
    context_settings={
        "auto_envvar_prefix": "NEURALART",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="neuralart")
def main() -> None:
    """Train a painting style of your own, and paint photos with it."""
    from neuralart.machine.terminal import OneLine

    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _set_engine(engine: str | None) -> None:
    """Do not import MXNet for another engine. Call this before the modules that paint."""
    if engine not in (None, "mxnet"):
        from neuralart.engine.recorder import use_recorder

        use_recorder()


def _set_threads(threads: int | None) -> None:
    """Set the number of threads. MXNet reads it when it is imported, so call this before.

    Raises EngineError if the process may have too little memory to import it.
    """
    check_address_space()
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


@main.command()
@config_option
@options_of(TrainConfig)
def train(**options: Any) -> None:
    """Learn one or more styles from pictures and a folder of photos."""
    from neuralart.engine.devices import is_torch

    given = TrainConfig(**options, generators=generators_of_config())
    config = given if is_torch(given.device) else given.on_threads(computing_threads())
    _set_threads(given.threads_each() if config is given else 1)
    from neuralart.machine.terminal import say_path
    from neuralart.training.train import train as run

    if config.features == "random":
        note(
            "note: --features random measures with random VGG weights: it shows that everything "
            "works, not how good a style can be"
        )
    if config.dry_run:
        from neuralart.training.cost import cost

        # It writes nothing, so no run is in its way.
        overwrite = config.overwrite or not config.resume
        for line in cost(dataclasses.replace(config, overwrite=overwrite)):
            show(line)
        return
    model, _ = run(config)
    say_path(model)


@main.command(context_settings={"ignore_unknown_options": True})
@options_of(LaunchConfig)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF TRAIN]")
def launch(arguments: tuple[str, ...], **options: Any) -> None:
    """Train with several processes, on this machine or on several.

    They use no password, and MXNet's kvstore runs what reaches its ports: use it in a network that
    you trust. On this machine alone they meet on the loopback address.
    """
    config = LaunchConfig(**options)
    from neuralart.training.workers.launch import launch as run

    parsed = train.make_context("train", list(arguments), resilient_parsing=True)
    run(config, arguments, parsed.params.get("device") or TrainConfig.device)


@main.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path), metavar="FILE.rec")
@options_of(PackConfig)
def pack(photos: Path, out: Path, **options: Any) -> None:
    """Pack a folder of PHOTOS into one file that `train --data` reads."""
    config = PackConfig(**options)
    from neuralart.machine.terminal import say_path
    from neuralart.pictures.photos.pack import pack as run

    packed = run(
        photos,
        out,
        edge=config.edge,
        quality=config.quality,
        processes=config.processes,
        overwrite=config.overwrite,
    )
    for name, why in sorted(packed.skipped.items()):
        note(f"skipped {name}: {why}")
    note(f"{packed.photos} photos, {len(packed.skipped)} files skipped")
    say_path(out)


@main.command()
@click.argument("paths", nargs=-1, type=click.Path(readable=False), metavar="PHOTO... PAINTING")
@options_of(StylizeConfig)
def stylize(paths: tuple[str, ...], **options: Any) -> None:
    """Paint PHOTO in a style and write PAINTING. It is as large as the photo.

    Several photos, folders (with their subfolders) and patterns such as 'in/**/*.jpg' are painted
    into a folder, PAINTING/. A - stands for standard input or output. Photos and paintings may be
    at addresses such as s3://bucket/photos, too.

    A video (mp4, mov, mkv, avi, webm), or a camera by its number, is painted into a video.
    """
    if len(paths) < 2:
        raise click.UsageError("name the photo, or several, and last the painting, or a folder/")
    config = StylizeConfig(**options)
    _set_engine(config.engine)
    _set_threads(config.threads)
    from neuralart.machine.terminal import say, say_path

    if len(paths) == 2 and Path(paths[1]).suffix.lower() in VIDEO_SUFFIXES:
        if config.cluster is not None or "://" in paths[1]:
            raise ConfigError(
                f"{paths[1]}: a video is painted on one machine, into a file on its disk; leave "
                "--cluster and addresses away"
            )
        from neuralart.painting.video import stylize_video

        say_path(
            stylize_video(paths[0], Path(paths[1]), config, lambda text: say(text, error=True))
        )
        return
    from neuralart.painting.stylize import stylize as run

    run(
        paths[:-1],
        paths[-1],
        config,
        written=say_path,
        note=lambda text: say(text, error=True),
    )


@main.command()
@click.argument("photo", type=click.Path(readable=False), metavar="PHOTO|WIDTHxHEIGHT")
@options_of(StylizeConfig, only=PLANNED)
def plan(photo: str, **options: Any) -> None:
    """Estimate tile, memory and time of a painting, with these options of stylize."""
    config = StylizeConfig(**options)
    _set_engine(config.engine)
    _set_threads(config.threads)
    from neuralart.painting.plan import estimate

    for key, value in estimate(photo, config).rows():
        show(f"{key:8} {value}")


@main.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="A model to paint with besides the shipped ones; repeat it for several.",
)
@options_of(ServeConfig)
def serve(models: tuple[str, ...], **options: Any) -> None:
    """Open a page on this machine that paints photos, and with --run one that shows a training."""
    config = ServeConfig(**options)
    _set_threads(config.threads)
    from neuralart.serving.serve import serve as run

    run(config, models, show, note)


@main.command()
@click.argument("models", metavar="MODEL...", nargs=-1, shell_complete=complete_model)
@options_of(ExportConfig)
def export(models: tuple[str, ...], **options: Any) -> None:
    """Write styles for other runtimes. Each is checked against the trained chain."""
    config = ExportConfig(**options)
    _set_threads(config.threads)
    from neuralart.exporting.export import export as run
    from neuralart.exporting.export import verify
    from neuralart.machine.terminal import say_path

    if config.verify is None:
        folder, compared = run(models, config)
    elif models or config.to:
        raise ConfigError(f"--verify {config.verify}: takes no MODEL and no --to; leave them away")
    else:
        folder, compared = config.verify, verify(config.verify)
    for entry in compared:
        note(str(entry))
    say_path(folder)


@main.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.zip")
@options_of(ImportConfig)
def import_(file: Path, **options: Any) -> None:
    """Make a model of the parameters that were published in 2016.

    FILE.zip has one file of MXNet's parameters for each of the four generators.
    """
    from neuralart.importing.model_2016 import import_model
    from neuralart.machine.terminal import say_path

    say_path(import_model(file, ImportConfig(**options)))


@main.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.argument("painting", type=click.Path(path_type=Path))
@options_of(OptimizeConfig)
def optimize(photo: Path, painting: Path, **options: Any) -> None:
    """Paint PHOTO by optimising its pixels, without a trained style.

    This is slow. Trained styles are compared with it.
    """
    config = OptimizeConfig(**options)
    _set_threads(config.threads)
    from neuralart.machine.terminal import say_path
    from neuralart.measuring.optimize import optimize as run
    from neuralart.measuring.tables import TERMS

    path, losses = run(photo, painting, config)
    terms = ", ".join(f"{name} {losses[name]:.2f}" for name in TERMS if name in losses)
    note(terms)
    say_path(path)


@main.command()
@click.argument("model", metavar="MODEL", shell_complete=complete_model)
@options_of(EvaluateConfig)
def evaluate(model: str, **options: Any) -> None:
    """Measure styles on photos.

    Shows the losses after each stage, how many iterations of the optimiser reach the same total
    loss, and the artefacts.
    """
    config = EvaluateConfig(**options)
    _set_threads(config.threads)
    from neuralart.measuring.evaluate import evaluate as run
    from neuralart.measuring.tables import evaluation_heading, evaluation_table

    result = run(model, config)
    results = result["styles"].values() if config.every_style else [result]
    show(
        "\n\n".join(
            f"{each['style']}: {evaluation_heading(each)}\n{evaluation_table(each)}"
            for each in results
        )
    )


@main.command()
def models() -> None:
    """List the models that ship with neuralart, and their styles."""
    from neuralart.measuring.info import list_models

    show(list_models())


@main.command()
@click.argument("model", metavar="MODEL|FILE.style", shell_complete=complete_model)
@click.option("--style", metavar="STYLE", help="Show only this style of the model.")
@click.option(
    "--thumbnail",
    type=click.Path(path_type=Path),
    metavar="PICTURE",
    help="Write the thumbnail of the style image, or of the first one, to this file.",
)
def info(model: str, style: str | None, thumbnail: Path | None) -> None:
    """Show a model, and how its styles were made and how good they are.

    MODEL may be a style's name, too; then only that style is shown.
    """
    from neuralart.measuring.info import describe

    for line in describe(model, style, thumbnail):
        click.echo(one_line(line))


@main.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """List devices and libraries, and what is missing."""
    from neuralart.engine import doctor as doctors

    facts = doctors.find_facts()
    for what, how in doctors.describe(facts):
        show(f"{what:24} {how}")
    for line in doctors.notes(facts):
        show(f"note: {line}")
    found = doctors.problems(facts)
    for problem in found:
        note(f"problem: {problem}")
    if found:
        ctx.exit(EngineError.exit_code)
    click.echo("no problem found")


main.add_command(features)


def run() -> None:
    """The entry point of a process: ``neuralart``, or ``python -m neuralart``."""
    run_process(main)
