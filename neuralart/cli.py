"""The commands: their texts, the file that does each, and exit codes.

Results go to stdout: the paths that were written, or the table that was asked for. Progress, notes
and errors go to stderr; an error is one line. Commands import what they need when they run, so
that ``--help`` does not wait for MXNet.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from neuralart import __version__
from neuralart.errors import ConfigError, EngineError, NeuralArtError, OutputError
from neuralart.machine.crash import report
from neuralart.machine.memory import check_address_space
from neuralart.machine.signals import number_of, obeyed_signals
from neuralart.machine.surroundings import lost_output, mend_environment, mend_streams
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


class _Group(click.Group):
    def main(self, *arguments: Any, **options: Any) -> Any:
        mend_environment()
        try:
            return super().main(*arguments, **options)
        except SystemExit as end:
            if end.code or (reason := lost_output()) is None:
                raise
            _say_error(f"standard output: {reason}")
            raise SystemExit(OutputError.exit_code) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NeuralArtError as error:
            _say_error(str(error))
            ctx.exit(error.exit_code)
        except MemoryError:
            _say_error("out of memory; end other programs, or raise the limit")
            ctx.exit(EngineError.exit_code)
        except KeyboardInterrupt as error:
            _say_error("stopped")
            ctx.exit(128 + number_of(error))
        except click.ClickException as error:
            error.message = one_line(error.message)  # type: ignore[misc]  # it is an argument's
            raise
        except EOFError as error:  # click takes it for the end of a conversation
            raise RuntimeError("a file ends early") from error


def _show(text: str) -> None:
    """Write lines to stdout."""
    for line in text.split("\n"):
        click.echo(one_line(line))


def _note(text: str) -> None:
    """Write a line to stderr."""
    click.echo(one_line(text), err=True)


def _say_error(text: str) -> None:
    _note(f"error: {text}")


def run() -> None:
    """The command of a process of its own: one line whatever happens, and no wait for Ctrl-C."""
    mend_streams()  # first: a file that is opened would take the number of a closed stream
    try:
        with obeyed_signals(lambda: _say_error("stopped")):
            main()
    except Exception as error:  # noqa: BLE001
        _say_error(report(error))
        sys.exit(1)


@click.group(
    cls=_Group,
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
    config = TrainConfig(**options, generators=generators_of_config())
    _set_threads(config.threads_each())
    from neuralart.machine.terminal import say_path
    from neuralart.training.train import train as run

    if config.features == "random":
        _note(
            "note: --features random measures with random VGG weights: it shows that everything "
            "works, not how good a style can be"
        )
    if config.dry_run:
        from neuralart.training.cost import cost

        # It writes nothing, so no run is in its way.
        overwrite = config.overwrite or not config.resume
        for line in cost(dataclasses.replace(config, overwrite=overwrite)):
            _show(line)
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
        _note(f"skipped {name}: {why}")
    _note(f"{packed.photos} photos, {len(packed.skipped)} files skipped")
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
    _set_threads(config.threads)
    from neuralart.painting.plan import estimate

    for key, value in estimate(photo, config).rows():
        _show(f"{key:8} {value}")


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

    run(config, models, _show, _note)


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
        _note(str(entry))
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
    _note(terms)
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
    _show(
        "\n\n".join(
            f"{each['style']}: {evaluation_heading(each)}\n{evaluation_table(each)}"
            for each in results
        )
    )


@main.command()
def models() -> None:
    """List the models that ship with neuralart, and their styles."""
    from neuralart.measuring.info import list_models

    _show(list_models())


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
        _show(f"{what:24} {how}")
    for note in doctors.notes(facts):
        _show(f"note: {note}")
    found = doctors.problems(facts)
    for problem in found:
        _note(f"problem: {problem}")
    if found:
        ctx.exit(EngineError.exit_code)
    click.echo("no problem found")


@main.group()
def features() -> None:
    """Manage the VGG networks of `train --features`."""


@features.command("list")
def features_list() -> None:
    """List the known names and their files."""
    from neuralart.loss.features.store import entries

    for entry in entries():
        if entry.path is None:
            click.echo(f"{entry.name:12} {'made':>9}  when used")
        else:
            size = f"{entry.path.stat().st_size / 1e6:.1f} MB" if entry.is_there else "not here"
            click.echo(one_line(f"{entry.name:12} {size:>9}  {entry.path}"))


@features.command("info")
@click.argument("name", metavar="NAME|FILE")
def features_info(name: str) -> None:
    """Show what features are, how they are run, and their checksum."""
    from neuralart.loss.features.store import describe, load_features

    for key, value in describe(load_features(name)).items():
        click.echo(one_line(f"{key:12} {value}"))


@features.command("fetch")
@click.option(
    "--url",
    metavar="URL",
    help="A folder on the web that has the files, instead of torchvision's and MXNet's servers.",
)
def features_fetch(url: str | None) -> None:
    """Download the full VGG-19, check it, and keep it under the name vgg19."""
    from neuralart.loss.features.fetch import fetch
    from neuralart.machine.terminal import say_path

    say_path(fetch(url, lambda text: _note(f"note: {text}")))


@features.command("convert")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="File to write; by default one in the cache, as vgg19 if it is the full VGG-19.",
)
@click.option(
    "--pixels",
    type=click.Choice(["imagenet", "rgb", "bgr"]),
    help="Input that the network was trained on, if the names of its arrays imply another.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def features_convert(file: Path, out: Path | None, pixels: str | None, overwrite: bool) -> None:
    """Check a FILE of VGG-19 weights, and keep it for use by its name."""
    from neuralart.loss.features.store import convert
    from neuralart.machine.terminal import say_path

    say_path(convert(file, out, pixels, overwrite))
