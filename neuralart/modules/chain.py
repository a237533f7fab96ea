"""The generators in a line, bound for training: forward, backward, update, and how stages are coupled."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.engine import mx
from neuralart.errors import ConfigError
from neuralart.files import Arrays
from neuralart.frame import MIDDLE_FRAME, Frame
from neuralart.images import X
from neuralart.specs import Generator
from neuralart.symbols.generator import generator

log = logging.getLogger(__name__)

Couple = Callable[[X, X | None, X | None], X]


def own(d_x: X, later: X | None, later_input: X | None) -> X:
    """Each stage learns from the loss of its own output alone."""
    return d_x


def suffix_sum(d_x: X, later: X | None, later_input: X | None) -> X:
    """Gradients of later outputs are added as they are, without passing through the later generators.

    Source: dmlc/mxnet, example/neural-style/end_to_end/boost_train.py, 2016.
    """
    return d_x if later is None else d_x + later


def through(d_x: X, later: X | None, later_input: X | None) -> X:
    """True back-propagation: the later losses come through the later generators (deep supervision)."""
    return d_x if later_input is None else d_x + later_input


COUPLINGS: dict[str, Couple] = {"own": own, "suffix_sum": suffix_sum, "through": through}
"""``couple(d_x, later, later_input)``: the gradient a stage learns from, given that of the loss of its
output, what the next stage learned from, and what came out of the next stage's input (None at the end)."""


def prefix(stage: int) -> str:
    """What the names of a stage's parameters begin with: ``g0_`` to ``g3_``."""
    return f"g{stage}_"


class Stage:
    """One generator as a Module, with an Adam of its own (Kingma and Ba 2014).

    Instance normalisation is BatchNorm on one photo with ``is_train=True``, so the Module is bound for
    training even where it never learns: bound for inference, oneDNN would fold in moving statistics.
    """

    def __init__(
        self,
        spec: Generator,
        name: str,
        shape: tuple[int, ...],
        contexts: Sequence[Any],
        input_gradient: bool,
        batch: int,
    ) -> None:
        self.module = mx.mod.Module(
            generator(mx.sym.Variable("x"), spec, name, learns=True),
            data_names=["x"],
            label_names=None,
            context=list(contexts),
            logger=log,
        )
        # A batch larger than the devices is learned from in turns, which add up.
        self.adds_up = batch > shape[0]
        self.module.bind(
            data_shapes=[("x", shape)],
            inputs_need_grad=input_gradient,
            grad_req=dict.fromkeys(self.module._param_names, "add" if self.adds_up else "write"),
        )
        self.contexts = contexts
        self.input_gradient = input_gradient
        self.batch = batch
        self.adam = mx.optimizer.Adam(rescale_grad=1 / shape[0])

    def forward(self, x: X) -> X:
        self.module.forward(mx.io.DataBatch([mx.nd.array(x)]), is_train=True)
        out: X = self.module.get_outputs()[0].asnumpy()
        return out

    def backward(self, d_out: X) -> X | None:
        self.module.backward([mx.nd.array(d_out)])
        if not self.input_gradient:
            return None
        d_x: X = self.module.get_input_grads()[0].asnumpy()
        return d_x

    def start_optimiser(self) -> None:
        self.module.init_optimizer(kvstore=None, optimizer=self.adam)
        self.adam.rescale_grad = (
            1 / self.batch
        )  # only now: Module warns of one that is not its own idea
        self.forget()

    def update(self, rate: float) -> None:
        """One step of Adam on every device, all of which have the same gradients."""
        self.adam.lr = rate
        self.module.update()
        self.forget()

    def forget(self) -> None:
        """Let the gradients of the next batch begin at zero."""
        for gradient in itertools.chain(*self.gradients().values()) if self.adds_up else ():
            gradient[:] = 0

    # Module offers no public way to gradients of parameters, its get_params is a mean over devices, which
    # rounds, and its saved optimiser states are a pickle, so these look inside (mxnet 1.9.1: module.py,
    # executor_group.py, model.py, optimizer.py).

    def gradients(self) -> dict[str, list[Any]]:
        """Of every parameter, on every device."""
        executors = self.module._exec_group.execs
        return {name: [e.grad_dict[name] for e in executors] for name in self.module._param_names}

    def params(self) -> Arrays:
        values = self.module._exec_group.execs[0].arg_dict
        return {name: values[name].asnumpy() for name in self.module._param_names}

    def optimiser_arrays(self) -> Arrays:
        states = self.module._updater.states
        arrays: Arrays = {}
        for i, name in enumerate(self.module._param_names):
            if i * len(self.contexts) in states:
                mean, variance = states[i * len(self.contexts)]
                arrays[f"{name}.mean"] = mean.asnumpy()
                arrays[f"{name}.variance"] = variance.asnumpy()
        return arrays

    def set_optimiser_arrays(self, arrays: Arrays, updates: int) -> None:
        for i, name in enumerate(self.module._param_names):
            if f"{name}.mean" not in arrays:
                continue
            for index, context in enumerate(self.contexts, start=i * len(self.contexts)):
                self.module._updater.states[index] = (
                    mx.nd.array(arrays[f"{name}.mean"], ctx=context),
                    mx.nd.array(arrays[f"{name}.variance"], ctx=context),
                )
                self.module._updater.states_synced[index] = True
                self.adam._index_update_count[index] = updates
        self.adam.num_update = updates


class Chain:
    """The stages ``g0 .. g{n-1}``, of which ``trained`` learn and the others stay as they are.

    Shape of every x: (devices, 3, edge, edge), a photo on each device, where instance statistics are its own;
    inside it goes in a ``frame``, which may be set to another one as large before `forward`. ``context`` is one device or a list. Parameters go in and out as
    arrays by name (``g0_conv0_weight``). With ``share_weights`` all stages are one generator that paints again and again, and its parameters are
    ``g0_``'s.

    ``batch`` photos, here and on other machines, make a step: `backward` as often as it takes, then
    `update`, before which ``add_up`` may give every gradient its sum over devices and machines.
    """

    def __init__(
        self,
        specs: Sequence[Generator],
        params: Arrays,
        trained: Sequence[int],
        edge_px: int,
        context: Any,
        *,
        coupling: str = "own",
        share_weights: bool = False,
        batch: int | None = None,
        add_up: Callable[[dict[str, list[Any]]], None] | None = None,
        frame: Frame = MIDDLE_FRAME,
    ) -> None:
        self.frame = frame
        self.trained = tuple(trained)
        self.couple = COUPLINGS[coupling]
        self.share_weights = share_weights
        self.add_up = add_up
        contexts = context if isinstance(context, list) else [context]
        self.devices = len(contexts)
        shape = (self.devices, 3, *frame.size(edge_px, edge_px))
        self.stages = [
            Stage(
                spec,
                prefix(0 if share_weights else k),
                shape,
                contexts,
                input_gradient=coupling == "through" and k > self.trained[0],
                batch=batch or self.devices,
            )
            for k, spec in enumerate(specs[: self.trained[-1] + 1])
        ]
        for stage in self.stages:
            stage.module.init_params(initializer=mx.init.Zero())
            set_params(stage.module, params)
        for stage in self._learning:
            stage.start_optimiser()

    @property
    def _learning(self) -> list[Stage]:
        """The stages that hold an optimiser."""
        return self.stages[:1] if self.share_weights else [self.stages[k] for k in self.trained]

    def forward(self, x0: X) -> list[X]:
        """x1 .. xk, the output of every stage."""
        x, xs = self.frame.around(x0), []
        for stage in self.stages:
            x = stage.forward(x)
            xs.append(self.frame.inside(x))
        return xs

    def backward(self, d_xs: Sequence[X]) -> None:
        """Take the losses' gradients with respect to the outputs of the trained stages, in order."""
        later: X | None = None
        later_input: X | None = None
        for k, d_x in zip(reversed(self.trained), reversed(d_xs), strict=True):
            later = self.couple(self.frame.gradient(d_x), later, later_input)
            later_input = self.stages[k].backward(later)

    def paint(self, x: X) -> list[X]:
        """x1 .. xk of one photo, (1, 3, edge, edge)."""
        return [out[:1] for out in self.forward(np.repeat(x, self.devices, axis=0))]

    def update(self, rate: float) -> None:
        """One step of Adam at this learning rate."""
        first = self.stages[0]
        if self.share_weights:
            total = first.gradients()
            for stage in self.stages[1:]:
                for name, each in stage.gradients().items():
                    for gradient, sum_of_all in zip(each, total[name], strict=True):
                        sum_of_all += gradient
                stage.forget()
        if self.add_up:
            self.add_up({k: v for stage in self._learning for k, v in stage.gradients().items()})
        for stage in self._learning:
            stage.update(rate)
        if self.share_weights:
            params = first.params()
            for stage in self.stages[1:]:
                set_params(stage.module, params)

    def params(self) -> Arrays:
        """The parameters of every stage by name."""
        return {name: value for stage in self.stages for name, value in stage.params().items()}

    def optimiser_arrays(self) -> Arrays:
        """Adam's running moments by parameter name, ``.mean`` and ``.variance``."""
        return {k: v for stage in self._learning for k, v in stage.optimiser_arrays().items()}

    def set_optimiser_arrays(self, arrays: Arrays, updates: int) -> None:
        """Go on from moments that were saved after this many updates."""
        for stage in self._learning:
            stage.set_optimiser_arrays(arrays, updates)


def set_params(module: Any, params: Arrays) -> None:
    """Give a bound Module its parameters; ``params`` may hold other stages' too.

    Module itself takes unknown names silently, so the names are compared here; auxiliary states keep
    their defaults where ``params`` has none.
    """
    arguments = {name: mx.nd.array(params[name]) for name in module._param_names}
    auxiliary = {name: mx.nd.array(params[name]) for name in module._aux_names if name in params}
    module.set_params(arguments, auxiliary, allow_missing=True)


def initial_params(specs: Sequence[Generator], seed: int, *, share_weights: bool = False) -> Arrays:
    """Random weights (He et al. 2015) for a new chain, the same for a seed on every machine.

    The last layer starts near zero, so that a stage starts from its input mixed with grey.
    Raises ConfigError if weights are to be shared by stages of different specifications.
    """
    if share_weights and len(set(specs)) > 1:
        raise ConfigError(
            "--share-weights: all stages must be of one kind, as in --chain deconv,deconv"
        )
    params: Arrays = {}
    for k, spec in enumerate(specs[:1] if share_weights else specs):
        rng = np.random.default_rng([seed, k])
        symbol = generator(mx.sym.Variable("x"), spec, prefix(k))
        shapes, _, _ = symbol.infer_shape(x=(1, 3, 64, 64))
        last = f"{prefix(k)}{spec.layers[-1].name}_weight"
        for name, shape in zip(symbol.list_arguments(), shapes, strict=True):
            if name != "x":
                params[name] = _initial(name, shape, spec, rng, scale=0.1 if name == last else 1.0)
    return params


def _initial(
    name: str, shape: tuple[int, ...], spec: Generator, rng: np.random.Generator, scale: float
) -> npt.NDArray[np.float32]:
    if name.endswith("_residual"):
        return np.full(shape, np.log(spec.residual / (1 - spec.residual)), np.float32)
    if name.endswith("_gamma"):
        return np.ones(shape, np.float32)
    if not name.endswith("_weight"):
        return np.zeros(shape, np.float32)
    layer = next(layer for layer in spec.layers if name.endswith(f"_{layer.name}_weight"))
    if layer.op == "deconv" and layer.stride > 1:
        # A bilinear enlargement of randomly mixed channels: a free kernel starts with a grid of the
        # stride's period, which the losses hardly see and so hardly unlearn (Odena et al. 2016).
        inputs, outputs = shape[:2]
        kernel = _bilinear(layer.kernel, layer.stride)
        mix = rng.standard_normal((inputs, outputs), dtype=np.float32) * np.float32(
            np.sqrt(2 / inputs)
        )
        mix[:, layer.channels :] = 0  # those that only fill up lanes
        return scale * mix[:, :, None, None] * kernel
    inputs = shape[1] if layer.op == "conv" else shape[0]
    deviation = np.float32(scale * np.sqrt(2 / (inputs * layer.kernel**2)))
    weights: npt.NDArray[np.float32] = deviation * rng.standard_normal(shape, dtype=np.float32)
    outputs_first = weights if layer.op == "conv" else weights.swapaxes(0, 1)
    outputs_first[layer.channels :] = 0
    return weights


def _bilinear(kernel: int, stride: int) -> npt.NDArray[np.float32]:
    """The (kernel, kernel) weights that enlarge by the stride with linear interpolation."""
    centre = (kernel - 1) / 2
    rise = np.clip(1 - np.abs(np.arange(kernel) - centre) / stride, 0, None)
    rise *= stride / rise.sum()
    weights: npt.NDArray[np.float32] = np.outer(rise, rise).astype(np.float32)
    return weights
