"""The perceptual loss: a VGG that says how far a picture is from photo and painting, and which way to go.

Targets are labels of the Module and the VGG's weights are fixed parameters, so only the picture gets a
gradient and no weight gradient is ever computed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.engine import mx, settle
from neuralart.features import Features
from neuralart.images import X
from neuralart.specs import CONTENT_LAYER
from neuralart.symbols.losses import (
    checkerboard,
    content_loss,
    gram,
    style_loss,
    total_variation,
)
from neuralart.symbols.vgg import STYLE_LAYERS, style_maps, vgg

log = logging.getLogger(__name__)

Losses = dict[str, float]


@dataclass(frozen=True)
class LossWeights:
    """What each style layer, the content layer, the total variation and the checkerboard count in the total loss.

    ``style`` is one weight for all layers, or one for each of `STYLE_LAYERS`.
    """

    style: float | tuple[float, ...] = 20.0
    content: float = 2.0
    tv: float = 5.0
    checkerboard: float = 0.0

    def of_layers(self) -> dict[str, float]:
        """The weight of every style layer by name."""
        one_each = self.style if isinstance(self.style, tuple) else [self.style] * len(STYLE_LAYERS)
        return dict(zip(STYLE_LAYERS, one_each, strict=True))


class Perceptual:
    """``set_style`` once, ``set_content`` for each photo, then ``score`` any picture of its size.

    ``context`` is one or a list; of several, `set_content` and `score_each` take as many photos at a time,
    one for each.
    """

    def __init__(
        self,
        features: Features,
        weights: LossWeights,
        context: Any,
        content_layer: str = CONTENT_LAYER,
    ) -> None:
        self.features = features
        self.contexts = context if isinstance(context, list) else [context]
        x = mx.sym.Variable("x")
        styles, maps = style_maps(x, features.spec, [content_layer])
        self._grams = [gram(style) for style in styles]
        self._style_maps = styles
        self._content_map = vgg(x, features.spec, [content_layer])[content_layer]
        losses = {
            f"style_{layer}": style_loss(g, mx.sym.Variable(f"target_{layer}")) * weight
            for (layer, weight), g in zip(weights.of_layers().items(), self._grams, strict=True)
        }
        content = content_loss(maps[content_layer], mx.sym.Variable("target_content"))
        losses["content"] = content * weights.content
        losses["tv"] = total_variation(x) * weights.tv
        if weights.checkerboard:
            losses["checkerboard"] = checkerboard(x) * weights.checkerboard
        self.names = tuple(losses)
        total = mx.sym.MakeLoss(mx.sym.add_n(*losses.values()))
        self._symbol = mx.sym.Group(
            [mx.sym.BlockGrad(mx.sym.concat(*losses.values(), dim=0)), total]
        )
        self._targets: dict[str, Any] = {}
        # By the number of pictures: all contexts have one each, or the first has one.
        self._scorers: dict[int, Any] = {}
        self._contents: dict[int, Any] = {}

    def set_style(self, x: X) -> None:
        """Take the Grams of a painting, (1, 3, H, W), as the style to reach."""
        module = self._bind(mx.sym.Group(self._grams), x.shape)
        grams = _forward(module, x)
        self._targets.update(
            {f"target_{layer}": g.copy() for layer, g in zip(STYLE_LAYERS, grams, strict=True)}
        )

    def set_content(self, x: X) -> None:
        """Take the features of photos, (N, 3, H, W), as the content to keep."""
        if len(x) not in self._contents:
            self._contents[len(x)] = self._bind(self._content_map, x.shape)
        # A copy: the next forward overwrites the Module's output.
        self._targets["target_content"] = _forward(self._contents[len(x)], x)[0].copy()

    def score(self, x: X) -> tuple[Losses, X]:
        """The losses of a picture against the style and the content that were set, and their gradient.

        Shape:   x (1, 3, H, W) -> losses by name; d_x (1, 3, H, W), that of ``total``
        The names are ``style_relu1_1`` ..., ``content``, ``tv`` and, if it has a weight, ``checkerboard``, all
        times their weights, their sum ``total``, and ``style``, the sum of the style layers'.
        """
        (losses,), d_x = self.score_each(x)
        return losses, d_x

    def score_each(self, x: X) -> tuple[list[dict[str, float]], X]:
        """What `score` gives, of as many pictures as photos were set.

        Shape:   x (N, 3, H, W) -> N times losses by name; d_x (N, 3, H, W), each of its own ``total``
        """
        labels = [(name, self._targets[name].shape) for name in self._label_names]
        if len(x) not in self._scorers:
            self._scorers[len(x)] = self._bind(self._symbol, x.shape, labels)
        scorer = self._scorers[len(x)]
        batch = mx.io.DataBatch([mx.nd.array(x)], [self._targets[n] for n in self._label_names])
        scorer.forward(batch, is_train=True)
        scorer.backward()
        d_x = scorer.get_input_grads()[0].asnumpy()
        rows = scorer.get_outputs()[0].asnumpy().reshape(len(x), len(self.names))
        return [self._named(row) for row in rows], d_x

    def _named(self, values: npt.NDArray[np.float32]) -> dict[str, float]:
        losses = {name: float(value) for name, value in zip(self.names, values, strict=True)}
        losses["style"] = sum(losses[f"style_{layer}"] for layer in STYLE_LAYERS)
        losses["total"] = float(values.sum())
        return losses

    @property
    def _label_names(self) -> list[str]:
        return [*(f"target_{layer}" for layer in STYLE_LAYERS), "target_content"]

    def _bind(self, symbol: Any, shape: tuple[int, ...], labels: list[Any] | None = None) -> Any:
        arguments = set(symbol.list_arguments())
        fixed = {k: mx.nd.array(v) for k, v in self.features.weights.items() if k in arguments}
        module = mx.mod.Module(
            symbol,
            data_names=["x"],
            label_names=[name for name, _ in labels] if labels else None,
            fixed_param_names=list(fixed),
            context=list(self.contexts[: shape[0]]),
            logger=log,
        )
        module.bind(
            data_shapes=[("x", shape)],
            label_shapes=[_label(name, size) for name, size in labels] if labels else None,
            for_training=labels is not None,
            inputs_need_grad=labels is not None,
        )
        module.set_params(fixed, {}, allow_missing=False)
        return module


def _label(name: str, shape: tuple[int, ...]) -> Any:
    """A Gram, which every device has, gets a layout without N, or Module would share it out among them."""
    return mx.io.DataDesc(name, shape, layout="CD" if len(shape) == 2 else "NCHW")


def _forward(module: Any, x: X) -> list[Any]:
    module.forward(mx.io.DataBatch([mx.nd.array(x)]), is_train=False)
    settle()
    outputs: list[Any] = module.get_outputs()
    return outputs


def norm(d_x: X) -> float:
    """Root mean square of a gradient; not finite if any element is not."""
    return float(np.sqrt(np.mean(np.square(d_x, dtype=np.float64))))
