"""What all commands have in common: where lines go, exit codes, and what ends a command.

Results go to stdout: the paths that were written, or the table that was asked for. Progress, notes
and errors go to stderr; an error is one line.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from neuralart.errors import EngineError, NeuralArtError, OutputError
from neuralart.machine.crash import report
from neuralart.machine.signals import number_of, obeyed_signals
from neuralart.machine.surroundings import lost_output, mend_environment, mend_streams
from neuralart.machine.words import one_line


class Commands(click.Group):
    """A group of commands. An error of the user is one line, and decides the exit code."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        mend_environment()
        try:
            return super().main(*arguments, **options)
        except SystemExit as end:
            if end.code or (reason := lost_output()) is None:
                raise
            say_error(f"standard output: {reason}")
            raise SystemExit(OutputError.exit_code) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except NeuralArtError as error:
            say_error(str(error))
            ctx.exit(error.exit_code)
        except MemoryError:
            say_error("out of memory; end other programs, or raise the limit")
            ctx.exit(EngineError.exit_code)
        except KeyboardInterrupt as error:
            say_stopped(False)
            ctx.exit(128 + number_of(error))
        except click.ClickException as error:
            error.message = one_line(error.message)  # type: ignore[misc]  # it is an argument's
            raise
        except EOFError as error:  # click takes it for the end of a conversation
            raise RuntimeError("a file ends early") from error


def show(text: str) -> None:
    """Write lines to stdout."""
    for line in text.split("\n"):
        click.echo(one_line(line))


def note(text: str) -> None:
    """Write a line to stderr."""
    click.echo(one_line(text), err=True)


def say_error(text: str) -> None:
    """Write an error, one line, to stderr."""
    note(f"error: {text}")


def say_stopped(is_asked: bool) -> None:
    """Say that a signal ended the command: an error, unless that is how it is meant to end."""
    if is_asked:
        note("stopped")
    else:
        say_error("stopped")


def run_process(commands: click.Group) -> None:
    """Run the command of this process: one line whatever happens, and no wait for Ctrl-C."""
    mend_streams()  # first: a file that is opened would take the number of a closed stream
    try:
        with obeyed_signals(say_stopped):
            commands()
    except Exception as error:  # noqa: BLE001
        say_error(report(error))
        sys.exit(1)
