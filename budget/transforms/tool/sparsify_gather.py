"""``sparsify_gather``: look-ups in a column of mostly zeros become look-ups in a hash table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.transforms.tool.affine import array_of
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import Match, Pattern, Rewriting, find_matches
from budget.transforms.tool.transform import Context, Transform

LEAST = 1e-5
"""Smaller values are taken for zero, as the old tool took them."""


def _refusal(graph: NodeGraph, match: Match) -> str:
    column = array_of(match.nodes["column"])
    if column.ndim != 2 or column.shape[1] != 1 or column.dtype != np.float32:
        return "what is looked up in is not one column of float32"
    if "axis" in match.nodes and array_of(match.nodes["axis"]).item() != 0:
        return "it is looked up along another axis than rows"
    return ""


_COLUMN = Pattern("Identity", (Pattern("Const", capture="column"),), optional=True, single=True)
_PATTERNS = (
    Pattern("Gather", (_COLUMN, Pattern(capture="rows")), condition=_refusal),
    Pattern(
        "GatherV2",
        (_COLUMN, Pattern(capture="rows"), Pattern("Const", capture="axis")),
        condition=_refusal,
    ),
)


@dataclass(frozen=True)
class SparsifyGather(Transform):
    """Replaces w[i] by table[i], where the table holds the |w| ≥ 1e-5 and gives 0 for the rest.

    For linear models, whose weights are one long column of which few rows are not zero. The table
    is filled by a node that has to be run once before the first inference.

    Attributes:
        group_init_node: the node that fills all tables.
    """

    group_init_node: str = "group_deps"
    called: ClassVar[str] = "sparsify_gather"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        for pattern in _PATTERNS:
            matches, refusals = find_matches(graph, pattern)
            context.notes += [f"{item.node} stays: {item.reason}" for item in refusals]
            if not matches:
                continue
            rewriting = Rewriting(graph)
            fillers: list[str] = []
            for match in matches:
                new, filler = _table(match, rewriting)
                rewriting.replace(match, new)
                fillers.append(filler)
            graph = self._with_init(rewriting.finish(), fillers)
            context.notes.append(f"run {self.group_init_node} once before the first inference")
        return graph

    def _with_init(self, graph: NodeGraph, fillers: list[str]) -> NodeGraph:
        old = graph.nodes.get(self.group_init_node)
        waits = tuple(dict.fromkeys((*(old.controls if old else ()), *fillers)))
        group = (
            old.changed(controls=waits) if old else NodeDef(self.group_init_node, "NoOp", (), waits)
        )
        nodes = [node for node in graph.nodes.values() if node is not old]
        return graph.with_nodes([*nodes, group])


def _table(match: Match, rewriting: Rewriting) -> tuple[list[NodeDef], str]:
    root, column = match.root, match.nodes["column"]
    values = array_of(column)
    rows = np.flatnonzero(np.abs(values[:, 0]) >= LEAST)
    kinds: dict[str, Any] = {"key_dtype": DataType.INT64, "value_dtype": DataType.FLOAT}

    def name(part: str) -> str:
        return rewriting.name(f"{root.name}/{part}")

    keys = constant(name("keys"), rows.astype(np.int64), DataType.INT64)
    held = constant(name("values"), values[rows, 0])
    zero = constant(name("default"), np.float32(0))
    table = NodeDef(name("HashTable"), "HashTable", (), (), root.device,
                    {**kinds, "container": b"", "shared_name": name("shared").encode(),
                     "use_node_name_sharing": False})  # fmt: skip
    filler = NodeDef(name("InitializeTable"), "InitializeTable", (table.name, keys.name, held.name),
                     (), root.device, {"Tkey": DataType.INT64, "Tval": DataType.FLOAT})  # fmt: skip
    rows_read = match.tensors["rows"]
    new = [keys, held, zero, table, filler]
    if root.attributes.get("Tindices") is not DataType.INT64:
        cast = NodeDef(name("rows"), "Cast", (rows_read,), (), root.device,
                       {"SrcT": DataType.INT32, "DstT": DataType.INT64})  # fmt: skip
        rows_read = cast.name
        new.append(cast)
    found = NodeDef(name("LookupTableFind"), "LookupTableFind", (table.name, rows_read, zero.name),
                    root.controls, root.device,
                    {"Tin": DataType.INT64, "Tout": DataType.FLOAT})  # fmt: skip
    last = constant(name("last"), np.int32(-1), DataType.INT32)
    wide = NodeDef(root.name, "ExpandDims", (found.name, last.name), (), root.device,
                   {"T": DataType.FLOAT, "Tdim": DataType.INT32})  # fmt: skip
    return [*new, found, last, wide], filler.name
