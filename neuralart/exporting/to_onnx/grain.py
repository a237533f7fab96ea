"""The grain of a chain's photos, as nodes in front of an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from neuralart.engine.onnx_runtime.operators import Builder, ints
from neuralart.pictures.grain import fields, unit

GRAINED = "image_with_grain"
"""The name of the picture with its grain."""


def add_grain(builder: Builder, strength: float, size: tuple[int, int] | None) -> None:
    """Make `GRAINED` of the input ``image``, before all other nodes.

    strength  of the grain, see `neuralart.pictures.grain`
    size      (height, width) of the only pictures that the model takes; None for any
    """
    nodes: list[NodeProto] = []

    def add(op: str, inputs: list[str], name: str, **attrs: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [f"grain_{name}"], name=f"grain_{name}", **attrs))
        return f"grain_{name}"

    def numbered(axis: int) -> str:
        """The numbers of the rows (axis 2) or columns (3) of the picture."""
        if size is not None:
            return builder.stored(np.arange(size[axis - 2]), f"grain_axis{axis}")
        end = add("Shape", ["image"], f"size{axis}", start=axis, end=axis + 1)
        end = add("Squeeze", [end], f"end{axis}")
        zero, one = (builder.stored(np.array(n, np.int64), f"grain_{n}") for n in (0, 1))
        return add("Range", [zero, end, one], f"axis{axis}")

    axes = [numbered(axis) for axis in (2, 3)]
    total = "image"
    for number, field in enumerate(fields()):
        period = builder.stored(ints(len(field)), f"grain_period{number}")
        rows, columns = (add("Mod", [axis, period], f"{axis}_{number}") for axis in axes)
        stored = builder.stored(field, f"grain_field{number}")
        at_rows = add("Gather", [stored, rows], f"rows{number}", axis=0)
        part = add("Gather", [at_rows, columns], f"part{number}", axis=1)
        part = add("Cast", [part], f"float{number}", to=TensorProto.FLOAT)
        scale = builder.stored(unit(strength), f"grain_unit{number}")
        part = add("Mul", [part, scale], f"scaled{number}")
        total = add("Add", [total, part], f"sum{number}")
    nodes.append(helper.make_node("Identity", [total], [GRAINED], name=GRAINED))
    builder.nodes[:0] = nodes
