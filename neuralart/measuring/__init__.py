"""``neuralart evaluate``, ``optimize``, ``models`` and ``info``: measure how good a style is."""
