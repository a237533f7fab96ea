"""neuralart: train a chain of generators on a painting's style, and paint photos with it."""

__version__ = "0.1.0"
