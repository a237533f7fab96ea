"""MXNet's engine: a graph bound by the Module API, and the operators between graphs.

Nothing else uses ``mx.mod``. Module has no public way to the gradients of parameters, its
``get_params`` is a mean over devices, which rounds, and its saved optimiser states are a pickle; so
this looks inside (mxnet 1.9.1: module.py, executor_group.py, model.py, optimizer.py).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from neuralart.engine.contract import Batch, Devices, Edges, Exchange, Executor, Numbers, Shape
from neuralart.engine.door import mx, settle
from neuralart.engine.kvstore import KvstoreExchange
from neuralart.errors import ConfigError, EngineError
from neuralart.machine.archive import Arrays
from neuralart.machine.processor import faster_precisions

log = logging.getLogger(__name__)


class ModuleExecutor(Executor):
    """A Module whose inputs are loaded, and whose outputs are read, device by device.

    Hazard:  without gradients, oneDNN's fusion gives one map for a convolution and its ReLU where
             both are outputs of the graph. Bind such a graph with a gradient.
    Hazard:  a Module that paints, bound without gradients, goes on with some of the first weights
             that it was given, which oneDNN keeps in an order of its own. Bind one for others.
    """

    def __init__(
        self,
        symbol: Any,
        inputs: Mapping[str, Shape],
        contexts: Sequence[Any],
        *,
        gradients: Collection[str] = (),
        common: Collection[str] = (),
        accumulate: bool = False,
        reuse: Executor | None = None,
    ) -> None:
        """See `neuralart.engine.contract.Devices.executor`."""
        self._contexts = list(contexts)
        self._accumulates = accumulate
        learned = [name for name in inputs if name in gradients] or list(inputs)
        given = [name for name in inputs if name not in learned]
        self._module = mx.mod.Module(
            symbol,
            data_names=learned,
            label_names=given or None,
            context=self._contexts,
            logger=log,
        )
        self.parameter_names = tuple(self._module._param_names)
        count = len(self._contexts)

        def described(name: str) -> Any:
            shape = inputs[name]
            if name in common:  # a layout without N is not shared out
                return mx.io.DataDesc(name, shape, layout="CHWD"[: len(shape)])
            layout = "NCHW"[: len(shape)]
            return mx.io.DataDesc(name, (count * shape[0], *shape[1:]), layout=layout)

        kind = "add" if accumulate else "write"
        self._module.bind(
            data_shapes=[described(name) for name in learned],
            label_shapes=[described(name) for name in given] or None,
            for_training=bool(gradients),
            inputs_need_grad=any(name in gradients for name in inputs),
            grad_req={n: kind if n in gradients else "null" for n in self.parameter_names},
            shared_module=reuse._module if isinstance(reuse, ModuleExecutor) else None,
        )
        if reuse is None:
            # Module's initialisers choose by a parameter's name, and refuse others.
            first = self._module._exec_group.execs[0]
            self._module.init_params(
                arg_params={name: first.arg_dict[name] * 0 for name in self.parameter_names},
                aux_params={name: array * 0 for name, array in first.aux_dict.items()},
            )
        self._trains = bool(gradients)
        self._zeros: dict[int, Batch] = {}
        self._adam: Any = None

    @property
    def _executors(self) -> list[Any]:
        """One for each device."""
        executors: list[Any] = self._module._exec_group.execs
        return executors

    def reshape(self, shape: Shape) -> None:
        count = len(self._contexts)
        self._module.reshape([("x", (count * shape[0], *shape[1:]))])
        self._zeros.clear()

    def set_parameters(self, arrays: Arrays) -> None:
        # Module itself takes unknown names silently and keeps what is missing.
        arguments = {name: mx.nd.array(arrays[name]) for name in self.parameter_names}
        auxiliary = {
            name: mx.nd.array(arrays[name]) for name in self._module._aux_names if name in arrays
        }
        settle()
        self._module.set_params(arguments, auxiliary, allow_missing=True)

    def copy_parameters(self, other: Executor) -> None:
        assert isinstance(other, ModuleExecutor)
        for mine, theirs in zip(self._executors, other._executors, strict=True):
            for name in self.parameter_names:
                theirs.arg_dict[name].copyto(mine.arg_dict[name])

    def parameters(self) -> Arrays:
        values = self._executors[0].arg_dict
        return {name: values[name].asnumpy() for name in self.parameter_names}

    def statistics(self) -> Arrays:
        settle()  # `backward` writes them unordered with reads (see `neuralart.engine.door`)
        values = self._executors[0].aux_dict
        return {name: values[name].asnumpy() for name in self._module._aux_names}

    def forward(self, **inputs: Batch) -> list[Batch]:
        for name, batch in inputs.items():
            for executor, array in zip(self._executors, batch, strict=True):
                array.copyto(executor.arg_dict[name])
        for executor in self._executors:
            executor.forward(is_train=self._trains)
        return [list(each) for each in zip(*(e.outputs for e in self._executors), strict=True)]

    def backward(self, *heads: Batch | None) -> None:
        given = [self._zero(i) if head is None else head for i, head in enumerate(heads)]
        for device, executor in enumerate(self._executors):
            executor.backward(out_grads=[head[device] for head in given])

    def _zero(self, output: int) -> Batch:
        if output not in self._zeros:
            self._zeros[output] = [mx.nd.zeros_like(e.outputs[output]) for e in self._executors]
        return self._zeros[output]

    def input_gradient(self, name: str = "x") -> Batch:
        return [executor.grad_dict[name] for executor in self._executors]

    def gradients(self) -> dict[str, Batch]:
        return {
            name: [executor.grad_dict[name] for executor in self._executors]
            for name in self.parameter_names
            if self._executors[0].grad_dict.get(name) is not None
        }

    def clear_gradients(self) -> None:
        for gradient in itertools.chain(*self.gradients().values()) if self._accumulates else ():
            gradient[:] = 0

    def start_adam(self, scale: float, factors: Mapping[str, float] | None = None) -> None:
        batch = self._module._exec_group.batch_size
        self._adam = mx.optimizer.Adam(rescale_grad=1 / batch)
        self._module.init_optimizer(kvstore=None, optimizer=self._adam)
        self._adam.set_lr_mult(dict(factors or {}))
        self._adam.rescale_grad = scale  # only now: Module warns of one that is not its own idea
        self.clear_gradients()

    def adam_step(self, rate: float) -> None:
        self._adam.lr = rate
        self._module.update()
        self.clear_gradients()

    def moments(self) -> Arrays:
        states, count = self._module._updater.states, len(self._contexts)
        arrays: Arrays = {}
        for i, name in enumerate(self.parameter_names):
            if states.get(i * count):  # none of a parameter without a gradient
                mean, variance = states[i * count]
                arrays[f"{name}.mean"] = mean.asnumpy()
                arrays[f"{name}.variance"] = variance.asnumpy()
        return arrays

    def set_moments(self, arrays: Arrays, steps: int) -> None:
        updater, count = self._module._updater, len(self._contexts)
        for i, name in enumerate(self.parameter_names):
            if f"{name}.mean" not in arrays:
                continue
            for index, context in enumerate(self._contexts, start=i * count):
                updater.states[index] = (
                    mx.nd.array(arrays[f"{name}.mean"], ctx=context),
                    mx.nd.array(arrays[f"{name}.variance"], ctx=context),
                )
                updater.states_synced[index] = True
                self._adam._index_update_count[index] = steps
        self._adam.num_update = steps


class MxnetDevices(Devices):
    """Contexts of MXNet."""

    errors = (mx.base.MXNetError,)

    def __init__(self, contexts: Sequence[Any]) -> None:
        self._contexts = list(contexts)
        self.names = tuple(f"{each.device_type}:{each.device_id}" for each in contexts)
        self.are_cpu = contexts[0].device_type == "cpu"
        faster = ["int8"] if self.are_cpu else []
        if self.are_cpu and "bfloat16" in faster_precisions():
            faster.append("bfloat16")
        self.precisions = ("float32", *faster)

    def first(self) -> Devices:
        return self if len(self) == 1 else MxnetDevices(self._contexts[:1])

    def executor(
        self,
        symbol: Any,
        inputs: Mapping[str, Shape],
        *,
        gradients: Collection[str] = (),
        common: Collection[str] = (),
        accumulate: bool = False,
        reuse: Executor | None = None,
    ) -> Executor:
        return ModuleExecutor(
            symbol,
            inputs,
            self._contexts,
            gradients=gradients,
            common=common,
            accumulate=accumulate,
            reuse=reuse,
        )

    def output_shapes(self, symbol: Any, shapes: Mapping[str, Shape]) -> list[Shape]:
        outputs: list[Shape] = symbol.infer_shape(**shapes)[1]
        return outputs

    def exchange(self, kvstore: str) -> Exchange:
        return KvstoreExchange(kvstore, len(self))

    def put(self, x: Numbers) -> Batch:
        parts = np.split(x, len(self))
        return [mx.nd.array(part, ctx=c) for part, c in zip(parts, self._contexts, strict=True)]

    def put_common(self, x: Numbers) -> Batch:
        return [mx.nd.array(x, ctx=context) for context in self._contexts]

    def borrow(self, x: Numbers) -> Batch:
        if self.are_cpu:
            # A view: MXNet forbids numpy to write to the array object that it is given.
            return [mx.nd.from_numpy(x.view())]
        return self.first().put(x)

    def get(self, batch: Batch) -> Numbers:
        if len(batch) == 1:
            array: Numbers = batch[0].asnumpy()
            return array
        return np.concatenate([array.asnumpy() for array in batch])

    def get_into(self, batch: Batch, out: Numbers) -> None:
        target = mx.nd.from_numpy(out.view())
        batch[0].copyto(target)
        target.wait_to_read()

    def _reflected(self, x: Any, edges: Edges) -> Any:
        return mx.nd.pad(x, mode="reflect", pad_width=(0, 0, 0, 0, *edges))

    def surround(self, batch: Batch, edges: Edges) -> Batch:
        widths = (0, 0, 0, 0, *edges)
        return [mx.nd.pad(x, mode="constant", pad_width=widths, constant_value=0) for x in batch]

    def inside(self, batch: Batch, edges: Edges) -> Batch:
        top, bottom, left, right = edges
        height, width = batch[0].shape[2:]
        return [x[:, :, top : height - bottom, left : width - right] for x in batch]

    def flatten(self, batches: Sequence[Batch]) -> Batch:
        return [
            mx.nd.concat(*(mx.nd.sum(array, axis=0).reshape((1, -1)) for array in arrays), dim=1)
            for arrays in zip(*batches, strict=True)
        ]

    def squares(self, batch: Batch) -> Batch:
        rows = []
        for array in batch:
            flat = array.reshape((-1,))
            rows.append(mx.nd.dot(flat, flat).reshape((1, 1)))
        return rows

    def settle(self) -> None:
        settle()

    def memory(self) -> list[tuple[str, int, int]]:
        rows = []
        for name, context in zip(self.names, self._contexts, strict=True):
            if context.device_type == "gpu":
                free, total = mx.context.gpu_memory_info(context.device_id)
                rows.append((name, total - free, total))
        return rows


def open_mxnet(name: str, kind: str, indices: Sequence[int], precision: str) -> Devices:
    """The contexts of a device's name.

    Raises ConfigError for another precision than float32, EngineError for a GPU that is missing.
    """
    if precision != "float32":
        raise ConfigError(
            f"--precision {precision}: MXNet computes in float32; use it, or a card with PyTorch "
            "(--device cuda:0)"
        )
    if kind == "cpu":
        return MxnetDevices([mx.cpu(index) for index in indices])
    count = mx.context.num_gpus()
    if max(indices) >= count:
        raise EngineError(
            f"--device {name}: MXNet {mx.__version__} sees {count} GPUs here; "
            "use --device cpu, or ask `neuralart doctor` what is missing"
        )
    return MxnetDevices([mx.gpu(index) for index in indices])
