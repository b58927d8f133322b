"""Layers with a state: simple recurrent layers, gated ones, long short-term memory."""

from __future__ import annotations

import numpy as np

from budget.codegen.c import literal
from budget.codegen.context import StepCode, StepContext
from budget.graph import DType
from budget.ops.recurrent import FUNCTIONS

_KINDS = {name: index for index, name in enumerate(FUNCTIONS)}
_BIASES = {"simple_rnn": 1, "gru": 2, "lstm": 1}
_STATES = {"simple_rnn": 1, "gru": 1, "lstm": 2}


def write_recurrent(context: StepContext) -> StepCode:
    """States are computed where they are kept; one that is not given begins with zeros."""
    if context.type(0).is_quantized and context.step.node.op == "lstm":
        from budget.codegen.steps.recurrent_integer import write_lstm_integer

        return write_lstm_integer(context)
    context.suffix(DType.FLOAT32)
    op, attributes = context.step.node.op, context.attributes
    weights, recurrent = context.type(1), context.type(2)
    if weights.dtype is not DType.FLOAT32 or recurrent.dtype is not DType.FLOAT32:
        raise context.refuse("weights that are not float with float activations")
    biases = [_bias(context, 3 + index) for index in range(_BIASES[op])]
    states = [f"y{1 + index}" for index in range(_STATES[op])]
    arguments: list[object] = [context.operand(0), "y0", *states]
    arguments += [context.operand(1, "weights", "weights")]
    arguments += [context.operand(2, "recurrent", "recurrent weights"), *biases]
    statements = first_states(context, 3 + _BIASES[op])
    if op == "gru":
        arguments.append("0" if attributes.reset_after else "room")
        if not attributes.reset_after:
            statements.append(f"float room[{recurrent.shape[1]}];")
    arguments += [*geometry(context), _KINDS[attributes.function]]
    if op != "simple_rnn":
        arguments.append(_KINDS[attributes.gate_function])
    if op == "gru":
        arguments.append(int(attributes.reset_after))
    if op == "lstm":
        arguments.append(literal(float(np.float32(attributes.cell_clip)), "float"))
    statements.append(f"{op}_f32({', '.join(map(str, arguments))});")
    return context.code(f"{op}_f32.h", *statements)


def _bias(context: StepContext, index: int) -> str:
    if context.has(index):
        return context.operand(index, f"bias_{index}", "bias")
    zeros = np.zeros(context.type(1).shape[0], np.float32)
    return context.table(f"no_bias_{index}", "float", zeros, "no bias")


def first_states(context: StepContext, first: int) -> list[str]:
    """Statements that put the first states where the last ones are computed."""
    statements = []
    node = context.step.node
    for place, out in enumerate(node.outputs[1:]):
        index, size_bytes = first + place, context.output_type(1 + place).size_bytes
        if not context.has(index):
            zero = _zero_byte(context, place)
            statements.append(f"memset(y{1 + place}, {zero}, {size_bytes});")
        elif node.inputs[index] != out:
            source = context.operand(index, f"state_{place}", "first state")
            statements.append(f"memcpy(y{1 + place}, {source}, {size_bytes});")
    return statements


def _zero_byte(context: StepContext, place: int) -> int:
    quant = context.output_type(1 + place).quant
    return 0 if quant is None else int(quant.zero_point[0])


def geometry(context: StepContext) -> list[int]:
    """Batch, steps, depth, units, then the strides of x and y by step and by row."""
    attributes, x = context.attributes, context.type(0).shape
    units = context.type(2).shape[1]
    steps, batch = x[:2] if attributes.time_major else (x[1], x[0])
    x_strides = (batch * x[2], x[2]) if attributes.time_major else (x[2], steps * x[2])
    y_strides = (batch * units, units) if attributes.time_major else (units, steps * units)
    if not attributes.sequences:
        y_strides = (0, units)
    return [batch, steps, x[2], units, *x_strides, *y_strides]
