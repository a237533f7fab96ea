"""What an engine promises: devices that hold arrays, and executors that run graphs on them.

A graph is declared by `neuralart.engine.symbols`. An engine is a class of `Devices` and a class of
`Executor`: `neuralart.engine.module` has the ones of MXNet, `neuralart.engine.pytorch` those of
PyTorch, and `neuralart.engine.onnx_runtime` those of ONNX Runtime, which compute no gradients. What
stands above imports this file, and opens devices by `neuralart.engine.devices`.

**Arrays.** An `Array` belongs to an engine and stays on its device. It has ``shape``, takes ``+``,
``-``, ``*`` and ``/`` with numbers and with arrays of its device, whose axes of size 1 are
repeated, ``+=`` in place, and slices. A
`Batch` is a list with one array for each device: device i has photos ``i * n .. (i + 1) * n - 1``.

**Ownership.** What an executor hands out (outputs, gradients) is its own memory: valid until its
next ``forward`` or ``backward``, to be read or copied, not kept. What it is given is copied before
the call returns, or read before anything that is queued later.

**Order.** Calls may return before the work is done. Operations that use one array run in the order
of the calls. `Devices.get` waits for what it returns; `Devices.settle` waits for everything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neuralart.machine.archive import Arrays

Array = Any
Batch = list[Any]
Numbers = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Edges = tuple[int, int, int, int]
"""Pixels of a frame at the top, bottom, left and right."""


def sum_of(a: Batch, b: Batch) -> Batch:
    """The sum of two batches, device by device."""
    return [x + y for x, y in zip(a, b, strict=True)]


MEETING_FILE = "NEURALART_MEETING_FILE"
"""The environment variable with the file by which PyTorch's workers of one machine meet."""


class Executor(ABC):
    """A graph bound to devices and shapes, with parameters, gradients and Adam's moments.

    The graph's arguments are its inputs and, for the rest, its parameters. With gradients, the
    norms use the statistics of what goes in; without, those that were set.
    """

    parameter_names: tuple[str, ...]

    @abstractmethod
    def reshape(self, shape: Shape) -> None:
        """Go on with another shape of the only input, ``x``, and the same parameters."""

    @abstractmethod
    def set_parameters(self, arrays: Arrays) -> None:
        """Set parameters, and statistics of norms where given; other names are ignored.

        Raises KeyError if a parameter is missing.
        """

    @abstractmethod
    def copy_parameters(self, other: Executor) -> None:
        """Take the parameters of an executor of the same graph, device by device."""

    @abstractmethod
    def parameters(self) -> Arrays:
        """The parameters as numpy arrays by name."""

    @abstractmethod
    def statistics(self) -> Arrays:
        """The moving statistics of the norms as numpy arrays by name."""

    @abstractmethod
    def forward(self, **inputs: Batch) -> list[Batch]:
        """Run the graph and return its outputs.

        An input that is not given keeps its last value. The shapes are those of the constructor.
        """

    @abstractmethod
    def backward(self, *heads: Batch | None) -> None:
        """Compute the gradients of ``sum(head * output)`` over the outputs of the last `forward`.

        ``heads`` has a batch for each output, of its shape; None stands for zeros.
        """

    @abstractmethod
    def input_gradient(self, name: str = "x") -> Batch:
        """The gradient by an input, from the last `backward`."""

    @abstractmethod
    def gradients(self) -> dict[str, Batch]:
        """The gradients by the parameters; they may be changed in place before `adam_step`."""

    @abstractmethod
    def clear_gradients(self) -> None:
        """Set the gradients by the parameters to zero, where `backward` adds to them."""

    @abstractmethod
    def start_adam(self, scale: float, factors: Mapping[str, float] | None = None) -> None:
        """Begin an optimiser with moments of zero; gradients are multiplied by ``scale``.

        factors  of the rate, by the name of a parameter; 1 for a parameter that has none

        Source: Kingma and Ba 2014, with beta1 0.9, beta2 0.999 and epsilon 1e-8 beside the root of
        the uncorrected second moment:
        ``w -= rate * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps)``.
        """

    @abstractmethod
    def adam_step(self, rate: float) -> None:
        """Update the parameters on every device, each with its own gradients."""

    @abstractmethod
    def moments(self) -> Arrays:
        """Adam's moments as numpy arrays: ``{parameter}.mean`` and ``{parameter}.variance``."""

    @abstractmethod
    def set_moments(self, arrays: Arrays, steps: int) -> None:
        """Go on from the moments after ``steps`` steps; other names are ignored."""


class PeersGoneError(Exception):
    """Other workers of a job are gone, or this one was asked to stop while it waited for them."""


class Exchange(ABC):
    """Adds arrays up over the devices of this process, and over the workers of a job.

    All workers must make the same calls in the same order. A call may wait for them for ever; if it
    learns that one is gone, it raises PeersGoneError.
    """

    rank: int = 0
    workers: int = 1

    @abstractmethod
    def add_up(self, arrays: Mapping[str, Batch]) -> None:
        """Replace every array by the sum of the arrays of its name. Returns when all are there."""

    @abstractmethod
    def add_up_numbers(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sum of a few numbers over the workers, at least in float32."""

    @abstractmethod
    def close(self) -> None:
        """Leave the job. Waits until all workers do."""


class Devices(ABC):
    """The processor or cards that one command computes on."""

    names: tuple[str, ...]
    """As in ``cpu:0`` or ``gpu:1``."""

    are_cpu: bool
    """Whether they are the processor, which takes the photos of a batch in turn."""

    first_steps: int = 1
    """Steps of a training that take longer than all others."""

    precisions: tuple[str, ...]
    """What they paint in: ``float32``, and maybe ``bfloat16`` and ``int8``."""

    @property
    def other_precisions(self) -> str:
        """What precisions that are missing need: the end of an error message."""
        return "On a CPU, bfloat16 needs AVX512_BF16 or AMX, and int8 MXNet"

    errors: tuple[type[Exception], ...]
    """What the engine raises when it cannot go on, mostly for lack of memory."""

    def __len__(self) -> int:
        return len(self.names)

    @abstractmethod
    def first(self) -> Devices:
        """The first device alone."""

    @abstractmethod
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
        """Bind a graph.

        inputs      the shape of each input on one device; the first axis counts photos
        gradients   inputs and parameters whose gradients `Executor.backward` computes
        common      inputs that are the same on every device, such as the style's Gram matrices
        accumulate  add the gradients of parameters up over several `Executor.backward`
        reuse       an executor of the same graph and shapes whose memory is taken over
        """

    def executor_of_photos(
        self, graph: Callable[[int], Any], photos: int, inputs: Mapping[str, Shape], **options: Any
    ) -> Executor:
        """Bind a graph that takes each photo by itself, for so many photos at once.

        graph    declares it for a number of photos
        inputs   those that the graph has, for all photos of one device; photos are the first axis
                 of every input and output
        options  as of `executor`
        """
        return self.executor(graph(photos), inputs, **options)

    @abstractmethod
    def output_shapes(self, symbol: Any, shapes: Mapping[str, Shape]) -> list[Shape]:
        """The shapes of a graph's outputs, by the shapes of its arguments; nothing is computed."""

    @abstractmethod
    def exchange(self, kvstore: str) -> Exchange:
        """What adds gradients up: in this process, or in a job if it is a worker of one.

        kvstore  ``local``, ``device`` or ``dist_sync``, which joins a job
        Raises ConfigError if the process is no worker of a job and must be. Waits for the other
        workers; raises RunError if they do not come, where the engine can tell.
        """

    @abstractmethod
    def put(self, x: Numbers) -> Batch:
        """Share photos out: (devices * n, ...) -> n on each device."""

    @abstractmethod
    def put_common(self, x: Numbers) -> Batch:
        """The same array on every device."""

    @abstractmethod
    def borrow(self, x: Numbers) -> Batch:
        """An array of the first device that may use the memory of ``x``, which must stay."""

    @abstractmethod
    def get(self, batch: Batch) -> Numbers:
        """The photos of all devices in order: n on each -> (devices * n, ...)."""

    @abstractmethod
    def get_into(self, batch: Batch, out: Numbers) -> None:
        """Copy the first device's array into a numpy array of its shape and type."""

    def reflect(self, batch: Batch, edges: Edges) -> Batch:
        """(n, C, H, W) -> the same in a frame of its own reflection; H and W at least 2.

        A whole reflection ends where the endless one turns again, so that pieces add up to it.
        """
        while any(edges):
            height, width = batch[0].shape[2:]
            most = (height - 1, height - 1, width - 1, width - 1)
            piece: Edges = tuple(map(min, edges, most))
            batch = [self._reflected(x, piece) for x in batch]
            top, bottom, left, right = (
                edge - done for edge, done in zip(edges, piece, strict=True)
            )
            edges = (top, bottom, left, right)
        return batch

    @abstractmethod
    def _reflected(self, x: Array, edges: Edges) -> Array:
        """One array in a frame of reflection that is at most as wide as the array less one."""

    @abstractmethod
    def surround(self, batch: Batch, edges: Edges) -> Batch:
        """(n, C, H, W) -> the same in a frame of zeros."""

    @abstractmethod
    def inside(self, batch: Batch, edges: Edges) -> Batch:
        """The part inside a frame; undoes `reflect` and `surround`."""

    @abstractmethod
    def flatten(self, batches: Sequence[Batch]) -> Batch:
        """Sum each batch over its first axis; concatenate the sums as a row for each device."""

    @abstractmethod
    def squares(self, batch: Batch) -> Batch:
        """(1, 1) on each device: the sum of squares of all elements; not finite if one is not."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until all queued work is done."""

    @abstractmethod
    def memory(self) -> list[tuple[str, int, int]]:
        """Name, used bytes and all bytes of every card; none for processors."""
