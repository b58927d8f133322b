"""NAME.json: what was emitted, layer by layer, for people and for other programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from budget import __version__
from budget.codegen.footprint import Footprint
from budget.codegen.interface import offset_of
from budget.codegen.names import comment
from budget.codegen.source import Source, function_name
from budget.graph import ABSENT
from budget.plan.chooser import SHIPPED, Knowledge
from budget.plan.kernel_cycles import predicted_cycles, table_sha256
from budget.plan.program import Program

SCHEMA = 1


def document(
    source: Source,
    footprint: Footprint,
    files: Mapping[str, bytes],
    knowledge: Knowledge = SHIPPED,
) -> dict[str, Any]:
    """The manifest as JSON values.

    Args:
        source: the written steps.
        footprint: predicted flash and RAM.
        files: everything else that is written; the manifest has their hashes.
        knowledge: what implementations were chosen from.
    """
    program, options = source.program, source.options
    origin = program.graph.source
    return {
        "schema": SCHEMA,
        "generator": f"budget {__version__}",
        "name": options.name,
        "model": {"name": origin.name, "format": origin.format, "sha256": origin.sha256},
        "options": {
            "target": options.target,
            "optimise": options.optimise,
            "arena": options.arena,
            "io": options.io,
            "weights": options.weights,
        },
        "rounding": str(options.rounding),
        "tuning_sha256": table_sha256(),
        "autotuned": knowledge.table is not None,
        "choice": None if program.choice is None else program.choice.to_json(),
        "macs": program.cost.macs,
        "arena_bytes": program.arena_bytes,
        "arena_lower_bound_bytes": program.lower_bound_bytes,
        "constant_bytes": footprint.constant_bytes,
        "prediction": {**footprint.to_json(), "cycles": _cycles(source, knowledge)},
        "inputs": [_tensor(program, name) for name in program.graph.inputs],
        "outputs": [_tensor(program, name) for name in program.graph.outputs],
        "layers": [_layer(source, index) for index in range(len(source.steps))],
        "notes": list(program.notes),
        "files": {path: hashlib.sha256(content).hexdigest() for path, content in files.items()},
    }


def _cycles(source: Source, knowledge: Knowledge) -> int | None:
    """Predicted for Cortex-M4 at the wait states that kernels were chosen for, else at none.

    None where the table lacks a kernel.
    """
    optimise, program = source.options.optimise, source.program
    states = 0 if program.choice is None else program.choice.wait_states
    found = [
        predicted_cycles(step, program, optimise=optimise, table=knowledge.table)
        for step in program.steps
    ]
    known = [cycles.cycles + states * cycles.wait_cycles for cycles in found if cycles is not None]
    return round(sum(known)) if len(known) == len(found) else None


def render(values: Mapping[str, Any]) -> str:
    """The manifest's text; the same values give the same text."""
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def _layer(source: Source, index: int) -> dict[str, Any]:
    program = source.program
    step, code = source.steps[index]
    node = step.node
    return {
        "index": index,
        "function": function_name(step),
        "layer": step.layer,
        "origin": list(node.origin),
        "operator": node.op,
        "kernel": step.kernel,
        "variant": step.variant,
        "specialised": step.index in source.sharing.own,
        "macs": step.cost.macs,
        "scratch_bytes": step.scratch_bytes,
        "constant_bytes": sum(table.size_bytes for table in code.tables),
        "inputs": [_tensor(program, name) for name in node.inputs if name != ABSENT],
        "outputs": [_tensor(program, name) for name in node.outputs],
        "tables": [
            {
                "name": table.name,
                "type": table.c_type,
                "elements": int(table.values.size),
                "holds": comment(table.comment),
            }
            for table in code.tables
        ],
    }


def _tensor(program: Program, name: str) -> dict[str, Any]:
    type = program.types[name]
    found: dict[str, Any] = {
        "name": name,
        "shape": list(type.shape),
        "dtype": type.dtype.value,
        "arena_offset_bytes": offset_of(program, name),
    }
    if type.quant is not None:
        # float32 scales: 9 digits give every bit back
        found["scale"] = [float(f"{float(scale):.9g}") for scale in type.quant.scale]
        found["zero_point"] = [int(zero) for zero in type.quant.zero_point]
        found["axis"] = type.quant.axis
    return found
