"""The graph of the discriminator: augmentation, four convolutions, and a score for each style."""

from __future__ import annotations

from typing import Any

from neuralart.chain.specs import LEAKY_SLOPE
from neuralart.engine.symbols import sym

LAYERS = ((16, 4, 2), (32, 4, 2), (64, 4, 2), (64, 3, 1))
"""Channels, kernel and stride of the convolutions. A score sees 38x38 pixels."""


def discriminator_graph(styles: int) -> Any:
    """The least-squares losses of pictures, each judged by the score of its own style.

    Shape:   x (N, 3, H, W); style (N, styles), a one-hot row for each picture; the augmentation:
             colour (3, 3, 1, 1), shift (3,) and mask (1, 1, H, W)
             -> (score - 1)^2 (N,) and score^2 (N,), both means over the places of the score map
    Source:  Isola et al. 2017, section 3.2.2: scores of patches; Mao et al. 2017: least squares;
             Choi et al. 2020, section 2.1: one output for each class.
    Differs: no norms, whose statistics would mix what is masked with what is not.
    """
    x = sym.Variable("x")
    colour, shift, mask = (sym.Variable(name) for name in ("colour", "shift", "mask"))
    out = sym.Convolution(x, colour, shift, num_filter=3, kernel=(1, 1), name="gan_colour")
    out = sym.broadcast_mul(out, mask)
    for i, (channels, kernel, stride) in enumerate(LAYERS):
        name = f"gan_conv{i}"
        out = sym.Convolution(
            out,
            num_filter=channels,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pad=(1, 1),
            name=name,
        )
        out = sym.LeakyReLU(out, act_type="leaky", slope=LEAKY_SLOPE, name=f"{name}_leaky")
    scores = sym.Convolution(out, num_filter=styles, kernel=(1, 1), name="gan_score")
    chosen = sym.reshape(sym.Variable("style"), shape=(0, 0, 1, 1))
    score = sym.sum(sym.broadcast_mul(scores, chosen), axis=1)
    return sym.Group([sym.mean(sym.square(each), axis=(1, 2)) for each in (score - 1, score)])
