"""WHAT PAINTS: generators as data, as graphs and as trained models."""
