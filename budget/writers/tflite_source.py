"""Writes graphs of the dialect ``tfl``, giving back untouched parts as the file had them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budget.errors import UnsupportedModelError
from budget.formats.tflite_records import OperatorRecord, OriginalFile
from budget.formats.tflite_schema import OPERATORS, OPTIONS, OPTIONS_2, SCHEMA_VERSION
from budget.formats.tflite_wire import FlatFile, decode
from budget.graph import ABSENT, Graph, Node
from budget.writers.flatbuffer import encode_model
from budget.writers.tflite import tensor_entry
from budget.writers.tflite_versions import version_of

_CUSTOM = OPERATORS.index("CUSTOM")


def encode_source(graph: Graph) -> bytes:
    """The bytes of a graph in the dialect ``tfl``; those of its file if nothing was changed.

    Raises:
        UnsupportedModelError: a changed graph holds options that this program does not know, or
            bodies that its file did not have; all of it is listed.
    """
    original = graph.extras.get("original")
    if not isinstance(original, OriginalFile):
        original = OriginalFile(b"", (graph,))
    elif _is_same(graph, original.graphs[0]):
        return original.data
    return encode_model(_Rebuild(graph, original).model())


def _is_same(graph: Graph, other: Graph) -> bool:
    """Whether a graph still has the very parts that were read."""
    return graph is other or (
        graph.inputs == other.inputs
        and graph.outputs == other.outputs
        and len(graph.nodes) == len(other.nodes)
        and all(a is b for a, b in zip(graph.nodes, other.nodes))
        and list(graph.tensors) == list(other.tensors)
        and all(tensor is other.tensors[name] for name, tensor in graph.tensors.items())
        and list(graph.subgraphs) == list(other.subgraphs)
        and all(_is_same(body, other.subgraphs[name]) for name, body in graph.subgraphs.items())
    )


class _Rebuild:
    """The file's tables with the changed graphs put in."""

    def __init__(self, graph: Graph, original: OriginalFile) -> None:
        self.graph = graph
        self.original = original
        self.tables = self._decoded()
        self.buffers: list[dict[str, Any]] = self.tables["buffers"]
        self.codes: list[dict[str, Any]] = self.tables.setdefault("operator_codes", [])
        self.problems: list[str] = []

    def _decoded(self) -> dict[str, Any]:
        data = self.original.data
        if not data:
            return {"version": SCHEMA_VERSION, "subgraphs": [{}], "buffers": [{}]}
        tables = decode(FlatFile(data, self.graph.source.name).root(), "Model")
        for buffer in tables["buffers"]:
            offset, size_bytes = buffer.pop("offset", 0), buffer.pop("size", 0)
            if offset > 1:  # data behind the flatbuffer come back into it
                buffer["data"] = data[offset : offset + size_bytes]
        return tables

    def model(self) -> dict[str, Any]:
        """The ``Model`` table."""
        changed = {graph.name: graph for graph in self.graph.walk()}
        known = {graph.name for graph in self.original.graphs}
        self.problems += [f"graph {name!r} is new" for name in changed if name not in known]
        maps: list[dict[int, int]] = []
        for number, before in enumerate(self.original.graphs):
            after = self.graph if number == 0 else changed.get(before.name, before)
            entry = self.tables["subgraphs"][number]
            maps.append(self._put(entry, before if self.original.data else None, after))
        self._drop_unused_buffers()
        self._renumber_signatures(maps)
        if self.problems:
            raise UnsupportedModelError(
                "the changed graph cannot be written: " + "; ".join(self.problems),
                where=self.graph.source.name or self.graph.name,
            )
        return self.tables

    def _put(self, entry: dict[str, Any], before: Graph | None, after: Graph) -> dict[int, int]:
        """Fills a ``SubGraph``; returns new tensor numbers by old ones."""
        old_tensors, old_operators = entry.get("tensors", []), entry.get("operators", [])
        old_numbers = {name: number for number, name in enumerate(before.tensors if before else ())}
        tensors: list[dict[str, Any]] = []
        index = {ABSENT: -1}
        moved: dict[int, int] = {-1: -1}
        for name, tensor in after.tensors.items():
            index[name] = len(tensors)
            number = old_numbers.get(name)
            if number is not None:
                moved[number] = len(tensors)
            if number is not None and before is not None and before.tensors[name] is tensor:
                tensors.append(old_tensors[number])
            else:
                tensors.append(tensor_entry(tensor, self.buffers))
        old_nodes = {node.name: node for node in before.nodes} if before else {}
        operators = []
        for node in after.nodes:
            old = old_nodes.get(node.name)
            if old is not None and old.source is node.source and old.attributes is node.attributes:
                operator = dict(old_operators[node.source.number])
                if node.attributes.get("unknown_fields"):
                    self.problems.append(f"{node.name!r} ({node.op}) has options of a newer schema")
            else:
                operator = self._operator(after, node)
            operator["inputs"] = [index[name] for name in node.inputs]
            operator["outputs"] = [index[name] for name in node.outputs]
            if "intermediates" in operator:
                operator["intermediates"] = self._moved(operator["intermediates"], moved, node)
            operators.append(operator)
        entry["tensors"], entry["operators"] = tensors, operators
        entry["inputs"] = [index[name] for name in after.inputs]
        entry["outputs"] = [index[name] for name in after.outputs]
        return moved

    def _moved(self, numbers: Any, moved: Mapping[int, int], node: Node) -> list[int]:
        if any(number not in moved for number in numbers):
            self.problems.append(f"{node.name!r} ({node.op}) has lost a tensor it works in")
        return [moved.get(number, -1) for number in numbers]

    def _operator(self, graph: Graph, node: Node) -> dict[str, Any]:
        """An ``Operator`` for a node that is new or whose attributes were changed."""
        name = node.op.removeprefix("tfl.")
        if name not in OPERATORS or node.attributes.get("unknown_fields"):
            self.problems.append(f"{node.name!r} ({node.op}) is not in the schema")
            return {}
        record = node.source if isinstance(node.source, OperatorRecord) else None
        options = dict(node.attributes)
        operator: dict[str, Any] = {}
        if name == "CUSTOM":
            code = options.pop("custom_code", "")
            operator["custom_options"] = options.pop("custom_options", None) or b""
            operator["opcode_index"] = self._code(_CUSTOM, 1, code)
            return operator
        inputs = [None if i == ABSENT else graph.type_of(i) for i in node.inputs]
        outputs = [graph.type_of(out) for out in node.outputs]
        version = record.version if record else version_of(name, inputs, outputs, options)
        operator["opcode_index"] = self._code(OPERATORS.index(name), version, "")
        table = record.options_table if record else options_table_of(name)
        if table in OPTIONS:
            operator["builtin_options_type"] = OPTIONS.index(table)
            operator["builtin_options"] = (table, options)
        elif table in OPTIONS_2:
            operator["builtin_options_2_type"] = OPTIONS_2.index(table)
            operator["builtin_options_2"] = (table, options)
        elif options:
            self.problems.append(f"{node.name!r} ({node.op}) has options without a table")
        return operator

    def _code(self, builtin: int, version: int, custom_code: str) -> int:
        from budget.writers.tflite import operator_code

        for number, entry in enumerate(self.codes):
            found = max(entry["builtin_code"], entry["deprecated_builtin_code"])
            same = found == builtin and entry["version"] == version
            if same and entry.get("custom_code", "") == custom_code:
                return number
        entry = operator_code(OPERATORS[builtin], version)
        if custom_code:
            entry["custom_code"] = custom_code
        self.codes.append(entry)
        return len(self.codes) - 1

    def _drop_unused_buffers(self) -> None:
        used = {
            tensor.get("buffer", 0)
            for subgraph in self.tables["subgraphs"]
            for tensor in subgraph["tensors"]
        }
        used.update(entry.get("buffer", 0) for entry in self.tables.get("metadata", ()))
        for number, buffer in enumerate(self.buffers):
            if number not in used:
                buffer.clear()  # numbers of the others stay as they are

    def _renumber_signatures(self, maps: list[dict[int, int]]) -> None:
        for signature in self.tables.get("signature_defs", ()):
            moved = maps[signature["subgraph_index"]]
            for side in ("inputs", "outputs"):
                entries = [e for e in signature.get(side, ()) if e["tensor_index"] in moved]
                for entry in entries:
                    entry["tensor_index"] = moved[entry["tensor_index"]]
                signature[side] = entries


_TABLES_OF_FAMILIES = {
    "AVERAGE_POOL_2D": "Pool2DOptions", "MAX_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions", "MEAN": "ReducerOptions", "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions", "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions", "REDUCE_ANY": "ReducerOptions",
    "REDUCE_ALL": "ReducerOptions", "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions", "BATCH_MATMUL": "BatchMatMulOptions",
    "L2_NORMALIZATION": "L2NormOptions", "PADV2": "PadV2Options",
    "CONV_3D_TRANSPOSE": "Conv3DOptions", "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
}  # fmt: skip


def options_table_of(operator: str) -> str:
    """Name of the options table that a builtin takes; empty if it takes none."""
    if operator in _TABLES_OF_FAMILIES:
        return _TABLES_OF_FAMILIES[operator]
    wanted = operator.replace("_", "").lower() + "options"
    return next((name for name in (*OPTIONS, *OPTIONS_2) if name.lower() == wanted), "")
