"""From integer sums of products to stored values, as TensorFlow Lite's kernels do it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, DType, QuantParams, TensorType
from budget.ops.fixed_point import (
    Int64s,
    activation_bounds,
    multiply_once_rounded,
    multiply_reduced,
    multiply_twice_rounded,
    quantize_multipliers,
    wrap_int32,
)
from budget.ops.operator import Activation


def operand(inputs: Sequence[Array | None], index: int) -> Array:
    """The array at ``index``.

    Raises:
        ModelError: it is left out.
    """
    array = inputs[index] if index < len(inputs) else None
    if array is None:
        raise ModelError(f"operand {index} is missing")
    return np.asarray(array)


def operand_type(inputs: Sequence[TensorType | None], index: int) -> TensorType:
    """The type at ``index``.

    Raises:
        ModelError: it is left out.
    """
    type = inputs[index] if index < len(inputs) else None
    if type is None:
        raise ModelError(f"operand {index} is missing")
    return type


def has_operand(inputs: Sequence[object], index: int) -> bool:
    """Whether an optional operand is there."""
    return index < len(inputs) and inputs[index] is not None


def quant_of(type: TensorType) -> QuantParams:
    """Scale and zero point of a type.

    Raises:
        ModelError: it has none.
    """
    if type.quant is None:
        raise ModelError(f"integers of shape {type.shape} stand for reals but carry no scale")
    return type.quant


def zero_point_of(type: TensorType) -> int:
    """The stored value that stands for 0 in a tensor with one scale."""
    return int(quant_of(type).zero_point[0])


def shifted(array: Array, type: TensorType) -> NDArray[np.float64]:
    """Stored values less their zero point, as float64: sums of products stay exact below 2^53."""
    quant = quant_of(type)
    values = array.astype(np.float64)
    if not quant.zero_point.any():
        return values
    if quant.axis is None:
        return values - float(quant.zero_point[0])
    shape = [1] * array.ndim
    shape[quant.axis] = -1
    return values - quant.zero_point.reshape(shape)


def product_multipliers(x: TensorType, weights: TensorType, y: TensorType) -> NDArray[np.float64]:
    """Scale of a product over that of the output, for each output channel.

    Source: PopulateConvolutionQuantizationParams in tensorflow/lite/kernels/kernel_util.cc.
    """
    x_scale, w_scale, y_scale = (quant_of(t).scale.astype(np.float64) for t in (x, weights, y))
    return x_scale * w_scale / y_scale


def single_multiplier(x: TensorType, weights: TensorType, y: TensorType) -> NDArray[np.float64]:
    """`product_multipliers` of tensors with one scale each; their product is a float32.

    Source: GetQuantizedConvolutionMultipler in tensorflow/lite/kernels/kernel_util.cc.
    """
    product = quant_of(x).scale[:1] * quant_of(weights).scale[:1]
    return product.astype(np.float64) / quant_of(y).scale[:1].astype(np.float64)


class Scaling(Enum):
    """How a kernel multiplies a sum by a real number.

    TWICE_ROUNDED: 32-bit sum, high half of the doubled product, then a rounding shift.
    ONCE_ROUNDED: 64-bit product, one rounding shift.
    REDUCED: 64-bit sum, multiplier cut to 16 bits, one rounding shift.
    """

    TWICE_ROUNDED = "twice"
    ONCE_ROUNDED = "once"
    REDUCED = "reduced"


def scaling_of(x: TensorType, bias: TensorType | None) -> Scaling:
    """What follows from the accumulator: 64 bits for 16-bit activations, unless the bias has 32."""
    if x.dtype is not DType.INT16 or (bias is not None and bias.dtype is DType.INT32):
        return Scaling.TWICE_ROUNDED
    return Scaling.REDUCED


def rescale(
    sums: NDArray[np.generic],
    multipliers: NDArray[np.float64],
    y: TensorType,
    activation: Activation,
    scaling: Scaling,
) -> Array:
    """Sums times multipliers (along the last dimension), zero point added and clamped.

    Args:
        sums: exact sums of products, bias included.
        multipliers: real factors, one or one for each element of the last dimension.
        y: type of the output.
        activation: fused behind the operator.
        scaling: how the kernel rounds.
    """
    exact: Int64s = sums.astype(np.int64)
    q, shift = quantize_multipliers(multipliers)
    match scaling:
        case Scaling.TWICE_ROUNDED:
            scaled = multiply_twice_rounded(wrap_int32(exact), q, shift)
        case Scaling.ONCE_ROUNDED:
            scaled = multiply_once_rounded(exact, q, shift)
        case Scaling.REDUCED:
            scaled = multiply_reduced(exact, q, shift)
    low, high = activation_bounds(activation, y)
    stored = np.clip(scaled + zero_point_of(y), low, high)
    return stored.astype(y.dtype.numpy).reshape(y.shape)
