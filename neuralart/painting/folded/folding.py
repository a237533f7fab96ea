"""Folds a trained chain's parameters into those of the faster graph `folded_chain`. Plain numpy.

- With frozen statistics, a norm is a scale and a shift of each channel. They are folded into the
  weights and the bias of the norm's layer. After a deconvolution they are folded into its blur, a
  2x2 mean, which becomes a depthwise convolution (one of each channel by itself).
- oneDNN computes in blocks of 16 channels, and a picture has 3. So x is kept in blocks: 2x2 pixels
  become 12 channels of one pixel, padded to 16. A stage's first convolution then has stride 1
  instead of 2, and its last one makes all four pixels of a block.
- The residual connection is one 1x1 convolution and a sum: with ``x_k = p_k z_k``,
  ``z_{k+1} = z_k + m_k tanh(y_k) + c_k``.
- ``tanh(y)`` is ``2 s - 1`` with ``s = sigmoid(2 y)``, which takes oneDNN a tenth of the time.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuralart.chain.specs import PHASES, RGB, Generator, Layer
from neuralart.chain.specs import prefix as prefix_of
from neuralart.machine.archive import Arrays
from neuralart.pictures.pieces import interleaved
from neuralart.pictures.pixels import PIXEL_MEAN, Pixels, X

# 2x2 pixels of 3 colours are 12 channels, but oneDNN's brgemm convolutions need 16.
BLOCK_CHANNELS = 16

# Edge of a block in pixels.
BLOCK = 2

ENTRY = "x_ordered"
"""Name of an identity convolution on the input, which brings it into oneDNN's memory order.

The first stage's layers and its residual connection share the result. Without it, oneDNN would
reorder the residual's input by itself, which takes 20 times as long."""


NORM, MEAN = "norm", "mean"
"""Ends of the names of a deconvolution's blur: with its norm, and alone."""


def _is_first(layer: Layer) -> bool:
    """Whether the layer can be a stage's first: it halves every even size."""
    return layer.op == "conv" and layer.stride == BLOCK and 0 <= layer.shrinkage < BLOCK


def _is_last(layer: Layer) -> bool:
    """Whether the layer can be a stage's last: a convolution that keeps or doubles the size."""
    if layer.resize == BLOCK:
        return not layer.add
    plain = (layer.op, layer.stride, layer.dilate, layer.add) == ("conv", 1, 1, "")
    return plain and layer.shrinkage == 0


def can_fold(specs: Sequence[Generator]) -> bool:
    """Whether a chain can be folded, as the built-in generators can.

    Every generator must start with a convolution of stride 2, end with one of stride 1, and have no
    deconvolution that is cropped.
    """
    return all(
        _is_first(spec.layers[0])
        and _is_last(spec.layers[-1])
        and all(layer.is_exact if layer.op == "deconv" else not layer.blur for layer in spec.layers)
        and all(layer.resize == 1 for layer in spec.layers[:-1])
        for spec in specs
    )


def residuals(
    specs: Sequence[Generator], prefixes: Sequence[str], params: Arrays, share: float = 1.0
) -> list[float]:
    """Each stage's residual weight a, the weight of its input in its output.

    With ``share`` s below 1, the chain's output is s times the last stage's plus 1 - s times its
    input. This only changes the last weight: a becomes 1 - s (1 - a).
    """
    weights = []
    for spec, prefix in zip(specs, prefixes, strict=True):
        learned = params.get(f"{prefix}residual") if spec.learn_residual else None
        weights.append(
            spec.residual if learned is None else float(1 / (1 + np.exp(-learned.item())))
        )
    weights[-1] = 1 - share * (1 - weights[-1])
    return weights


def with_fixed_residuals(
    specs: Sequence[Generator], params: Arrays, share: float = 1.0
) -> tuple[Generator, ...]:
    """The stages of a chain with their `residuals` in place of learned ones."""
    weights = residuals(specs, [prefix_of(k) for k in range(len(specs))], params, share)
    return tuple(
        dataclasses.replace(spec, residual=a, learn_residual=False)
        for spec, a in zip(specs, weights, strict=True)
    )


def to_blocks(
    rgb: Pixels,
    step: float,
    edge: int = BLOCK,
    out: X | None = None,
    grain: Sequence[X] | None = None,
) -> X:
    """Pixels as x, in blocks of ``edge`` x ``edge`` pixels.

    rgb   (H, W, 3), 0 .. 255 ``step``
    edge  With 2, the result is (1, 16, H/2, W/2): channel 3 (2 row + column) + colour, then zeros.
          With 1, it is (1, 3, H, W).
    out   where to write it, if it has that shape; by default, new memory
    grain (H/edge, W/edge) for each pixel of a block in 0 .. 255 units, added to every colour
    """
    height, width = rgb.shape[:2]
    channels = BLOCK_CHANNELS if edge > 1 else RGB
    shape = (1, channels, height // edge, width // edge)
    blocks = out if out is not None and out.shape == shape else np.empty(shape, np.float32)
    blocks[:, RGB * edge**2 :] = 0
    for phase, (row, column) in enumerate(PHASES[: edge**2]):
        for colour in range(RGB):
            channel = blocks[0, RGB * phase + colour]
            # Converted first: numpy's arithmetic takes three times as long where it also converts.
            channel[...] = rgb[row::edge, column::edge, colour]
            if step != 1:
                channel *= np.float32(1 / step)
            channel -= PIXEL_MEAN[colour]
            if grain is not None:
                channel += grain[phase]
    return blocks


def from_blocks(
    blocks: X, step: float, kind: npt.DTypeLike, edge: int = BLOCK, power: float = 1.0
) -> Pixels:
    """The pixels of ``power`` times the blocks, rounded and clipped: the inverse of `to_blocks`.

    Shape:  (1, 16, H/2, W/2), or (1, 3, H, W) with ``edge`` 1 -> (H, W, 3) of type ``kind``
    """
    height, width = blocks.shape[2:]
    rgb = np.empty((height, edge, width, edge * RGB), kind)
    shifts = [float(mean) * step for mean in PIXEL_MEAN] * edge
    for row in range(edge):
        planes = [blocks[0, edge * RGB * row + place] for place in range(edge * RGB)]
        rgb[:, row] = interleaved(planes, power * step, shifts, kind)
    return rgb.reshape(height * edge, width * edge, RGB)


def _scale_and_shift(layer: Layer, name: str, arrays: Arrays, epsilon: float | None) -> tuple[X, X]:
    """Bias and norm of a layer as a scale and a shift of each channel: (C,) and (C,).

    Without ``epsilon``, those of the bias alone.
    """
    one = np.ones(layer.channels, np.float32)
    bias = arrays[f"{name}_bias"][: layer.channels] if layer.has_bias else 0 * one
    if not layer.norm or epsilon is None:
        return one, bias
    norm = f"{name}_norm"
    deviation = np.sqrt(arrays[f"{norm}_moving_var"] + np.float32(epsilon))
    scale = arrays[f"{norm}_gamma"] / deviation
    return scale, arrays[f"{norm}_beta"] + (bias - arrays[f"{norm}_moving_mean"]) * scale


def _first_in_blocks(weight: X, layer: Layer) -> X:
    """A stage's first weights, brought from stride 2 over pixels to stride 1 over blocks.

    Shape:  (O, 3, k, k) -> (O, 16, k', k')
    """
    offsets = layer.dilate * np.arange(layer.kernel) - layer.padding
    reach = block_reach(layer)
    blocks = np.zeros((len(weight), BLOCK_CHANNELS, 2 * reach + 1, 2 * reach + 1), np.float32)
    for i, j in itertools.product(range(layer.kernel), repeat=2):
        row, column = offsets[i], offsets[j]
        phase = BLOCK * (row % BLOCK) + column % BLOCK
        channels = slice(RGB * phase, RGB * (phase + 1))
        blocks[:, channels, row // BLOCK + reach, column // BLOCK + reach] = weight[:, :, i, j]
    return blocks


def block_reach(layer: Layer) -> int:
    """Blocks that a stage's first convolution reads on each side of its own: k' = 2 reach + 1."""
    last = layer.dilate * (layer.kernel - 1) - layer.padding
    return max(-(-layer.padding // BLOCK), last // BLOCK)


def last_in_blocks(layer: Layer) -> tuple[int, int, int]:
    """Kernel, padding and stride with which a stage's last convolution makes blocks.

    The stride is 2, or 1 if ``layer.resize`` doubles the size.
    """
    if layer.resize > 1:
        return layer.small_kernel, layer.small_kernel // 2, 1
    return layer.kernel + 1, layer.padding, BLOCK


def _last_in_blocks(weight: X, bias: X, layer: Layer) -> tuple[X, X]:
    """A stage's last weights and bias for all pixels of a block, see `last_in_blocks`.

    Shape:  (3, I, k, k) and (3,) -> (16, I, k', k') and (16,)
    """
    resize, kernel = layer.resize > 1, layer.kernel
    side, _, _ = last_in_blocks(layer)
    blocks = np.zeros((BLOCK_CHANNELS, weight.shape[1], side, side), np.float32)
    biases = np.zeros(BLOCK_CHANNELS, np.float32)
    for phase, (row, column) in enumerate(PHASES):
        channels = slice(RGB * phase, RGB * (phase + 1))
        biases[channels] = bias
        if not resize:
            blocks[channels, :, row : row + kernel, column : column + kernel] = weight
            continue
        for i, j in itertools.product(range(kernel), repeat=2):
            blocks[channels, :, (i + row) // BLOCK, (j + column) // BLOCK] += weight[:, :, i, j]
    return blocks, biases


def fold(
    specs: Sequence[Generator],
    prefixes: Sequence[str],
    weights: Sequence[float],
    arrays: Arrays,
    epsilon: float | None,
) -> tuple[Arrays, float]:
    """The parameters of `folded_chain` (in the file graph.py), and the factor for its output.

    prefixes  of the stages' parameters, ``g0_`` and so on
    weights   residual weights of the stages, see `residuals`
    arrays    parameters and statistics of the chain by name
    epsilon   what norms add to a variance; with None they are not folded, and need no statistics
    """
    same = np.eye(BLOCK_CHANNELS, dtype=np.float32)[:, :, None, None]
    folded: Arrays = {
        f"{ENTRY}_weight": same,
        f"{ENTRY}_bias": np.zeros(BLOCK_CHANNELS, np.float32),
    }
    power = 1.0
    for spec, prefix, a in zip(specs, prefixes, weights, strict=True):
        for number, layer in enumerate(spec.layers):
            name = f"{prefix}{layer.name}"
            weight = arrays[f"{name}_weight"]
            if layer.norm and epsilon is None:
                for part in ("gamma", "beta"):
                    folded[f"{name}_norm_{part}"] = arrays[f"{name}_norm_{part}"]
            scale, shift = _scale_and_shift(layer, name, arrays, epsilon)
            if layer.op == "deconv":
                side = 1 + layer.blur
                folded[f"{name}_weight"] = weight[:, : layer.channels]
                mean = np.ones((layer.channels, 1, side, side), np.float32) / side**2
                end = MEAN if epsilon is None else NORM
                folded[f"{name}_{end}_weight"] = mean * scale[:, None, None, None]
                folded[f"{name}_{end}_bias"] = shift
                continue
            weight = weight[: layer.channels] * scale[:, None, None, None]
            if number == 0:
                weight = _first_in_blocks(weight * np.float32(power), layer)
            elif number == len(spec.layers) - 1:
                weight, shift = _last_in_blocks(2 * weight, 2 * shift, layer)
            folded[f"{name}_weight"], folded[f"{name}_bias"] = weight, shift
        power = a * power if a else 1.0
        mix = np.zeros(BLOCK_CHANNELS, np.float32)
        mix[: RGB * len(PHASES)] = (1 - a) / power
        folded[f"{prefix}mix_weight"] = 256 * np.diag(mix)[:, :, None, None]
        mean = np.zeros(BLOCK_CHANNELS, np.float32)
        mean[: RGB * len(PHASES)] = np.tile(PIXEL_MEAN, len(PHASES))
        folded[f"{prefix}mix_bias"] = -mix * mean  # 128 tanh + 128 - mean is 256 s - mean
    return folded, power
