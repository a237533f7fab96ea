"""Folding: which chains can be folded, blocks of pixels, and weights folded by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers import LITTLE, noise
from kinds import KINDS

from neuralart.chain.kinds import GENERATORS
from neuralart.chain.params import initial_params
from neuralart.chain.specs import Generator, generator_from_dict
from neuralart.machine.archive import Arrays
from neuralart.painting.folded.folding import (
    BLOCK_CHANNELS,
    can_fold,
    fold,
    from_blocks,
    residuals,
    to_blocks,
)
from neuralart.pictures.pixels import PIXEL_MEAN

LAST = {"op": "conv", "channels": 3, "kernel": 3, "norm": False, "act": "tanh"}
FIRST = {"op": "conv", "channels": 4, "kernel": 4, "stride": 2, "pad": 1}


def spec(**more: object) -> Generator:
    """A first layer that halves the size, and a last one that doubles it."""
    end = {**LAST, "kernel": 5, "resize": 2}
    return generator_from_dict("g", {"layers": [{**FIRST, **more}, end]})


def first_arrays(generator: Generator) -> Arrays:
    """The first parameters; scales and shifts are (C,)."""
    params = initial_params([generator], 0)
    return {k: v.ravel() if "_norm_" in k else v for k, v in params.items()}


@pytest.mark.parametrize("kind", GENERATORS)
def test_built_in_generators_fold(kind: str) -> None:
    assert can_fold([GENERATORS[kind]])


@pytest.mark.parametrize("kind", ["biases", "deconvolution of stride 1", "crops and skips"])
def test_generators_that_do_not_begin_or_end_as_folding_needs(kind: str) -> None:
    assert not can_fold([KINDS[kind]])
    assert not can_fold([LITTLE, KINDS[kind]])


@pytest.mark.parametrize("edge", [1, 2])
@pytest.mark.parametrize(("kind", "step"), [(np.uint8, 1), (np.uint16, 257)])
def test_blocks_there_and_back(edge: int, kind: type, step: int) -> None:
    image = noise(6, 8, kind)
    blocks = to_blocks(image, step, edge)
    np.testing.assert_array_equal(from_blocks(blocks, step, kind, edge), image)


def test_a_block_is_its_pixels_row_by_row() -> None:
    image = noise(4, 6)
    blocks = to_blocks(image, 1)
    assert blocks.shape == (1, BLOCK_CHANNELS, 2, 3)
    for row in range(2):
        for column in range(2):
            first = 3 * (2 * row + column)
            want = image[row::2, column::2] - PIXEL_MEAN
            got = blocks[0, first : first + 3].transpose(1, 2, 0)
            np.testing.assert_allclose(got, want, rtol=1e-5)
    assert not blocks[:, 12:].any()


def test_blocks_are_written_where_asked() -> None:
    out = np.full((1, BLOCK_CHANNELS, 2, 3), np.nan, np.float32)
    image = noise(4, 6)
    assert to_blocks(image, 1, out=out) is out
    np.testing.assert_array_equal(out, to_blocks(image, 1))


def test_pixels_are_scaled_rounded_and_clipped() -> None:
    blocks = np.zeros((1, 3, 1, 3), np.float32)
    blocks[0, 0] = np.float32([-200, 0.2, 200])
    found = from_blocks(blocks, 1, np.uint8, edge=1, power=0.5)[0, :, 0]
    assert found.tolist() == [round(PIXEL_MEAN[0] - 100), round(PIXEL_MEAN[0] + 0.1), 224]
    found = from_blocks(blocks, 1, np.uint8, edge=1, power=10)[0, :, 0]
    assert found.tolist() == [0, round(PIXEL_MEAN[0] + 2), 255]


def test_residual_weights_and_the_share_of_the_last_stage() -> None:
    specs = [LITTLE, dataclasses.replace(LITTLE, residual=0.3, learn_residual=False)]
    params = initial_params(specs, 0)
    first, last = residuals(specs, ["g0_", "g1_"], params)
    assert first == pytest.approx(LITTLE.residual) and last == pytest.approx(0.3)
    _, half = residuals(specs, ["g0_", "g1_"], params, share=0.5)
    assert half == pytest.approx(1 - 0.5 * 0.7)


def test_a_norm_is_folded_into_the_weights_by_hand() -> None:
    """Of the first layer, whose taps become taps on blocks."""
    generator = spec()
    rng = np.random.default_rng(0)
    arrays = first_arrays(generator)
    mean, variance, gamma, beta = rng.uniform(0.5, 2, (4, 4)).astype(np.float32)
    arrays |= {
        "g0_conv0_norm_moving_mean": mean, "g0_conv0_norm_moving_var": variance,
        "g0_conv0_norm_gamma": gamma, "g0_conv0_norm_beta": beta,
    }  # fmt: skip
    folded, _ = fold([generator], ["g0_"], [0.5], arrays, 0.25)
    scale = gamma / np.sqrt(variance + 0.25)
    np.testing.assert_allclose(folded["g0_conv0_bias"], beta - mean * scale, rtol=1e-5)
    weight = arrays["g0_conv0_weight"][:4] * scale[:, None, None, None]
    blocks = folded["g0_conv0_weight"]
    assert blocks.shape == (4, BLOCK_CHANNELS, 3, 3)
    # Padding 1: tap (0, 0) reads the pixel above and to the left, the last one of another block.
    np.testing.assert_allclose(blocks[:, 9:12, 0, 0], weight[:, :, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(blocks[:, 0:3, 1, 1], weight[:, :, 1, 1], rtol=1e-5)
    np.testing.assert_allclose(blocks[:, 3:6, 1, 1], weight[:, :, 1, 2], rtol=1e-5)
    np.testing.assert_allclose(blocks[:, 0:3, 2, 2], weight[:, :, 3, 3], rtol=1e-5)
    assert np.count_nonzero(blocks) == np.count_nonzero(weight)


def test_the_residual_connection_by_hand() -> None:
    """``z1 = z0 + m tanh(y) + c`` and ``x1 = p z1``, with p the residual weight a.

    128 tanh(y) + 128 - mean is 256 sigmoid(2 y) - mean.
    """
    generator = spec()
    arrays = first_arrays(generator)
    arrays |= {f"g0_conv0_norm_moving_{part}": np.ones(4, np.float32) for part in ("mean", "var")}
    for a, power, factor in ((0.25, 0.25, 3.0), (0.0, 1.0, 1.0)):
        folded, found = fold([generator], ["g0_"], [a], arrays, 1e-3)
        assert found == power
        mix = np.zeros(BLOCK_CHANNELS)
        mix[:12] = factor
        weight = folded["g0_mix_weight"][:, :, 0, 0]
        np.testing.assert_allclose(weight, 256 * np.diag(mix), rtol=1e-6)
        shift = -factor * PIXEL_MEAN
        np.testing.assert_allclose(folded["g0_mix_bias"][:12], np.tile(shift, 4), rtol=1e-5)
        doubled = 2 * 4 * arrays["g0_conv1_weight"][:3].sum()  # each of four pixels has every tap
        assert folded["g0_conv1_weight"].sum() == pytest.approx(doubled, rel=1e-4)
        assert not folded["g0_mix_bias"][12:].any()
