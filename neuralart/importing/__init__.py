"""Turns models that others published into models of neuralart."""
