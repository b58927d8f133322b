"""TensorFlow SavedModels, parsed and frozen; nothing in them is run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from budget.errors import CorruptModelError, ModelError, UnsupportedModelError, UsageError
from budget.formats.protobuf import Message
from budget.formats.tensorflow_bundle import Bundle, Extent, slice_index
from budget.formats.tensorflow_schema import SAVED_MODEL, DataType
from budget.formats.tensorflow_values import Shape, TensorValue, decode_dtype, decode_shape
from budget.graph.graph import Graph, ModelSource
from budget.graph.types import Array
from budget.readers.graphdef import (
    FlatNode,
    build_graph,
    decode_node,
    node_of,
    tensor_name,
)
from budget.readers.tensorflow_functions import FunctionLibrary, inline_calls
from budget.readers.tensorflow_loops import LOOPS, attach_loops

_PASS_THROUGH = ("Identity", "IdentityN", "Enter", "Snapshot")
_ASSIGNMENTS = ("AssignVariableOp", "Assign")
_REF_VARIABLES = ("VariableV2", "Variable")


def read_saved_model(
    folder: Path,
    inputs: Iterable[str] = (),
    outputs: Iterable[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    signature: str | None = None,
) -> Graph:
    """Reads one signature of a SavedModel into the dialect ``tf``, variables as constants.

    Args:
        folder: holds ``saved_model.pb`` and ``variables/``.
        inputs: names in the signature, or of nodes; all of the signature's unless given.
        outputs: likewise.
        input_shapes: shapes of inputs, by either name.
        signature: which; ``serving_default``, or the only one, unless given.

    Returns:
        A graph without calls and variables; see `read_graphdef`.

    Raises:
        ModelError: a file is missing.
        CorruptModelError: a file is damaged.
        UnsupportedModelError: the model has no signature, or its shapes are open.
        UsageError: the signature, an input or an output does not exist.
    """
    where = folder.name
    path = folder / "saved_model.pb"
    if not path.is_file():
        raise ModelError("there is no saved_model.pb", where=str(folder))
    saved = SAVED_MODEL.decode(path.read_bytes(), where)
    meta = _serving(saved, where)
    name, chosen = _signature(meta, signature, where)
    fed = {key: tensor_name(info.name) for key, info in sorted(chosen.inputs.items())}
    wanted = {key: tensor_name(info.name) for key, info in sorted(chosen.outputs.items())}
    main = [decode_node(raw, where) for raw in meta.graph_def.node]
    _declare_inputs(main, chosen, where)
    library = FunctionLibrary(meta.graph_def.library, where)
    given_inputs = [fed.get(item, item) for item in inputs] or list(fed.values())
    given_outputs = [wanted.get(item, item) for item in outputs] or list(wanted.values())
    flat = inline_calls(main, library, [*given_outputs, *given_inputs])
    _freeze(flat, main, library, meta, folder)
    source = ModelSource(where, "saved-model", _digest(folder), _notes(meta, name, where))
    shapes = {fed.get(key, key): shape for key, shape in (input_shapes or {}).items()}
    extras = {
        "signature": name,
        "signature_inputs": {value: key for key, value in fed.items()},
        "signature_outputs": {value: key for key, value in wanted.items()},
    }
    graph = build_graph(flat, source, given_inputs, given_outputs, shapes, extras)
    return attach_loops(graph, meta.graph_def.library, where)


def _serving(saved: Message, where: str) -> Message:
    if not saved.meta_graphs:
        raise CorruptModelError("the file holds no graph", where=where,
                                hint="is it a saved_model.pb?")  # fmt: skip
    graphs: list[Message] = saved.meta_graphs
    return next((meta for meta in graphs if "serve" in meta.meta_info_def.tags), graphs[0])


def _signature(meta: Message, wanted: str | None, where: str) -> tuple[str, Message]:
    signatures = {
        key: value
        for key, value in meta.signature_def.items()
        if not key.startswith("__saved_model") and value.outputs
    }
    if not signatures:
        raise UnsupportedModelError(
            "the model has no signature",
            where=where,
            hint="save it with signatures=…, or with Keras's model.export",
        )
    name = wanted or ("serving_default" if "serving_default" in signatures else "")
    if not name and len(signatures) == 1:
        name = next(iter(signatures))
    if name not in signatures:
        raise UsageError(
            f"there is no signature {name!r}" if name else "no signature is the default",
            where=where,
            hint=f"choose one of {', '.join(sorted(signatures))}",
        )
    return name, signatures[name]


def _notes(meta: Message, name: str, where: str) -> tuple[str, ...]:
    others = sorted(
        key
        for key, value in meta.signature_def.items()
        if key != name and not key.startswith("__saved_model") and value.outputs
    )
    if not others:
        return ()
    return (f"signature {name!r} is read; {where}#NAME reads another: {', '.join(others)}",)


def _declare_inputs(main: list[FlatNode], signature: Message, where: str) -> None:
    """Shapes that only the signature knows become the placeholders'."""
    nodes = {node.name: node for node in main}
    for info in signature.inputs.values():
        node = nodes.get(node_of(tensor_name(info.name)))
        if node is None:
            raise CorruptModelError(f"input {info.name!r} does not exist", where=where)
        if info.has("tensor_shape"):
            node.attributes["_output_shapes"] = (decode_shape(info.tensor_shape, where),)
        node.attributes.setdefault("dtype", decode_dtype(info.dtype, where))


def _freeze(
    flat: list[FlatNode],
    main: list[FlatNode],
    library: FunctionLibrary,
    meta: Message,
    folder: Path,
) -> None:
    """Replaces every read of a variable by the constant that the checkpoint has for it."""
    nodes = {node.name: node for node in flat}
    readers = [node for node in flat if node.op in ("ReadVariableOp", "ResourceGather")]
    readers += [node for node in flat if node.op in _REF_VARIABLES]
    loops = [node for node in flat if node.op in LOOPS]
    if not readers and not loops:
        return
    variables = _Variables(main, library, meta, folder)
    for node in loops:
        _freeze_captured(node, flat, nodes, variables)
    for node in readers:
        is_ref = node.op in _REF_VARIABLES
        handle = node.name if is_ref else _origin(node.inputs[0] if node.inputs else "", nodes)
        variable = nodes.get(handle)
        if variable is None or variable.op not in ("VarHandleOp", *_REF_VARIABLES):
            continue  # state that is made during inference: the lowering reports it
        value = variables.value(variable)
        if node.op == "ResourceGather":
            constant = FlatNode(f"{node.name}/variable", "Const", [], [], _constant(value))
            flat.append(constant)
            node.inputs = [constant.name, *node.inputs[1:]]
            node.op = "Gather"
            continue
        node.op, node.inputs, node.raw = "Const", [], b""
        node.attributes = _constant(value)


def _freeze_captured(
    loop: FlatNode, flat: list[FlatNode], nodes: dict[str, FlatNode], variables: _Variables
) -> None:
    """Gives a loop the values of the variables whose handles its body reads."""
    for index, item in enumerate(loop.inputs):
        variable = nodes.get(_origin(item, nodes))
        if variable is None or variable.op != "VarHandleOp":
            continue
        name = f"{variable.name}/value"
        if name not in nodes:
            nodes[name] = FlatNode(name, "Const", [], [], _constant(variables.value(variable)))
            flat.append(nodes[name])
        loop.inputs[index] = name


def _constant(value: TensorValue) -> dict[str, Any]:
    return {"dtype": value.dtype, "value": value}


def _origin(tensor: str, nodes: Mapping[str, FlatNode]) -> str:
    """The node a value comes from, past nodes that hand it on."""
    for _ in range(len(nodes)):
        node = nodes.get(node_of(tensor))
        if node is None or node.op not in _PASS_THROUGH or not node.inputs:
            break
        port = tensor.rpartition(":")[2] if ":" in tensor else "0"
        index = int(port) if port.isdecimal() else 0
        if index >= len(node.inputs):
            break
        tensor = node.inputs[index]
    return node_of(tensor)


class _Variables:
    """Values of variables, found through the nodes that restore them."""

    def __init__(
        self, main: list[FlatNode], library: FunctionLibrary, meta: Message, folder: Path
    ) -> None:
        self.where = folder.name
        self.bundle = Bundle(folder / "variables" / "variables", self.where)
        self.keys, self.slices = _restored(main, library, meta.saver_def.restore_op_name)
        self.values: dict[str, TensorValue] = {}

    def value(self, variable: FlatNode) -> TensorValue:
        """The value of one variable.

        Raises:
            ModelError: the checkpoint does not have it.
            CorruptModelError: it has another shape there.
        """
        if variable.name not in self.values:
            shared = variable.attributes.get("shared_name") or b""
            key = self.keys.get(variable.name) or shared.decode("utf-8", "replace")
            if key not in self.bundle.entries:
                key = variable.name
            if key not in self.bundle.entries:
                raise ModelError(
                    f"the checkpoint has no value for variable {variable.name!r}",
                    where=self.where,
                    hint="save the model again after its variables have been made",
                )
            dtype, array = self.bundle.read(key)
            array = self._cut(array, self.slices.get(variable.name, ""), key)
            shape = variable.attributes.get("shape")
            declared = shape.known if isinstance(shape, Shape) else None
            if declared not in (None, (), array.shape):
                raise CorruptModelError(
                    f"variable {variable.name!r} has shape {list(declared or ())}, and "
                    f"{list(array.shape)} in the checkpoint",
                    where=self.where,
                )
            array.setflags(write=False)
            self.values[variable.name] = TensorValue(DataType(dtype), array)
        return self.values[variable.name]

    def _cut(self, array: Array, specification: str, key: str) -> Array:
        """The part of a partitioned variable that a slice such as ``64 10 0,32:-`` names."""
        if not specification:
            return array
        where = f"{self.where}: {key}"
        *_, ends = specification.split()
        try:
            extents = [_extent(item) for item in ends.split(":")]
        except ValueError:
            raise CorruptModelError(f"{specification!r} names no slice", where=where) from None
        return array[slice_index(array.shape, extents, where)]


def _extent(text: str) -> Extent | None:
    if text == "-":
        return None
    start, length = text.split(",")
    return int(start), int(length)


def _restored(
    main: list[FlatNode], library: FunctionLibrary, restore: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The checkpoint's key of each variable, and its slice there, read off what restores it."""
    roots = [tensor_name(restore)] if restore else []
    flat = inline_calls(main, library, roots)
    if not roots:
        flat = main
    nodes = {node.name: node for node in flat}
    keys: dict[str, str] = {}
    slices: dict[str, str] = {}
    for node in flat:
        if node.op not in _ASSIGNMENTS or len(node.inputs) < 2:
            continue
        source, port = _restore_port(node.inputs[1], nodes)
        variable = _origin(node.inputs[0], nodes)
        for found, index in ((keys, 1), (slices, 2)):
            text = _text_at(source, index, port, nodes)
            if text is not None:
                found[variable] = text
    return keys, slices


def _text_at(
    node: FlatNode | None, index: int, port: int, nodes: Mapping[str, FlatNode]
) -> str | None:
    """What the constant at an input of a node says for one of the node's outputs."""
    given = nodes.get(node_of(node.inputs[index])) if node and len(node.inputs) > index else None
    value = given.attributes.get("value") if given is not None else None
    if not isinstance(value, TensorValue) or port >= value.array.size:
        return None
    text = value.array.flat[port]
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else None


def _restore_port(tensor: str, nodes: Mapping[str, FlatNode]) -> tuple[FlatNode | None, int]:
    """The RestoreV2 behind a tensor, and which of its outputs."""
    for _ in range(8):
        node = nodes.get(node_of(tensor))
        port = tensor.rpartition(":")[2] if ":" in tensor else "0"
        if node is None:
            break
        if node.op == "RestoreV2":
            return node, int(port) if port.isdecimal() else 0
        if not node.inputs:
            break
        index = int(port) if node.op == "IdentityN" and port.isdecimal() else 0
        tensor = node.inputs[min(index, len(node.inputs) - 1)]
    return None, 0


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
