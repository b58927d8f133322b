"""TensorFlow's small operators on constants: shape arithmetic and folded parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.formats.tensorflow_values import DTYPES
from budget.graph.graph import Node
from budget.graph.types import Array

MAX_ELEMENTS = 1 << 22
"""Constants that would grow beyond this, and beyond twice what the file holds, are not folded."""
_MOST_INTEGERS = 1 << 10  # of a shape, a permutation, paddings

Values = Sequence[Any]
Evaluator = Callable[[Mapping[str, Any], Values], Any]


def strided_ranges(
    shape: Sequence[int],
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int],
    attributes: Mapping[str, Any],
) -> tuple[list[range], tuple[int, ...]] | None:
    """What a StridedSlice takes of each dimension, and the shape of the result.

    Returns:
        None if the slice does not fit the shape.
    """
    masks = {
        name: int(attributes.get(f"{name}_mask", 0))
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    ranges: list[range] = []
    result: list[int] = []
    count = len(begin)
    if not len(end) == len(stride) == count or 0 in stride:
        return None
    used = sum(not (masks["new_axis"] | masks["ellipsis"]) >> i & 1 for i in range(count))
    for i in range(count):
        bit = 1 << i
        if masks["ellipsis"] & bit:
            for _ in range(len(shape) - used):
                result.append(shape[len(ranges)])
                ranges.append(range(shape[len(ranges)]))
        elif masks["new_axis"] & bit:
            result.append(1)
        elif len(ranges) >= len(shape):
            return None
        elif masks["shrink_axis"] & bit:
            extent = shape[len(ranges)]
            at = begin[i] + extent if begin[i] < 0 else begin[i]
            if not 0 <= at < extent:
                return None
            ranges.append(range(at, at + 1))
        else:
            extent = shape[len(ranges)]
            start = None if masks["begin"] & bit else begin[i]
            stop = None if masks["end"] & bit else end[i]
            taken = range(*slice(start, stop, stride[i]).indices(extent))
            ranges.append(taken)
            result.append(len(taken))
    for extent in shape[len(ranges) :]:
        ranges.append(range(extent))
        result.append(extent)
    return ranges, tuple(result)


def evaluate(node: Node, values: Values) -> tuple[Array, ...] | None:
    """The outputs of a node whose inputs are all constant.

    Returns:
        None if the operator is not known here, does not fit its operands, or would make a
        constant too large.
    """
    evaluator = _EVALUATORS.get(node.op.removeprefix("tf."))
    if evaluator is None or any(value.dtype == object for value in values):
        return None
    # a few bytes may stand for many elements: only what is there in full gives room
    stored = [value.size for value in values if all(value.strides)]
    room = max(MAX_ELEMENTS, 2 * max(stored, default=0))
    if any(value.size > room for value in values):
        return None
    try:
        if _grown(node, values) > room:
            return None
        with np.errstate(all="ignore"):
            result = evaluator(node.attributes, values)
    except (ValueError, IndexError, TypeError, KeyError, OverflowError):
        return None  # operands that do not fit; the lowering of the operator says so
    if result is None:
        return None
    results = result if isinstance(result, (tuple, list)) else (result,)
    return tuple(np.asarray(item) for item in results)


def _grown(node: Node, values: Values) -> int:
    """An upper bound for the elements of the result."""
    op = node.op.removeprefix("tf.")
    if op == "Fill":
        return math.prod(_integers(values[0]))
    if op == "Tile":
        return int(values[0].size) * math.prod(_integers(values[1]))
    if op in ("BroadcastTo", "Reshape"):
        return max(1, abs(math.prod(_integers(values[1]))))
    if op == "Range":
        start, limit, delta = (float(v) for v in values)
        return int(abs((limit - start) / delta)) + 1 if delta else MAX_ELEMENTS + 1
    if op in ("Pad", "PadV2"):
        pairs = values[1].reshape(-1, 2).sum(axis=1)
        return math.prod(int(e + p) for e, p in zip(values[0].shape, pairs))
    if op in ("GatherV2", "Gather"):
        return int(values[1].size) * int(values[0].size)
    try:
        shape = np.broadcast_shapes(*(value.shape for value in values))
    except ValueError:
        return sum(int(value.size) for value in values)
    return math.prod(shape)


def _integers(value: Array) -> list[int]:
    """A constant as a list.

    Raises:
        ValueError: it is longer than any shape.
    """
    if value.size > _MOST_INTEGERS:
        raise ValueError(f"{value.size} integers where a few are expected")
    return [int(item) for item in value.ravel()]


def _reduce(function: Callable[..., Any]) -> Evaluator:
    def run(attributes: Mapping[str, Any], values: Values) -> Any:
        axes = tuple(_integers(values[1]))
        return np.asarray(
            function(values[0], axis=axes, keepdims=bool(attributes.get("keep_dims", False)))
        ).astype(values[0].dtype)

    return run


def _strided_slice(attributes: Mapping[str, Any], values: Values) -> Any:
    x, *rest = values
    begin, end, stride = map(_integers, rest)
    plan = strided_ranges(x.shape, begin, end, stride, attributes)
    if plan is None:
        return None
    for axis, taken in enumerate(plan[0]):
        x = np.take(x, np.array(taken, np.int64), axis)
    return x.reshape(plan[1])


def _split(attributes: Mapping[str, Any], values: Values) -> Any:
    return np.split(values[1], int(attributes["num_split"]), int(values[0]))


def _squeeze(attributes: Mapping[str, Any], values: Values) -> Any:
    axes = tuple(attributes.get("squeeze_dims", ()))
    return np.squeeze(values[0], axes or None)


def _slice(attributes: Mapping[str, Any], values: Values) -> Any:
    x, begin, size = values[0], *map(_integers, values[1:])
    return x[tuple(slice(b, b + s if s >= 0 else None) for b, s in zip(begin, size))]


def _cast(attributes: Mapping[str, Any], values: Values) -> Any:
    return values[0].astype(DTYPES[attributes["DstT"]].numpy)


def _divide(attributes: Mapping[str, Any], values: Values) -> Any:
    x, y = values
    if x.dtype.kind in "iu":  # Div on integers cuts towards zero
        return np.asarray(np.sign(x) * np.sign(y) * (abs(x) // abs(y)), x.dtype)
    return x / y


def _dequantize(attributes: Mapping[str, Any], values: Values) -> Any:
    """Eight unsigned bits in the mode MIN_FIRST, as quantize_weights stores weights."""
    stored, low, high = values
    if attributes.get("mode") != b"MIN_FIRST" or stored.dtype != np.uint8:
        return None
    if low.size != 1 or high.size != 1 or low.item() == high.item():
        return None
    scale = (high.ravel()[0] - low.ravel()[0]) / np.float32(255)
    return np.round(low.ravel()[0] / scale) * scale + stored.astype(np.float32) * scale


def _mat_mul(attributes: Mapping[str, Any], values: Values) -> Any:
    a, b = values
    a = a.T if attributes.get("transpose_a") else a
    return a @ (b.T if attributes.get("transpose_b") else b)


def _unary(function: Callable[..., Any]) -> Evaluator:
    return lambda attributes, values: np.asarray(function(values[0])).astype(values[0].dtype)


def _binary(function: Callable[..., Any]) -> Evaluator:
    return lambda attributes, values: function(values[0], values[1])


def _dtype(attributes: Mapping[str, Any], key: str) -> Any:
    return DTYPES[attributes.get(key, DataType.INT32)].numpy


_EVALUATORS: dict[str, Evaluator] = {
    "Add": _binary(np.add),
    "AddV2": _binary(np.add),
    "AddN": lambda a, v: sum(v[1:], v[0]),
    "BiasAdd": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "RealDiv": _binary(np.true_divide),
    "Div": _divide,
    "FloorDiv": _binary(np.floor_divide),
    "FloorMod": _binary(np.mod),
    "Maximum": _binary(np.maximum),
    "Minimum": _binary(np.minimum),
    "Pow": _binary(np.power),
    "SquaredDifference": _binary(lambda x, y: (x - y) * (x - y)),
    "Greater": _binary(np.greater),
    "GreaterEqual": _binary(np.greater_equal),
    "Less": _binary(np.less),
    "LessEqual": _binary(np.less_equal),
    "Equal": _binary(np.equal),
    "NotEqual": _binary(np.not_equal),
    "LogicalAnd": _binary(np.logical_and),
    "LogicalOr": _binary(np.logical_or),
    "LogicalNot": _unary(np.logical_not),
    "Select": lambda a, v: np.where(*v),
    "SelectV2": lambda a, v: np.where(*v),
    "Sqrt": _unary(np.sqrt),
    "Rsqrt": _unary(lambda x: 1 / np.sqrt(x)),
    "Reciprocal": _unary(np.reciprocal),
    "Square": _unary(np.square),
    "Exp": _unary(np.exp),
    "Log": _unary(np.log),
    "Abs": _unary(np.abs),
    "Neg": _unary(np.negative),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Round": _unary(np.round),
    "Relu": _unary(lambda x: np.maximum(x, 0)),
    "Tanh": _unary(np.tanh),
    "Sigmoid": _unary(lambda x: 1 / (1 + np.exp(-x))),
    "Cast": _cast,
    "ZerosLike": _unary(np.zeros_like),
    "OnesLike": _unary(np.ones_like),
    "Fill": lambda a, v: np.full(tuple(_integers(v[0])), v[1], v[1].dtype),
    "Range": lambda a, v: np.arange(*(e.item() for e in v)).astype(v[0].dtype),
    "Reshape": lambda a, v: v[0].reshape(tuple(_integers(v[1]))),
    "Squeeze": _squeeze,
    "ExpandDims": lambda a, v: np.expand_dims(v[0], int(v[1])),
    "Transpose": lambda a, v: np.ascontiguousarray(v[0].transpose(_integers(v[1]))),
    "ConcatV2": lambda a, v: np.concatenate(v[:-1], int(v[-1])),
    "Concat": lambda a, v: np.concatenate(v[1:], int(v[0])),
    "Pack": lambda a, v: np.stack(v, int(a.get("axis", 0))),
    "Unpack": lambda a, v: list(np.moveaxis(v[0], int(a.get("axis", 0)), 0)),
    "Split": _split,
    "Slice": _slice,
    "StridedSlice": _strided_slice,
    "Tile": lambda a, v: np.tile(v[0], _integers(v[1])),
    "BroadcastTo": lambda a, v: np.broadcast_to(v[0], tuple(_integers(v[1]))).copy(),
    "Gather": lambda a, v: np.take(v[0], v[1], 0),
    "GatherV2": lambda a, v: None if a.get("batch_dims", 0) else np.take(v[0], v[1], int(v[2])),
    "Pad": lambda a, v: np.pad(v[0], v[1].reshape(-1, 2).astype(int)),
    "InvertPermutation": lambda a, v: np.argsort(v[0]).astype(v[0].dtype),
    "Prod": _reduce(np.prod),
    "Sum": _reduce(np.sum),
    "Mean": _reduce(np.mean),
    "Max": _reduce(np.max),
    "Min": _reduce(np.min),
    "All": _reduce(np.all),
    "Any": _reduce(np.any),
    "MatMul": _mat_mul,
    "Dequantize": _dequantize,
}

SHAPE_EVALUATORS: dict[str, Callable[[Mapping[str, Any], tuple[int, ...]], Array]] = {
    # operators that need only the shape of their input
    "Shape": lambda a, shape: np.array(shape, _dtype(a, "out_type")),
    "Size": lambda a, shape: np.array(math.prod(shape), _dtype(a, "out_type")),
    "Rank": lambda a, shape: np.array(len(shape), np.int32),
    "ZerosLike": lambda a, shape: np.broadcast_to(np.zeros((), _dtype(a, "T")), shape),
    "OnesLike": lambda a, shape: np.broadcast_to(np.ones((), _dtype(a, "T")), shape),
}
