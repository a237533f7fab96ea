"""Weights of VGG-19: found by name, read from several formats, checked and cached."""
