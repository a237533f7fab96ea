"""The perceptual loss: how far pictures are from photo and style, and its gradient by their pixels.

Targets are inputs of the graph and VGG's weights are parameters without a gradient, so that only
the picture gets one and no gradient of a weight is ever computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neuralart.engine.contract import Batch, Devices, Executor, Shape
from neuralart.loss.features.store import Features
from neuralart.loss.graph import (
    CONTENT_TARGET,
    content_graph,
    gram_graph,
    loss_graph,
    style_target,
)
from neuralart.loss.layers import CONTENT_LAYER, STYLE_LAYERS
from neuralart.loss.objective import TINY_LOSS, Losses, LossWeights, named
from neuralart.pictures.pixels import X


class Perceptual:
    """The loss of one style: ``set_style`` once, then content and pictures, photo by photo.

    `set_content` and `score` take and give numpy arrays of one photo, on the first device.
    `set_contents` and `score_batch` do the same for photos that are on the devices, and stay there.
    """

    def __init__(
        self,
        features: Features,
        weights: LossWeights,
        devices: Devices,
        content_layer: str = CONTENT_LAYER,
    ) -> None:
        self.features = features
        self.devices = devices
        self.terms = tuple(weights.terms())
        self._weights = weights
        self._content_layer = content_layer
        self._grams: dict[str, X] = {}
        self._style_inputs: dict[int, dict[str, Batch]] = {}
        self._content: Batch = []
        self._bound: dict[tuple[str, int, Shape], Executor] = {}
        self._ones: dict[tuple[int, int], Batch] = {}

    def set_style(self, x: X) -> None:
        """Take the Gram matrices of a style image, (1, 3, H, W), as the style to reach."""
        first = self.devices.first()
        executor = self._bind(first, gram_graph(self.features.spec), {"x": x.shape})
        grams = executor.forward(x=first.put(x))
        for layer, gram in zip(STYLE_LAYERS, grams, strict=True):
            self._grams[style_target(layer)] = first.get(gram)
        self._style_inputs = {}

    def set_content(self, x: X) -> None:
        """Take the features of a photo, (1, 3, H, W), as the content to keep."""
        self.set_contents(self.devices.first().put(x))

    def set_contents(self, x: Batch) -> None:
        """Take the features of photos, (n, 3, H, W) on each device, as the contents to keep."""
        executor = self._executor(
            "content", x, lambda: content_graph(self.features.spec, self._content_layer)
        )
        self._content = executor.forward(x=x)[0]

    def score(self, x: X) -> tuple[Losses, X]:
        """The losses of a picture, and the gradient of their ``total`` by its pixels.

        Shape:   x (1, 3, H, W) -> losses by name; (1, 3, H, W)
        The names are ``style_relu1_1`` and so on, ``content``, ``tv`` and, if it has a weight,
        ``checkerboard``, each times its weight; ``style`` is the sum of the style layers and
        ``total`` of all.
        """
        rows, d_x = self.score_batch(self.devices.first().put(x))
        return named(self.terms, self.devices.get(rows)[0]), self.devices.get(d_x)

    def score_batch(self, x: Batch, log_weight: float | None = None) -> tuple[Batch, Batch]:
        """The losses of pictures and a gradient by their pixels, each of its own photo.

        Shape:   (n, 3, H, W) on each device -> (n, terms); (n, 3, H, W)
        The gradient is that of the total, or with ``log_weight`` that of
        ``log_weight * log(total + TINY_LOSS)``. Both arrays are valid until the next call.
        """
        executor = self._scorer(x)
        rows, totals = executor.forward(x=x, **{CONTENT_TARGET: self._content}, **self._styles(x))
        if log_weight is None:
            heads = self._one_each(x)
        else:
            heads = [log_weight / (total + TINY_LOSS) for total in totals]
        executor.backward(None, heads)
        return rows, executor.input_gradient()

    def _styles(self, x: Batch) -> dict[str, Batch]:
        """The style's Gram matrices on as many devices as the batch has."""
        if len(x) not in self._style_inputs:
            devices = self._devices(x)
            self._style_inputs[len(x)] = {
                name: devices.put_common(gram) for name, gram in self._grams.items()
            }
        return self._style_inputs[len(x)]

    def _one_each(self, x: Batch) -> Batch:
        key = (len(x), len(x[0]))
        if key not in self._ones:
            self._ones[key] = self._devices(x).put_common(np.ones(len(x[0]), np.float32))
        return self._ones[key]

    def _devices(self, x: Batch) -> Devices:
        return self.devices if len(x) == len(self.devices) else self.devices.first()

    def _scorer(self, x: Batch) -> Executor:
        targets = {name: gram.shape for name, gram in self._grams.items()}
        targets[CONTENT_TARGET] = self._content[0].shape

        def graph() -> Any:
            spec, photos = self.features.spec, len(x[0])
            return loss_graph(spec, self._weights, self._content_layer, photos)

        return self._executor("loss", x, graph, targets, common=list(self._grams))

    def _executor(
        self,
        kind: str,
        x: Batch,
        graph: Callable[[], Any],
        targets: dict[str, Shape] | None = None,
        common: Sequence[str] = (),
    ) -> Executor:
        key = (kind, len(x), x[0].shape)
        if key not in self._bound:
            inputs = {"x": x[0].shape, **(targets or {})}
            self._bound[key] = self._bind(self._devices(x), graph(), inputs, common)
        return self._bound[key]

    def _bind(
        self, devices: Devices, graph: Any, inputs: dict[str, Shape], common: Sequence[str] = ()
    ) -> Executor:
        gradients = ("x",) if len(inputs) > 1 else ()
        executor = devices.executor(graph, inputs, gradients=gradients, common=common)
        executor.set_parameters(self.features.weights)
        return executor


def stage_losses(perceptual: Perceptual, x0: X, xs: Sequence[X]) -> list[Losses]:
    """The losses of a photo and of its picture after each stage, against the style that was set."""
    perceptual.set_content(x0)
    return [perceptual.score(x)[0] for x in [x0, *xs]]
