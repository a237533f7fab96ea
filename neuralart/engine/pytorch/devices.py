"""PyTorch's devices: NVIDIA's and AMD's cards, Apple's, and the processor."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neuralart.engine.contract import Batch, Devices, Edges, Exchange, Executor, Numbers, Shape
from neuralart.engine.pytorch.collective import CollectiveExchange
from neuralart.engine.pytorch.executor import TorchExecutor
from neuralart.engine.pytorch.operators import reflected
from neuralart.engine.pytorch.recording import WALKS_BEFORE
from neuralart.errors import ConfigError, EngineError


class TorchDevices(Devices):
    """One or several devices of a kind: ``cuda``, ``mps`` or ``cpu``."""

    errors = (torch.OutOfMemoryError,)

    def __init__(self, kind: str, indices: Sequence[int], precision: str = "float32") -> None:
        """``precision`` is that of convolutions and matrix products, see `_set_up`."""
        _set_up(precision)
        self._kind, self._indices, self._precision = kind, tuple(indices), precision
        # PyTorch has one processor; several are replicas on it, for tests of several devices.
        self._devices = [
            torch.device(kind, i) if kind == "cuda" else torch.device(kind) for i in indices
        ]
        prefix = "torch:" if kind == "cpu" else ""
        self.names = tuple(f"{prefix}{kind}:{index}" for index in indices)
        self.are_cpu = kind == "cpu"
        self.first_steps = WALKS_BEFORE + 1 if kind == "cuda" else 1
        self.precisions = ("float32", "bfloat16")

    def first(self) -> Devices:
        if len(self) == 1:
            return self
        return TorchDevices(self._kind, self._indices[:1], self._precision)

    def executor(
        self,
        symbol: Any,
        inputs: Mapping[str, Shape],
        *,
        gradients: Collection[str] = (),
        common: Collection[str] = (),
        accumulate: bool = False,
        reuse: Executor | None = None,
        maps_photos: bool = False,
    ) -> Executor:
        return TorchExecutor(
            symbol,
            inputs,
            self._devices,
            gradients=gradients,
            accumulate=accumulate,
            precision=self._precision,
            maps_photos=maps_photos,
        )

    def executor_of_photos(
        self, graph: Callable[[int], Any], photos: int, inputs: Mapping[str, Shape], **options: Any
    ) -> Executor:
        """Bind the graph of one photo, mapped over all: as many kernels as one photo needs."""
        return self.executor(graph(1), inputs, maps_photos=photos > 1, **options)

    def output_shapes(self, symbol: Any, shapes: Mapping[str, Shape]) -> list[Shape]:
        executor = TorchExecutor(symbol, shapes, [torch.device("meta")])
        return [tuple(batch[0].shape) for batch in executor.forward()]

    def exchange(self, kvstore: str) -> Exchange:
        return CollectiveExchange(self._devices, joins=kvstore == "dist_sync")

    def put(self, x: Numbers) -> Batch:
        parts = np.split(x, len(self))
        return [_copied(part, device) for part, device in zip(parts, self._devices, strict=True)]

    def put_common(self, x: Numbers) -> Batch:
        return [_copied(x, device) for device in self._devices]

    def borrow(self, x: Numbers) -> Batch:
        return [torch.from_numpy(x).to(self._devices[0])]

    def get(self, batch: Batch) -> Numbers:
        array: Numbers = np.concatenate([x.detach().float().cpu().numpy() for x in batch])
        return array

    def get_into(self, batch: Batch, out: Numbers) -> None:
        torch.from_numpy(out).copy_(batch[0].detach())

    def _reflected(self, x: Tensor, edges: Edges) -> Tensor:
        return reflected(x, edges)

    def surround(self, batch: Batch, edges: Edges) -> Batch:
        top, bottom, left, right = edges
        return [functional.pad(x, (left, right, top, bottom)) for x in batch]

    def inside(self, batch: Batch, edges: Edges) -> Batch:
        top, bottom, left, right = edges
        height, width = batch[0].shape[2:]
        return [x[:, :, top : height - bottom, left : width - right].clone() for x in batch]

    def flatten(self, batches: Sequence[Batch]) -> Batch:
        return [
            torch.cat([array.sum(dim=0).reshape(1, -1) for array in arrays], dim=1)
            for arrays in zip(*batches, strict=True)
        ]

    def squares(self, batch: Batch) -> Batch:
        return [x.square().sum().reshape(1, 1) for x in batch]

    def settle(self) -> None:
        for device in self._devices:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            elif device.type == "mps":
                torch.mps.synchronize()

    def memory(self) -> list[tuple[str, int, int]]:
        rows = []
        for name, device in zip(self.names, self._devices, strict=True):
            if device.type == "cuda":
                free, total = torch.cuda.mem_get_info(device)
                rows.append((name, total - free, total))
        return rows


def _set_up(precision: str) -> None:
    """Set PyTorch up for the whole process.

    ``float32`` is exact: TF32, with 10 bits of mantissa, is off. ``tf32`` lets cards use it, and
    ``bfloat16`` has 7 bits in convolutions. Convolutions and products are deterministic.
    """
    deterministic: Any = torch.utils.deterministic
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with it
    # Pooling warns, since windows that overlap would be added up in any order; ours do not overlap.
    torch.use_deterministic_algorithms(True, warn_only=True)
    warnings.filterwarnings("ignore", ".* does not have a deterministic implementation")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    # Deterministic mode would also fill all new memory.
    deterministic.fill_uninitialized_memory = False


def _copied(x: Numbers, device: torch.device) -> Tensor:
    array = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    return array.to(device) if device.type != "cpu" else array.clone()


def open_torch(name: str, kind: str, indices: Sequence[int], precision: str) -> Devices:
    """The devices of a name. Raises EngineError for a card that is missing, ConfigError for an
    index on Apple's."""
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if max(indices) >= count:
            raise EngineError(
                f"--device {name}: PyTorch {torch.__version__} sees {count} cards here; "
                "use --device cpu, or ask `neuralart doctor` what is missing"
            )
    elif kind == "mps":
        if list(indices) != [0]:
            raise ConfigError(f"--device {name}: there is one; use --device mps")
        if not torch.backends.mps.is_available():
            raise EngineError(
                f"--device {name}: PyTorch {torch.__version__} sees no card of Apple's here; "
                "use --device cpu"
            )
    return TorchDevices(kind, indices, precision)


def version() -> str:
    """PyTorch's version and build."""
    return str(torch.__version__)


def list_devices() -> list[tuple[str, str]]:
    """The names of all devices for --device, and what each card is."""
    rows = [("torch:cpu", "")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            rows.append((f"cuda:{index}", torch.cuda.get_device_name(index)))
    if torch.backends.mps.is_available():
        rows.append(("mps", "Apple's"))
    return rows
