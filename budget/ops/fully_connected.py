"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import (
    activation_bounds,
    apply_activation_float,
    multiply_once_rounded,
    multiply_twice_rounded,
    quantize_multipliers,
)
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


@dataclass(frozen=True, slots=True)
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
        """[…][in] × [out][in] → [batch][out], or […][out] where dimensions are kept."""
        x, weights = inputs[0], inputs[1]
        if x is None or weights is None:
            raise ModelError("a fully connected layer needs an input and weights")
        depth = weights.shape[-1]
        if not x.shape or x.element_count % depth:
            raise ModelError(f"an input of shape {x.shape} does not divide into rows of {depth}")
        if attributes.keep_dimensions:
            return (TensorType((*x.shape[:-1], weights.shape[0]), x.dtype),)
        return (TensorType((x.element_count // depth, weights.shape[0]), x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """MACs = outputs · depth; a bias or an activation is one operation for each output."""
        weights = inputs[1]
        assert weights is not None
        count = outputs[0].element_count
        macs = count * weights.shape[-1]
        has_bias = len(inputs) > 2 and inputs[2] is not None
        has_activation = attributes.activation is not Activation.NONE
        return Cost(
            macs=macs,
            macs_run=macs,
            alu=count * (1 + has_activation),
            flops=2 * macs + count * (has_bias + has_activation),
            read_bytes=traffic_bytes(inputs),
            write_bytes=traffic_bytes(outputs),
        )

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A matrix product in float32."""
        x, weights = np.asarray(inputs[0]), np.asarray(inputs[1])
        y = x.reshape(-1, weights.shape[-1]) @ weights.T
        if len(inputs) > 2 and inputs[2] is not None:
            y = y + np.asarray(inputs[2])
        y = apply_activation_float(attributes.activation, y)
        if attributes.keep_dimensions:
            y = y.reshape(*x.shape[:-1], weights.shape[0])
        return (y.astype(np.float32),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Integer sums, rounded once for TFLite's host kernels and twice for TFLM's.

        Source: tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h.
        """
        x_type, w_type, y_type = call.inputs[0], call.inputs[1], call.outputs[0]
        assert x_type is not None and w_type is not None
        assert x_type.quant is not None and w_type.quant is not None and y_type.quant is not None
        x, weights = np.asarray(inputs[0]), np.asarray(inputs[1])
        rows = x.reshape(-1, weights.shape[-1]).astype(np.int64) - int(x_type.quant.zero_point[0])
        shifted = weights.astype(np.int64) - w_type.quant.zero_point.reshape(-1, 1)
        accumulators = rows @ shifted.T
        if len(inputs) > 2 and inputs[2] is not None:
            accumulators = accumulators + np.asarray(inputs[2]).astype(np.int64)
        real = (
            x_type.quant.scale.astype(np.float64)
            * w_type.quant.scale.astype(np.float64)
            / y_type.quant.scale.astype(np.float64)
        )
        q, shift = quantize_multipliers(real)
        multiply = (
            multiply_once_rounded if call.rounding is Rounding.TFLITE else multiply_twice_rounded
        )
        y = multiply(accumulators, q, shift) + int(y_type.quant.zero_point[0])
        low, high = activation_bounds(attributes.activation, y_type)
        return (np.clip(y, low, high).astype(y_type.dtype.numpy).reshape(y_type.shape),)

    def cases(self) -> Iterator[Case]:
        """Every activation, with and without bias, batch above 1, dimensions kept."""
        for activation in Activation:
            yield Case(
                f"16to7-{activation.value}",
                FullyConnectedAttributes(activation),
                _operands((1, 16), 7, 16),
            )
        yield Case("no-bias", FullyConnectedAttributes(), _operands((3, 5), 4, 5)[:2])
        yield Case(
            "keep", FullyConnectedAttributes(keep_dimensions=True), _operands((2, 3, 8), 5, 8)
        )
        yield Case("flatten", FullyConnectedAttributes(), _operands((1, 2, 3, 4), 5, 24))


def _operands(x: tuple[int, ...], out: int, depth: int) -> tuple[Operand, ...]:
    return (
        Operand(x),
        Operand((out, depth), is_constant=True, role="weights", axis=None),
        Operand((out,), is_constant=True, dtype=DType.INT32, role="bias"),
    )


OPERATORS = (FullyConnected(),)
