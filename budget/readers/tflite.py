"""Reads TensorFlow Lite files without TensorFlow: tables are parsed, nothing is executed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from budget.errors import UnsupportedModelError, UsageError
from budget.formats.tflite_records import OperatorRecord, OriginalFile
from budget.formats.tflite_schema import (
    FILE_IDENTIFIER,
    OPERATORS,
    OPTIONS,
    OPTIONS_2,
    SCHEMA_VERSION,
    fields_of,
)
from budget.formats.tflite_wire import FlatFile, Table, decode, union_member
from budget.graph import ABSENT, Graph, ModelSource, Node, Tensor
from budget.readers.tflite_tensors import Buffers, read_tensors

_MAX_BODIES = 10_000  # bodies that a walk over a model and all it runs may meet
_BODY_OPTIONS = (
    "cond_subgraph_index", "body_subgraph_index", "then_subgraph_index", "else_subgraph_index",
    "init_subgraph_index", "subgraph", "decomposition_subgraph_index",
    "comparator_subgraph_index", "update_computation_subgraph_index",
)  # fmt: skip


def read_tflite(data: bytes, name: str, part: str = "") -> Graph:
    """The model in a ``.tflite`` file, in the source dialect ``tfl``.

    The graph is the file's first subgraph, which the runtimes run by default, unless another is
    asked for. Constants are views of ``data``. ``Node.source`` is an `OperatorRecord`;
    ``Graph.extras`` holds ``original`` (an `OriginalFile`), ``description``, ``metadata``,
    ``signatures`` and ``other_graphs``.

    Args:
        data: the whole file.
        name: of the file, for messages.
        part: the signature, or else the subgraph, that is wanted.

    Raises:
        UsageError: there is no such part.
        CorruptModelError: the file breaks its format's rules; nothing in it is trusted.
        UnsupportedModelError: it needs a later schema, or keeps its weights in another file.
    """
    file = FlatFile(data, name)
    if len(data) < 12 or data[4:8] != FILE_IDENTIFIER:
        file.fail("this is not a TensorFlow Lite file: the mark 'TFL3' is missing")
    return _Reader(file).read(part)


class _Reader:
    def __init__(self, file: FlatFile) -> None:
        self.file = file
        self.model = file.root()
        self.notes: list[str] = []
        self.graphs: dict[int, Graph] = {}
        self.body_counts: dict[int, int] = {}
        self.open: set[int] = set()

    def read(self, part: str) -> Graph:
        file, model = self.file, self.model
        version = model.scalar(0, "I")
        if version != SCHEMA_VERSION:
            raise UnsupportedModelError(
                f"the file follows version {version} of the TensorFlow Lite schema",
                where=file.name,
                hint=f"convert the model again; version {SCHEMA_VERSION} is the one in use",
            )
        if model.tables(8) or model.tables(9):
            raise UnsupportedModelError(
                "the model keeps weights in another file",
                where=file.name,
                hint="convert it into one self-contained .tflite file",
            )
        self.codes = [self._code(table) for table in model.tables(1)]
        self.buffers = Buffers(file, model.tables(4))
        self.subgraphs = model.tables(2)
        if not self.subgraphs:
            file.fail("the file holds no graph")
        self.names = self._subgraph_names()
        others = [self._graph(index) for index in range(len(self.subgraphs))]
        signatures = self._signatures()
        main = self.graphs[self._index_of(part, signatures)]
        reached = {id(graph) for graph in main.walk()}
        if len(signatures) > 1 and not part:
            self.notes.append(
                f"the file has {len(signatures)} signatures ({', '.join(signatures)}); "
                f"the first graph is judged; {file.name}#NAME judges another"
            )
        source = ModelSource(
            file.name, "tflite", hashlib.sha256(file.data).hexdigest(), tuple(self.notes)
        )
        extras = {
            # a part that is written makes a file of its own
            **({"original": OriginalFile(file.data, tuple(others))} if main is others[0] else {}),
            "description": model.text(3),
            "metadata": self._metadata(),
            "signatures": signatures,
            "other_graphs": {graph.name: graph for graph in others if id(graph) not in reached},
        }
        return replace(main, source=source, extras=extras)

    def _index_of(self, part: str, signatures: Mapping[str, Mapping[str, Any]]) -> int:
        """The number of the graph that the caller wants."""
        if not part:
            return 0
        name = signatures[part]["graph"] if part in signatures else part
        if name not in self.names:
            raise UsageError(
                f"there is no signature or subgraph {part!r}",
                where=self.file.name,
                hint=f"choose one of {', '.join(dict.fromkeys((*signatures, *self.names)))}",
            )
        return self.names.index(name)

    def _code(self, table: Table) -> tuple[int, str, int]:
        # old files use the 8-bit field, new ones both
        number = max(table.scalar(0, "b"), table.scalar(3, "i"))
        if number < 0:
            self.file.fail(f"operator code {number} is negative")
        return number, table.text(1), table.scalar(2, "i", 1)

    def _subgraph_names(self) -> list[str]:
        names: list[str] = []
        taken: set[str] = set()
        for index, table in enumerate(self.subgraphs):
            wanted = table.text(4) or ("main" if index == 0 else f"subgraph_{index}")
            name = wanted if wanted not in taken else f"{wanted}#{index}"
            while name in taken:
                name += "#"
            taken.add(name)
            names.append(name)
        return names

    def _graph(self, index: int) -> Graph:
        """Subgraph ``index`` with the bodies that its nodes run."""
        if index in self.graphs:
            return self.graphs[index]
        name = self.names[index]
        if index in self.open:
            self.file.fail(f"graph {name!r} runs itself")
        if len(self.open) > 50:
            self.file.fail("bodies of loops and branches are nested more than 50 deep")
        self.open.add(index)
        table = self.subgraphs[index]
        tensors, unknown = read_tensors(self.file, table.tables(0), self.buffers)
        bodies: dict[str, Graph] = {}
        nodes: list[Node] = []
        taken = {tensor.name for tensor in tensors}
        for number, operator in enumerate(table.tables(3)):
            node, used = self._node(operator, number, name, tensors, taken)
            nodes.append(node)
            for body in used:
                bodies[self.names[body]] = self._graph(body)
        self.body_counts[index] = 1 + sum(
            self.body_counts[self.names.index(body)] for body in bodies
        )
        if self.body_counts[index] > _MAX_BODIES:
            self.file.fail("the graphs of the file run each other in too many ways")
        inputs = self._tensor_names(table.integers(1), tensors, f"inputs of {name!r}")
        outputs = self._tensor_names(table.integers(2), tensors, f"outputs of {name!r}")
        if unknown:
            shown = [unknown[tensor] for tensor in inputs if tensor in unknown]
            shown = shown or list(unknown.values())[:3]
            self.notes.append(f"unknown dimensions are taken as 1: {', '.join(shown)}")
        if len(set(inputs)) != len(inputs):
            self.file.fail(f"graph {name!r} names an input twice")
        tensors = self._settled(tensors, nodes, inputs, outputs)
        graph = Graph(
            name,
            "tfl",
            {tensor.name: tensor for tensor in tensors},
            tuple(nodes),
            inputs,
            outputs,
            bodies,
        )
        self._check_order(graph)
        self.open.discard(index)
        self.graphs[index] = graph
        return graph

    def _tensor_names(
        self, indices: Iterable[int], tensors: list[Tensor], what: str, *, optional: bool = False
    ) -> tuple[str, ...]:
        names = []
        for index in indices:
            if index == -1 and optional:
                names.append(ABSENT)
            elif 0 <= index < len(tensors):
                names.append(tensors[index].name)
            else:
                self.file.fail(f"{what} refer to tensor {index} of {len(tensors)}")
        return tuple(names)

    def _node(
        self, table: Table, number: int, graph: str, tensors: list[Tensor], taken: set[str]
    ) -> tuple[Node, list[int]]:
        """A node and the numbers of the subgraphs it runs."""
        where = f"node {number} of {graph!r}"
        code = table.scalar(0, "I")
        if code >= len(self.codes):
            self.file.fail(f"{where} has operator code {code} of {len(self.codes)}")
        builtin, custom_code, version = self.codes[code]
        op = f"tfl.{OPERATORS[builtin] if builtin < len(OPERATORS) else f'OPERATOR_{builtin}'}"
        inputs = self._tensor_names(table.integers(1), tensors, f"inputs of {where}", optional=True)
        outputs = self._tensor_names(table.integers(2), tensors, f"outputs of {where}")
        name = outputs[0] if outputs else f"{op}_{number}"
        while not outputs and name in taken:
            name += "_"
        attributes, options_table = self._options(table)
        custom = table.bytes(5)
        if op == "tfl.CUSTOM":
            attributes = {"custom_code": custom_code, "custom_options": custom, **attributes}
        intermediates = table.integers(8)
        if len(intermediates):
            what = f"intermediates of {where}"
            names = self._tensor_names(intermediates, tensors, what, optional=True)
            attributes["intermediates"] = names
        record = OperatorRecord(
            number=number,
            builtin=builtin,
            custom_code=custom_code,
            version=version,
            options_table=options_table,
            custom_options=custom,
        )
        used = self._bodies(attributes, where)
        bodies = tuple(self.names[index] for index in used)
        node = Node(
            name, op, inputs, outputs, MappingProxyType(attributes), (), bodies, record, (name,)
        )
        return node, used

    def _options(self, table: Table) -> tuple[dict[str, Any], str]:
        """Every field of the options, defaults filled in, and the table's name."""
        attributes: dict[str, Any] = {}
        name = ""
        for slot, union in ((3, "builtin_options"), (11, "builtin_options_2")):
            number = table.scalar(slot, "B")
            options = table.table(slot + 1)
            if number == 0:
                continue
            name = union_member(union, number) or f"{union}_{number}"
            if options is None:
                continue
            known = name in OPTIONS or name in OPTIONS_2
            fields = fields_of(name)
            attributes.update(decode(options, name))
            if not known or options.has_fields_after(fields[-1].slot if fields else -1):
                attributes["unknown_fields"] = True
        return attributes, name

    def _bodies(self, attributes: Mapping[str, Any], where: str) -> list[int]:
        used = [attributes[key] for key in _BODY_OPTIONS if key in attributes]
        used += attributes.get("branch_subgraph_indices", ())
        for index in used:
            if not 0 <= index < len(self.subgraphs):
                self.file.fail(f"{where} runs graph {index} of {len(self.subgraphs)}")
        return list(dict.fromkeys(used))

    def _settled(
        self,
        tensors: list[Tensor],
        nodes: list[Node],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
    ) -> list[Tensor]:
        """Tensors as they are used: an empty one that nobody computes is a constant."""
        computed = {out for node in nodes for out in node.outputs} | set(inputs)
        settled = []
        for tensor in tensors:
            if (
                tensor.data is None
                and not tensor.is_variable
                and tensor.type.element_count == 0
                and tensor.name not in computed
            ):
                tensor = replace(tensor, data=self.buffers.empty(tensor.type))
            settled.append(tensor)
        return settled

    def _check_order(self, graph: Graph) -> None:
        known = {t.name for t in graph.tensors.values() if t.is_constant or t.is_variable}
        known.update(graph.inputs)
        produced: set[str] = set()
        for number, node in enumerate(graph.nodes):
            for name in node.inputs:
                if name != ABSENT and name not in known:
                    self.file.fail(
                        f"node {number} ({node.op[4:]}) reads {name!r} before anything computes it"
                    )
            for name in node.outputs:
                tensor = graph.tensors[name]
                if name in produced or (name in known and not tensor.is_variable):
                    self.file.fail(f"node {number} ({node.op[4:]}) computes {name!r} once more")
                produced.add(name)
                known.add(name)
        for name in graph.outputs:
            if name not in known:
                self.file.fail(f"the output {name!r} of {graph.name!r} is never computed")

    def _metadata(self) -> dict[str, bytes]:
        found = {}
        for table in self.model.tables(6):
            contents = self.buffers.contents(table.scalar(1, "I"), "metadata")
            self.file.charge(len(contents))
            found[table.text(0)] = bytes(contents)
        return found

    def _signatures(self) -> dict[str, dict[str, Any]]:
        """By key: the graph's name, and the tensor behind each name of an input or output."""
        found: dict[str, dict[str, Any]] = {}
        for number, table in enumerate(self.model.tables(7)):
            index = table.scalar(4, "I")
            key = table.text(2) or f"signature_{number}"
            if index >= len(self.subgraphs):
                self.file.fail(f"signature {key!r} is of graph {index} of {len(self.subgraphs)}")
            tensors = list(self._graph(index).tensors)
            maps = {}
            for side, slot in (("inputs", 0), ("outputs", 1)):
                pairs = {t.text(0): t.scalar(1, "I") for t in table.tables(slot)}
                for tensor in pairs.values():
                    if tensor >= len(tensors):
                        self.file.fail(f"{side} of signature {key!r} refer to tensor {tensor}")
                maps[side] = {text: tensors[tensor] for text, tensor in pairs.items()}
            found[key] = {"graph": self.names[index], **maps}
        return found
