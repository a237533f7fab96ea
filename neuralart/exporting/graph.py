"""The graph that is exported: a whole chain with pre- and post-processing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuralart.chain.graph import Norms, compose, framed, per_channel, unframed
from neuralart.chain.receptive_field import painting_frame_px, size_multiple
from neuralart.chain.specs import NORM_EPSILON, Generator
from neuralart.engine.symbols import sym
from neuralart.pictures.pixels import PIXEL_MEAN

MIXTURE = "mixture"
"""The name of the input that has the weights of the styles."""


class _MixedNorms(Norms):
    """InstanceNorm whose scale and shift are the weighted means of the styles' scales and shifts.

    Each norm's parameters are tables of (styles, C).

    Source:  Dumoulin et al. 2017, "A Learned Representation For Artistic Style", section 3.3.
    """

    def __init__(self, styles: int) -> None:
        super().__init__("instance")
        self._styles = styles
        weights = sym.Variable(MIXTURE)
        total = sym.sum(weights, axis=1, keepdims=True, name=f"{MIXTURE}_total")
        self._shares = sym.broadcast_div(weights, total, name=f"{MIXTURE}_shares")

    def __call__(self, out: Any, name: str, channels: int) -> Any:
        params = []
        for part in ("gamma", "beta"):
            table = sym.Variable(f"{name}_{part}", shape=(self._styles, channels))
            row = sym.dot(self._shares, table, name=f"{name}_{part}_row")
            params.append(sym.reshape(row, shape=(-1,), name=f"{name}_{part}_mixed"))
        return sym.InstanceNorm(out, *params, eps=NORM_EPSILON, name=name)


def smallest_px(specs: Sequence[Generator]) -> int:
    """The least height and width that `exported_symbol` takes: ONNX reflects no more pixels than
    there are."""
    return painting_frame_px(specs) + size_multiple(specs)


def exported_symbol(
    specs: Sequence[Generator], *, styles: int = 1, every_stage: bool = False
) -> Any:
    """One graph from ``data`` to ``painting``; with ``every_stage``, to ``stage1``, ``stage2``, ...

    Its norms use the statistics of the picture that it is given. With several styles, the input
    ``mixture`` has a weight of 0 or more for each; the graph divides the weights by their sum.

    Shape:  data (N, 3, H, W) RGB 0..255, mixture (1, styles) -> the shape of data, clipped to
            0..255; H and W at least `smallest_px`
    """
    norms = _MixedNorms(styles) if styles > 1 else Norms("instance")
    mean = per_channel(PIXEL_MEAN)
    x = sym.broadcast_sub(sym.Variable("data"), mean)
    frame_px = painting_frame_px(specs)
    outputs = compose(framed(x, frame_px, size_multiple(specs)), specs, norms)
    names = [f"stage{k}" for k in range(1, len(outputs) + 1)]
    if not every_stage:
        outputs, names = outputs[-1:], ["painting"]
    pictures = []
    for out, name in zip(outputs, names, strict=True):
        rgb = sym.broadcast_add(unframed(out, x, frame_px), mean)
        pictures.append(sym.clip(rgb, a_min=0, a_max=255, name=name))
    return sym.Group(pictures)
