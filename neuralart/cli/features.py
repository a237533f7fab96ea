"""The commands of ``neuralart features``."""

from __future__ import annotations

from pathlib import Path

import click

from neuralart.cli.group import note
from neuralart.machine.words import one_line


@click.group()
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

    say_path(fetch(url, lambda text: note(f"note: {text}")))


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
