"""What the dialects' rules for recurrent layers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from budget.graph.graph import ABSENT, Node
from budget.ops.registry import get
from budget.transforms.lower.tensorflow_context import Context, Value

STATE_COUNTS = {"simple_rnn": 1, "gru": 1, "lstm": 2}
BIAS_COUNTS = {"simple_rnn": 1, "gru": 2, "lstm": 1}


def emit_recurrent(
    c: Context,
    node: Node,
    op: str,
    operands: Sequence[Value | None],
    attributes: Mapping[str, Any],
) -> list[Value]:
    """Adds a recurrent operator; a state that is a variable is written where it is read.

    Args:
        c: the graph under construction.
        node: of the source graph.
        op: ``lstm``, ``gru`` or ``simple_rnn``.
        operands: input, weights, recurrent weights, biases, states; None where left out.
        attributes: of the operator, by name.

    Returns:
        The output and the states.

    Raises:
        ModelError: the operands do not go together.
    """
    operator = get(op)
    values = operator.Attributes(**attributes)
    names = [ABSENT if item is None else c.tensor(node, item) for item in operands]
    tensors = c.builder.tensors
    types = [None if name == ABSENT else tensors[name].type for name in names]
    inferred = operator.infer(values, types)
    states = names[-STATE_COUNTS[op] :]
    outputs = [c.builder.tensor(c.builder.unique_name(f"{node.name}/{op}"), inferred[0])]
    for index, (state, type) in enumerate(zip(states, inferred[1:], strict=True)):
        is_kept = state != ABSENT and tensors[state].is_variable
        wanted = f"{node.name}/{op}/state_{index}_last"
        outputs.append(state if is_kept else c.builder.tensor(c.builder.unique_name(wanted), type))
    c.builder.node(op, names, outputs, values, origin=(node.name,))
    return list(outputs)


def reverse(c: Context, node: Node, x: Value, axis: int) -> Value:
    """The elements along a dimension in the other order."""
    from budget.ops.shaping import StridedSliceAttributes

    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(np.flip(x, axis))
    shape = c.shape(x)
    if shape[axis] == 1:
        return x
    begin = tuple(n - 1 if d == axis else 0 for d, n in enumerate(shape))
    end = tuple(-1 if d == axis else n for d, n in enumerate(shape))
    stride = tuple(-1 if d == axis else 1 for d in range(len(shape)))
    return c.emit_one(node, "strided_slice", [x], StridedSliceAttributes(begin, end, stride))
