"""The whole chain as one graph for painting, on parameters that `neuralart.folding` made. No norms in it.

A graph's ``dtype`` is float32, or bfloat16: float32 with 8 bits of mantissa instead of 24, which takes half the memory
and which processors that have AVX512_BF16 multiply at twice the rate. Parameters, photo and painting are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuralart.engine import mx
from neuralart.folding import BLOCK_CHANNELS, ENTRY, block_reach, last_in_blocks
from neuralart.specs import Generator, Layer
from neuralart.symbols.generator import LEAKY_SLOPE


def _activation(out: Any, kind: str, name: str) -> Any:
    if kind == "leaky":
        return mx.sym.LeakyReLU(out, act_type="leaky", slope=LEAKY_SLOPE, name=f"{name}_leaky")
    return out if kind == "none" else mx.sym.Activation(out, act_type=kind, name=f"{name}_{kind}")


def _variable(name: str, dtype: str) -> Any:
    """The photo or a parameter, which come in float32, in the graph's type."""
    value = mx.sym.Variable(name, dtype="float32")
    return value if dtype == "float32" else mx.sym.amp_cast(value, dtype=dtype)


def _convolution(
    out: Any, name: str, channels: int, kernel: int, dtype: str, groups: int = 1, **pairs: int
) -> Any:
    return mx.sym.Convolution(
        out,
        weight=_variable(f"{name}_weight", dtype),
        bias=_variable(f"{name}_bias", dtype),
        num_filter=channels,
        kernel=(kernel, kernel),
        num_group=groups,
        name=name,
        **{key: (value, value) for key, value in pairs.items()},
    )


def _up(out: Any, layer: Layer, name: str, dtype: str) -> Any:
    """A deconvolution, and its mean, scale and shift as a convolution of each channel by itself.

    A bias of its own would cost oneDNN as much as the deconvolution.
    """
    edges = {
        "kernel": (layer.kernel, layer.kernel),
        "stride": (layer.stride, layer.stride),
        "dilate": (layer.dilate, layer.dilate),
        "pad": (layer.padding, layer.padding),
    }
    weight = _variable(f"{name}_weight", dtype)
    out = mx.sym.Deconvolution(
        out, weight=weight, num_filter=layer.channels, no_bias=True, name=name, **edges
    )
    side = 1 + layer.blur
    return _convolution(out, f"{name}_norm", layer.channels, side, dtype, groups=layer.channels)


def folded_chain(
    specs: Sequence[Generator],
    prefixes: Sequence[str],
    weights: Sequence[float],
    dtype: str = "float32",
) -> Any:
    """The last stage's output.

    Shape:  (1, 16, H/2, W/2) blocks of x -> the same of ``z``, see `neuralart.folding`
    """
    z = _convolution(_variable("x", dtype), ENTRY, BLOCK_CHANNELS, 1, dtype)
    for spec, prefix, a in zip(specs, prefixes, weights, strict=True):
        out = z
        made: dict[str, Any] = {}
        for number, layer in enumerate(spec.layers):
            name = f"{prefix}{layer.name}"
            if layer.op == "deconv":
                out = _up(out, layer, name, dtype)
            elif number == 0:
                reach = block_reach(layer)
                out = _convolution(out, name, layer.channels, 2 * reach + 1, dtype, pad=reach)
            elif number == len(spec.layers) - 1:
                kernel, pad, stride = last_in_blocks(layer)
                out = _convolution(out, name, BLOCK_CHANNELS, kernel, dtype, pad=pad, stride=stride)
            else:
                out = _convolution(
                    out,
                    name,
                    layer.channels,
                    layer.kernel,
                    dtype,
                    pad=layer.padding,
                    stride=layer.stride,
                    dilate=layer.dilate,
                )
            out = _activation(out, layer.act, name)
            if layer.add:
                out = out + made[layer.add]
            made[layer.name] = out
        paint = _convolution(out, f"{prefix}mix", BLOCK_CHANNELS, 1, dtype)
        z = paint + z if a else paint
    return z if dtype == "float32" else mx.sym.amp_cast(z, dtype="float32")
