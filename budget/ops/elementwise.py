"""Arithmetic on pairs of tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import apply_activation_float
from budget.ops.operator import (
    Activation,
    Case,
    Cost,
    NoAttributes,
    Operand,
    Operator,
    traffic_bytes,
)

FLOAT = (DType.FLOAT32,)


@dataclass(frozen=True, slots=True)
class ArithmeticAttributes:
    """Attributes of `Mul` and `Div`.

    Attributes:
        activation: fused behind the operation.
    """

    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class AddAttributes:
    """Attributes of `Add` and `Sub`.

    Attributes:
        activation: fused behind the operation.
        pot_scale_int16: 16-bit operands have power-of-two scales and are only shifted, as old
            converters promised.
    """

    activation: Activation = Activation.NONE
    pot_scale_int16: bool = False


class Elementwise(Operator):
    """Base: output element = function of the operands' elements at the same (broadcast) place."""

    operand_count: ClassVar[int] = 2
    flops_per_element: ClassVar[int] = 1
    overwrites = (0, 1)

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """Operands of one type, shapes broadcast against each other."""
        present = [type for type in inputs if type is not None]
        if len(present) != self.operand_count:
            raise ModelError(f"{self.name} needs {self.operand_count} operands, not {len(present)}")
        if len({type.dtype for type in present}) > 1:
            kinds = ", ".join(type.dtype.value for type in present)
            raise ModelError(f"operands of {self.name} differ in type: {kinds}")
        return (TensorType(broadcast_shape(self.name, present), present[0].dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """One operation for each output element, and one for an activation."""
        count = outputs[0].element_count
        active = getattr(attributes, "activation", Activation.NONE) is not Activation.NONE
        return Cost(
            alu=count * (1 + active),
            flops=count * (self.flops_per_element + active),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )


def broadcast_shape(name: str, types: Sequence[TensorType]) -> tuple[int, ...]:
    """The shape that all operands stretch to.

    Raises:
        ModelError: they do not agree.
    """
    try:
        return tuple(np.broadcast_shapes(*(type.shape for type in types)))
    except ValueError:
        shapes = " and ".join(str(type.shape) for type in types)
        raise ModelError(f"operands of {name} have shapes {shapes}, which do not agree") from None
