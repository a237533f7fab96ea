"""CUDA graphs: the kernels of a graph's walk, recorded once and then launched by one call.

A step of training launches some ten thousand small kernels. Python takes ten times as long to
launch them as a card takes to run them (docs/gpu.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WALKS_BEFORE = 2
"""Walks without a recording: libraries set themselves up, and what is walked once is not worth it."""


@dataclass
class _Backward:
    graph: torch.cuda.CUDAGraph
    heads: list[Tensor]
    gradients: dict[str, Tensor]


class Recording:
    """A walk and its gradients as CUDA graphs (PyTorch, "CUDA semantics", CUDA graphs).

    What a replay reads and writes has the addresses that it had while it was recorded: inputs and
    parameters are changed in place, and outputs and gradients are valid until the next replay.
    """

    def __init__(
        self, walk: Callable[[], list[Tensor]], wanted: Mapping[str, Tensor], device: torch.device
    ) -> None:
        """Record a walk; ``wanted`` are the leaves whose gradients are computed."""
        self._wanted, self._device = dict(wanted), device
        # Gradients run on the stream that their walk ran on. PyTorch's own is of one device.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device), torch.cuda.graph(self._graph, stream=self._stream):
            self._outputs = walk()
        self._backwards: dict[tuple[bool, ...], _Backward] = {}

    @classmethod
    def of(
        cls,
        walk: Callable[[], list[Tensor]],
        wanted: Mapping[str, Tensor],
        device: torch.device,
    ) -> Recording | None:
        """A recording, or None where the card or its memory does not allow one."""
        try:
            return cls(walk, wanted, device)
        except RuntimeError:
            return None

    def forward(self) -> list[Tensor]:
        """Replay the walk. The outputs are always the same tensors."""
        self._graph.replay()
        return [output.detach() for output in self._outputs]

    def backward(self, heads: Sequence[Tensor | None]) -> dict[str, Tensor]:
        """Gradients of the sum of ``head * output`` by the leaves that the outputs depend on.

        Which heads are None decides what is recorded, the first time that they are.
        """
        given = [
            None if head is None or not output.requires_grad else head
            for output, head in zip(self._outputs, heads, strict=True)
        ]
        pattern = tuple(head is not None for head in given)
        if not any(pattern):
            return {}
        if pattern not in self._backwards:
            self._backwards[pattern] = self._record_backward(pattern)
        recorded = self._backwards[pattern]
        there = [head for head in given if head is not None]
        for mine, head in zip(recorded.heads, there, strict=True):
            mine.copy_(head)
        recorded.graph.replay()
        return recorded.gradients

    def _record_backward(self, pattern: Sequence[bool]) -> _Backward:
        outputs = [out for out, used in zip(self._outputs, pattern, strict=True) if used]
        heads = [torch.zeros_like(output) for output in outputs]
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(graph, pool=self._graph.pool(), stream=self._stream),
        ):
            gradients = torch.autograd.grad(
                outputs, list(self._wanted.values()), heads, retain_graph=True, allow_unused=True
            )
            named = {
                name: _in_order_of(leaf, gradient)
                for (name, leaf), gradient in zip(self._wanted.items(), gradients, strict=True)
                if gradient is not None
            }
        return _Backward(graph, heads, named)


def _in_order_of(leaf: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in its leaf's memory order, which a fused optimiser needs."""
    if gradient.stride() == leaf.stride():
        return gradient
    return torch.empty_like(leaf).copy_(gradient)
