"""Means of losses over photos."""

from __future__ import annotations

from neuralart.loss.objective import mean_losses


def test_means_over_photos() -> None:
    rows = [[{"total": 4.0}, {"total": 1.0}], [{"total": 8.0}, {"total": 2.0}]]
    assert mean_losses(rows) == {"photo": {"total": 6.0}, "x1": {"total": 1.5}}
