"""Frozen TensorFlow graphs: a GraphDef in binary or text form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from budget.errors import CorruptModelError, UnsupportedModelError, UsageError
from budget.formats.tensorflow_schema import GRAPH_DEF, NODE_DEF, DataType
from budget.formats.tensorflow_values import (
    DTYPES,
    Shape,
    TensorValue,
    decode_attributes,
)
from budget.graph.graph import Graph, ModelSource, Node, Tensor
from budget.graph.types import Array, DType, TensorType

INPUT_OPS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
"""Operators through which a caller feeds a graph."""

IGNORED_OUTPUTS = ("Const", "NoOp", "Assert", "SaveV2", "MergeV2Checkpoints", "Assign",
                    "AssignVariableOp", "RestoreV2", "VarHandleOp", "VariableV2",
                    "VarIsInitializedOp", "IsVariableInitialized", *INPUT_OPS)  # fmt: skip
"""Operators that are no output of a graph although nobody reads them."""


@dataclass(frozen=True, slots=True)
class NodeSource:
    """A node as the file had it, so that a writer can tell what has changed since.

    Attributes:
        raw: the NodeDef's bytes; empty for a node that stood inside a function.
        op: operator, without dialect.
        inputs: tensor names.
        control_inputs: names of all nodes it waits for, constants included.
        attributes: the same object as `Node.attributes`.
    """

    raw: bytes
    op: str
    inputs: tuple[str, ...]
    control_inputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class FlatNode:
    """A node on its way from a file into a `Graph`; inputs are named ``node`` or ``node:1``."""

    name: str
    op: str
    inputs: list[str]
    control_inputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""


def read_graphdef(
    data: bytes,
    name: str,
    inputs: Iterable[str] = (),
    outputs: Iterable[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Graph:
    """Reads a GraphDef, binary or text, into the dialect ``tf``.

    Args:
        data: the file's contents.
        name: the file's name, for errors and reports.
        inputs: nodes or tensors that the caller will provide; placeholders unless given. What
            lies before them is left out.
        outputs: nodes or tensors that the caller will receive; nodes nobody reads unless given.
        input_shapes: shapes of inputs, where the file leaves them open or others are wanted.

    Returns:
        A graph in which constants are tensors with data and placeholders are inputs. The type of
        a computed tensor is what the file said; those named in ``extras["unknown_shapes"]`` get
        their shape when the graph is lowered.

    Raises:
        CorruptModelError: the file is not a sound GraphDef.
        UnsupportedModelError: its shapes are open, or it has a loop without functions.
        UsageError: an input or output does not exist.
    """
    if is_text_graphdef(data):
        from budget.formats.protobuf_text import parse_text

        message = parse_text(GRAPH_DEF, data, name)
    else:
        message = GRAPH_DEF.decode(data, name)
    nodes = [decode_node(raw, name) for raw in message.node]
    source = ModelSource(name, "graphdef", hashlib.sha256(data).hexdigest())
    extras = {
        "library": message.library.encode(),
        "versions": message.versions,
        "order": tuple(node.name for node in nodes),
    }
    graph = build_graph(nodes, source, inputs, outputs, input_shapes or {}, extras)
    if not message.library.function:
        return graph
    from budget.readers.tensorflow_loops import attach_loops

    return attach_loops(graph, message.library, name)


def is_text_graphdef(data: bytes) -> bool:
    """Whether a file looks like a GraphDef in text form."""
    head = data[:4096].lstrip()
    while head.startswith(b"#"):
        head = head.partition(b"\n")[2].lstrip()
    word = head[:9].rstrip(b": \t\r\n{")
    return head[:1] != b"\n" and word.startswith((b"node", b"library", b"versions"))


def verify_name(name: str, where: str) -> None:
    """Checks that no name of a node is taken for that of another's output.

    Raises:
        CorruptModelError: it holds a colon.
    """
    if ":" in name:
        raise CorruptModelError(f"a node is called {name!r}; no name holds a colon", where=where)


def decode_node(raw: bytes, where: str) -> FlatNode:
    """One NodeDef.

    Raises:
        CorruptModelError: it is not sound.
    """
    message = NODE_DEF.decode(raw, where)
    if not message.name or not message.op:
        raise CorruptModelError("a node lacks its name or operator", where=where)
    verify_name(message.name, where)
    where = f"{where}: node {message.name!r} ({message.op})"
    return FlatNode(
        message.name,
        message.op,
        [tensor_name(item) for item in message.input if not item.startswith("^")],
        [item[1:] for item in message.input if item.startswith("^")],
        decode_attributes(message.attr, where),
        raw,
    )


def tensor_name(reference: str) -> str:
    """``node:0`` is written ``node``."""
    return reference.removesuffix(":0")


def node_of(tensor: str) -> str:
    """The node that a tensor name refers to."""
    return tensor.rpartition(":")[0] or tensor


def build_graph(
    flat: Sequence[FlatNode],
    source: ModelSource,
    inputs: Iterable[str],
    outputs: Iterable[str],
    input_shapes: Mapping[str, Sequence[int]],
    extras: Mapping[str, Any],
) -> Graph:
    """Makes the graph from nodes in any order; arguments as in `read_graphdef`."""
    nodes = _by_name(flat, source.name)
    inputs = [_existing(item, nodes, source.name) for item in inputs]
    outputs = [_existing(item, nodes, source.name) for item in outputs]
    cut = {node_of(item) for item in inputs}
    if not outputs:
        outputs = _unread(nodes)
    if not outputs:
        raise UnsupportedModelError(
            "nothing in the graph looks like an output",
            where=source.name,
            hint="name the output nodes with --outputs",
        )
    order = _execution_order(nodes, outputs if inputs else list(nodes), cut, source.name)
    reached = _execution_order(nodes, outputs, cut, source.name) if not inputs else order
    if not inputs:
        inputs = [item for item in order if nodes[item].op in INPUT_OPS and item in set(reached)]
    return _assemble(nodes, order, inputs, outputs, source, input_shapes, extras)


def _by_name(flat: Sequence[FlatNode], where: str) -> dict[str, FlatNode]:
    nodes: dict[str, FlatNode] = {}
    for node in flat:
        if node.name in nodes:
            raise CorruptModelError(f"two nodes are called {node.name!r}", where=where)
        nodes[node.name] = node
    for node in flat:
        for reference in (*map(node_of, node.inputs), *node.control_inputs):
            if reference not in nodes:
                raise CorruptModelError(
                    f"input {reference!r} does not exist",
                    where=f"{where}: node {node.name!r} ({node.op})",
                )
    return nodes


def _existing(reference: str, nodes: Mapping[str, FlatNode], where: str) -> str:
    name = tensor_name(reference.strip())
    if node_of(name) not in nodes:
        close = [item for item in nodes if node_of(name).lower() in item.lower()][:5]
        raise UsageError(
            f"there is no node called {node_of(name)!r}",
            where=where,
            hint=f"did you mean {', '.join(close)}?" if close else "",
        )
    return name


def _unread(nodes: Mapping[str, FlatNode]) -> list[str]:
    read = {node_of(item) for node in nodes.values() for item in node.inputs}
    read.update(item for node in nodes.values() for item in node.control_inputs)
    return [
        name for name, node in nodes.items() if name not in read and node.op not in IGNORED_OUTPUTS
    ]


def _execution_order(
    nodes: Mapping[str, FlatNode], wanted: Iterable[str], cut: set[str], where: str
) -> list[str]:
    """Nodes that the wanted tensors need, each behind what it reads; stops at ``cut``."""
    order: list[str] = []
    state: dict[str, bool] = {}  # False while a node's inputs are being visited
    for root in wanted:
        stack = [(node_of(root), False)]
        while stack:
            name, is_left = stack.pop()
            if is_left:
                state[name] = True
                order.append(name)
                continue
            if name in state:
                if not state[name]:
                    raise _loop(nodes, name, where)
                continue
            state[name] = False
            stack.append((name, True))
            if name in cut:
                continue
            node = nodes[name]
            before = [*map(node_of, node.inputs), *node.control_inputs]
            stack.extend((item, False) for item in reversed(before) if not state.get(item, False))
    return order


def _loop(nodes: Mapping[str, FlatNode], name: str, where: str) -> Exception:
    loops = sorted(item.name for item in nodes.values() if item.op in ("NextIteration", "Enter"))
    if not loops:
        return CorruptModelError(f"node {name!r} waits for itself", where=where)
    return UnsupportedModelError(
        f"the graph has a loop made of single nodes: {', '.join(loops[:10])}",
        where=where,
        hint="freeze it with convert_variables_to_constants_v2(…, lower_control_flow=False), give "
        "the SavedModel or .keras file that it was made from, or unroll the loop",
    )


def _assemble(
    nodes: Mapping[str, FlatNode],
    order: Sequence[str],
    inputs: Sequence[str],
    outputs: Sequence[str],
    source: ModelSource,
    input_shapes: Mapping[str, Sequence[int]],
    extras: Mapping[str, Any],
) -> Graph:
    tensors: dict[str, Tensor] = {}
    sources: dict[str, NodeSource] = {}
    unknown: set[str] = set()
    notes = list(source.notes)
    for name, shape in _input_types(nodes, inputs, input_shapes, source.name, notes).items():
        tensors[name] = Tensor(name, shape)
    used: dict[str, set[int]] = {}
    for item in (*outputs, *inputs, *(i for name in order for i in nodes[name].inputs)):
        used.setdefault(node_of(item), set()).add(_port(item, source.name))
    built: list[Node] = []
    computed: set[str] = set()
    fed = set(inputs)
    for name in order:
        flat = nodes[name]
        kept = NodeSource(
            flat.raw, flat.op, tuple(flat.inputs), tuple(flat.control_inputs), flat.attributes
        )
        value = flat.attributes.get("value") if flat.op == "Const" else None
        if name in fed or (flat.op in ("Placeholder", "PlaceholderV2") and name not in used):
            sources[name] = kept
            continue
        if isinstance(value, TensorValue):
            sources[name] = kept
            tensors[name] = constant_tensor(name, value.array, DTYPES[value.dtype])
            continue
        if any(node_of(item) == name for item in fed):
            sources[name] = kept
            continue
        declared = output_types(flat)
        ports = range(max(max(used.get(name, {0})) + 1, len(declared)))
        names = tuple(name if port == 0 else f"{name}:{port}" for port in ports)
        for port, out in enumerate(names):
            dtype, shape_known = declared[port] if port < len(declared) else declared[-1]
            if shape_known is None:
                unknown.add(out)
            tensors[out] = Tensor(out, TensorType(shape_known or (), dtype))
        controls = tuple(item for item in flat.control_inputs if item in computed)
        computed.add(name)
        built.append(
            Node(name, f"tf.{flat.op}", tuple(flat.inputs), names, flat.attributes, controls,
                 (), kept, (name,))
        )  # fmt: skip
    return Graph(
        source.name, "tf", tensors, tuple(built), tuple(inputs), tuple(outputs), {},
        replace(source, notes=tuple(notes)),
        {**extras, "sources": sources, "unknown_shapes": frozenset(unknown)},
    )  # fmt: skip


def _port(tensor: str, where: str) -> int:
    text = tensor.rpartition(":")[2] if ":" in tensor else "0"
    # "norm:00" would be another name for "norm:0"; int() would refuse thousands of digits
    if not text.isdecimal() or len(text) > 5 or str(int(text)) != text or int(text) > 65535:
        raise CorruptModelError(f"{tensor!r} is not the name of a tensor", where=where)
    return int(text)


def constant_tensor(name: str, array: Array, dtype: DType) -> Tensor:
    """A constant as it is, without spreading out a repeated value in memory."""
    return Tensor(name, TensorType(tuple(array.shape), dtype), array)


def _input_types(
    nodes: Mapping[str, FlatNode],
    inputs: Sequence[str],
    given: Mapping[str, Sequence[int]],
    where: str,
    notes: list[str],
) -> dict[str, TensorType]:
    types: dict[str, TensorType] = {}
    open_inputs: list[str] = []
    wanted = {
        # without a name: the only input's
        tensor_name(name) if name or len(inputs) != 1 else inputs[0]: tuple(int(e) for e in shape)
        for name, shape in given.items()
    }
    strange = sorted(set(wanted) - set(inputs))
    if strange:
        raise UsageError(
            f"a shape is given for {', '.join(strange)}, which is not an input",
            where=where,
            hint=f"inputs are {', '.join(inputs)}",
        )
    for name in inputs:
        flat = nodes[node_of(name)]
        dtype = flat.attributes.get("dtype", flat.attributes.get("T", DataType.FLOAT))
        shape = wanted[name] if name in wanted else _declared_shape(flat, _port(name, where))
        if shape is not None and shape[:1] == (-1,) and all(e > 0 for e in shape[1:]):
            notes.append(f"input {name!r} has an open batch dimension; it is taken as 1")
            shape = (1, *shape[1:])
        if shape is None or any(extent < 0 for extent in shape):
            text = "unknown rank" if shape is None else str(list(shape)).replace("-1", "?")
            open_inputs.append(f"{name} ({text})")
            continue
        types[name] = TensorType(shape, DTYPES.get(dtype, DType.FLOAT32))
    if open_inputs:
        raise UnsupportedModelError(
            f"the shape of {', '.join(open_inputs)} is open",
            where=where,
            hint="give it with --input-shape NAME=1,224,224,3",
        )
    return types


def _declared_shape(flat: FlatNode, port: int) -> tuple[int, ...] | None:
    shapes = flat.attributes.get("_output_shapes")
    if isinstance(shapes, tuple) and port < len(shapes) and isinstance(shapes[port], Shape):
        dims: tuple[int, ...] | None = shapes[port].dims
        if dims is not None:
            return dims
    shape = flat.attributes.get("shape") if flat.op in INPUT_OPS else None
    if isinstance(shape, Shape):
        # graphs made before TensorFlow 1.2 wrote an unknown shape as a scalar's
        return (
            None
            if shape.dims == () and flat.op == "Placeholder" and not _is_known(flat)
            else (shape.dims)
        )
    return None


def _is_known(flat: FlatNode) -> bool:
    return "_output_shapes" in flat.attributes or "_user_specified_name" in flat.attributes


_DTYPE_KEYS = ("dtype", "DstT", "out_type", "output_type", "T", "Tparams", "dst_type", "Tdim")


def output_types(flat: FlatNode) -> list[tuple[DType, tuple[int, ...] | None]]:
    """Element types and, where the file has them, definite shapes of a node's outputs."""
    attributes = flat.attributes
    listed = attributes.get("Tout")
    key = next((k for k in _DTYPE_KEYS if isinstance(attributes.get(k), DataType)), None)
    dtype = attributes[key] if key else DataType.FLOAT
    types = (
        [item for item in listed if isinstance(item, DataType)]
        if isinstance(listed, tuple)
        else [dtype]
    )
    shapes = attributes.get("_output_shapes")
    known = (
        [s.known if isinstance(s, Shape) else None for s in shapes]
        if isinstance(shapes, tuple)
        else []
    )
    count = max(len(types), len(known), _listed_outputs(attributes))
    result = []
    for port in range(count):
        item = types[port] if port < len(types) else (types[-1] if types else DataType.FLOAT)
        result.append((DTYPES.get(item, DType.VARIANT), known[port] if port < len(known) else None))
    return result


def _listed_outputs(attributes: Mapping[str, Any]) -> int:
    for key in ("num_split", "num"):
        count = attributes.get(key)
        if isinstance(count, int) and 0 < count <= 65535:
            return count
    return 1


__all__ = ["FlatNode", "NodeSource", "build_graph", "decode_node", "is_text_graphdef",
           "read_graphdef"]  # fmt: skip
