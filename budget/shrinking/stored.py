"""Between real numbers and the integers that stand for them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from budget.graph import Array, DType, Graph, QuantParams

_INT32_MAX = 2**31 - 1


def stored_values(real: Array, quant: QuantParams, dtype: DType) -> Array:
    """Real numbers as an integer type holds them under one scale."""
    scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
    half = 1 << (dtype.bits - 1)
    steps = np.rint(real.astype(np.float64) / scale) + zero
    stored: Array = np.clip(steps, -half, half - 1).astype(dtype.numpy)
    return stored


def stored_bias(real: Array, scale: Array, wide: bool) -> Array:
    """A bias in steps of the products: of 64 bits behind 16-bit activations, else of 32."""
    limit = 2**62 if wide else _INT32_MAX
    steps = np.clip(np.rint(real / scale.astype(np.float64)), -limit, limit)
    stored: Array = steps.astype(np.int64 if wide else np.int32)
    return stored


def real_values(stored: Array, quant: QuantParams) -> Array:
    """The real numbers that stored integers stand for, in float32."""
    shape = [1] * stored.ndim
    if quant.axis is not None:
        shape[quant.axis] = -1
    scale = quant.scale.astype(np.float64).reshape(shape if quant.axis is not None else -1)
    zero = quant.zero_point.reshape(shape if quant.axis is not None else -1)
    if quant.axis is None:
        scale, zero = scale[0], zero[0]
    real: Array = ((stored.astype(np.int64) - zero) * scale).astype(np.float32)
    return real


def stored_inputs(graph: Graph, sample: Mapping[str, Array]) -> dict[str, Array]:
    """A sample of real numbers as a quantised graph takes it."""
    found: dict[str, Array] = {}
    for name in graph.inputs:
        type = graph.type_of(name)
        found[name] = sample[name]
        if type.quant is not None and not np.issubdtype(sample[name].dtype, np.integer):
            found[name] = stored_values(sample[name], type.quant, type.dtype)
    return found


def real_outputs(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array]:
    """A quantised graph's outputs as real numbers."""
    found: dict[str, Array] = {}
    for name in graph.outputs:
        quant = graph.type_of(name).quant
        found[name] = values[name] if quant is None else real_values(values[name], quant)
    return found
