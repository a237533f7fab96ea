"""The photos of a training: where they are stored, how they are packed, in what order they come."""
