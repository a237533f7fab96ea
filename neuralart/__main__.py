"""``python -m neuralart``."""

import sys

import neuralart.machine.clock  # noqa: F401, first: it says when the command began


def run() -> None:
    """The command line. Ctrl-C ends it in silence while its modules are loaded."""
    try:
        from neuralart.cli import run as run_commands
    except KeyboardInterrupt:
        sys.exit(130)
    run_commands()


if __name__ == "__main__":
    run()
