"""Parameters of a model, counted the three ways that people mean."""

from __future__ import annotations

from dataclasses import dataclass

from budget.graph import Graph


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """How many parameters a model has.

    Attributes:
        constant_elements: every element of every constant in the graph as read, shapes and axes
            included: what TensorFlow's summarize_graph printed.
        trainable: elements of floating-point or quantised constants in the graph as read that
            are weights, not shapes: batch-norm statistics count.
        deployed: elements of the constants that the lowered graph keeps in flash.
    """

    constant_elements: int
    trainable: int
    deployed: int


def count_parameters(raw: Graph, lowered: Graph) -> ParameterCount:
    """Counts elements of constants; a constant that several nodes read counts once."""
    constants = [tensor for part in raw.walk() for tensor in part.constants]
    return ParameterCount(
        sum(tensor.type.element_count for tensor in constants),
        sum(
            tensor.type.element_count
            for tensor in constants
            if tensor.type.dtype.is_float or tensor.type.is_quantized
        ),
        sum(tensor.type.element_count for part in lowered.walk() for tensor in part.constants),
    )
