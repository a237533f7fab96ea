"""The graph that is exported: a whole chain with pre- and post-processing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuralart.chain.graph import Norms, compose, cut_back, extended, per_channel
from neuralart.chain.specs import Generator
from neuralart.engine.door import mx
from neuralart.pictures.frame import FRAME_PX
from neuralart.pictures.pixels import PIXEL_MEAN


def exported_symbol(specs: Sequence[Generator], *, every_stage: bool = False) -> Any:
    """One graph from ``data`` to ``painting``; with ``every_stage``, to ``stage1``, ``stage2``, ...

    Its norms use the statistics of the picture that it is given.

    Shape:  (N, 3, H, W) RGB 0..255 -> the same, clipped to 0..255; H and W more than `FRAME_PX`
    """
    mean = per_channel(PIXEL_MEAN)
    x = mx.sym.broadcast_sub(mx.sym.Variable("data"), mean)
    outputs = compose(extended(x, FRAME_PX, "frame"), specs, Norms("instance"))
    names = [f"stage{k}" for k in range(1, len(outputs) + 1)]
    if not every_stage:
        outputs, names = outputs[-1:], ["painting"]
    pictures = []
    for out, name in zip(outputs, names, strict=True):
        rgb = mx.sym.broadcast_add(cut_back(out, FRAME_PX), mean)
        pictures.append(mx.sym.clip(rgb, a_min=0, a_max=255, name=name))
    return mx.sym.Group(pictures)
