"""The graph of VGG-19 (Simonyan and Zisserman 2014, configuration E), as deep as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neuralart.engine.symbols import sym
from neuralart.loss.layers import STYLE_LAYERS, VggSpec, conv_names, deepest


class Weights:
    """The variables of a net's weights, so that a graph may run the net on several pictures."""

    def __init__(self) -> None:
        self._variables: dict[str, Any] = {}
        self._uses: dict[str, int] = {}

    def convolution(self, x: Any, name: str, channels: int, kernel: int = 1, pad: int = 0) -> Any:
        """A convolution with the variables ``{name}_weight`` and ``{name}_bias``."""
        weight, bias = (
            self._variables.setdefault(full, sym.Variable(full))
            for full in (f"{name}_weight", f"{name}_bias")
        )
        use = self._uses[name] = self._uses.get(name, 0) + 1
        return sym.Convolution(
            x,
            weight,
            bias,
            num_filter=channels,
            kernel=(kernel, kernel),
            pad=(pad, pad),
            no_bias=False,
            name=name if use == 1 else f"{name}_{use}",
        )


def vgg(
    x: Any,
    spec: VggSpec,
    taps: Sequence[str],
    norm: Callable[[Any, str], Any] | None = None,
    weights: Weights | None = None,
) -> dict[str, Any]:
    """The feature maps ``taps`` by name: ``relu4_2`` after the ReLU, ``conv4_2`` before it.

    The first layer, ``input``, is a 1x1 convolution that converts x to the scale that the net was
    trained on. ``norm(out, name)`` may put a normalisation between a convolution and its ReLU, for
    training a VGG.

    Shape:  x (N, 3, H, W) RGB minus mean -> relu1_1 (N, widths[0], H, W),
            relu2_1 (N, widths[1], H/2, W/2), ...
    """
    weights = weights or Weights()
    maps: dict[str, Any] = {}
    out = weights.convolution(x, "input", 3)
    pooled = 1
    for block, name in conv_names(deepest(taps)):
        if block != pooled:
            out = sym.Pooling(out, kernel=(2, 2), stride=(2, 2), pool_type=spec.pooling)
            pooled = block
        if spec.reflects(block):
            out = sym.Pad(out, mode="reflect", pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
        pad = 0 if spec.reflects(block) else 1
        out = weights.convolution(out, f"conv{name}", spec.widths[block - 1], kernel=3, pad=pad)
        maps[f"conv{name}"] = out
        if norm:
            out = norm(out, f"conv{name}")
        out = maps[f"relu{name}"] = sym.Activation(out, act_type="relu")
    return {tap: maps[tap] for tap in taps}


def style_maps(
    x: Any,
    spec: VggSpec,
    taps: Sequence[str] = (),
    norm: Callable[[Any, str], Any] | None = None,
    weights: Weights | None = None,
) -> tuple[list[Any], dict[str, Any]]:
    """The five feature maps of the style, each after its head if it has one, and ``taps`` by name.

    Shape:  x (N, 3, H, W) -> five of (N, C, h, w), C being the channels of the head or the layer
    """
    weights = weights or Weights()
    maps = vgg(x, spec, [*STYLE_LAYERS, *taps], norm, weights)
    styles = []
    for layer, channels in zip(STYLE_LAYERS, spec.heads, strict=True):
        out = maps[layer]
        if channels:
            out = weights.convolution(out, f"head_{layer}", channels)
        styles.append(out)
    return styles, {tap: maps[tap] for tap in taps}
