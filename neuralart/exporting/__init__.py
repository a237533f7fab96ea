"""``neuralart export``: writes styles for other runtimes and compares each with the chain."""
