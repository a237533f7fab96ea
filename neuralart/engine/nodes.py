"""The nodes of a graph, read from its JSON: what other engines and exporters walk."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Node:
    """An operator of a graph, or a variable, whose ``op`` is ``null``.

    attrs    MXNet's attributes as Python values
    inputs   (number of a node, which of its outputs)
    """

    index: int
    op: str
    name: str
    attrs: dict[str, Any]
    inputs: tuple[tuple[int, int], ...]

    @property
    def sources(self) -> tuple[int, ...]:
        """The nodes of the inputs."""
        return tuple(source for source, _ in self.inputs)


def read_nodes(symbol: Any) -> tuple[list[Node], list[tuple[int, int]]]:
    """The nodes of a symbol, each after its inputs, and its outputs: (node, which output)."""
    graph = json.loads(symbol.tojson(remove_amp_cast=False))
    nodes = [
        Node(
            index,
            row["op"],
            row["name"],
            {key: _value(text) for key, text in row.get("attrs", {}).items()},
            tuple((source, output) for source, output, *_ in row["inputs"]),
        )
        for index, row in enumerate(graph["nodes"])
    ]
    return nodes, [(node, output) for node, output, *_ in graph["heads"]]


def fixed_nodes(nodes: list[Node], inputs: set[str]) -> set[int]:
    """The nodes that depend on none of these inputs: parameters and what is made of them alone."""
    fixed: set[int] = set()
    for node in nodes:
        if node.name not in inputs and fixed.issuperset(node.sources):
            fixed.add(node.index)
    return fixed


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
