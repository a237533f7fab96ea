"""Runs a graph forward in ONNX Runtime: the third executor, which paints and does not learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from onnx import TensorProto, helper

from neuralart.engine.contract import Batch, Executor, Numbers, Shape
from neuralart.engine.onnx_runtime.graph import converted, finished_model
from neuralart.engine.onnx_runtime.limits import paints_only
from neuralart.engine.onnx_runtime.operators import CONVERTERS, frozen_norm, measuring_norm
from neuralart.engine.onnx_runtime.sessions import open_session
from neuralart.errors import EngineError
from neuralart.machine.archive import Arrays


class OnnxExecutor(Executor):
    """A graph in ONNX Runtime, on the processor.

    Its parameters are constants of the model, so that they are brought into the order of memory
    that convolutions are fastest in. Other parameters need a new session, which is opened by the
    next `forward`. All sizes of the inputs are free.
    """

    def __init__(
        self,
        symbol: Any,
        inputs: Mapping[str, Shape],
        *,
        measures: bool = False,
        reuse: Executor | None = None,
    ) -> None:
        """See `neuralart.engine.contract.Devices.executor`.

        measures  the norms use the statistics of what goes in, not those that were set
        reuse     an executor whose session is taken over if it is of the same symbol
        """
        self._symbol, self._measures = symbol, measures
        self._ranks = {name: len(shape) for name, shape in inputs.items()}
        self.parameter_names = tuple(n for n in symbol.list_arguments() if n not in inputs)
        self._moving = tuple(symbol.list_auxiliary_states())
        self._arrays: Arrays = {}
        self._inputs: dict[str, Numbers] = {
            name: np.zeros(shape, np.float32) for name, shape in inputs.items()
        }
        self._session: Any = None
        self._outputs: list[str | Numbers] = []
        if isinstance(reuse, OnnxExecutor) and (reuse._symbol, reuse._measures) == (
            symbol,
            measures,
        ):
            self._arrays, self._session, self._outputs = (
                reuse._arrays,
                reuse._session,
                reuse._outputs,
            )

    def reshape(self, shape: Shape) -> None:
        self._inputs["x"] = np.zeros(shape, np.float32)

    def set_parameters(self, arrays: Arrays) -> None:
        given = {name: arrays[name] for name in self.parameter_names}
        given |= {name: arrays[name] for name in self._moving if name in arrays}
        merged = {**self._arrays, **given}
        if merged.keys() != self._arrays.keys() or not all(
            np.array_equal(array, self._arrays[name]) for name, array in merged.items()
        ):
            self._arrays = {
                name: np.array(array, np.float32) if name in given else array
                for name, array in merged.items()
            }
            self._session = None

    def copy_parameters(self, other: Executor) -> None:
        self.set_parameters(other.parameters())

    def parameters(self) -> Arrays:
        return {name: self._arrays[name].copy() for name in self.parameter_names}

    def statistics(self) -> Arrays:
        return {name: self._arrays[name].copy() for name in self._moving if name in self._arrays}

    def forward(self, **inputs: Batch) -> list[Batch]:
        for name, (array,) in inputs.items():
            self._inputs[name] = array
        if self._session is None:
            self._open()
        names = self._made_names()
        made = dict(self._inputs)
        if names:
            made.update(zip(names, self._session.run(names, self._inputs), strict=True))
        return [[made[each] if isinstance(each, str) else each] for each in self._outputs]

    def _made_names(self) -> list[str]:
        """The outputs that are neither constants nor inputs, each once."""
        named = (each for each in self._outputs if isinstance(each, str))
        return [name for name in dict.fromkeys(named) if name not in self._ranks]

    def _open(self) -> None:
        norm = measuring_norm if self._measures else frozen_norm
        names = {name: name for name in self._ranks}
        builder, self._outputs = converted(
            self._symbol, self._arrays, names, {**CONVERTERS, "BatchNorm": norm}
        )
        builder.inputs += [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
            for name, rank in self._ranks.items()
        ]
        builder.outputs += [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in self._made_names()
        ]
        self._session = open_session(finished_model(builder, {}).SerializeToString())

    def _refuse(self) -> NoReturn:
        raise EngineError(paints_only())

    def backward(self, *heads: Batch | None) -> None:
        self._refuse()

    def input_gradient(self, name: str = "x") -> Batch:
        self._refuse()

    def gradients(self) -> dict[str, Batch]:
        self._refuse()

    def clear_gradients(self) -> None:
        self._refuse()

    def start_adam(self, scale: float, factors: Mapping[str, float] | None = None) -> None:
        self._refuse()

    def adam_step(self, rate: float) -> None:
        self._refuse()

    def moments(self) -> Arrays:
        self._refuse()

    def set_moments(self, arrays: Arrays, steps: int) -> None:
        self._refuse()
