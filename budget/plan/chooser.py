"""Which implementation each layer of a graph gets: from the table of cycles, within flash and RAM.

``time`` takes the least cycles that fit. ``balanced`` wants half a percent of cycles for each
percent of flash, both of what the usual kernels take. ``size`` takes the kernels that all cores
share. Energy follows cycles: a core's power is the same whichever kernel it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from budget.analysis.costs import node_cost
from budget.graph import Graph, Node, TensorType
from budget.plan.alternatives import alternatives, usual_of, usual_variant
from budget.plan.choosing import Option, Selection, choose, total_of
from budget.plan.kernel_cycles import KernelCycles, code_of, cycles_of, shared_code
from budget.plan.kernel_features import Shape, is_own, signature
from budget.plan.precision import multiplier_bytes
from budget.plan.program import Choice
from budget.plan.variants import DSP_CORES, PORTABLE, Variant, kind_of
from budget.records import record

MORE_BYTES = 10 * 1024
"""What this much more flash would buy is part of every choice."""
Types = Mapping[str, TensorType]
_WORTH = 0.5
_TABLE_CORE = "cortex-m4"  # cores with the same instructions choose by its cycles


@record
class Limits:
    """What a device has.

    Attributes:
        wait_states: of its flash, at its clock.
        flash_bytes: for constants and code; None: as much as it takes.
        ram_bytes: for the arena; None: as much as it takes.
    """

    wait_states: int = 0
    flash_bytes: int | None = None
    ram_bytes: int | None = None


NO_LIMITS = Limits()


@record
class Knowledge:
    """What is chosen from.

    Attributes:
        table: of cycles and code; None: the one that ships.
        alternatives: the implementations of a node.
    """

    table: Mapping[str, Any] | None = None
    alternatives: Callable[[Node, Graph, Types, str], Sequence[Variant]] = alternatives


SHIPPED = Knowledge()


@record
class _Layer:
    """A node's implementations with what each takes."""

    index: int
    node: Node
    variants: tuple[Variant, ...]
    options: tuple[Option, ...]


def choose_variants(
    graph: Graph,
    types: Types,
    target: str,
    optimise: str,
    limits: Limits = NO_LIMITS,
    room_bytes: Mapping[str, int] | None = None,
    forced: Mapping[str, Variant] | None = None,
    knowledge: Knowledge = SHIPPED,
) -> tuple[list[Variant], Choice | None]:
    """The implementation of every node, and what was weighed; None where there was no choice.

    Args:
        graph: canonical.
        types: deployed types.
        target: core.
        optimise: ``time``, ``balanced`` or ``size``.
        limits: of the device; where nothing fits, the smallest kernels are taken.
        room_bytes: by node, RAM left for scratch where it is limited.
        forced: by node, implementations that are given.
        knowledge: what is chosen from.
    """
    room = room_bytes or {}
    has_choice = target in DSP_CORES and optimise != "size" and not forced
    offered = (
        [knowledge.alternatives(node, graph, types, target) for node in graph.nodes]
        if has_choice
        else []
    )
    if has_choice and knowledge.alternatives is alternatives:
        wanted = [usual_of(variants) for variants in offered]
    else:
        wanted = [usual_variant(node, graph, types, target, optimise) for node in graph.nodes]
    usual = [
        variant if variant.scratch_bytes <= room.get(node.name, variant.scratch_bytes) else PORTABLE
        for node, variant in zip(graph.nodes, wanted)
    ]
    if forced:
        return [forced.get(node.name, v) for node, v in zip(graph.nodes, usual)], None
    if not has_choice:
        return usual, None
    setting = _Setting(graph, types, target, optimise, limits, room, knowledge)
    layers = [_layer(index, variants, setting) for index, variants in enumerate(offered)]
    known = [
        layer is not None and (len(layer.options) > 1 or layer.node.name in room)
        for layer in layers
    ]
    open_layers = [layer for layer, is_known in zip(layers, known) if layer and is_known]
    if not open_layers:
        return usual, None
    options = [layer.options for layer in open_layers]
    shared = {
        name: shared_code(name, optimise, knowledge.table)
        for o in options
        for option in o
        for name in option.shared
    }
    shared |= {n: size for layer in open_layers for n, size in _function_sizes(layer).items()}
    price = _price(open_layers, options, shared, usual, graph) if optimise == "balanced" else 0.0
    found = choose(options, shared, limits.flash_bytes, price)
    if found is None:
        found = choose(options, shared, None, 1e9)
        assert found is not None  # without a limit something always fits
    more = choose(options, shared, found.flash_bytes + MORE_BYTES)
    picked = iter(zip(open_layers, found.picks))
    variants = []
    for is_known, variant in zip(known, usual):
        if is_known:
            layer, pick = next(picked)
            variant = layer.variants[pick]
        variants.append(variant)
    return variants, _choice(found, more, open_layers, limits)


@record
class _Setting:
    """What is the same for all layers; see `choose_variants`."""

    graph: Graph
    types: Types
    target: str
    optimise: str
    limits: Limits
    room_bytes: Mapping[str, int]
    knowledge: Knowledge

    @cached_property
    def shapes(self) -> list[Shape]:
        """Of every node."""
        return [Shape(n, self.types, node_cost(n, self.types)) for n in self.graph.nodes]

    @cached_property
    def repeated(self) -> Counter[str]:
        """How many nodes have the same shapes."""
        return Counter(map(signature, self.shapes))

    @cached_property
    def macs(self) -> int:
        """Of all nodes."""
        return sum(shape.cost.macs for shape in self.shapes)

    @cached_property
    def prices(self) -> dict[tuple[str, str], tuple[KernelCycles | None, int]]:
        """Cycles and code known already, by signature and variant."""
        return {}

    def price(self, shape: Shape, variant: str) -> tuple[KernelCycles | None, int]:
        """Cycles, if they are known, and bytes of code of a node with a variant."""
        key = signature(shape), variant
        if key not in self.prices:
            optimise, table = self.optimise, self.knowledge.table
            own = is_own(shape.cost, self.macs, optimise)
            self.prices[key] = (
                cycles_of(shape, variant, _TABLE_CORE, optimise, table),
                code_of(shape, variant, optimise, table, own=own),
            )
        return self.prices[key]


def _layer(index: int, variants: Sequence[Variant], setting: _Setting) -> _Layer | None:
    """None where there is no choice."""
    graph = setting.graph
    node, shape = graph.nodes[index], setting.shapes[index]
    if len(variants) == 1:
        return None
    room = setting.room_bytes.get(node.name)
    if room is not None:
        variants = [v for v in variants if v.scratch_bytes <= room] or [PORTABLE]
    same = signature(shape)
    plain = multiplier_bytes(node, graph, setting.types) + sum(
        setting.types[name].size_bytes
        for name in node.present_inputs
        if graph.tensors[name].is_constant
    )
    options, kept = [], []
    for variant in variants:
        cycles, code = setting.price(shape, variant.name)
        if cycles is None:
            continue
        size = plain if variant.table_bytes is None else variant.table_bytes
        names = [f"{node.op} {kind_of(variant.name)}".strip()]
        if setting.repeated[same] > 1:
            names.append(f"={code} {variant.name} {same}")
        else:
            size += code
        waited = setting.limits.wait_states * cycles.wait_cycles
        options.append(Option(cycles.cycles + waited, size, tuple(names)))
        kept.append(variant)
    return _Layer(index, node, tuple(kept), tuple(options)) if options else None


def _function_sizes(layer: _Layer) -> dict[str, int]:
    """Of functions that layers of the same shape share: their names begin with their sizes."""
    return {
        name: int(name[1:].partition(" ")[0])
        for option in layer.options
        for name in option.shared
        if name.startswith("=")
    }


def _price(
    layers: Sequence[_Layer],
    options: Sequence[Sequence[Option]],
    shared: Mapping[str, int],
    usual: Sequence[Variant],
    graph: Graph,
) -> float:
    """Cycles that a byte must save."""
    wanted = {node.name: variant.name for node, variant in zip(graph.nodes, usual)}
    picks = [
        next((i for i, v in enumerate(layer.variants) if v.name == wanted[layer.node.name]), 0)
        for layer in layers
    ]
    cycles, flash = total_of(picks, options, shared)
    return _WORTH * cycles / max(flash, 1)


def _choice(
    found: Selection, more: Selection | None, layers: Sequence[_Layer], limits: Limits
) -> Choice:
    changed: tuple[str, ...] = ()
    saved = 0.0
    if more is not None and more.cycles < found.cycles:
        saved = found.cycles - more.cycles
        changed = tuple(
            f"{layer.index} {layer.node.op}: {layer.variants[new].name or 'portable'}"
            for layer, old, new in zip(layers, found.picks, more.picks)
            if old != new
        )
    return Choice(
        len(layers),
        found.cycles,
        found.flash_bytes,
        limits.wait_states,
        limits.flash_bytes,
        limits.ram_bytes,
        MORE_BYTES,
        saved,
        changed,
    )
