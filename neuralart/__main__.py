"""``python -m neuralart``."""

from neuralart.cli import main

main()
