"""Integer arithmetic of TensorFlow Lite's long short-term memory.

Weights have 8 bits, gates 16 with 12 behind the point, the cell 16 and a power of two as its scale.
Source: EvalInteger8x8_16 in tensorflow/lite/kernels/lstm_eval.cc; for microcontrollers
LstmStep in tensorflow/lite/micro/kernels/lstm_eval.h, which also takes 16-bit activations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops import gemmlowp16
from budget.ops.fixed_point import (
    Int64s,
    multiply_reduced,
    multiply_twice_rounded,
    quantize_multiplier,
    rounding_divide_by_pot,
    storage_range,
)
from budget.ops.operator import QuantizedCall, Rounding
from budget.ops.quantized import per_tensor
from budget.ops.requantize import has_operand, operand, operand_type, quant_of
from budget.ops.sigmoid import OPERATORS as SIGMOIDS
from budget.records import record

GATE_SCALE = 2.0**-12
_ONE = 2.0**-15


@record
class Plan:
    """Everything about a layer that is known before inference.

    Attributes:
        inputs: multiplier and shift of the input's products, gate by gate.
        recurrent: likewise of the state's.
        hidden: multiplier and shift from gate times tanh to the output.
        hidden_zero: zero point of that product.
        cell_power: logarithm of the cell's scale.
        clip: largest stored magnitude of the cell; 0 for none.
        zeros: zero points of the input and of the state.
    """

    inputs: tuple[tuple[int, int], ...]
    recurrent: tuple[tuple[int, int], ...]
    hidden: tuple[int, int]
    hidden_zero: int
    cell_power: int
    clip: int
    zeros: tuple[int, int]


def plan_of(
    attributes: Any,
    inputs: Sequence[TensorType | None],
    outputs: Sequence[TensorType],
    rounding: Rounding,
) -> Plan:
    """Multipliers and bounds of a layer.

    Raises:
        ModelError: its tensors are not quantised as the kernels need it.
    """
    x, weights, recurrent = (operand_type(inputs, index) for index in range(3))
    y, state, cell = outputs
    if (attributes.function, attributes.gate_function) != ("tanh", "sigmoid"):
        raise ModelError("integers pass through tanh and the logistic function only")
    cell_power = round(math.log2(per_tensor(cell).scale))
    if per_tensor(cell).scale != 2.0**cell_power or not -15 <= cell_power <= -9:
        raise ModelError(f"the cell's scale {per_tensor(cell).scale} is no fit power of two")
    if y.dtype is not x.dtype or state.dtype is not x.dtype or y.quant != state.quant:
        raise ModelError("output, state and input differ in type")
    is_host = rounding is Rounding.TFLITE
    hidden, hidden_zero = per_tensor(y).scale, per_tensor(y).zero_point
    if is_host and attributes.hidden is not None:
        hidden, hidden_zero = attributes.hidden
    clip = 0
    if attributes.cell_clip > 0:
        clip = int(min(max(attributes.cell_clip / per_tensor(cell).scale, -32768.0), 32767.0))
    return Plan(
        _multipliers(x, weights, is_host=is_host),
        _multipliers(state, recurrent, is_host=is_host),
        quantize_multiplier(_ONE * _ONE / hidden if not is_host else _ONE / hidden * _ONE),
        hidden_zero,
        cell_power,
        clip,
        (per_tensor(x).zero_point, per_tensor(state).zero_point),
    )


def _multipliers(
    x: TensorType, weights: TensorType, *, is_host: bool
) -> tuple[tuple[int, int], ...]:
    """One for each gate; the host divides in single precision."""
    scales = quant_of(weights).scale
    rows = weights.shape[0] // 4
    gates = [scales[0 if len(scales) == 1 else rows * gate] for gate in range(4)]
    own = per_tensor(x)
    if is_host:
        real = [float(scale * own.scale32 / np.float32(GATE_SCALE)) for scale in gates]
    else:
        real = [own.scale * float(scale) / GATE_SCALE for scale in gates]
    return tuple(quantize_multiplier(value) for value in real)


def run_integer(
    attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
) -> tuple[Array, ...]:
    """Outputs and last states."""
    plan = plan_of(attributes, call.inputs, call.outputs, call.rounding)
    is_host = call.rounding is Rounding.TFLITE
    y_type = call.outputs[0]
    if is_host and y_type.dtype is not DType.INT8:
        raise ModelError("TensorFlow Lite's host kernels take 8-bit activations only")
    x, weights, recurrent = (_wide(operand(inputs, index)) for index in range(3))
    steps: Int64s = (x if attributes.time_major else x.transpose(1, 0, 2)) - plan.zeros[0]
    units = recurrent.shape[1]
    shape = (steps.shape[1], units)
    bias = operand(inputs, 3).reshape(-1).astype(np.int64) if has_operand(inputs, 3) else 0
    h: Any = operand(inputs, 4) if has_operand(inputs, 4) else np.full(shape, plan.zeros[1])
    c: Any = operand(inputs, 5) if has_operand(inputs, 5) else np.zeros(shape)
    h, c = h.astype(np.int64), c.astype(np.int64)
    low, high = storage_range(y_type.dtype)
    found = []
    scale = multiply_reduced if y_type.dtype is DType.INT16 else multiply_twice_rounded
    for step in steps:
        ahead, back = step @ weights.T + bias, (h - plan.zeros[1]) @ recurrent.T
        gates = []
        for gate in range(4):
            rows = slice(gate * units, (gate + 1) * units)
            first = _in_16_bits(scale(ahead[:, rows], *plan.inputs[gate]))
            second = scale(back[:, rows], *plan.recurrent[gate])
            if not is_host:
                second = _in_16_bits(second)
            gates.append(_in_16_bits(first + second))
        i, f, g, o = _functions(gates, is_host=is_host)
        c = _cell(i, f, g, c, plan, is_host=is_host)
        shown = _tanh(c, plan.cell_power, is_host=is_host)
        product = multiply_twice_rounded(o * shown, *plan.hidden)
        h = np.clip(product + plan.hidden_zero, low, high)
        found.append(h)
    from budget.ops.recurrent import sequence

    values = (sequence(found, attributes), h, c)
    return tuple(
        np.asarray(value).astype(type.dtype.numpy) for value, type in zip(values, call.outputs)
    )


def _wide(x: Array) -> Int64s:
    return x.astype(np.int64)


def _in_16_bits(x: Int64s) -> Int64s:
    return np.clip(x, -32768, 32767)


def _functions(gates: Sequence[Int64s], *, is_host: bool) -> list[Int64s]:
    """Gates input, forget and output through the logistic function, the candidate through tanh."""
    i, f, g, o = gates
    if is_host:
        return [*(gemmlowp16.logistic(x, 3) for x in (i, f)), gemmlowp16.tanh(g, 3),
                gemmlowp16.logistic(o, 3)]  # fmt: skip
    logistic = SIGMOIDS[0]
    lifted = [_in_16_bits(logistic.interpolated(x, GATE_SCALE)) for x in (i, f, o)]
    return [lifted[0], lifted[1], _tanh(g, -12, is_host=False), lifted[2]]


def _tanh(x: Int64s, power: int, *, is_host: bool) -> Int64s:
    if is_host:
        return gemmlowp16.tanh(x, 15 + power)
    return _in_16_bits(SIGMOIDS[1].interpolated(x, 2.0**power))


def _cell(i: Int64s, f: Int64s, g: Int64s, c: Int64s, plan: Plan, *, is_host: bool) -> Int64s:
    """What is kept of the cell, and what is added."""
    if is_host:
        kept = rounding_divide_by_pot(f * c, 15)
        added = rounding_divide_by_pot(i * g, 30 + plan.cell_power)
    else:
        kept = _in_16_bits(multiply_twice_rounded(f * c, *quantize_multiplier(_ONE)))
        real = _ONE * _ONE / 2.0**plan.cell_power
        added = _in_16_bits(multiply_twice_rounded(i * g, *quantize_multiplier(real)))
    total = _in_16_bits(kept + added)
    return np.clip(total, -plan.clip, plan.clip) if plan.clip else total
