"""Walks a graph with PyTorch: the second executor, for cards that MXNet cannot use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuralart.engine.contract import Batch, Executor, Numbers, Shape
from neuralart.engine.nodes import Node, fixed_nodes, read_nodes
from neuralart.engine.pytorch.operators import CONVOLUTIONS, OPERATORS, batch_norm, constant
from neuralart.engine.pytorch.recording import WALKS_BEFORE, Recording
from neuralart.errors import EngineError
from neuralart.machine.archive import Arrays

BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam, see `Executor.start_adam`


class Graph:
    """The nodes of a symbol as they are walked, the same for every device.

    lasts   for each node, the nodes whose outputs nobody needs after it
    """

    def __init__(self, symbol: Any, inputs: Collection[str]) -> None:
        self.nodes, self.heads = read_nodes(symbol)
        moving = {
            self.nodes[source].name
            for node in self.nodes
            if node.op == "BatchNorm"
            for source in node.sources[3:]
        }
        variables = [node.name for node in self.nodes if node.op == "null"]
        self.moving = tuple(name for name in variables if name in moving)
        self.parameters = tuple(n for n in variables if n not in moving and n not in inputs)
        self.constants = fixed_nodes(self.nodes, set(variables))
        missing = sorted({n.op for n in self.nodes if n.inputs} - OPERATORS.keys() - {"BatchNorm"})
        if missing:
            raise EngineError(f"PyTorch's executor lacks the operators {', '.join(missing)}")
        last_use = {source: node.index for node in self.nodes for source in node.sources}
        kept = {node for node, _ in self.heads} | self.constants
        self.lasts: dict[int, list[int]] = {}
        for source, user in last_use.items():
            if source not in kept:
                self.lasts.setdefault(user, []).append(source)


class _Replica:
    """A graph on one device: its inputs, parameters, statistics, and the outputs of a walk."""

    def __init__(
        self, graph: Graph, shapes: Mapping[str, Shape], device: torch.device, settings: _Settings
    ) -> None:
        self._graph, self._device, self._settings = graph, device, settings
        self.is_on_card = device.type == "cuda"
        self._records = self.is_on_card and bool(settings.gradients)
        self._recording: Recording | None = None
        self._walks = 0
        self.parameters: dict[str, Tensor] = {}
        self.statistics: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}
        # Stands for statistics that nobody set. Norms that learn do not look at them.
        self._unset = torch.empty(0, device=device)
        for name, shape in shapes.items():
            self.set_input(name, torch.zeros(shape, device=device))
        self._constants: dict[int, tuple[Tensor, ...]] = {}
        for node in graph.nodes:
            if node.index in graph.constants:
                self._constants[node.index] = self._run(node, self._constants, self.inputs)
        self.outputs: list[Tensor] = []

    def _forget_recording(self) -> None:
        """A recording has the addresses of inputs and parameters: new ones need a new one."""
        self._recording, self._walks = None, 0

    def set_input(self, name: str, array: Tensor) -> None:
        """Copy an input; the gradient by it is asked for anew."""
        if _overwritten(self.inputs.get(name), array):
            return
        self._forget_recording()
        order = torch.channels_last if array.dim() == 4 else torch.preserve_format
        self.inputs[name] = array.detach().clone(memory_format=order)
        if name in self._settings.gradients:
            self.inputs[name].requires_grad_()

    def set_parameter(self, name: str, array: np.ndarray[Any, Any]) -> None:
        given = torch.tensor(array, dtype=torch.float32, device=self._device)
        if _overwritten(self.parameters.get(name), given):
            return
        self._forget_recording()
        given = _channels_last(given)
        self.parameters[name] = given.requires_grad_(name in self._settings.gradients)

    def set_statistics(self, name: str, array: np.ndarray[Any, Any]) -> None:
        self.statistics[name] = torch.tensor(array, dtype=torch.float32, device=self._device)

    def walk(self) -> None:
        """Compute the outputs; from the third time on, on a card, by a recording if gradients are
        wanted."""
        self.outputs = []
        if self._records and self._recording is None and self._walks == WALKS_BEFORE:
            self._recording = Recording.of(self._walked, self.wanted(), self._device)
        self._walks += 1
        if self._recording is not None:
            self.outputs = self._recording.forward()
        else:
            self.outputs = self._walked()

    def _walked(self) -> list[Tensor]:
        if not self._settings.maps_photos:
            return self._outputs_of(self.inputs)
        outputs = torch.vmap(self._outputs_of)({n: x.unsqueeze(1) for n, x in self.inputs.items()})
        return [output.flatten(0, 1) for output in outputs]

    def _outputs_of(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        values = dict(self._constants)
        with torch.set_grad_enabled(bool(self._settings.gradients)):
            for node in self._graph.nodes:
                if node.index not in values:
                    values[node.index] = self._run(node, values, inputs)
                for index in self._graph.lasts.get(node.index, ()):
                    del values[index]
        return [values[node][output] for node, output in self._graph.heads]

    def _run(
        self, node: Node, values: Mapping[int, tuple[Tensor, ...]], given: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        if node.op == "null":
            for kind in (given, self.parameters, self.statistics):
                if node.name in kind:
                    return (kind[node.name],)
            return (self._unset,)
        if not node.inputs:
            return (constant(node.op, node.attrs, self._device),)
        inputs = [values[source][output] for source, output in node.inputs]
        if node.op in CONVOLUTIONS and self._settings.precision == "bfloat16":
            inputs = [each.bfloat16() for each in inputs]
        if node.op == "BatchNorm":
            out = batch_norm(inputs, node.attrs, learns=bool(self._settings.gradients))
        else:
            out = OPERATORS[node.op](inputs, node.attrs)
        return out if isinstance(out, tuple) else (out,)

    def backward(self, heads: Sequence[Tensor | None]) -> None:
        """Leave the gradients in ``grad`` of inputs and parameters, added up where they add up."""
        wanted = self.wanted()
        if not self._settings.accumulate:
            for tensor in wanted.values():
                tensor.grad = None
        for name in self.inputs:
            self.inputs[name].grad = None
        if self._recording is not None:
            self._take(wanted, self._recording.backward(heads))
            return
        pairs = [
            (output, head.to(output.dtype))
            for output, head in zip(self.outputs, heads, strict=True)
            if head is not None and output.requires_grad
        ]
        if pairs and wanted:
            outputs, given = zip(*pairs, strict=True)
            torch.autograd.backward(outputs, given, inputs=list(wanted.values()))
        self.outputs = [output.detach() for output in self.outputs]

    def _take(self, wanted: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        """Take gradients that a recording will overwrite."""
        for name, gradient in gradients.items():
            tensor = wanted[name]
            if not self._settings.accumulate:
                tensor.grad = gradient
            elif tensor.grad is None:
                tensor.grad = gradient.clone()
            else:
                tensor.grad += gradient

    def wanted(self) -> dict[str, Tensor]:
        """The inputs and parameters whose gradients are computed."""
        everything = {**self.inputs, **self.parameters}
        return {n: everything[n] for n in self._settings.gradients if n in everything}


@dataclass(frozen=True)
class _Settings:
    gradients: tuple[str, ...]
    accumulate: bool
    precision: str
    maps_photos: bool


class TorchExecutor(Executor):
    """A graph walked on one or several devices, each with parameters of its own."""

    def __init__(
        self,
        symbol: Any,
        inputs: Mapping[str, Shape],
        devices: Sequence[torch.device],
        *,
        gradients: Collection[str] = (),
        accumulate: bool = False,
        precision: str = "float32",
        maps_photos: bool = False,
    ) -> None:
        """See `neuralart.engine.contract.Devices.executor` and, for ``maps_photos``,
        `neuralart.engine.contract.Devices.executor_of_photos`."""
        graph = Graph(symbol, inputs)
        self.parameter_names = graph.parameters
        self._moving = graph.moving
        self._learned = [name for name in graph.parameters if name in gradients]
        self._accumulates = accumulate
        settings = _Settings(tuple(gradients), accumulate, precision, maps_photos)
        self._replicas = [_Replica(graph, inputs, device, settings) for device in devices]
        self._optimisers: list[torch.optim.Adam] = []
        self._scale, self._steps = 1.0, 0

    def reshape(self, shape: Shape) -> None:
        for replica in self._replicas:
            replica.set_input("x", torch.zeros(shape, device=replica.inputs["x"].device))

    def set_parameters(self, arrays: Arrays) -> None:
        for name in self.parameter_names:
            for replica in self._replicas:
                replica.set_parameter(name, arrays[name])
        for name in self._moving:
            for replica in self._replicas if name in arrays else ():
                replica.set_statistics(name, arrays[name])

    def copy_parameters(self, other: Executor) -> None:
        assert isinstance(other, TorchExecutor)
        with torch.no_grad():
            for mine, theirs in zip(self._replicas, other._replicas, strict=True):
                for name in self.parameter_names:
                    mine.parameters[name].copy_(theirs.parameters[name])

    def parameters(self) -> Arrays:
        values = self._replicas[0].parameters
        return {name: _as_numpy(values[name]) for name in self.parameter_names}

    def statistics(self) -> Arrays:
        values = self._replicas[0].statistics
        return {name: _as_numpy(values[name]) for name in self._moving if name in values}

    def forward(self, **inputs: Batch) -> list[Batch]:
        for name, batch in inputs.items():
            for replica, array in zip(self._replicas, batch, strict=True):
                replica.set_input(name, array)
        for replica in self._replicas:
            replica.walk()
        each = [[out.detach().float() for out in replica.outputs] for replica in self._replicas]
        return [list(batch) for batch in zip(*each, strict=True)]

    def backward(self, *heads: Batch | None) -> None:
        for device, replica in enumerate(self._replicas):
            replica.backward([None if head is None else head[device] for head in heads])

    def input_gradient(self, name: str = "x") -> Batch:
        return [_gradient(replica.inputs[name]) for replica in self._replicas]

    def gradients(self) -> dict[str, Batch]:
        return {
            name: [_gradient(replica.parameters[name]) for replica in self._replicas]
            for name in self._learned
        }

    def clear_gradients(self) -> None:
        for replica in self._replicas if self._accumulates else ():
            for name in self._learned:
                replica.parameters[name].grad = None

    def start_adam(self, scale: float, factors: Mapping[str, float] | None = None) -> None:
        self._scale, self._steps = scale, 0
        self._factors: dict[float, list[str]] = {}
        for name in self._learned:
            self._factors.setdefault((factors or {}).get(name, 1.0), []).append(name)
        self._optimisers = [
            torch.optim.Adam(
                [
                    {"params": [replica.parameters[name] for name in names]}
                    for names in self._factors.values()
                ],
                betas=BETAS,
                fused=replica.is_on_card,
            )
            for replica in self._replicas
        ]
        self.clear_gradients()

    def adam_step(self, rate: float) -> None:
        self._steps += 1
        for replica, optimiser in zip(self._replicas, self._optimisers, strict=True):
            learned = [replica.parameters[name] for name in self._learned]
            torch._foreach_mul_([_gradient(each) for each in learned], self._scale)
            for group, factor in zip(optimiser.param_groups, self._factors, strict=True):
                # PyTorch's epsilon is beside the root of the corrected second moment.
                group["eps"] = EPSILON / (1 - BETAS[1] ** self._steps) ** 0.5
                group["lr"] = rate * factor
            optimiser.step()
        self.clear_gradients()

    def moments(self) -> Arrays:
        first, optimiser = self._replicas[0], self._optimisers[0]
        arrays: Arrays = {}
        for name in self._learned:
            state = optimiser.state.get(first.parameters[name], {})
            like = torch.zeros_like(first.parameters[name])
            arrays[f"{name}.mean"] = _as_numpy(state.get("exp_avg", like))
            arrays[f"{name}.variance"] = _as_numpy(state.get("exp_avg_sq", like))
        return arrays

    def set_moments(self, arrays: Arrays, steps: int) -> None:
        self._steps = steps
        for replica, optimiser in zip(self._replicas, self._optimisers, strict=True):
            for name in self._learned:
                if f"{name}.mean" not in arrays:
                    continue
                parameter = replica.parameters[name]
                state = optimiser.state[parameter]
                here = parameter.device if replica.is_on_card else None  # where a fused Adam counts
                state["step"] = torch.tensor(float(steps), device=here)
                for part, key in (("mean", "exp_avg"), ("variance", "exp_avg_sq")):
                    state[key] = torch.empty_like(parameter)
                    with torch.no_grad():
                        state[key].copy_(torch.from_numpy(arrays[f"{name}.{part}"]))


def _overwritten(mine: Tensor | None, new: Tensor) -> bool:
    """Copy into a tensor of the same shape, which keeps its address; False if there is none."""
    if mine is None or mine.shape != new.shape:
        return False
    with torch.no_grad():
        mine.copy_(new)
    return True


def _channels_last(tensor: Tensor) -> Tensor:
    """Maps and kernels in the memory order that convolutions of cards are fastest in."""
    if tensor.dim() != 4:
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)


def _gradient(tensor: Tensor) -> Tensor:
    """The gradient by a tensor; zeros if nothing depended on it."""
    if tensor.grad is None:
        tensor.grad = torch.zeros_like(tensor)
    return tensor.grad


def _as_numpy(tensor: Tensor) -> Numbers:
    array: Numbers = tensor.detach().cpu().contiguous().numpy().copy()
    return array
