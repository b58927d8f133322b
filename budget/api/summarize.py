"""What a model is: as read, as deployed, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budget.analysis.costs import (
    OperatorCount,
    ParameterCounts,
    count_parameters,
    operator_histogram,
)
from budget.api.front_ends import wanted_front_end
from budget.api.models import Model, lower, prepare
from budget.api.removable import Removable, find_removable
from budget.estimate.inference import live_bytes_by_step
from budget.features import FeatureSpec, front_end_document, require_match
from budget.graph import Graph
from budget.plan import plan
from budget.plan.program import Program


@dataclass(frozen=True)
class Summary:
    """A model in numbers.

    Attributes:
        model: as read and as deployed.
        program: how our own runtime would lay it out.
        operators: of the deployed graph, with their cost.
        parameters: counted three ways.
        raw_operators: operator → count in the graph as read.
        removable: channels that are the same for every input.
        front_end: what makes the input of sound, if that was asked for.
    """

    model: Model
    program: Program
    operators: tuple[OperatorCount, ...]
    parameters: ParameterCounts
    raw_operators: Mapping[str, int]
    removable: Removable
    front_end: FeatureSpec | None = None

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA, model_document

        live = live_bytes_by_step(self.program)
        return {
            "schema": SCHEMA,
            "command": "summarize",
            "model": model_document(self.model, self.program.weight_bytes),
            "parameters": {
                "constant_elements": self.parameters.constants,
                "trainable": self.parameters.trainable,
                "deployed": self.parameters.deployed,
            },
            "raw_operators": dict(self.raw_operators),
            "operators": [
                {
                    "operator": o.op,
                    "count": o.node_count,
                    "macs": o.cost.macs,
                    "flops": o.cost.flops,
                }
                for o in self.operators
            ],
            "memory": {
                "arena_bytes": self.program.arena_bytes,
                "arena_lower_bound_bytes": self.program.lower_bound_bytes,
                "weight_bytes": self.program.weight_bytes,
                "read_bytes": self.program.cost.read_bytes,
                "write_bytes": self.program.cost.write_bytes,
            },
            "constant_channels": self.removable.to_json(),
            "front_end": None if self.front_end is None else front_end_document(self.front_end),
            "layers": [
                {
                    "index": step.index,
                    "name": step.layer,
                    "operator": step.node.op,
                    "output_shape": list(self.program.types[step.node.outputs[0]].shape),
                    "macs": step.cost.macs,
                    "macs_run": step.cost.macs_run,
                    "flops": step.cost.flops,
                    "weight_bytes": step.weight_bytes,
                    "read_bytes": step.cost.read_bytes,
                    "write_bytes": step.cost.write_bytes,
                    "live_bytes": live[step.index],
                }
                for step in self.program.steps
                if step.kernel
            ],
            "notes": list(self.model.notes),
        }


def summarize(
    model: str | Path | Graph,
    *,
    precision: str | None = None,
    as_is: bool = False,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    front_end: bool | str | Path = False,
) -> Summary:
    """Reads a model and counts everything that can be counted without hardware.

    Args: as for `check`, and `front_end` as for `emit`.

    Raises:
        ModelError: the model cannot be read, or holds unsupported operators (all are listed).
    """
    prepared = prepare(
        model,
        precision=precision,
        as_is=as_is,
        inputs=inputs,
        outputs=outputs,
        input_shapes=input_shapes,
    )
    program = plan(prepared.graph, precision=prepared.precision)
    named = wanted_front_end(model, front_end)
    if named is not None:
        require_match(named.spec, prepared.graph)
    raw: dict[str, int] = {}
    for part in prepared.raw.walk():
        for node in part.nodes:
            raw[node.op] = raw.get(node.op, 0) + 1
    return Summary(
        prepared,
        program,
        tuple(operator_histogram(prepared.graph)),
        count_parameters(prepared.raw, lower(prepared.raw, as_is=True), prepared.graph),
        dict(sorted(raw.items(), key=lambda item: (-item[1], item[0]))),
        find_removable(prepared.graph),
        None if named is None else named.spec,
    )
