"""Which tensors share bytes, and which step needs which bytes, whatever the order of the steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from budget.graph import Graph, Node, TensorType
from budget.ops import registry
from budget.plan.overlays import overlay_distance_bytes, runs_in_place
from budget.plan.parts import Joins, find_joins, part_offsets_bytes
from budget.plan.program import Role
from budget.plan.spans import align, overlay_saving_bytes


@dataclass(slots=True)
class Item:
    """Bytes that one or several tensors occupy (a tensor and its views).

    Attributes:
        name: of the tensor that is written first.
        size_bytes: rounded up to the alignment.
        role: why the bytes exist.
        from_start: alive before the first step.
        to_end: alive after the last step.
        touching: indices of the nodes that read or write it.
    """

    name: str
    size_bytes: int
    role: Role
    from_start: bool = False
    to_end: bool = False
    touching: list[int] = field(default_factory=list)


@dataclass(slots=True)
class MemoryModel:
    """A graph as the planner sees it: nodes and items by index.

    Attributes:
        nodes: in the graph's order.
        items: runs of bytes.
        item_of: tensor name → index of its item; constants have none.
        offset_of: tensor name → bytes from the start of its item, where that is not 0.
        touched: per node, items it reads or writes, each once.
        overwritable: per node, (input item, output item) pairs: the output may take the input's
            bytes if those die with this node.
        overlays: per node, (input item, output item, distance): the output may start that many
            bytes below the input, or more, and reach into it, if the input dies with this node.
        savings: per node, (input item, output item, bytes) that either of these saves.
        scratch_bytes: per node, RAM needed only while it runs.
        successors: per node, nodes that must run later, each once.
        predecessor_counts: per node, how many nodes must run before it.
        views: per node, whether nothing runs because its output is its input's bytes.
        has_parts: whether slices, splits or joins are among the views.
    """

    nodes: Sequence[Node]
    items: list[Item]
    item_of: dict[str, int]
    offset_of: dict[str, int]
    touched: list[list[int]]
    overwritable: list[list[tuple[int, int]]]
    overlays: list[list[tuple[int, int, int]]]
    savings: list[list[tuple[int, int, int]]]
    scratch_bytes: list[int]
    successors: list[list[int]]
    predecessor_counts: list[int]
    views: list[bool]
    has_parts: bool


def build_memory_model(
    graph: Graph,
    types: Mapping[str, TensorType],
    scratch_bytes: Sequence[int],
    alignment_bytes: int = 1,
    *,
    share_views: bool = True,
    overwrite: bool = True,
    overlay: bool = False,
    variants: Sequence[str] = (),
    share_parts: bool = False,
) -> MemoryModel:
    """The memory model of a canonical graph.

    Args:
        graph: canonical.
        types: deployed types of all tensors.
        scratch_bytes: per node, RAM needed only while it runs.
        alignment_bytes: of every offset, and so of every size.
        share_views: reshapes and the like cost neither bytes nor time.
        overwrite: element-wise outputs may lie on inputs that die.
        overlay: outputs of kernels that keep to an order may reach into inputs that die.
        variants: per node, of its kernel; none given: the one that every core has.
        share_parts: slices, splits and joins are not copied where layout allows it.
    """
    items: list[Item] = []
    item_of: dict[str, int] = {}
    offset_of: dict[str, int] = {}
    joins = find_joins(graph, types, alignment_bytes) if share_parts else Joins()

    def add_item(name: str, role: Role, from_start: bool) -> None:
        item_of[name] = len(items)
        is_state = role is Role.STATE
        size = align(types[name].size_bytes, alignment_bytes)
        items.append(Item(name, size, role, from_start, is_state))

    for name, tensor in graph.tensors.items():
        if tensor.is_variable:
            add_item(name, Role.STATE, from_start=True)
    for name in graph.inputs:
        if name not in item_of:
            add_item(name, Role.INPUT, from_start=True)
    views = []
    has_parts = False
    for node in graph.nodes:
        is_view = share_views and _is_view(node, graph, item_of, items)
        if is_view:
            source = node.inputs[0]
            if source in item_of:  # a view of a constant stays a constant
                item_of[node.outputs[0]] = item_of[source]
                offset_of[node.outputs[0]] = offset_of.get(source, 0)
        elif share_parts and _are_parts(node, graph, types, item_of, items, alignment_bytes):
            is_view = has_parts = True
            offsets = part_offsets_bytes(node, types, alignment_bytes) or ()
            for name, offset in zip(node.outputs, offsets, strict=True):
                item_of[name] = item_of[node.inputs[0]]
                offset_of[name] = offset_of.get(node.inputs[0], 0) + offset
        elif node.name in joins.nodes:
            is_view = has_parts = True
        for name in node.outputs:
            if name in item_of:
                continue
            root, offset = joins.places.get(name, (name, 0))
            if root not in item_of:
                add_item(root, Role.ACTIVATION, from_start=False)
            item_of[name], offset_of[name] = item_of[root], offset
        views.append(is_view)
    for name in graph.outputs:
        if name in item_of:
            item = items[item_of[name]]
            item.to_end = True
            if item.role is Role.ACTIVATION:
                item.role = Role.OUTPUT
    touched = _touched(graph.nodes, item_of, items)

    def fills(name: str) -> bool:
        """Whether a tensor is all that lies in its item."""
        size = align(types[name].size_bytes, alignment_bytes) if name in item_of else 0
        return not offset_of.get(name) and bool(size) and size == items[item_of[name]].size_bytes

    kernels = variants or [""] * len(graph.nodes)
    overwritable = [
        _overwritable(node, types, item_of, items, fills, variant if overlay else "")
        if overwrite and not is_view
        else []
        for node, is_view, variant in zip(graph.nodes, views, kernels)
    ]
    overlays = [
        _overlays(node, graph, types, item_of, items, alignment_bytes, variant)
        if overlay
        and not is_view
        and not pairs
        and fills(node.inputs[0])
        and fills(node.outputs[0])
        else []
        for node, is_view, pairs, variant in zip(graph.nodes, views, overwritable, kernels)
    ]
    successors, counts = _edges(graph)
    return MemoryModel(
        graph.nodes, items, item_of, offset_of, touched, overwritable, overlays,
        [_savings(items, *pairs) for pairs in zip(overwritable, overlays)],
        [align(size, alignment_bytes) for size in scratch_bytes],
        successors, counts, views,
        has_parts,
    )  # fmt: skip


def _is_view(node: Node, graph: Graph, item_of: Mapping[str, int], items: Sequence[Item]) -> bool:
    if not registry.get(node.op).is_view or len(node.outputs) != 1:
        return False
    source, out = node.inputs[0], node.outputs[0]
    if graph.tensors[out].is_variable:
        return False
    if source not in item_of:
        # the bytes lie in flash; a caller's output must lie in RAM
        return out not in graph.outputs
    # state may be written while the view is still in use: that needs a copy
    return items[item_of[source]].role is not Role.STATE


def _are_parts(
    node: Node,
    graph: Graph,
    types: Mapping[str, TensorType],
    item_of: Mapping[str, int],
    items: Sequence[Item],
    alignment_bytes: int,
) -> bool:
    """Whether all outputs of a node can stay where they lie in its input."""
    if not node.inputs or node.inputs[0] not in item_of:
        return False
    if items[item_of[node.inputs[0]]].role is Role.STATE:
        return False
    if any(graph.tensors[name].is_variable for name in node.outputs):
        return False
    return part_offsets_bytes(node, types, alignment_bytes) is not None


def _touched(
    nodes: Sequence[Node], item_of: Mapping[str, int], items: Sequence[Item]
) -> list[list[int]]:
    touched = []
    for index, node in enumerate(nodes):
        names = (*node.present_inputs, *node.outputs)
        here = list(dict.fromkeys(item_of[name] for name in names if name in item_of))
        for item in here:
            items[item].touching.append(index)
        touched.append(here)
    return touched


def _overwritable(
    node: Node,
    types: Mapping[str, TensorType],
    item_of: Mapping[str, int],
    items: Sequence[Item],
    fills: Callable[[str], bool],
    variant: str,
) -> list[tuple[int, int]]:
    allowed = registry.get(node.op).overwrites
    if not allowed and variant and runs_in_place(node, types, variant):
        allowed = (0,)
    if not allowed or not node.outputs:
        return []
    out = node.outputs[0]
    out_item = item_of[out]
    if items[out_item].from_start:
        return []
    fitting = {
        node.inputs[index]
        for index in allowed
        if index < len(node.inputs) and _same_layout(types, node.inputs[index], out)
    }
    pairs = []
    for name in dict.fromkeys(node.inputs):
        if name not in fitting or name not in item_of:
            continue
        item = item_of[name]
        aliases = [other for other in node.present_inputs if item_of.get(other) == item]
        whole = items[item].size_bytes == items[out_item].size_bytes and fills(name) and fills(out)
        if whole and item != out_item and fitting.issuperset(aliases):
            pairs.append((item, out_item))
    return pairs


def _overlays(
    node: Node,
    graph: Graph,
    types: Mapping[str, TensorType],
    item_of: Mapping[str, int],
    items: Sequence[Item],
    alignment_bytes: int,
    variant: str,
) -> list[tuple[int, int, int]]:
    """The pair of input 0 and output 0, if laying one over the other saves anything."""
    if not node.inputs or not node.outputs:
        return []
    source, out = item_of.get(node.inputs[0]), item_of.get(node.outputs[0])
    if source is None or out is None or source == out or items[out].from_start:
        return []
    distance = overlay_distance_bytes(node, graph, types, alignment_bytes, variant)
    if distance is None or distance >= items[out].size_bytes:
        return []
    return [(source, out, distance)]


def _savings(
    items: Sequence[Item],
    overwritable: Sequence[tuple[int, int]],
    overlays: Sequence[tuple[int, int, int]],
) -> list[tuple[int, int, int]]:
    whole = [(source, out, items[out].size_bytes) for source, out in overwritable]
    return whole + [
        (source, out, overlay_saving_bytes(items[source].size_bytes, items[out].size_bytes, far))
        for source, out, far in overlays
    ]


def _same_layout(types: Mapping[str, TensorType], name: str, out: str) -> bool:
    if name not in types:
        return False
    type, out_type = types[name], types[out]
    return type.shape == out_type.shape and type.dtype.bits == out_type.dtype.bits


def _edges(graph: Graph) -> tuple[list[list[int]], list[int]]:
    """Data and control edges, and the order that reads and writes of one variable must keep."""
    index_of = {node.name: index for index, node in enumerate(graph.nodes)}
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    successors: list[list[int]] = [[] for _ in graph.nodes]
    counts = [0] * len(graph.nodes)
    for index, node in enumerate(graph.nodes):
        before = {index_of[name] for name in node.control_inputs}
        for name in node.present_inputs:
            if name in writer:
                before.add(writer[name])
            if graph.tensors[name].is_variable:
                readers.setdefault(name, []).append(index)
        for name in node.outputs:
            if graph.tensors[name].is_variable:
                before.update(readers.pop(name, ()))
                if name in writer:
                    before.add(writer[name])
            writer[name] = index
        before.discard(index)
        counts[index] = len(before)
        for other in sorted(before):
            successors[other].append(index)
    return successors, counts
