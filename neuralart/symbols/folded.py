"""The whole chain as one graph for painting, on parameters that `neuralart.folding` made. No norms in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuralart.engine import mx
from neuralart.folding import BLOCK_CHANNELS, block_reach, last_in_blocks
from neuralart.specs import Generator, Layer
from neuralart.symbols.generator import LEAKY_SLOPE


def _activation(out: Any, kind: str, name: str) -> Any:
    if kind == "leaky":
        return mx.sym.LeakyReLU(out, act_type="leaky", slope=LEAKY_SLOPE, name=f"{name}_leaky")
    return out if kind == "none" else mx.sym.Activation(out, act_type=kind, name=f"{name}_{kind}")


def _convolution(out: Any, name: str, channels: int, kernel: int, **more: Any) -> Any:
    pairs = {
        key: (value, value) for key, value in more.items() if key in ("pad", "stride", "dilate")
    }
    groups = more.get("num_group", 1)
    return mx.sym.Convolution(
        out, num_filter=channels, kernel=(kernel, kernel), num_group=groups, name=name, **pairs
    )


def _up(out: Any, layer: Layer, name: str) -> Any:
    """A deconvolution, and its mean, scale and shift as a convolution of each channel by itself.

    A bias of its own would cost oneDNN as much as the deconvolution.
    """
    edges = {
        "kernel": (layer.kernel, layer.kernel),
        "stride": (layer.stride, layer.stride),
        "dilate": (layer.dilate, layer.dilate),
        "pad": (layer.padding, layer.padding),
    }
    out = mx.sym.Deconvolution(out, num_filter=layer.channels, no_bias=True, name=name, **edges)
    side = 1 + layer.blur
    return _convolution(out, f"{name}_norm", layer.channels, side, num_group=layer.channels)


def folded_chain(
    specs: Sequence[Generator], prefixes: Sequence[str], weights: Sequence[float]
) -> Any:
    """The last stage's output.

    Shape:  (1, 16, H/2, W/2) blocks of x -> the same of ``z``, see `neuralart.folding`
    """
    z = mx.sym.Variable("x")
    for spec, prefix, a in zip(specs, prefixes, weights, strict=True):
        out = z
        made: dict[str, Any] = {}
        for number, layer in enumerate(spec.layers):
            name = f"{prefix}{layer.name}"
            if layer.op == "deconv":
                out = _up(out, layer, name)
            elif number == 0:
                reach = block_reach(layer)
                out = _convolution(out, name, layer.channels, 2 * reach + 1, pad=reach)
            elif number == len(spec.layers) - 1:
                kernel, pad, stride = last_in_blocks(layer)
                out = _convolution(out, name, BLOCK_CHANNELS, kernel, pad=pad, stride=stride)
            else:
                out = _convolution(
                    out,
                    name,
                    layer.channels,
                    layer.kernel,
                    pad=layer.padding,
                    stride=layer.stride,
                    dilate=layer.dilate,
                )
            out = _activation(out, layer.act, name)
            if layer.add:
                out = out + made[layer.add]
            made[layer.name] = out
        paint = _convolution(out, f"{prefix}mix", BLOCK_CHANNELS, 1)
        z = paint + z if a else paint
    return z
