"""Implementations that the shipped table does not hold, tried on the virtual core when asked for.

For each layer with tuned kernels, other lengths of inner loops and other sizes of buffers are
built into the network, run, compared bit by bit with the integer meaning of their operator, and
timed. What was measured is kept in the user's cache by kernel, shape, compiler and flags; the
layers' choice then reads it before the shipped table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from budget.analysis.costs import node_cost
from budget.atomic import write_cache
from budget.codegen import EmitOptions
from budget.core.build import OPTIMISE_FLAGS, cache_folder, find_compiler
from budget.graph import Graph, Node, TensorType
from budget.plan import plan
from budget.plan.alternatives import alternatives, with_setting
from budget.plan.chooser import SHIPPED, Knowledge
from budget.plan.kernel_cycles import kernel_key, load_table
from budget.plan.kernel_features import Shape, signature
from budget.plan.precision import deployed_types
from budget.plan.variants import DSP_CORES, Variant, kind_of
from budget.tuning.kernel_table import CORE, FLASH, Sample, measure_steps

_TRIED: Mapping[str, Sequence[str]] = {
    # steps to unroll, bytes of widened pixels
    "armv7em-pointwise": ("u6", "u8", "u18", "u24", "b1024", "b4096", "b8192"),
    "armv7em-columns": ("u6", "u8", "u18", "u24"),
    "armv7em-columns-down": ("u6", "u8", "u18", "u24"),
    "armv7em-rows": ("u2", "u6", "u12", "u16"),
}
Rows = dict[str, dict[str, list[float]]]
"""Key and signature of a kernel -> cycles, cycles of waiting for each wait state, bytes of code."""


def tuned_alternatives(
    node: Node, graph: Graph, types: Mapping[str, TensorType], target: str
) -> tuple[Variant, ...]:
    """The usual implementations and those with settings to try."""
    found = list(alternatives(node, graph, types, target))
    for variant in found[1:2]:
        for setting in _TRIED.get(kind_of(variant.name), ()):
            other = with_setting(variant, setting, node, types)
            if other is not None:
                found.append(other)
    return tuple(found)


def tuned_knowledge(graph: Graph, options: EmitOptions, *, removes: bool = True) -> Knowledge:
    """What a choice with autotuning reads; measures what the cache lacks.

    Args:
        graph: canonical, at the precision to deploy.
        options: target and mode.
        removes: whether constant channels will be left out.

    Raises:
        FirmwareError: an implementation gave another result than its operator's meaning.
        MissingToolError: no emulator or compiler.
    """
    if options.kernel_target not in DSP_CORES or options.optimise == "size":
        return SHIPPED
    if removes:
        from budget.transforms.constant_channels import remove_constant_channels

        graph = remove_constant_channels(graph).graph
    types = deployed_types(graph, None)
    place = _place(options.optimise)
    rows = _read(place)
    for forced in _missing(graph, types, options, rows):
        program = plan(graph, target=CORE, optimise=options.optimise, forced=forced)
        _add(rows, measure_steps(program, options.optimise, None))
        write_cache(place, json.dumps(rows).encode())
    return Knowledge(_joined(options.optimise, rows), tuned_alternatives)


def _missing(
    graph: Graph, types: Mapping[str, TensorType], options: EmitOptions, rows: Rows
) -> Iterator[dict[str, Variant]]:
    """For each program to measure, the implementation of every node; each lacking one once."""
    wanted: dict[tuple[str, str], list[tuple[str, Variant]]] = {}
    for node in graph.nodes:
        shape = Shape(node, types, node_cost(node, types))
        own = signature(shape)
        for variant in tuned_alternatives(node, graph, types, options.kernel_target)[1:]:
            key = kernel_key(shape, variant.name)
            if own not in rows.get(key, {}) and not shape.is_constant:
                wanted.setdefault((key, own), []).append((node.name, variant))
    while wanted:
        forced: dict[str, Variant] = {}
        for kernel, places in list(wanted.items()):
            free = next((place for place in places if place[0] not in forced), None)
            if free is not None:
                forced[free[0]] = free[1]
                del wanted[kernel]
        yield forced


def _add(rows: Rows, samples: Sequence[Sample]) -> None:
    for sample in samples:
        entry = [sample.cycles, round(sample.wait_cycles, 1), sample.code_bytes]
        rows.setdefault(sample.key, {})[sample.signature] = entry


def _joined(mode: str, rows: Rows) -> dict[str, Any]:
    """The shipped table with what was measured here in front."""
    table = deepcopy(load_table())
    measured = table["modes"][mode]["measured"]
    for key, found in rows.items():
        measured.setdefault(key, {}).update(found)
    return table


def _place(mode: str) -> Path:
    """The file of what was measured with this compiler, flags, core and code of the kernels."""
    sources = Path(__file__).parents[1]
    texts = [
        path.read_bytes()
        for folder in ("codegen/kernels", "codegen/steps")
        for path in sorted((sources / folder).glob("armv7em*"))
    ]
    compiler = find_compiler(None)
    parts = (compiler.version, *OPTIMISE_FLAGS[mode], CORE, repr(FLASH))
    digest = hashlib.sha256("\0".join(parts).encode() + b"\0".join(texts)).hexdigest()
    return cache_folder().parent / "autotune" / f"{mode}-{digest[:32]}.json"


def _read(place: Path) -> Rows:
    try:
        found = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
