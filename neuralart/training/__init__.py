"""``neuralart train``: the algorithm, its steps and schedule, and the run on disk."""
