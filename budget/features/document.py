"""A front end counted like layers, as JSON values: one shape for every command."""

from __future__ import annotations

from typing import Any

from budget.features.counts import front_end_stages
from budget.features.cycles import predict_front_end
from budget.features.spec import FeatureSpec


def front_end_document(spec: FeatureSpec) -> dict[str, Any]:
    """A front end counted like layers, for one clip; cycles on a Cortex-M4 at no wait states."""
    predicted = predict_front_end(spec)
    stages = front_end_stages(spec)
    return {
        "sample_rate_hz": spec.sample_rate_hz,
        "clip_samples": spec.clip_samples,
        "frames": spec.frames,
        "features": spec.coefficients,
        "macs": sum(cost.macs for cost in stages.values()),
        "operations": sum(cost.alu for cost in stages.values()),
        "flash_bytes": spec.constant_bytes + predicted.code_bytes,
        "constant_bytes": spec.constant_bytes,
        "code_bytes": predicted.code_bytes,
        "ram_bytes": spec.state_bytes + predicted.stack_bytes,
        "state_bytes": spec.state_bytes,
        "stack_bytes": predicted.stack_bytes,
        "cycles": predicted.cycles,
        "stages": [
            {
                "stage": stage,
                "macs": cost.macs,
                "operations": cost.alu,
                "read_bytes": cost.read_bytes,
                "write_bytes": cost.write_bytes,
                "cycles": predicted.stages[stage],
            }
            for stage, cost in stages.items()
        ]
        + [
            {
                "stage": "move",
                "macs": 0,
                "operations": 0,
                "read_bytes": 2 * spec.frames * (spec.step_samples + spec.length_samples),
                "write_bytes": 2 * spec.frames * (spec.step_samples + spec.length_samples),
                "cycles": predicted.stages["move"],
            }
        ],
    }
