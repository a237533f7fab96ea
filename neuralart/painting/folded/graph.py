"""The whole chain as one graph, for parameters that `folding.fold` made: without norms, or with
norms on a picture's own statistics.

The graph computes in float32 or bfloat16. bfloat16 is float32 with 8 bits of mantissa instead of
24: it takes half the memory, and processors with AVX512_BF16 multiply it at twice the rate.
Parameters, input and output are float32 in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuralart.chain.graph import Norms
from neuralart.chain.specs import LEAKY_SLOPE, Generator, Layer
from neuralart.engine.symbols import sym
from neuralart.painting.folded.folding import (
    BLOCK_CHANNELS,
    ENTRY,
    MEAN,
    NORM,
    block_reach,
    last_in_blocks,
)


def _activation(out: Any, kind: str, name: str) -> Any:
    if kind == "leaky":
        return sym.LeakyReLU(out, act_type="leaky", slope=LEAKY_SLOPE, name=f"{name}_leaky")
    return out if kind == "none" else sym.Activation(out, act_type=kind, name=f"{name}_{kind}")


def _variable(name: str, dtype: str) -> Any:
    """A float32 input or parameter, converted to the graph's type."""
    value = sym.Variable(name, dtype="float32")
    return value if dtype == "float32" else sym.amp_cast(value, dtype=dtype)


def _convolution(
    out: Any, name: str, channels: int, kernel: int, dtype: str, groups: int = 1, **pairs: int
) -> Any:
    return sym.Convolution(
        out,
        weight=_variable(f"{name}_weight", dtype),
        bias=_variable(f"{name}_bias", dtype),
        num_filter=channels,
        kernel=(kernel, kernel),
        num_group=groups,
        name=name,
        **{key: (value, value) for key, value in pairs.items()},
    )


def _deconvolution(out: Any, layer: Layer, name: str, after: str, dtype: str) -> Any:
    """A deconvolution, then its blur, scale and shift as one depthwise convolution, ``after``.

    The deconvolution has no bias: in oneDNN that would take as long as the deconvolution itself.
    """
    edges = {
        "kernel": (layer.kernel, layer.kernel),
        "stride": (layer.stride, layer.stride),
        "dilate": (layer.dilate, layer.dilate),
        "pad": (layer.padding, layer.padding),
    }
    weight = _variable(f"{name}_weight", dtype)
    out = sym.Deconvolution(
        out, weight=weight, num_filter=layer.channels, no_bias=True, name=name, **edges
    )
    side = 1 + layer.blur
    return _convolution(out, after, layer.channels, side, dtype, groups=layer.channels)


def folded_chain(
    specs: Sequence[Generator],
    prefixes: Sequence[str],
    weights: Sequence[float],
    dtype: str = "float32",
    norms: Norms | None = None,
) -> Any:
    """The last stage's output ``z``, see `neuralart.painting.folded.folding`.

    weights  residual weights of the stages; only whether one is 0 matters here
    norms    on the picture's own statistics; by default they are folded into the layers

    Shape:  ``x`` in blocks, (1, 16, H/2, W/2) -> ``z`` in blocks, the same
    """
    z = _convolution(_variable("x", dtype), ENTRY, BLOCK_CHANNELS, 1, dtype)
    for spec, prefix, a in zip(specs, prefixes, weights, strict=True):
        out = z
        outputs: dict[str, Any] = {}
        for number, layer in enumerate(spec.layers):
            name = f"{prefix}{layer.name}"
            is_last = number == len(spec.layers) - 1
            if layer.op == "deconv":
                out = _deconvolution(out, layer, name, f"{name}_{MEAN if norms else NORM}", dtype)
            elif number == 0:
                reach = block_reach(layer)
                out = _convolution(out, name, layer.channels, 2 * reach + 1, dtype, pad=reach)
            elif is_last:
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
            if norms and layer.norm:
                out = norms(out, f"{name}_norm", layer.channels)
            # `folding` has made a sigmoid of the last layer's tanh.
            out = _activation(out, "sigmoid" if is_last else layer.act, name)
            if layer.add:
                out = out + outputs[layer.add]
            outputs[layer.name] = out
        paint = _convolution(out, f"{prefix}mix", BLOCK_CHANNELS, 1, dtype)
        z = paint + z if a else paint
    return z if dtype == "float32" else sym.amp_cast(z, dtype="float32")
