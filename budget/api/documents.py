"""The JSON documents that commands print; keys are stable, `schema` says when they change."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from budget.analysis.costs import total_cost
from budget.api.models import Model
from budget.estimate.inference import tensor_arena_bytes
from budget.hardware.figure import Figure, Quantity

if TYPE_CHECKING:
    from budget.api.check import Check, Estimate
    from budget.estimate.inference import LayerEstimate

SCHEMA = 1


def model_document(model: Model, weight_bytes: int) -> dict[str, Any]:
    """What every document says of the model."""
    cost = total_cost(model.graph)
    source = model.raw.source
    return {
        "name": model.name,
        "sha256": source.sha256,
        "format": source.format,
        "precision": model.precision,
        "macs": cost.macs,
        "flops": cost.flops,
        "parameters": sum(tensor.type.element_count for tensor in model.graph.constants),
        "weight_bytes": weight_bytes,
        "inputs": [_tensor(model, name) for name in model.graph.inputs],
        "outputs": [_tensor(model, name) for name in model.graph.outputs],
    }


def head(command: str, judged: Estimate | Check) -> dict[str, Any]:
    """How every document of a model on a device begins."""
    device, runtime = judged.device, judged.runtime
    return {
        "schema": SCHEMA,
        "command": command,
        "model": model_document(judged.model, judged.program.weight_bytes),
        "device": {"id": device.id, "name": device.name},
        "runtime": {"id": runtime.id, "name": runtime.name},
    }


def check_document(check: Check) -> dict[str, Any]:
    """`budget check --json`."""
    inference, question = check.inference, check.question
    front_end = None
    if question.around.specification is not None:
        from budget.features import front_end_document

        front_end = front_end_document(question.around.specification)
    return {
        **head("check", check),
        "clock_hz": inference.clock_hz,
        "voltage_v": inference.voltage_v,
        "rate_hz": question.rate_hz,
        "source": question.source.id if question.source else None,
        "area_m2": question.area_m2,
        "verdict": check.verdict.value,
        "constraints": [constraint.to_json() for constraint in check.constraints],
        "inference": {
            "cycles": quantity_document(inference.cycles),
            "latency": quantity_document(inference.latency),
            "energy": quantity_document(inference.energy),
            "power": quantity_document(inference.power),
            "boundary": inference.boundary,
        },
        "front_end": front_end,
        "ledger": check.power.ledger.to_json() if check.power else None,
        "memory": {
            "arena_bytes": check.program.arena_bytes,
            "tensor_arena_bytes": tensor_arena_bytes(check.program),
            "arena_lower_bound_bytes": check.program.lower_bound_bytes,
            "weight_bytes": check.program.weight_bytes,
        },
        "constant_channels": {
            **check.removable.to_json(),
            "removed": check.runtime.removes_constant_channels,
        },
        "layers": [layer_document(layer) for layer in inference.layers],
        "binding_layer": check.binding.step.layer if check.binding else None,
        "peak_layer": check.peak.step.layer if check.peak else None,
        "remedies": [remedy.to_json() for remedy in check.remedies],
        "figures": [figure_document(figure) for figure in check.figures()],
        "notes": list(check.notes),
    }


def layer_document(layer: LayerEstimate) -> dict[str, Any]:
    """One layer of `check` or `summarize --per-layer`."""
    cost = layer.step.cost
    return {
        "index": layer.step.index,
        "name": layer.step.layer,
        "operator": layer.step.node.op,
        "macs": cost.macs,
        "flops": cost.flops,
        "weight_bytes": layer.step.weight_bytes,
        "read_bytes": cost.read_bytes,
        "write_bytes": cost.write_bytes,
        "live_bytes": layer.live_bytes,
        "cycles": quantity_document(layer.cycles),
        "energy": quantity_document(layer.energy),
        "share_ratio": layer.share_ratio,
    }


def figure_document(figure: Figure) -> dict[str, Any]:
    """A figure with where it is from."""
    return {
        "key": figure.key,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "unit": figure.unit,
        "kind": str(figure.kind),
        "reference": figure.reference.title if figure.reference else None,
        "url": figure.reference.url if figure.reference else None,
        "where": figure.where,
        "at": figure.at,
    }


def quantity_document(quantity: Quantity | None) -> dict[str, Any] | None:
    """A quantity, or null where it is not known."""
    return None if quantity is None else quantity.to_json()


def finite_document(quantity: Quantity | None) -> dict[str, Any] | None:
    """A quantity, or null where it is not known or infinite, which JSON cannot say."""
    return None if quantity is None or not isfinite(quantity.value) else quantity.to_json()


def _tensor(model: Model, name: str) -> dict[str, Any]:
    type = model.graph.type_of(name)
    return {"name": name, "shape": list(type.shape), "dtype": type.dtype.value}
