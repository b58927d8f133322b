"""Long short-term memory and low-rank layers over time in integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from budget.codegen.c import float_bounds
from budget.codegen.context import StepCode, StepContext, per_tensor
from budget.codegen.steps.recurrent import first_states, geometry
from budget.graph import DType
from budget.ops import Rounding
from budget.ops.lstm_integer import plan_of
from budget.ops.sigmoid import table_units
from budget.ops.svdf import svdf_multipliers


def write_lstm_integer(context: StepContext) -> StepCode:
    """Zero points move into the biases; multipliers are one for each gate."""
    node, types = context.step.node, context.program.types
    inputs = [types[name] if name else None for name in node.inputs]
    outputs = [types[name] for name in node.outputs]
    rounding = context.options.rounding
    plan = plan_of(context.attributes, inputs, outputs, rounding)
    is_wide = context.type(0).dtype is DType.INT16
    if is_wide and rounding is not Rounding.TFLM:
        raise context.refuse("16-bit activations have a microcontroller kernel only")
    weights, recurrent = (context.constant(index).astype(np.int64) for index in (1, 2))
    bias = context.constant(3).astype(np.int64) if context.has(3) else np.zeros(len(weights))
    bias = bias.astype(np.int64)
    arguments: list[object] = [context.operand(0), "y0", "y1", "y2"]
    arguments += [context.operand(1, "weights", "weights")]
    arguments += [context.operand(2, "recurrent", "recurrent weights")]
    if is_wide:
        arguments.append(context.table("bias", "int64_t", bias, "bias"))
    else:
        ahead = _folded(context, bias, weights, plan.zeros[0], "input")
        back = _folded(context, np.zeros_like(bias), recurrent, plan.zeros[1], "state")
        arguments += [
            context.table("bias", "int32_t", ahead, "bias, input zero point folded in"),
            context.table("back", "int32_t", back, "state zero point times weights"),
        ]
    for name, pairs in (("in", plan.inputs), ("back", plan.recurrent)):
        q, shift = _reduced(pairs) if is_wide else np.array(pairs).T
        arguments.append(context.table(f"q_{name}", "int32_t", q, "multipliers"))
        arguments.append(context.table(f"shift_{name}", "int8_t", shift, "their shifts"))
    arguments += [*geometry(context), *plan.hidden]
    arguments += [] if is_wide else [plan.hidden_zero]
    arguments += [plan.cell_power, plan.clip]
    arguments += [] if is_wide else [int(rounding is Rounding.TFLITE)]
    arguments += table_units(2.0**plan.cell_power)
    name = "lstm_s16" if is_wide else "lstm_s8"
    call = f"{name}({', '.join(map(str, arguments))});"
    return context.code(f"{name}.h", *first_states(context, 4), call)


def _folded(context: StepContext, bias: Any, weights: Any, zero: int, what: str) -> Any:
    folded = bias - zero * weights.sum(axis=1)
    reach = np.abs(folded) + 128 * np.abs(weights).sum(axis=1)
    if reach.max(initial=0) >= 1 << 31:
        raise context.refuse(f"its sums over the {what} may leave 32 bits")
    return folded


def _reduced(pairs: Any) -> tuple[Any, Any]:
    """Multipliers of 15 bits and right shifts, for one rounding of a 64-bit product."""
    q, shift = np.array(pairs, np.int64).T
    return np.where(q < 0x7FFF0000, (q + (1 << 15)) >> 16, 0x7FFF), 15 - shift


def write_svdf(context: StepContext) -> StepCode:
    """The memory is moved on where it is kept."""
    suffix = context.suffix(DType.INT8, DType.FLOAT32)
    rank = context.attributes.rank
    features, times = context.type(1).shape, context.type(2).shape
    units = features[0] // rank
    arguments: list[object] = [context.operand(0), "y0", "y1"]
    arguments += [context.operand(1, "features", "feature weights")]
    arguments += [context.operand(2, "times", "weights in time")]
    numbers = [context.type(0).shape[0], features[1], features[0], times[1], rank]
    if suffix == "f32":
        if {context.type(index).dtype for index in (1, 2)} != {DType.FLOAT32}:
            raise context.refuse("weights that are not float with float activations")
        zeros = np.zeros(units, np.float32)
        bias = context.constant(3) if context.has(3) else zeros
        arguments += [context.table("bias", "float", bias, "bias"), *numbers]
        arguments += float_bounds(context.attributes.activation)
    else:
        types = context.program.types
        node = context.step.node
        inputs = [types[name] if name else None for name in node.inputs]
        first, second = svdf_multipliers(inputs, [types[name] for name in node.outputs])
        bias = context.constant(3) if context.has(3) else np.zeros(units, np.int32)
        arguments += [context.table("bias", "int32_t", bias, "bias"), *numbers, *first, *second]
        arguments += [per_tensor(context.type(0))[1], per_tensor(context.output_type())[1]]
    name = f"svdf_{suffix}"
    call = f"{name}({', '.join(map(str, arguments))});"
    return context.code(f"{name}.h", *first_states(context, 4), call)
