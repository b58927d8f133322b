"""Makes a Program of a canonical graph: order, shared bytes, offsets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from budget.analysis.costs import node_cost, require_supported
from budget.graph import Graph, Node, TensorType
from budget.plan import tflm
from budget.plan.checker import check_plan
from budget.plan.chooser import NO_LIMITS, SHIPPED, Knowledge, Limits, choose_variants
from budget.plan.greedy import place_crowded, place_in_order
from budget.plan.memory import MemoryModel, build_memory_model
from budget.plan.offsets import PAIR_LIMIT, assign_offsets
from budget.plan.order import search_order
from budget.plan.precision import Precision, as_precision, deployed_types, multiplier_bytes
from budget.plan.program import Buffer, Choice, Location, Program, Role, Step
from budget.plan.spans import (
    Overlays,
    Span,
    arena_bytes,
    count_overlaps,
    lower_bound_bytes,
    overlaps,
)
from budget.plan.storage import Storage, assign_storage
from budget.plan.variants import PORTABLE, Variant
from budget.records import record

ALIGNMENT_BYTES = 4
WIDE_ALIGNMENT_BYTES = 8
"""Of programs that hold 64-bit numbers in RAM: C demands it, though few cores do."""
OWN_RUNTIME = "budget-c"


def plan(
    graph: Graph,
    *,
    runtime: str = OWN_RUNTIME,
    precision: Precision | str | None = None,
    remove_constant_channels: bool = False,
    overlay: bool | None = None,
    target: str = "portable",
    optimise: str = "balanced",
    limits: Limits = NO_LIMITS,
    forced: Mapping[str, Variant] | None = None,
    room_bytes: Mapping[str, int] | None = None,
    knowledge: Knowledge = SHIPPED,
) -> Program:
    """Decides what runs when, and where every byte lies.

    Args:
        graph: canonical.
        runtime: id of the runtime that will execute it.
        precision: what the device runs where that is not what the graph holds.
        remove_constant_channels: leave out what is the same for every input; outputs stay equal.
        overlay: lay outputs over inputs that die, as far as the kernels' order allows it;
            default: for the runtime whose kernels we write.
        target: core whose variants of kernels our own runtime may run.
        optimise: ``time``, ``size`` or ``balanced``: which variants.
        limits: of the device, for our own runtime's choice of variants.
        forced: by node, variants that are given.
        room_bytes: by node, most scratch that a chosen variant may take.
        knowledge: what variants are chosen from.

    Raises:
        UnsupportedModelError: an operator is not known; all such are listed.
        UsageError: there is no such precision.
    """
    require_supported(graph)
    if remove_constant_channels:
        from budget.transforms.constant_channels import remove_constant_channels as remove

        graph = remove(graph).graph
    types = deployed_types(graph, as_precision(precision))
    variants = [PORTABLE] * len(graph.nodes)
    choice: Choice | None = None
    inner = [_subgraph_bytes(node, graph, runtime, precision) for node in graph.nodes]
    if tflm.is_tflm(runtime):
        kernels = [tflm.scratch_bytes(node, types, runtime) for node in graph.nodes]
        alignment = tflm.ALIGNMENT_BYTES
        scratch = [max(pair) for pair in zip(inner, kernels)]
        model = build_memory_model(
            graph, types, scratch, alignment, share_views=False, overwrite=False
        )
        layout = _lay_out(model, list(range(len(graph.nodes))), _tflm_offsets)
        persistent, planner = tflm.persistent_bytes(graph, types, runtime), "greedy by size"
    else:
        is_wide = any(types[name].dtype.bits == 64 for name in _in_memory(graph))
        alignment = WIDE_ALIGNMENT_BYTES if is_wide else ALIGNMENT_BYTES
        persistent, planner = 0, "search"
        overlay = runtime == OWN_RUNTIME if overlay is None else overlay
        if runtime == OWN_RUNTIME:
            variants, choice = choose_variants(
                graph, types, target, optimise, limits, room_bytes, forced, knowledge
            )
        scratch = [max(size, variant.scratch_bytes) for size, variant in zip(inner, variants)]
        names = [variant.name for variant in variants]
        model, layout = _smaller_model(
            partial(
                build_memory_model,
                graph, types, scratch, alignment, overlay=overlay, variants=names,
            ),
            partial(assign_offsets, thorough=optimise == "size"),
            share_parts=runtime == OWN_RUNTIME,
        )  # fmt: skip
    return check_plan(
        Program(
            graph,
            _steps(graph, model, layout, types, variants),
            layout.buffers,
            layout.locations,
            layout.arena_bytes + persistent,
            layout.lower_bound_bytes + persistent,
            planner,
            runtime,
            types,
            alignment,
            persistent,
            choice=choice,
        )
    )


def _in_memory(graph: Graph) -> list[str]:
    """Tensors that are not constants."""
    return [name for name, tensor in graph.tensors.items() if not tensor.is_constant]


@record
class _Layout:
    """An order with the offsets found for it; see Program and Step for the fields."""

    order: list[int]
    buffers: dict[str, Buffer]
    locations: dict[str, Location]
    arena_bytes: int
    lower_bound_bytes: int
    overlaid_bytes: dict[int, int]


_Assign = Callable[[Sequence[Span], Overlays], list[int]]


def _smaller_model(
    build: Callable[..., MemoryModel], assign: _Assign, *, share_parts: bool
) -> tuple[MemoryModel, _Layout]:
    """The graph with slices and joins in place, unless copies need less: they free what is cut."""
    model = build(share_parts=share_parts)
    layout = _smallest_layout(model, assign)
    if model.has_parts:
        copied = build()
        other = _smallest_layout(copied, assign)
        if other.arena_bytes < layout.arena_bytes:
            return copied, other
    return model, layout


def _smallest_layout(model: MemoryModel, assign: _Assign) -> _Layout:
    """The searched order, unless its buffers pack so badly that the graph's own does better."""
    given = list(range(len(model.nodes)))
    searched = search_order(model)
    best = _lay_out(model, searched, assign)
    if searched != given and best.arena_bytes > best.lower_bound_bytes:
        other = _lay_out(model, given, assign)
        if other.arena_bytes < best.arena_bytes:
            return other
    return best


def _tflm_offsets(spans: Sequence[Span], overlays: Overlays | None = None) -> list[int]:
    """Largest first; TFLM fills its list from the end, so that later buffers win ties."""
    order = sorted(range(len(spans)), key=lambda i: (-spans[i].size_bytes, -i))
    if count_overlaps(spans) > PAIR_LIMIT:
        return place_crowded(spans, order)
    return place_in_order(spans, order, overlaps(spans))


def _lay_out(model: MemoryModel, order: list[int], assign: _Assign) -> _Layout:
    storage = assign_storage(model, order)
    spans = list(storage.spans)
    for step, index in enumerate(order):
        if model.scratch_bytes[index]:
            spans.append(Span(model.scratch_bytes[index], step, step))
    offsets = assign(spans, storage.overlays)
    buffers = _buffers(model, storage, spans, offsets)
    return _Layout(
        order,
        buffers,
        _locations(model, storage, buffers),
        arena_bytes(spans, offsets),
        lower_bound_bytes(spans, storage.overlays),
        _overlaid_bytes(storage.overlays, spans, offsets),
    )


def _overlaid_bytes(
    overlays: Overlays, spans: Sequence[Span], offsets: Sequence[int]
) -> dict[int, int]:
    """Step → bytes that its output shares with its input, where it shares any."""
    found = {}
    for source, out in overlays:
        start = max(offsets[source], offsets[out])
        ends = (offsets[index] + spans[index].size_bytes for index in (source, out))
        shared = min(ends) - start
        if shared > 0:
            found[spans[out].first_step] = shared
    return found


def _subgraph_bytes(
    node: Node, graph: Graph, runtime: str, precision: Precision | str | None
) -> int:
    """RAM for the bodies that a node may run; only one of them runs at a time."""
    bodies = (graph.subgraphs[name] for name in node.subgraphs)
    plans = (plan(body, runtime=runtime, precision=precision) for body in bodies)
    return max((program.arena_bytes for program in plans), default=0)


def _buffers(
    model: MemoryModel, storage: Storage, spans: Sequence[Span], offsets: Sequence[int]
) -> dict[str, Buffer]:
    buffers: dict[str, Buffer] = {}
    for index, (span, offset) in enumerate(zip(spans, offsets)):
        if index < len(storage.items):
            members = [model.items[item] for item in storage.items[index]]
            name = members[0].name
            roles = {member.role for member in members}
            role = next(r for r in _ROLE_ORDER if r in roles)
        else:
            name, role = f"scratch@{span.first_step}", Role.SCRATCH
            while name in model.item_of:  # a model may call a tensor anything
                name += "_"
        buffers[name] = Buffer(name, span.size_bytes, span.first_step, span.last_step, role, offset)
    return buffers


_ROLE_ORDER = (Role.STATE, Role.INPUT, Role.OUTPUT, Role.ACTIVATION)


def _locations(
    model: MemoryModel, storage: Storage, buffers: Mapping[str, Buffer]
) -> dict[str, Location]:
    names = list(buffers)
    buffer_of = {item: names[index] for index, items in enumerate(storage.items) for item in items}
    return {
        tensor: Location(buffer_of[item], model.offset_of.get(tensor, 0))
        for tensor, item in model.item_of.items()
    }


def _steps(
    graph: Graph,
    model: MemoryModel,
    layout: _Layout,
    types: Mapping[str, TensorType],
    variants: Sequence[Variant],
) -> tuple[Step, ...]:
    steps = []
    counted: set[str] = set()
    for step, index in enumerate(layout.order):
        node = graph.nodes[index]
        # nodes that share their weights (bands of one layer) share their multipliers, too
        is_first = not model.views[index] and counted.isdisjoint(node.inputs[1:2])
        weight_bytes = multiplier_bytes(node, graph, types) if is_first else 0
        for name in node.present_inputs:
            # a constant that several steps read lies in flash once
            if graph.tensors[name].is_constant and name not in counted:
                counted.add(name)
                weight_bytes += types[name].size_bytes
        packed = variants[index].table_bytes
        steps.append(
            Step(
                step,
                node,
                "" if model.views[index] else node.op,
                "" if model.views[index] else variants[index].name,
                node_cost(node, types),
                model.scratch_bytes[index],
                weight_bytes if packed is None or model.views[index] else packed,
                layout.overlaid_bytes.get(step, 0),
            )
        )
    return tuple(steps)
