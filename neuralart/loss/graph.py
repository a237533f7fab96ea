"""The graphs of the perceptual loss: Gram matrices, what is kept of photos, and all terms."""

from __future__ import annotations

from typing import Any

from neuralart.engine.symbols import sym
from neuralart.loss.layers import VggSpec
from neuralart.loss.objective import KEPT, LossWeights
from neuralart.loss.terms import (
    bands_loss,
    checkerboard,
    coarse,
    colours,
    content_loss,
    contrast,
    gram,
    layout_loss,
    palette_loss,
    pyramid,
    style_loss,
    total_variation,
)
from neuralart.loss.vgg import Weights, style_maps, vgg

LAYER_WEIGHTS = "layer_weights"
"""The parameter with the weights of a style's layers, (styles, style terms)."""

PALETTE, WHITENING = "gram_palette", "whitening"
"""The parameters with the palettes of all styles, (styles, 4, 4) each."""

BANDS, BAND_WHITENINGS = "gram_bands", "band_whitenings"
"""The parameters with the bands of all styles, (styles, 15, 3) each."""


def gram_name(term: str) -> str:
    """The parameter with a style term's Gram matrices of all styles, (styles, C, C)."""
    return f"gram_{term}"


def gram_graph(spec: VggSpec) -> Any:
    """The Gram matrices of a picture.

    Shape:  x (1, 3, H, W) -> five of (C, C), in the order of `STYLE_LAYERS`
    """
    maps, _ = style_maps(sym.Variable("x"), spec)
    return sym.Group([gram(each) for each in maps])


def content_graph(spec: VggSpec, layer: str) -> Any:
    """What a loss keeps of photos: the features of a layer, and the layout.

    Shape:  x (N, 3, H, W) -> (N, C, h, w); (N, 2, H / 16, W / 16)
    """
    x = sym.Variable("x")
    return sym.Group([vgg(x, spec, [layer])[layer], coarse(pyramid(x))])


def loss_graph(
    spec: VggSpec, weights: LossWeights, layer: str, styles: int = 1, photos: int = 1
) -> Any:
    """The losses of pictures, each against its own photo and its own style.

    Shape:  x (photos, 3, H, W); style (photos, styles), a one for the style and zeros; keep
            (photos, 1), a factor of content and layout in the totals;
            content (photos, C, h, w) and layout (photos, 2, H / 16, W / 16) of `content_graph`;
            the layout where `LossWeights.keeps_layout`
            -> every term times its weight (photos, terms), in the order of `LossWeights.terms` and
            without a gradient; the totals (photos,)
    """
    x, style = sym.Variable("x"), sym.Variable("style")
    levels = pyramid(x)
    net = Weights()
    maps, taps = style_maps(x, spec, [layer], weights=net)
    if weights.two_scales:
        maps = [*maps, *style_maps(levels[2], spec, weights=net)[0]]
    channels = [head or width for head, width in zip(spec.heads, spec.widths, strict=True)]
    wanted = [
        _of_style(style, gram_name(term), (styles, width, width))
        for term, width in zip(weights.style_terms, channels * 2, strict=False)
    ]
    layers = sym.Variable(LAYER_WEIGHTS, shape=(styles, len(wanted)))
    arrays = [*maps, *wanted, sym.dot(style, layers), sym.Variable("keep")]
    arrays += [taps[layer], sym.Variable("content"), x]
    if weights.keeps_layout:
        arrays += [coarse(levels), sym.Variable("layout")]
    if weights.palette:
        shapes = {WHITENING: (4, 4), PALETTE: (4, 4), BAND_WHITENINGS: (15, 3), BANDS: (15, 3)}
        palettes = [_of_style(style, name, (styles, *shape)) for name, shape in shapes.items()]
        arrays += [*palettes, colours(levels), *levels.values()]
    rows, totals = [], []
    for each in zip(*(_split(array, photos) for array in arrays), strict=True):
        count = len(wanted)
        grams = [gram(features) for features in each[:count]]
        row, keep, content, target, picture, *more = each[2 * count :]
        losses = {"content": content_loss(content, target), "tv": total_variation(picture)}
        if weights.layout:
            losses["layout"] = layout_loss(*more[:2])
        if weights.palette:
            _, layout, *more = more
            tables = [sym.reshape(table, shape=(-3, 0)) for table in more[:4]]
            of_x, *bands_of_x = (gram(means) for means in more[4:])
            palette = palette_loss(of_x, *tables[:2]) + bands_loss(bands_of_x, *tables[2:])
            losses["palette"] = palette * contrast(layout)
        if weights.checkerboard:
            losses["checkerboard"] = checkerboard(picture)
        targets = [sym.reshape(table, shape=(-3, 0)) for table in each[count : 2 * count]]
        distances = sym.concat(*map(style_loss, grams, targets), dim=0)
        row = sym.reshape(row, shape=(-1,)) * distances
        others = {name: losses[name] * weight for name, weight in weights.others().items()}
        rows.append(sym.concat(row, *others.values(), dim=0))
        style_sum = sym.sum(row, keepdims=True) * (1 / weights.style_sizes)
        keep = sym.reshape(keep, shape=(-1,))
        others |= {name: others[name] * keep for name in KEPT if name in others}
        totals.append(sym.add_n(style_sum, *others.values()))
    return sym.Group([sym.BlockGrad(sym.stack(*rows, axis=0)), sym.concat(*totals, dim=0)])


def _of_style(style: Any, name: str, shape: tuple[int, int, int]) -> Any:
    """The chosen rows of a table, (photos, C, C) of (styles, C, C)."""
    table = sym.reshape(sym.Variable(name, shape=shape), shape=(0, -1))
    return sym.reshape(sym.dot(style, table), shape=(-1, *shape[1:]))


def _split(array: Any, photos: int) -> list[Any]:
    """(photos, ...) -> one (1, ...) for each photo."""
    if photos == 1:
        return [array]
    return list(sym.split(array, num_outputs=photos, axis=0))
