"""How much machine code `emit` would make of a program."""

from __future__ import annotations

from budget.api.models import Model, precision_of
from budget.errors import UnsupportedModelError
from budget.hardware.device_profiles import Device
from budget.hardware.figure import Figure, Kind, Quantity, Reference
from budget.plan.kernel_cycles import program_code
from budget.plan.planner import OWN_RUNTIME
from budget.plan.program import Program

_TABLE = Reference(
    "code-table",
    "Built with arm-none-eabi-gcc 12.2 for Cortex-M4; the tables are "
    "budget/plan/kernel_cycles.json and budget/codegen/code_bytes.json",
)
# linked code over what the tables say, see docs/kernel_cycles.md
_LOW, _HIGH = 0.90, 1.18
_ELSEWHERE = 1.25  # the table is for Cortex-M4: other cores have fewer, or other, instructions


def emitted_code(model: Model, program: Program, device: Device) -> Quantity | None:
    """Predicted code; None where another runtime runs it, or it cannot be written as it is.

    Args:
        model: as read and as deployed.
        program: planned for the device's core.
        device: where it is to run.
    """
    if program.runtime != OWN_RUNTIME or model.precision != precision_of(model.graph):
        return None
    code = program_code(program)
    if code is None:
        code = _written(program, device)
    if code is None:
        return None  # checked all the same; emit will say what it cannot write
    wider = 1.0 if device.core == "cortex-m4" else _ELSEWHERE
    figure = Figure(
        key="budget-c/code",
        value=float(code),
        low=code * _LOW / wider,
        high=code * _HIGH * wider,
        unit="bytes",
        kind=Kind.DERIVED,
        reference=_TABLE,
        where="-O2",
    )
    return figure.quantity


def _written(program: Program, device: Device) -> int | None:
    """What the emitter predicts: slower, and it knows every kernel."""
    from budget.codegen.footprint import predict
    from budget.codegen.options import TARGETS, EmitOptions
    from budget.codegen.source import write_steps

    target = device.core if device.core in TARGETS else "portable"
    try:
        return predict(write_steps(program, EmitOptions("m", target))).code_bytes
    except UnsupportedModelError:
        return None
