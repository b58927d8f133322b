"""Searches for the first layers and the number of bands that make the arena smallest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from budget.analysis.costs import require_supported, total_cost
from budget.graph import Graph
from budget.plan.alternatives import usual_variant
from budget.plan.memory import build_memory_model
from budget.plan.planner import ALIGNMENT_BYTES, plan
from budget.plan.precision import Precision, as_precision, deployed_types
from budget.plan.program import Program
from budget.plan.spans import Span, lower_bound_bytes
from budget.plan.storage import assign_storage
from budget.transforms.constant_channels import remove_constant_channels as without_constants
from budget.transforms.patches import band_counts, compute_in_bands, find_regions

MACS_RATIO = 1.5
"""More arithmetic than this times what the whole layers need is not worth any memory."""
WORTH_RATIO = 0.95
"""A plan in bands must need less than this much of the plan of whole layers."""
SAME_RATIO = 1.05
"""Among plans within this ratio of the smallest, the one with the fewest MACs is taken."""
NEAR_RATIO = 1.1
"""Lower bounds this near to the smallest may belong to such plans."""
PLANNED = 6
"""Candidates that are planned in full; the others are ranked by their lower bound only."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    bound_bytes: int
    macs: int
    layers: int
    bands: int
    graph: Graph


def plan_in_patches(
    graph: Graph,
    *,
    precision: Precision | str | None = None,
    remove_constant_channels: bool = False,
    target: str = "portable",
    optimise: str = "size",
) -> Program:
    """Plans for our own runtime; the first layers in bands of rows where that needs less RAM.

    What neighbouring bands both read is computed twice; the program's notes tell how many MACs
    that adds.

    Args:
        graph: canonical.
        precision: see `plan`.
        remove_constant_channels: see `plan`.
        target: see `plan`.
        optimise: see `plan`.

    Raises:
        UnsupportedModelError: an operator is not known; all such are listed.
        UsageError: there is no such precision.
    """
    require_supported(graph)
    if remove_constant_channels:
        graph = without_constants(graph).graph
    make = partial(plan, precision=precision, target=target, optimise=optimise)
    whole = make(graph)
    limit = int(whole.arena_bytes * WORTH_RATIO)
    macs = total_cost(graph).macs
    bound_bytes = partial(_bound_bytes, precision=precision, target=target, optimise=optimise)
    found = [c for c in _candidates(whole, limit, bound_bytes) if c.bound_bytes <= limit]
    found.sort(key=lambda candidate: (candidate.bound_bytes, candidate.macs))
    near = [c for c in found if c.bound_bytes <= NEAR_RATIO * found[0].bound_bytes]
    near.sort(key=lambda candidate: candidate.macs)
    chosen = dict.fromkeys([*found[: PLANNED // 2], *near[: PLANNED - PLANNED // 2]])
    programs = [(c, make(c.graph)) for c in chosen]
    programs = [(c, program) for c, program in programs if program.arena_bytes <= limit]
    if not programs:
        return whole
    smallest = min(program.arena_bytes for _, program in programs)
    candidate, program = min(
        (pair for pair in programs if pair[1].arena_bytes <= SAME_RATIO * smallest),
        key=lambda pair: (pair[0].macs, pair[1].arena_bytes),
    )
    note = (
        f"the first {candidate.layers} layers run in {candidate.bands} bands of rows: an arena of "
        f"{program.arena_bytes:,} B instead of {whole.arena_bytes:,} B for "
        f"{candidate.macs / macs - 1:.1%} more MACs"
    )
    return replace(program, notes=(*program.notes, note))


def _candidates(
    whole: Program, limit_bytes: int, bound_bytes: Callable[[Graph], int]
) -> Iterator[_Candidate]:
    """Graphs in bands that do not compute too much."""
    graph, types = whole.graph, whole.types
    most = MACS_RATIO * total_cost(graph).macs
    for region in find_regions(graph):
        if types[region.last].size_bytes > limit_bytes:
            continue
        for bands in band_counts(types[region.last].shape[1]):
            banded = compute_in_bands(graph, region, bands)
            macs = total_cost(banded).macs
            if macs > most:
                break
            yield _Candidate(bound_bytes(banded), macs, len(region.nodes), bands, banded)


def _bound_bytes(
    graph: Graph, *, precision: Precision | str | None, target: str, optimise: str
) -> int:
    """Bytes that the graph's own order needs at least."""
    types = deployed_types(graph, as_precision(precision))
    variants = [usual_variant(node, graph, types, target, optimise) for node in graph.nodes]
    scratch = [variant.scratch_bytes for variant in variants]
    names = [variant.name for variant in variants]
    model = build_memory_model(
        graph, types, scratch, ALIGNMENT_BYTES, overlay=True, variants=names, share_parts=True
    )
    storage = assign_storage(model, range(len(graph.nodes)))
    extra = [Span(size, step, step) for step, size in enumerate(model.scratch_bytes) if size]
    return lower_bound_bytes([*storage.spans, *extra], storage.overlays)
