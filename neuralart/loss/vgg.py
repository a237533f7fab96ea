"""VGG-19 as a table (Simonyan and Zisserman 2014, configuration E), up to the deepest layer asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neuralart.engine.door import mx
from neuralart.loss.layers import STYLE_LAYERS, VggSpec, conv_names, deepest


def vgg(
    x: Any, spec: VggSpec, taps: Sequence[str], norm: Callable[[Any, str], Any] | None = None
) -> dict[str, Any]:
    """Feature maps by name: ``relu4_2`` after the activation, ``conv4_2`` before it.

    Shape:  x (N, 3, H, W) RGB minus mean -> relu1_1 (N, widths[0], H, W), relu2_1 (N, widths[1], H/2, W/2), ...
    ``norm(out, name)`` may put a normalisation between a convolution and its ReLU (to train a VGG).
    The weights include ``input``, a 1x1 convolution that brings x to what the net was trained on.
    """
    maps: dict[str, Any] = {}
    out = mx.sym.Convolution(x, num_filter=3, kernel=(1, 1), no_bias=False, name="input")
    pooled = 1
    for block, name in conv_names(deepest(taps)):
        if block != pooled:
            out = mx.sym.Pooling(
                out, kernel=(2, 2), stride=(2, 2), pool_type=spec.pooling, name=f"pool{pooled}"
            )
            pooled = block
        pad = (1, 1)
        if spec.padding == "reflect":
            edges = (0, 0, 0, 0, 1, 1, 1, 1)
            out = mx.sym.Pad(out, mode="reflect", pad_width=edges, name=f"pad{name}")
            pad = (0, 0)
        out = maps[f"conv{name}"] = mx.sym.Convolution(
            out,
            num_filter=spec.widths[block - 1],
            kernel=(3, 3),
            pad=pad,
            no_bias=False,
            name=f"conv{name}",
        )
        if norm:
            out = norm(out, f"conv{name}")
        out = maps[f"relu{name}"] = mx.sym.Activation(out, act_type="relu", name=f"relu{name}")
    return {tap: maps[tap] for tap in taps}


def style_maps(
    x: Any,
    spec: VggSpec,
    taps: Sequence[str] = (),
    norm: Callable[[Any, str], Any] | None = None,
) -> tuple[list[Any], dict[str, Any]]:
    """The five maps whose Grams are the style, behind their heads, and further ``taps`` by name.

    Shape:  x (N, 3, H, W) -> five of (N, C, h, w), where C is the head's channels, or the layer's
            where there is no head.
    """
    maps = vgg(x, spec, [*STYLE_LAYERS, *taps], norm)
    styles = []
    for layer, channels in zip(STYLE_LAYERS, spec.heads, strict=True):
        out = maps[layer]
        if channels:
            out = mx.sym.Convolution(
                out, num_filter=channels, kernel=(1, 1), no_bias=False, name=f"head_{layer}"
            )
        styles.append(out)
    return styles, {tap: maps[tap] for tap in taps}
