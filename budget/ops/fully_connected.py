"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import apply_activation_float
from budget.ops.operator import (
    Activation,
    Case,
    Cost,
    Operand,
    Operator,
    QuantizedCall,
    Rounding,
    traffic_bytes,
)
from budget.ops.reach import rows_reach_bytes
from budget.ops.requantize import (
    Scaling,
    has_operand,
    operand,
    operand_type,
    product_multipliers,
    rescale,
    scaling_of,
    shifted,
)
from budget.records import record


@record
class FullyConnectedAttributes:
    """Attributes of `FullyConnected`.

    Attributes:
        activation: fused behind the layer.
        keep_dimensions: the output keeps all leading dimensions of the input; otherwise they are
            flattened into one.
    """

    activation: Activation = Activation.NONE
    keep_dimensions: bool = False


class FullyConnected(Operator):
    """y = x · Wᵀ + b; x [batch][in], weights [out][in], bias [out] or absent."""

    name = "fully_connected"
    Attributes = FullyConnectedAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """[…][in] × [out][in] → [batch][out], or […][out] where dimensions are kept.

        Raises:
            ModelError: the input does not divide into rows, or there is no bias for each output.
        """
        x, weights = operand_type(inputs, 0), operand_type(inputs, 1)
        if len(weights.shape) != 2 or not weights.shape[1]:
            raise ModelError(f"weights of shape {weights.shape} are not [out][in]")
        out, depth = weights.shape
        kept = attributes.keep_dimensions
        if not x.shape or x.element_count % depth or (kept and x.shape[-1] != depth):
            raise ModelError(f"an input of shape {x.shape} does not divide into rows of {depth}")
        if has_operand(inputs, 2) and operand_type(inputs, 2).element_count != out:
            raise ModelError(f"{out} outputs need as many biases")
        lead = x.shape[:-1] if kept else (x.element_count // depth,)
        return (TensorType((*lead, out), x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """MACs = outputs · depth; a bias or an activation is one operation for each output."""
        count = outputs[0].element_count
        macs = count * operand_type(inputs, 1).shape[-1]
        return Cost(
            macs=macs,
            macs_run=macs,
            alu=count * (1 + (attributes.activation is not Activation.NONE)),
            flops=2 * macs + count * has_operand(inputs, 2),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def reach_bytes(
        self,
        attributes: Any,
        inputs: Sequence[TensorType | None],
        outputs: Sequence[TensorType],
        lookahead: int = 0,
    ) -> int | None:
        """Every output of a row reads the whole row."""
        x, weights = operand_type(inputs, 0), operand_type(inputs, 1)
        return rows_reach_bytes(x.element_count // weights.shape[1], x, outputs[0], lookahead)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A matrix product in float32."""
        x, weights = operand(inputs, 0), operand(inputs, 1)
        y = _rows(x, weights) @ weights.T
        if has_operand(inputs, 2):
            y = y + operand(inputs, 2)
        y = apply_activation_float(attributes.activation, y.astype(np.float32))
        lead = x.shape[:-1] if attributes.keep_dimensions else (-1,)
        return (y.reshape(*lead, len(weights)),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Integer sums, rounded once for TFLite's host kernels and twice for TFLM's.

        Source: tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h.
        """
        x_type, w_type = operand_type(call.inputs, 0), operand_type(call.inputs, 1)
        y_type = call.outputs[0]
        x, weights = shifted(operand(inputs, 0), x_type), shifted(operand(inputs, 1), w_type)
        sums = _rows(x, weights) @ weights.T
        bias_type = operand_type(call.inputs, 2) if has_operand(call.inputs, 2) else None
        if bias_type is not None:
            sums = sums + operand(inputs, 2).astype(np.float64)
        if call.rounding is Rounding.TFLITE:
            scaling = Scaling.ONCE_ROUNDED
        else:
            scaling = scaling_of(x_type, bias_type)
        multipliers = product_multipliers(x_type, w_type, y_type)
        return (rescale(sums, multipliers, y_type, attributes.activation, scaling),)

    def cases(self) -> Iterator[Case]:
        """Every activation, with and without bias, batch above 1, dimensions kept."""
        for activation in Activation:
            yield Case(
                f"16to7-{activation.value}",
                FullyConnectedAttributes(activation),
                _operands((1, 16), 7, 16),
            )
        plain = FullyConnectedAttributes()
        yield Case("no-bias", plain, _operands((3, 5), 4, 5)[:2])
        yield Case(
            "keep", FullyConnectedAttributes(keep_dimensions=True), _operands((2, 3, 8), 5, 8)
        )
        yield Case("flatten", plain, _operands((1, 2, 3, 4), 5, 24))
        yield Case("per-channel", plain, _operands((2, 9), 6, 9, axis=0))
        yield Case(
            "bias-32-bit",
            plain,
            (*_operands((2, 9), 6, 9)[:2], Operand((6,), True, DType.INT32, "bias")),
            (DType.INT16,),
        )


def _rows(x: Array, weights: Array) -> NDArray[Any]:
    return x.reshape(-1, weights.shape[-1])


def _operands(
    x: tuple[int, ...], out: int, depth: int, axis: int | None = None
) -> tuple[Operand, ...]:
    return (
        Operand(x),
        Operand((out, depth), is_constant=True, role="weights", axis=axis),
        Operand((out,), is_constant=True, role="bias"),
    )


OPERATORS = (FullyConnected(),)
