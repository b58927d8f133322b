"""``add_default_attributes``: attributes left to their defaults are written out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from budget.formats.tensorflow_schema import SCHEMAS
from budget.formats.tensorflow_values import decode_attributes
from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.transform import Context, Transform

DEFAULTS = Path(__file__).with_name("default_attributes.json")
"""Defaults of TensorFlow 2.21's operators, made by tests/transforms/default_attributes.py."""


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(DEFAULTS.read_text())
    return table


@cache
def defaults_of(op: str) -> dict[str, Any]:
    """Attributes of an operator that have a default, with it; nothing for an unknown operator."""
    table = _table()
    values = {
        name: SCHEMAS["AttrValue"].decode(bytes.fromhex(table["values"][index]), op)
        for name, index in table["operators"].get(op, {}).items()
    }
    return dict(decode_attributes(values, op))


@dataclass(frozen=True)
class AddDefaultAttributes(Transform):
    """Gives a node each attribute that it lacks and its operator has a default for.

    What is left out means the default, so the node does what it did. Nodes of operators that
    TensorFlow 2.21 does not have stay as they are.
    """

    called: ClassVar[str] = "add_default_attributes"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        nodes = []
        for node in graph.nodes.values():
            missing = {k: v for k, v in defaults_of(node.op).items() if k not in node.attributes}
            if missing:
                node = node.changed(attributes={**node.attributes, **missing})
            nodes.append(node)
        return graph.with_nodes(nodes)
