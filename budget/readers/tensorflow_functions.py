"""Calls of TensorFlow functions, replaced by the bodies of what they call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from budget.errors import CorruptModelError, UnsupportedModelError
from budget.formats.protobuf import Message, fields
from budget.formats.tensorflow_schema import FUNCTION_DEF, SCHEMAS, DataType
from budget.formats.tensorflow_values import FunctionName, PlaceholderName
from budget.readers.graphdef import FlatNode, decode_node, node_of

MAX_CALL_DEPTH = 64
MAX_NODES = 2_000
MAX_NODES_EACH = 32
"""Functions may become so many nodes, and so many more for each node that the file holds: those
that call another twice, down to some depth, would soon outgrow any memory."""

_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "TPUPartitionedCall")
_WRAPPER = re.compile(r"^((Stateful)?PartitionedCall(_\d+)?/)+")
_OUTPUT_NAMES = {
    # outputs of operators that have several named ones; elsewhere an index is enough
    "FusedBatchNorm": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    "FusedBatchNormV2": ("y", "batch_mean", "batch_variance", "reserve_space_1",
                         "reserve_space_2"),
    "FusedBatchNormV3": ("y", "batch_mean", "batch_variance", "reserve_space_1",
                         "reserve_space_2", "reserve_space_3"),
    "TopKV2": ("values", "indices"), "TopK": ("values", "indices"),
    "Unique": ("y", "idx"), "UniqueV2": ("y", "idx"),
    "Switch": ("output_false", "output_true"), "Merge": ("output", "value_index"),
    "MaxPoolWithArgmax": ("output", "argmax"),
    "SoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
    "SparseSoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
    "QuantizeV2": ("output", "output_min", "output_max"),
    "LSTMBlockCell": ("i", "cs", "f", "o", "ci", "co", "h"),
    "BlockLSTM": ("i", "cs", "f", "o", "ci", "co", "h"),
    "BlockLSTMV2": ("i", "cs", "f", "o", "ci", "co", "h"),
    "GRUBlockCell": ("r", "u", "c", "h"),
    "CudnnRNNV3": ("output", "output_h", "output_c", "reserve_space", "host_reserved"),
}  # fmt: skip


class FunctionLibrary:
    """The functions of a model, decoded when first called."""

    def __init__(self, library: Message, where: str) -> None:
        self.where = where
        self._raw: dict[str, bytes] = {}
        self._decoded: dict[str, Message] = {}
        self.decoded_nodes = 0
        for raw in library.function:
            self._raw[_name_of(raw, where)] = raw

    def __contains__(self, name: str) -> bool:
        return name in self._raw

    def get(self, name: str, where: str) -> Message:
        """The function of that name.

        Raises:
            CorruptModelError: there is none, or it is not sound.
        """
        if name not in self._raw:
            raise CorruptModelError(f"function {name!r} is not in the library", where=where)
        if name not in self._decoded:
            self._decoded[name] = FUNCTION_DEF.decode(self._raw[name], f"{self.where}: {name}")
            self.decoded_nodes += len(self._decoded[name].node_def)
        return self._decoded[name]

    def called_by(self, node: FlatNode) -> FunctionName | None:
        """The function that a node calls; None if it does something else."""
        if node.op in _CALLS:
            function = node.attributes.get("f")
            return function if isinstance(function, FunctionName) else None
        return FunctionName(node.op, node.attributes) if node.op in self else None


def _name_of(raw: bytes, where: str) -> str:
    for number, _, value, _, _ in fields(memoryview(raw), where):
        if number == 1 and isinstance(value, memoryview):
            for inner, _, name, _, _ in fields(value, where):
                if inner == 1 and isinstance(name, memoryview):
                    return str(bytes(name), "utf-8", "replace")
    return ""


def inline_calls(
    nodes: Iterable[FlatNode],
    library: FunctionLibrary,
    outputs: Sequence[str],
    *,
    shorten: bool = True,
) -> list[FlatNode]:
    """Replaces every call that the outputs need by the nodes of the function.

    A call ``N`` becomes ``IdentityN`` with the same name, behind nodes called ``N/…``.

    Args:
        nodes: in any order.
        library: where functions are found.
        outputs: tensors that are wanted; nodes they do not need are left out.
        shorten: drops the names of calls in front of inlined names, where they stay unique.

    Raises:
        CorruptModelError: a function is missing or calls itself, or arguments do not match.
        UnsupportedModelError: an operator's output cannot be told.
    """
    by_name = {node.name: node for node in nodes}
    given = len(by_name)
    done: dict[str, FlatNode] = {}
    depth: dict[str, int] = {}
    stack = [node_of(item) for item in outputs]
    while stack:
        name = stack.pop()
        if name in done or name not in by_name:
            continue
        node = by_name[name]
        called = library.called_by(node)
        if called is not None:
            level = depth.get(name, 0) + 1
            where = f"{library.where}: node {name!r} ({node.op})"
            most = MAX_NODES + (given + library.decoded_nodes) * MAX_NODES_EACH
            if level > MAX_CALL_DEPTH or len(by_name) > most:
                raise CorruptModelError("functions call each other without end", where=where)
            body, node = _body(node, called, library, where)
            for part in body:
                depth[part.name] = level
                by_name[part.name] = part
        done[name] = node
        stack += [node_of(item) for item in node.inputs] + node.control_inputs
    found = list(done.values())
    return _shorten(found, set(depth)) if shorten else found


def _shorten(nodes: list[FlatNode], inlined: set[str]) -> list[FlatNode]:
    """Drops ``StatefulPartitionedCall/`` in front of inlined names, where they stay unique."""
    taken = {node.name for node in nodes}
    new: dict[str, str] = {}
    for node in nodes:
        short = _WRAPPER.sub("", node.name)
        if node.name in inlined and short != node.name and short not in taken:
            taken.add(short)
            new[node.name] = short
    for node in nodes:
        node.name = new.get(node.name, node.name)
        node.control_inputs = [new.get(item, item) for item in node.control_inputs]
        for index, item in enumerate(node.inputs):
            name, _, port = item.partition(":")
            if name in new:
                node.inputs[index] = f"{new[name]}:{port}" if port else new[name]
    return nodes


def _body(
    call: FlatNode, called: FunctionName, library: FunctionLibrary, where: str
) -> tuple[list[FlatNode], FlatNode]:
    function = library.get(called.name, where)
    arguments = [item.name for item in function.signature.input_arg]
    if len(arguments) != len(call.inputs):
        raise CorruptModelError(
            f"{called.name!r} takes {len(arguments)} arguments, not {len(call.inputs)}",
            where=where,
        )
    given = dict(zip(arguments, call.inputs))
    body = [decode_node(raw, f"{library.where}: {called.name}") for raw in function.node_def]
    prefix = call.name + "/"
    names = _Names(prefix, given, {node.name: node for node in body}, library, where)
    parts = [
        FlatNode(
            prefix + node.name,
            node.op,
            [names.resolve(item) for item in node.inputs],
            [prefix + item for item in node.control_inputs if item in names.nodes],
            _with_values(node.attributes, called.attributes),
        )
        for node in body
    ]
    returned = _entries(function.ret, where)
    results = [names.resolve(returned.get(item.name, "")) for item in function.signature.output_arg]
    effects = [prefix + item for item in _entries(function.control_ret, where).values()
               if item in names.nodes]  # fmt: skip
    controls = [*call.control_inputs, *effects]
    kinds = call.attributes.get("Tout") or tuple(
        DataType(item.type) for item in function.signature.output_arg if item.type
    )
    # without its types no other program would take the node
    typed = {"T": tuple(kinds)} if len(kinds) == len(results) else {}
    return parts, FlatNode(call.name, "IdentityN", results, controls, typed)


class _Names:
    """References inside a function body (``argument``, ``node:output:0``) made absolute."""

    def __init__(
        self,
        prefix: str,
        arguments: Mapping[str, str],
        nodes: Mapping[str, FlatNode],
        library: FunctionLibrary,
        where: str,
    ) -> None:
        self.prefix = prefix
        self.arguments = arguments
        self.nodes = nodes
        self.library = library
        self.where = where

    def resolve(self, reference: str) -> str:
        name, _, rest = tensor_name_parts(reference)
        if not rest and name in self.arguments:
            return self.arguments[name]
        node = self.nodes.get(name)
        if node is None:
            if name in self.arguments:
                return self.arguments[name]
            raise CorruptModelError(f"input {reference!r} does not exist", where=self.where)
        output, _, index = rest.rpartition(":")
        port = self._first_port(node, output or rest) + (int(index) if index.isdecimal() else 0)
        return f"{self.prefix}{name}:{port}" if port else self.prefix + name

    def _first_port(self, node: FlatNode, output: str) -> int:
        names: tuple[str, ...] = _OUTPUT_NAMES.get(node.op, ())
        if not names and node.op in self.library:
            function = self.library.get(node.op, self.where)
            names = tuple(item.name for item in function.signature.output_arg)
        if not names or output.isdecimal() or not output:
            return 0
        if output not in names:
            raise UnsupportedModelError(
                f"output {output!r} of {node.op} is not known here", where=self.where
            )
        return names.index(output)


class ArgumentNames(_Names):
    """References inside a function that is read on its own: nothing is put before them."""

    def results(self, function: Message) -> list[str]:
        """What the function returns, in order."""
        returned = _entries(function.ret, self.where)
        return [self.resolve(returned.get(item.name, "")) for item in function.signature.output_arg]


def argument_names(
    arguments: Sequence[str], nodes: Iterable[FlatNode], library: FunctionLibrary, where: str
) -> ArgumentNames:
    """Names in a function whose arguments keep their own."""
    given = {item: item for item in arguments}
    return ArgumentNames("", given, {node.name: node for node in nodes}, library, where)


def tensor_name_parts(reference: str) -> tuple[str, str, str]:
    """``node:output:0`` as node, separator and the rest."""
    return reference.partition(":")


def _entries(items: Iterable[bytes], where: str) -> dict[str, str]:
    entries = [SCHEMAS["StringEntry"].decode(item, where) for item in items]
    return {entry.key: entry.value for entry in entries}


def _with_values(attributes: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: given.get(value.name, value) if isinstance(value, PlaceholderName) else value
        for name, value in attributes.items()
    }
