"""``neuralart stylize`` and ``neuralart plan``: paint photos and videos in bounded memory."""
