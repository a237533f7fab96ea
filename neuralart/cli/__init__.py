"""The command line."""

from neuralart.cli.commands import main, run, train

__all__ = ["main", "run", "train"]
