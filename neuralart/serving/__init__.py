"""``neuralart serve``: pages on this machine to paint photos and to watch a training."""
