"""What integer kernels share: scales as numbers, saturation, tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.errors import ModelError
from budget.graph.types import Array, TensorType
from budget.ops.fixed_point import Int64s, storage_range
from budget.ops.operator import QuantizedCall
from budget.records import record

Floats = NDArray[np.float32]


@record
class PerTensor:
    """One scale and zero point for a whole tensor.

    Attributes:
        scale: the float32 scale, as a double.
        zero_point: stored value of real zero.
    """

    scale: float
    zero_point: int

    @property
    def scale32(self) -> np.float32:
        """The scale for arithmetic that TFLite does in float32."""
        return np.float32(self.scale)


def per_tensor(type: TensorType) -> PerTensor:
    """The quantisation of a tensor that has one scale.

    Raises:
        ModelError: it has none, or one for each channel.
    """
    if type.quant is None:
        raise ModelError(f"a tensor of {type.dtype.value} has no quantisation")
    if len(type.quant.scale) != 1:
        raise ModelError("an activation has a scale for each channel; one for all is needed")
    return PerTensor(float(type.quant.scale[0]), int(type.quant.zero_point[0]))


def types_of(call: QuantizedCall) -> tuple[list[TensorType], tuple[TensorType, ...]]:
    """Types of the operands that are present, and of the outputs."""
    return [type for type in call.inputs if type is not None], call.outputs


def saturate(x: Any, type: TensorType, low: int | None = None, high: int | None = None) -> Array:
    """Numbers clipped to a range (all of the type's if not given), in the type's element type."""
    smallest, largest = storage_range(type.dtype)
    bounds = (smallest if low is None else low, largest if high is None else high)
    return np.asarray(np.clip(x, *bounds)).astype(type.dtype.numpy)


def round_away(x: NDArray[Any]) -> NDArray[Any]:
    """To the nearest integer, halves away from zero, as C's round does."""
    whole = np.trunc(x)
    with np.errstate(invalid="ignore"):  # infinities stay what they are
        is_up = np.abs(x - whole) >= 0.5
    # adding a half instead would itself round, just below one half for instance
    rounded: NDArray[Any] = whole + np.copysign(is_up.astype(x.dtype), x)
    return rounded


def table_of(
    function: Callable[[Floats], Floats], x_type: TensorType, y_type: TensorType
) -> NDArray[Any]:
    """The 256 results of a function of 8-bit numbers, smallest argument first.

    Source: LUTPopulateInt8 in tensorflow/lite/kernels/internal/common.h; float32 throughout.
    """
    x, y = per_tensor(x_type), per_tensor(y_type)
    low, high = storage_range(x_type.dtype)
    stored = np.arange(low, high + 1)
    real = x.scale32 * (stored - x.zero_point).astype(np.float32)
    rescaled = round_away(function(real) * (np.float32(1) / y.scale32))
    return saturate(rescaled + np.float32(y.zero_point), y_type)


def look_up(x: Any, table: NDArray[Any], type: TensorType) -> Array:
    """Elements of a table that starts at the type's smallest value."""
    low, _ = storage_range(type.dtype)
    return np.asarray(table[np.asarray(x).astype(np.int64) - low])


def interpolation_table(
    function: Callable[[Any], Any], low: float, high: float, *, in_float32: bool = False
) -> Int64s:
    """513 samples of a function into [-1, 1) for `interpolate`.

    Each is corrected for half of what the straight line to the next one misses in its middle.

    Args:
        function: of an array.
        low: argument of the first sample.
        high: argument of the last sample.
        in_float32: computed in single precision, as TFLM does it, instead of double.

    Source: LUTPopulateInt16 in tensorflow/lite/kernels/internal/common.h.
    """
    number: Any = np.float32 if in_float32 else np.float64
    step = (number(high) - number(low)) / number(512)
    places = number(low) + np.arange(512).astype(number) * step
    gain = number(32768)
    samples = round_away(function(places) * gain)
    following = function(number(low) + np.arange(1, 513).astype(number) * step) * gain
    middle_lines = round_away((following + samples) / number(2))
    middles = round_away(function(places + step / number(2)) * gain)
    corrected = samples - round_away((middle_lines - middles) / number(2))
    last = round_away(np.asarray(function(number(high)) * gain))
    table: Int64s = np.clip(np.append(corrected, last), -32768, 32767).astype(np.int64)
    return table


def interpolate(x: Any, table: Int64s) -> Int64s:
    """A function of 16-bit numbers, from 512 straight pieces.

    Source: LUTLookup in tensorflow/lite/kernels/internal/common.h.
    """
    stored = np.asarray(x).astype(np.int64)
    index = 256 + (stored >> 7)
    slope = table[index + 1] - table[index]
    return np.asarray(table[index] + ((slope * (stored & 0x7F) + 64) >> 7))
