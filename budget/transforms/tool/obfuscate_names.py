"""``obfuscate_names``: names as short as they can be."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from budget.transforms.tool.nodes import NodeGraph, renamed_inputs
from budget.transforms.tool.transform import Context, Transform

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def short_name(number: int) -> str:
    """A number written with the digits 0-9, a-z and A-Z."""
    text = _DIGITS[number % len(_DIGITS)]
    while number >= len(_DIGITS):
        number //= len(_DIGITS)
        text = _DIGITS[number % len(_DIGITS)] + text
    return text


@dataclass(frozen=True)
class ObfuscateNames(Transform):
    """Numbers all nodes in their order; the graph's inputs and outputs keep their names."""

    called: ClassVar[str] = "obfuscate_names"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        numbers = count()
        names: dict[str, str] = {}
        for name in graph.nodes:
            if name in graph.kept:
                continue
            short = short_name(next(numbers))
            while short in graph.kept:
                short = short_name(next(numbers))
            names[name] = short
        nodes = [
            node.changed(name=names.get(node.name, node.name)) for node in graph.nodes.values()
        ]
        return graph.with_nodes(renamed_inputs(nodes, names))
