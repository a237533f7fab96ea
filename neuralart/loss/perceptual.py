"""The perceptual loss: how far pictures are from photo and style, and its gradient by their pixels.

What a picture is compared with are inputs and parameters of the graph without a gradient, VGG's
weights too: only the picture gets one, and no gradient of a weight is ever computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.engine.contract import Batch, Devices, Executor, Shape
from neuralart.loss.features.store import Features
from neuralart.loss.graph import (
    BAND_WHITENINGS,
    BANDS,
    LAYER_WEIGHTS,
    PALETTE,
    WHITENING,
    content_graph,
    gram_graph,
    gram_name,
    loss_graph,
)
from neuralart.loss.layers import CONTENT_LAYER
from neuralart.loss.objective import TINY_LOSS, UNIFORM, Losses, LossWeights, named
from neuralart.loss.palette import bands_of, palette_of
from neuralart.machine.archive import Arrays
from neuralart.pictures.pixels import X, means_of_squares


class Perceptual:
    """The loss of one or more styles: `set_styles` once, then contents and pictures.

    `set_content` and `score` take and give numpy arrays of one photo, on the first device.
    `set_contents` and `score_batch` do the same for photos that are on the devices, and stay there.
    ``keep``, (styles,), is what content and layout of a style count more in the gradients, 1 unless
    set; the losses that are returned do not have it, so that they compare.
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
        self.weights = weights
        self.terms = weights.terms
        self._content_layer = content_layer
        self.keep: npt.NDArray[np.float32] = np.ones(0, np.float32)
        self._style_params: Arrays = {}
        self._content: list[Batch] = []
        self._bound: dict[tuple[str, int, Shape], Executor] = {}
        self._constants: dict[tuple[str, int, int], Batch] = {}

    def set_styles(
        self, styles: Sequence[Sequence[X]], layer_weights: npt.ArrayLike = UNIFORM
    ) -> None:
        """Take the Gram matrices and palettes of style images as the styles to reach.

        styles         for each style its image, (1, 3, H, W), and with two scales the image at half
                       that size too
        layer_weights  one for all, or (styles, style terms) in the order of the terms
        """
        self.keep = np.ones(len(styles), np.float32)
        terms = self.weights.style_terms
        tables: dict[str, list[X]] = {term: [] for term in terms}
        for images in styles:
            grams = [gram for image in images for gram in self._grams_of(image)]
            for term, gram in zip(terms, grams, strict=True):
                tables[term].append(gram)
        self._style_params = {gram_name(term): np.stack(rows) for term, rows in tables.items()}
        if self.weights.palette:
            for names, tables_of in (
                ((WHITENING, PALETTE), palette_of),
                ((BAND_WHITENINGS, BANDS), bands_of),
            ):
                columns = zip(*(tables_of(images[0]) for images in styles), strict=True)
                self._style_params |= dict(zip(names, map(np.stack, columns), strict=True))
        shape = (len(styles), len(terms))
        self._style_params[LAYER_WEIGHTS] = np.broadcast_to(
            np.asarray(layer_weights, np.float32), shape
        )
        self._bound = {key: bound for key, bound in self._bound.items() if key[0] != "loss"}
        self._constants.clear()

    def _grams_of(self, image: X) -> list[X]:
        first = self.devices.first()
        x = first.put(image)
        executor = self._executor("grams", x, {}, lambda _: gram_graph(self.features.spec))
        return [first.get(gram) for gram in executor.forward(x=x)]

    def style_distances(self, x: X) -> npt.NDArray[np.float64]:
        """The style loss of a picture by every layer, at weight 1, without a gradient.

        Shape:   x (1, 3, H, W), H and W even -> (styles, style terms)
        """
        pictures = [x]
        if self.weights.two_scales:
            pictures.append(np.ascontiguousarray(means_of_squares(x, 2)))
        grams = [gram for picture in pictures for gram in self._grams_of(picture)]
        columns = []
        for term, gram in zip(self.weights.style_terms, grams, strict=True):
            wanted = self._style_params[gram_name(term)].astype(np.float64)
            difference = np.square(gram - wanted).sum(axis=(1, 2))
            columns.append(difference / (np.square(wanted).sum(axis=(1, 2)) + 1e-12))
        return np.stack(columns, axis=1)

    def set_style(self, *images: X, layer_weights: npt.ArrayLike = UNIFORM) -> None:
        """Take one style; see `set_styles`."""
        self.set_styles([images], layer_weights)

    def set_content(self, x: X) -> None:
        """Take a photo, (1, 3, H, W), as the content to keep."""
        self.set_contents(self.devices.first().put(x))

    def set_contents(self, x: Batch) -> None:
        """Take photos, (n, 3, H, W) on each device, as the contents to keep."""
        executor = self._executor(
            "content", x, {}, lambda _: content_graph(self.features.spec, self._content_layer)
        )
        self._content = executor.forward(x=x)

    def score(self, x: X, style: int = 0) -> tuple[Losses, X]:
        """The losses of a picture, and the gradient of their ``total`` by its pixels.

        Shape:   x (1, 3, H, W) -> losses by name; (1, 3, H, W)
        """
        rows, d_x = self.score_batch(self.devices.first().put(x), [style])
        return named(self.terms, self.devices.get(rows)[0]), self.devices.get(d_x)

    def score_batch(
        self, x: Batch, styles: Sequence[int], log_weight: float | None = None
    ) -> tuple[Batch, Batch]:
        """The losses of pictures and a gradient by their pixels, each against its photo and style.

        Shape:   (n, 3, H, W) on each device -> (n, terms); (n, 3, H, W)
        ``styles`` has a number for each photo, device by device. The gradient is that of the total,
        or with ``log_weight`` that of ``log_weight * log(total + TINY_LOSS)``. Both arrays are
        valid until the next call.
        """
        keep = self._devices(x).put(self.keep[list(styles), None])
        inputs = {"content": self._content[0], "style": self.one_hot(x, styles), "keep": keep}
        if self.weights.keeps_layout:
            inputs["layout"] = self._content[1]
        executor = self._executor("loss", x, inputs, self._loss_graph)
        rows, totals = executor.forward(x=x, **inputs)
        if log_weight is None:
            heads = self._constant("ones", x, lambda: np.ones(len(x[0]), np.float32))
        else:
            heads = [log_weight / (total + TINY_LOSS) for total in totals]
        executor.backward(None, heads)
        return rows, executor.input_gradient()

    def one_hot(self, x: Batch, styles: Sequence[int]) -> Batch:
        """(n, styles) for the photos of each device, a one for the style and zeros."""
        photos = len(x[0])
        every = np.eye(len(self.keep), dtype=np.float32)
        if photos > 1:
            return self._devices(x).put(every[list(styles)])
        rows = [
            self._constant(f"style {number}", x, lambda number=number: every[[number]])  # type: ignore[misc]
            for number in styles
        ]
        return [row[device] for device, row in enumerate(rows)]

    def _constant(self, name: str, x: Batch, make: Callable[[], X]) -> Batch:
        """An array that is uploaded to every device of a batch once."""
        key = (name, len(x), len(x[0]))
        if key not in self._constants:
            self._constants[key] = self._devices(x).put_common(make())
        return self._constants[key]

    def _loss_graph(self, photos: int) -> Any:
        spec = self.features.spec
        return loss_graph(spec, self.weights, self._content_layer, len(self.keep), photos)

    def _devices(self, x: Batch) -> Devices:
        return self.devices if len(x) == len(self.devices) else self.devices.first()

    def _executor(
        self, kind: str, x: Batch, targets: dict[str, Batch], graph: Callable[[int], Any]
    ) -> Executor:
        key = (kind, len(x), x[0].shape)
        if key not in self._bound:
            inputs = {"x": x[0].shape, **{name: each[0].shape for name, each in targets.items()}}
            executor = self._devices(x).executor_of_photos(
                graph, len(x[0]), inputs, gradients=["x"] if targets else []
            )
            executor.set_parameters({**self.features.weights, **self._style_params})
            self._bound[key] = executor
        return self._bound[key]


def stage_losses(perceptual: Perceptual, x0: X, xs: Sequence[X], style: int = 0) -> list[Losses]:
    """The losses of a photo and of its picture after each stage, against a style that was set."""
    perceptual.set_content(x0)
    return [perceptual.score(x, style)[0] for x in [x0, *xs]]
