"""The generators in a line, bound for training: forward, backward, update, and couplings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from neuralart.chain.graph import training_graph
from neuralart.chain.params import is_row
from neuralart.chain.specs import Generator, prefix
from neuralart.engine.contract import Batch, Devices, Executor, sum_of
from neuralart.machine.archive import Arrays
from neuralart.pictures.frame import MIDDLE_FRAME, Frame
from neuralart.pictures.grain import with_grain
from neuralart.pictures.pixels import X

Couple = Callable[[Batch, Batch | None, Batch | None], Batch]


def own(d_x: Batch, later: Batch | None, later_input: Batch | None) -> Batch:
    """Each stage learns from the loss of its own output alone."""
    return d_x


def suffix_sum(d_x: Batch, later: Batch | None, later_input: Batch | None) -> Batch:
    """Gradients of later outputs are added as they are, not passed through the later generators.

    Source: dmlc/mxnet, example/neural-style/end_to_end/boost_train.py, 2016.
    """
    return d_x if later is None else sum_of(d_x, later)


def through(d_x: Batch, later: Batch | None, later_input: Batch | None) -> Batch:
    """True back-propagation: later losses come through the later generators (deep supervision)."""
    return d_x if later_input is None else sum_of(d_x, later_input)


COUPLINGS: dict[str, Couple] = {"own": own, "suffix_sum": suffix_sum, "through": through}
"""``couple(d_x, later, later_input)`` is the gradient that a stage learns from.

d_x          the gradient of the loss of its output
later        what the next stage learned from; None at the end
later_input  the gradient by the next stage's input; None at the end and without back-propagation
"""


class Chain:
    """The stages ``g0 .. g{n-1}``, of which ``trained`` learn and the others stay as they are.

    A `Batch` has ``photos`` of each device, (photos, 3, edge, edge), each normalised by statistics
    of its own. Inside, a photo stands in a ``frame``, which may be set to another one as large
    before `forward`, and gets the chain's grain, of which ``place`` is the photos' first pixel.
    Parameters go in and out as arrays by name (``g0_conv0_weight``); scales and shifts are
    (styles, C) and learn at ``rows_factor`` times the rate; with ``rows_alone`` nothing else
    learns. With ``share_weights`` all stages are one generator that paints again and again, under
    ``g0_``.

    A step is one or more times `forward` and `backward`, then `update`; ``batch`` says of how many
    photos, here and on other machines. ``add_up`` may replace every gradient by its sum over
    devices and machines before the update.
    """

    def __init__(
        self,
        specs: Sequence[Generator],
        params: Arrays,
        trained: Sequence[int],
        edge_px: int,
        devices: Devices,
        *,
        styles: int = 1,
        rows_alone: bool = False,
        rows_factor: float = 1.0,
        coupling: str = "own",
        share_weights: bool = False,
        photos: int = 1,
        batch: int | None = None,
        add_up: Callable[[dict[str, Batch]], None] | None = None,
        frame: Frame = MIDDLE_FRAME,
    ) -> None:
        self.frame = frame
        self.place = (0, 0)
        self._grain = specs[0].grain
        self.devices = devices
        self.photos = photos
        self.trained = tuple(trained)
        self._couple = COUPLINGS[coupling]
        self._add_up = add_up
        self._share_weights = share_weights
        at_once = photos * len(devices)
        batch = batch or at_once
        self._shape = (photos, 3, *frame.size(edge_px, edge_px))
        self._nothing: Batch | None = None
        self.stages: list[Executor] = []
        self._styled: list[bool] = []
        for k, spec in enumerate(specs[: self.trained[-1] + 1]):
            name = prefix(0 if share_weights else k)
            graph = partial(training_graph, spec, name, styles)
            # A frozen stage is bound for training too: its norms use the statistics of its input.
            arguments = graph(1).list_arguments()
            gradients = [
                each
                for each in arguments
                if each not in ("x", "style") and (is_row(each) or not rows_alone)
            ]
            inputs = {"x": self._shape, "style": (photos, styles)}
            if coupling == "through" and k > self.trained[0]:
                gradients.append("x")
            executor = devices.executor_of_photos(
                graph,
                photos,
                {name: shape for name, shape in inputs.items() if name in arguments},
                gradients=gradients,
                accumulate=batch > at_once,
            )
            executor.set_parameters(params)
            self.stages.append(executor)
            self._styled.append("style" in arguments)  # a stage without norms has no style
        for stage in self._learning:
            rows = [name for name in stage.parameter_names if is_row(name)]
            stage.start_adam(1 / batch, dict.fromkeys(rows, rows_factor))
        self._styles = styles
        self._passes_back = coupling == "through"

    @property
    def _learning(self) -> list[Executor]:
        """The executors that hold an optimiser."""
        return self.stages[:1] if self._share_weights else [self.stages[k] for k in self.trained]

    def passes(self, photos: X, styles: Sequence[int]) -> Iterator[tuple[Batch, Sequence[int]]]:
        """Put photos (N, 3, edge, edge) on the devices, as many at once as the chain takes."""
        at_once = self.photos * len(self.devices)
        for begin in range(0, len(photos), at_once):
            end = begin + at_once
            yield self.devices.put(photos[begin:end]), styles[begin:end]

    def forward(self, x0: Batch, style: Batch) -> list[Batch]:
        """x1 .. xk, the output of every stage; copies, without their frames.

        ``style`` is (photos, styles) on each device: a one for the style of a photo, and zeros.
        """
        x, xs = self.devices.reflect(self._with_grain(x0), self.frame.edges), []
        for stage, styled in zip(self.stages, self._styled, strict=True):
            (x,) = stage.forward(x=x, **({"style": style} if styled else {}))
            xs.append(self.devices.inside(x, self.frame.edges))
        return xs

    def _with_grain(self, x0: Batch) -> Batch:
        if not self._grain:
            return x0
        plane = np.zeros((1, 1, *x0[0].shape[2:]), np.float32)
        return sum_of(x0, self.devices.put_common(with_grain(plane, self._grain, self.place)))

    def framed(self, d_x: Batch) -> Batch:
        """A gradient by an output as `backward` takes it, copied: nothing is asked of the frame."""
        return self.devices.surround(d_x, self.frame.edges)

    def backward(self, d_xs: Sequence[Batch | None]) -> None:
        """Take the `framed` gradients by the outputs of the trained stages, in order.

        None stands for an output whose loss does not count.
        """
        later: Batch | None = None
        later_input: Batch | None = None
        for k, d_x in zip(reversed(self.trained), reversed(d_xs), strict=True):
            stage = self.stages[k]
            later = self._couple(self._zeros() if d_x is None else d_x, later, later_input)
            stage.backward(later)
            passes = self._passes_back and k > self.trained[0]
            later_input = stage.input_gradient() if passes else None

    def _zeros(self) -> Batch:
        if self._nothing is None:
            self._nothing = self.devices.put_common(np.zeros(self._shape, np.float32))
        return self._nothing

    def one_hot(self, styles: Sequence[int]) -> Batch:
        """The ``style`` of `forward` for the style of each photo that the chain takes at once."""
        return self.devices.put(np.eye(self._styles, dtype=np.float32)[list(styles)])

    def paint(self, x: X, style: int = 0) -> list[X]:
        """x1 .. xk of one photo, (1, 3, edge, edge), in one style."""
        repeated = np.repeat(x, self.photos * len(self.devices), axis=0)
        outputs = self.forward(self.devices.put(repeated), self.one_hot([style] * len(repeated)))
        return [self.devices.get(out)[:1] for out in outputs]

    def update(self, rate: float) -> None:
        """One step of Adam at this learning rate."""
        first, *others = self.stages
        if self._share_weights:
            total = first.gradients()
            for stage in others:
                for name, batch in stage.gradients().items():
                    for gradient, sum_of_all in zip(batch, total[name], strict=True):
                        sum_of_all += gradient
                stage.clear_gradients()
        if self._add_up:
            self._add_up({k: v for stage in self._learning for k, v in stage.gradients().items()})
        for stage in self._learning:
            stage.adam_step(rate)
        if self._share_weights:
            for stage in others:
                stage.copy_parameters(first)

    def params(self) -> Arrays:
        """The parameters of every stage by name."""
        return {name: value for stage in self.stages for name, value in stage.parameters().items()}

    def moments(self) -> Arrays:
        """Adam's moments by parameter name, ``.mean`` and ``.variance``."""
        return {name: value for stage in self._learning for name, value in stage.moments().items()}

    def set_moments(self, arrays: Arrays, steps: int) -> None:
        """Go on from moments that were taken after so many steps."""
        for stage in self._learning:
            stage.set_moments(arrays, steps)
