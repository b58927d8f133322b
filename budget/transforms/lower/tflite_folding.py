"""Arithmetic on constants while the dialect ``tfl`` is lowered.

Two kinds occur: weights stored in a narrower type behind a DEQUANTIZE, and shapes computed by
little graphs of SHAPE, STRIDED_SLICE and PACK because the batch was unknown at conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from budget.graph import ABSENT, Array, DType, Node

if TYPE_CHECKING:
    from budget.transforms.lower.tflite import Lowering

_MAX_ELEMENTS = 1 << 16  # what is folded beside weights is small; larger arrays are left alone

Fold = Callable[[Mapping[str, Any], list[Any]], Array | None]


def fold(lowering: Lowering, node: Node, op: str) -> bool:
    """Replaces the output of ``node`` by a constant where it can be computed now."""
    if len(node.outputs) != 1:
        return False
    out = node.outputs[0]
    if op in ("SHAPE", "RANK") and node.inputs and node.inputs[0] != ABSENT:
        shape = lowering.type(node.inputs[0]).shape
        dtype = lowering.type(out).dtype.numpy
        lowering.fold_to(out, np.array(shape if op == "SHAPE" else len(shape), dtype))
        return True
    if not node.inputs or ABSENT in node.inputs:
        return False
    operands = [lowering.tensors[name] for name in node.inputs]
    data = [tensor.data for tensor in operands if tensor.data is not None]
    if len(data) != len(operands):
        return False
    if op in ("DEQUANTIZE", "DENSIFY"):
        return _widen(lowering, node)
    rule = _FOLDS.get(op)
    if rule is None or any(t.type.is_quantized for t in operands) or data[0].size > _MAX_ELEMENTS:
        return False
    if lowering.type(out).element_count > _MAX_ELEMENTS or lowering.type(out).is_quantized:
        return False
    try:
        result = rule(node.attributes, data)
    except (ValueError, IndexError, OverflowError, ZeroDivisionError, TypeError, KeyError):
        return False  # operands that do not fit; the rule that lowers the operator says so
    if result is None or not _has_stated_shape(lowering, node, result):
        return False
    lowering.fold_to(out, result)
    return True


def _has_stated_shape(lowering: Lowering, node: Node, result: Array) -> bool:
    stated = lowering.type(node.outputs[0])
    return stated.shape == result.shape or stated.element_count == result.size


def _widen(lowering: Lowering, node: Node) -> bool:
    """Weights in the type that computes with them."""
    tensor = lowering.tensors[node.inputs[0]]
    out = lowering.type(node.outputs[0])
    assert tensor.data is not None
    if tensor.type.shape != out.shape or (
        tensor.type.dtype != out.dtype and not out.dtype.is_float
    ):
        return False
    real: Array = tensor.data
    if tensor.type.quant is not None and tensor.type.dtype.is_integer and out.dtype.is_float:
        real = real_values(tensor.data, tensor.type.quant)
    if tensor.type.dtype is not out.dtype:
        lowering.note(
            f"weights stored as {tensor.type.dtype.value} are taken as {out.dtype.value}, "
            "the type they are computed with"
        )
    lowering.fold_to(node.outputs[0], real)
    return True


def real_values(stored: Array, quant: Any) -> Array:
    """The numbers that stored integers stand for, as float32."""
    shape = [1] * stored.ndim
    if quant.axis is not None:
        shape[quant.axis] = -1
    scale, zero = quant.scale.reshape(shape), quant.zero_point.reshape(shape)
    if not stored.ndim:
        scale, zero = quant.scale[0], quant.zero_point[0]
    real: Array = ((stored.astype(np.int64) - zero) * scale).astype(np.float32)
    return real


def _strided_slice(attributes: Mapping[str, Any], data: list[Array]) -> Array | None:
    if attributes["ellipsis_mask"] or attributes["new_axis_mask"] or attributes["offset"]:
        return None
    x, begin, end, stride = data
    index: list[Any] = []
    for d, (b, e, s) in enumerate(zip(begin.tolist(), end.tolist(), stride.tolist())):
        bit = 1 << d
        if attributes["shrink_axis_mask"] & bit:
            index.append(b)
            continue
        first = None if attributes["begin_mask"] & bit else b
        last = None if attributes["end_mask"] & bit else e
        index.append(slice(first, last, s))
    return np.asarray(x[tuple(index)])


def _fill(_: Mapping[str, Any], data: list[Array]) -> Array | None:
    shape = tuple(data[0].reshape(-1).tolist())
    if np.prod(shape, dtype=np.float64) > _MAX_ELEMENTS:
        return None
    return np.full(shape, data[1])


def _range(_: Mapping[str, Any], data: list[Array]) -> Array | None:
    start, stop, step = (value.reshape(-1)[0].item() for value in data)
    if not step or abs((stop - start) / step) > _MAX_ELEMENTS:
        return None
    return np.arange(start, stop, step)


def _pair(function: Callable[[Any, Any], Any]) -> Fold:
    def rule(attributes: Mapping[str, Any], data: list[Array]) -> Array | None:
        if attributes.get("fused_activation_function", "NONE") != "NONE":
            return None
        return np.asarray(function(data[0], data[1]))

    return rule


def _cast(attributes: Mapping[str, Any], data: list[Array]) -> Array | None:
    if attributes["out_data_type"] not in DType:
        return None
    return data[0].astype(DType(attributes["out_data_type"]).numpy)


_FOLDS: dict[str, Fold] = {
    "STRIDED_SLICE": _strided_slice,
    "SLICE": lambda a, d: d[0][
        tuple(slice(b, None if s < 0 else b + s) for b, s in zip(d[1].tolist(), d[2].tolist()))
    ],
    "PACK": lambda a, d: np.stack(d, a["axis"]),
    "CONCATENATION": lambda a, d: np.concatenate(d, a["axis"]),
    "GATHER": lambda a, d: None if a["batch_dims"] else np.take(d[0], d[1], a["axis"]),
    "RESHAPE": lambda a, d: d[0].reshape(d[1].tolist()) if len(d) > 1 else None,
    "SQUEEZE": lambda a, d: np.squeeze(d[0], tuple(a.get("squeeze_dims", ())) or None),
    "EXPAND_DIMS": lambda a, d: np.expand_dims(d[0], int(d[1].reshape(-1)[0])),
    "TRANSPOSE": lambda a, d: np.transpose(d[0], d[1].tolist()),
    "REDUCE_PROD": lambda a, d: np.prod(
        d[0], axis=tuple(d[1].reshape(-1).tolist()), keepdims=a["keep_dims"], dtype=d[0].dtype
    ),
    "CAST": _cast,
    "FILL": _fill,
    "RANGE": _range,
    "ZEROS_LIKE": lambda a, d: np.zeros_like(d[0]),
    "ADD": _pair(np.add),
    "SUB": _pair(np.subtract),
    "MUL": _pair(np.multiply),
    "FLOOR_DIV": _pair(np.floor_divide),
    "MAXIMUM": _pair(np.maximum),
    "MINIMUM": _pair(np.minimum),
    "NEG": lambda a, d: np.negative(d[0]),
    "LESS": _pair(np.less),
    "LESS_EQUAL": _pair(np.less_equal),
    "GREATER": _pair(np.greater),
    "GREATER_EQUAL": _pair(np.greater_equal),
    "EQUAL": _pair(np.equal),
    "NOT_EQUAL": _pair(np.not_equal),
    "LOGICAL_AND": _pair(np.logical_and),
    "LOGICAL_OR": _pair(np.logical_or),
    "LOGICAL_NOT": lambda a, d: np.logical_not(d[0]),
}
