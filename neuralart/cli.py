"""The command line: what is said, which file does it, and how an error becomes one line and an exit code.

Written paths go to stdout, everything else to stderr. Commands import what they need when they run, so
that ``--help`` need not wait for MXNet.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import click

from neuralart import __version__
from neuralart.config import ExportConfig, StylizeConfig, TrainConfig
from neuralart.errors import NeuralArtError
from neuralart.options import config_option, generators_of_config, options_of


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NeuralArtError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(
    cls=_Group, context_settings={"auto_envvar_prefix": "NEURALART", "max_content_width": 100}
)
@click.version_option(__version__, prog_name="neuralart")
def main() -> None:
    """Train a painting style of your own, and paint photos with it."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")


def _set_threads(threads: int | None) -> None:
    """MXNet reads its number of threads when it is imported, so this comes before."""
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


@main.command()
@config_option
@options_of(TrainConfig)
def train(**options: Any) -> None:
    """Learn the style of a painting on a folder of photos."""
    config = TrainConfig(**options, generators=generators_of_config())
    _set_threads(config.threads)
    from neuralart.train import train as run

    if config.features == "random":
        click.echo(
            "note: --features random measures with random VGG weights: it shows that everything works, "
            "not how good a style can be",
            err=True,
        )
    model, _ = run(config)
    click.echo(model)


@main.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.argument("painting", type=click.Path(path_type=Path))
@options_of(StylizeConfig)
def stylize(photo: Path, painting: Path, **options: Any) -> None:
    """Paint PHOTO with a trained style and write PAINTING, as large as the photo."""
    config = StylizeConfig(**options)
    _set_threads(config.threads)
    from neuralart.stylize import stylize as run

    click.echo(run(photo, painting, config))


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@options_of(ExportConfig)
def export(model: Path, **options: Any) -> None:
    """Write MODEL, or a run's, in MXNet's own format: one graph and its parameters."""
    config = ExportConfig(**options)
    _set_threads(config.threads)
    from neuralart.export import export as run

    folder, difference = run(model, config)
    click.echo(f"largest difference to the chain: {difference:.2g} of 255", err=True)
    click.echo(folder)
