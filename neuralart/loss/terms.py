"""Content, style, total-variation and checkerboard losses: Symbol -> scalar Symbol of shape (1,).

Each is relative to its target, so that weights carry over between nets, layers and paintings:
0 is reached, 1 is as far off as nothing at all.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from neuralart.engine.symbols import sym
from neuralart.loss.layers import BAND_PX, COARSE_PX, PALETTE_PX


def gram(features: Any) -> Any:
    """Channel-by-channel correlation of one feature map, averaged over its pixels.

    Shape:   (1, C, H, W) -> (C, C)
    Source:  Gatys et al. 2016, section 2.2.
    Differs: divided by H*W, so that pictures of other sizes compare.
    Hazard:  its gradient is right for losses that treat G_ij and G_ji alike, as `style_loss` does.
    """
    flat = sym.reshape(features, shape=(-3, -3))  # (C, H*W)
    ones = sym.ones_like(sym.slice_axis(flat, axis=0, begin=0, end=1))
    # The gradient of a loss by a Gram is symmetric, so both factors get the same: one is computed
    # and doubled, which takes 2 to 9% off a score.
    product = sym.dot(flat, sym.BlockGrad(flat), transpose_b=True)
    return sym.broadcast_div(product * 2 - sym.BlockGrad(product), sym.sum(ones))


def style_loss(gram_of_x: Any, target: Any) -> Any:
    """|G - G*|^2 / |G*|^2 of one layer.

    Shape:   (C, C), (C, C) -> (1,)
    Source:  Gatys et al. 2016, section 2.2.
    Differs: relative to the target, not divided by 4 C^2 H^2 W^2, so each layer counts the same.
    """
    return _relative(gram_of_x - target, target)


def content_loss(features: Any, target: Any) -> Any:
    """|f - f0|^2 / |f0 - mean f0|^2, with the mean over space.

    Shape:   (1, C, h, w), (1, C, h, w) -> (1,)
    Source:  Gatys et al. 2016, section 2.1.
    Differs: relative to how much the photo's own features vary.
    """
    spread = sym.broadcast_sub(target, sym.mean(target, axis=(2, 3), keepdims=True))
    return _relative(features - target, spread)


def total_variation(x: Any) -> Any:
    """Mean squared difference of neighbouring pixels, in units of 1/255.

    Shape:   (1, 3, H, W) in 0..255 units -> (1,)
    Source:  Johnson et al. 2016, section 3.2.
    Differs: a mean over pixels, not a sum.
    """
    loss = 0
    for axis in (2, 3):
        step = sym.slice_axis(x, axis=axis, begin=1, end=None) - sym.slice_axis(
            x, axis=axis, begin=0, end=-1
        )
        loss = loss + _mean_square(step * (1 / 255))
    return loss


def checkerboard(x: Any) -> Any:
    """Power of stripes of 2 pixels that go on along whole rows or columns, in units of 1/255.

    Strided layers leave them, of less than a level, which `total_variation` hardly sees beside the
    edges of brush strokes. The edges have no phase in common and cancel out here.

    Shape:   (1, 3, H, W) in 0..255 units, H and W of at least 3 -> (1,); stripes of amplitude a
             give (a / 255)^2, a chequered pattern twice that
    Source:  Odena et al. 2016, "Deconvolution and checkerboard artifacts", for their origin; the
             loss is ours.
    """
    loss = 0
    for axis in (2, 3):
        here, before, after = (
            sym.slice(x, begin=_at(axis, begin), end=_at(axis, end), step=_at(axis, 2))
            for begin, end in ((1, -1), (0, -2), (2, None))
        )
        # A quarter of the second difference: 0 on a slope, a on stripes.
        stripes = sym.mean(here * 2 - before - after, axis=axis) * (0.25 / 255)
        loss = loss + _mean_square(stripes)
    return loss


FLAT = 100.0
"""The variance of a layout, in levels squared, at which it counts half: flat photos ask little."""


def pyramid(x: Any) -> dict[int, Any]:
    """A picture's colours by the edge of a square in pixels: 1, the picture, to 32, means of means.

    Shape:   (N, 3, H, W) -> six of (N, 3, H / edge, W / edge), rounded down
    """
    levels = {BAND_PX[0]: x}
    for edge_px in BAND_PX:
        levels[2 * edge_px] = sym.Pooling(
            levels[edge_px], kernel=(2, 2), stride=(2, 2), pool_type="avg"
        )
    return levels


def coarse(levels: Mapping[int, Any]) -> Any:
    """A picture's layout: means of squares, as luminance and as yellow-blue, each around its mean.

    Shape:   `pyramid` of (N, 3, H, W) in 0..255 units -> (N, 2, H / 16, W / 16), rounded down
    Luminance is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), yellow-blue is B - (R + G) / 2.
    """
    red, green, blue = sym.split(levels[COARSE_PX], num_outputs=3, axis=1)
    luminance = red * 0.299 + green * 0.587 + blue * 0.114
    both = sym.concat(luminance, blue - (red + green) * 0.5, dim=1)
    return sym.broadcast_sub(both, sym.mean(both, axis=(2, 3), keepdims=True))


def layout_loss(layout: Any, target: Any) -> Any:
    """1 - correlation of two layouts, times v / (v + `FLAT`), v the variance of the target.

    Any contrast and palette is allowed; new lights and darks are not.

    Shape:   (1, 2, h, w), (1, 2, h, w) of `coarse` -> (1,), the mean of both channels
    Source:  ours.
    """
    covariance, variance, wanted = (
        sym.mean(a * b, axis=(2, 3))
        for a, b in ((layout, target), (layout, layout), (target, target))
    )
    correlation = covariance / sym.sqrt(variance * wanted + 1)
    return sym.mean((1 - correlation) * _counts(wanted), axis=1)


def colours(levels: Mapping[int, Any]) -> Any:
    """A picture's palette: means of squares, and a fourth channel of ones.

    Shape:   `pyramid` of (N, 3, H, W) in 0..255 units -> (N, 4, H / 8, W / 8), rounded down, in
             0..1 units
    """
    means = levels[PALETTE_PX] * (1 / 255)
    ones = sym.ones_like(sym.slice_axis(means, axis=1, begin=0, end=1))
    return sym.concat(means, ones, dim=1)


def palette_loss(gram_of_x: Any, whitening: Any, target: Any) -> Any:
    """`style_loss` of whitened colours.

    The Gram matrix of `colours` holds their mean and covariance. Whitened by the style image's
    (`neuralart.loss.palette`), all its colours count the same, also those that vary little.

    Shape:   (4, 4), (4, 4), (4, 4) -> (1,)
    Source:  ours; Reinhard et al. 2001 describe colours by mean and deviation, too.
    """
    return style_loss(_whitened(gram_of_x, whitening), target)


def bands_loss(grams_of_x: Sequence[Any], whitenings: Any, targets: Any) -> Any:
    """The sum over `BAND_PX` of |C - C*|^2 / 3, C the whitened covariance of a band's colours.

    Coloured fringes have the style's colours where the style has none: between the finest squares.
    Broad strokes vary between coarse ones.

    Shape:   six of (3, 3), the Gram matrices of `pyramid` in 0..255 units; (15, 3), (15, 3) -> (1,)
    Source:  ours; bands are those of Burt and Adelson 1983, with squares for Gaussians.
    """
    losses = []
    for band, pair in enumerate(itertools.pairwise(grams_of_x)):
        whitening, target = (
            sym.slice_axis(table, axis=0, begin=3 * band, end=3 * band + 3)
            for table in (whitenings, targets)
        )
        # A square's mean is the mean of its four parts: their covariance around it is this.
        covariance = (pair[0] - pair[1]) * (1 / 255**2)
        difference = _whitened(covariance, whitening) - target
        losses.append(_sum_of_squares(difference) / 3)  # a target is the identity, or less
    return sym.add_n(*losses)


def _whitened(gram_of_x: Any, whitening: Any) -> Any:
    """W G W^T"""
    return sym.dot(sym.dot(whitening, gram_of_x), whitening, transpose_b=True)


def contrast(layout: Any) -> Any:
    """What a photo's contrast counts: v / (v + `FLAT`), v the variance of its luminance.

    Shape:   `coarse` (1, 2, h, w) -> (1,)
    """
    luminance = sym.slice_axis(layout, axis=1, begin=0, end=1)
    return _counts(sym.reshape(sym.mean(luminance * luminance, axis=(2, 3)), shape=(-1,)))


def _counts(variance: Any) -> Any:
    """What a photo's variance, in levels squared, counts: 0 if it is flat, at most 1."""
    return variance / (variance + FLAT)


def _at(axis: int, value: int | None) -> tuple[int | None, ...]:
    """An argument of `sym.slice`: a value for one axis of four, None for the others."""
    return tuple(value if i == axis else None for i in range(4))


def _relative(difference: Any, reference: Any) -> Any:
    """|.|^2 / |.|^2, (1,); the tiny term keeps a flat photo or a black style from dividing by 0."""
    return _sum_of_squares(difference) / (_sum_of_squares(reference) + 1e-12)


def _mean_square(x: Any) -> Any:
    """(1,)"""
    return _sum_of_squares(x) / _sum_of_squares(sym.ones_like(x))


def _sum_of_squares(x: Any) -> Any:
    """(1,), as a dot product: MXNet's sum and mean run on one core, element by element."""
    flat = sym.reshape(x, shape=(-1,))
    return sym.dot(flat, flat)
