"""The graphs of the perceptual loss: Gram matrices, content, and all terms of one or more photos."""

from __future__ import annotations

from typing import Any

from neuralart.engine.door import mx
from neuralart.loss.layers import STYLE_LAYERS, VggSpec
from neuralart.loss.objective import LossWeights
from neuralart.loss.terms import (
    checkerboard,
    content_loss,
    gram,
    style_loss,
    total_variation,
)
from neuralart.loss.vgg import style_maps, vgg

CONTENT_TARGET = "target_content"


def style_target(layer: str) -> str:
    """The input that takes the style's Gram matrix of a layer."""
    return f"target_{layer}"


def gram_graph(spec: VggSpec) -> Any:
    """The Gram matrices of a picture.

    Shape:  x (1, 3, H, W) -> five of (C, C), in the order of `STYLE_LAYERS`
    """
    maps, _ = style_maps(mx.sym.Variable("x"), spec)
    return mx.sym.Group([gram(each) for each in maps])


def content_graph(spec: VggSpec, layer: str) -> Any:
    """The features of a layer.

    Shape:  x (N, 3, H, W) -> (N, C, h, w)
    """
    return vgg(mx.sym.Variable("x"), spec, [layer])[layer]


def loss_graph(spec: VggSpec, weights: LossWeights, layer: str, photos: int = 1) -> Any:
    """The losses of photos, each of its own, against one style and their own contents.

    Shape:  x (photos, 3, H, W), target_content (photos, C, h, w), target_relu1_1 (C, C) and so on
            -> every term times its weight (photos, terms), in the order of `LossWeights.terms`, and
            without a gradient; the sums (photos,)
    """
    x = mx.sym.Variable("x")
    maps, taps = style_maps(x, spec, [layer])
    target = mx.sym.Variable(CONTENT_TARGET)
    grams = [mx.sym.Variable(style_target(each)) for each in STYLE_LAYERS]
    singles = [_each(array, photos) for array in (*maps, taps[layer], target, x)]
    rows, totals = [], []
    for *styles, content, content_target, picture in zip(*singles, strict=True):
        losses = {
            f"style_{name}": style_loss(gram(style), wanted)
            for name, style, wanted in zip(STYLE_LAYERS, styles, grams, strict=True)
        }
        losses["content"] = content_loss(content, content_target)
        losses["tv"] = total_variation(picture)
        losses["checkerboard"] = checkerboard(picture)
        weighted = [losses[name] * weight for name, weight in weights.terms().items()]
        rows.append(mx.sym.concat(*weighted, dim=0))
        totals.append(mx.sym.add_n(*weighted))
    return mx.sym.Group(
        [mx.sym.BlockGrad(mx.sym.stack(*rows, axis=0)), mx.sym.concat(*totals, dim=0)]
    )


def _each(array: Any, photos: int) -> list[Any]:
    """(photos, ...) -> one (1, ...) for each photo."""
    if photos == 1:
        return [array]
    return list(mx.sym.split(array, num_outputs=photos, axis=0))
