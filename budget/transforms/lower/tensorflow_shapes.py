"""TensorFlow's operators that move elements without changing them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from budget.graph.graph import Node
from budget.transforms.lower.tensorflow_context import (
    Context,
    Lowered,
    Value,
    attribute,
    axis_of,
)
from budget.transforms.lower.tensorflow_evaluate import strided_ranges


def reshape(c: Context, node: Node) -> Lowered:
    """Reshape to a constant shape, in which one -1 may stand."""
    x = c.values[node.inputs[0]]
    shape, count = c.integers(node, 1), math.prod(c.shape(x))
    if -1 in shape:
        rest = math.prod(extent for extent in shape if extent != -1)
        shape[shape.index(-1)] = count // rest if rest else 0
    if math.prod(shape) != count or any(extent < 0 for extent in shape):
        raise c.unsupported(node, f"{c.shape(x)} does not reshape to {tuple(shape)}")
    return c.reshape(node, x, tuple(shape))


def reverse(c: Context, node: Node) -> Lowered:
    """The elements along constant dimensions in the other order."""
    from budget.transforms.lower.recurrent import reverse as reversed_along

    x = c.values[node.inputs[0]]
    for axis in c.integers(node, 1):
        x = reversed_along(c, node, x, axis_of(axis, len(c.shape(x))))
    return x


def squeeze(c: Context, node: Node) -> Lowered:
    """Drops extents of 1: those listed, or all."""
    x = c.values[node.inputs[0]]
    shape = c.shape(x)
    listed = attribute(node, "squeeze_dims", ()) or attribute(node, "axis", ())
    axes = {axis_of(axis, len(shape)) for axis in listed}
    if any(axis >= len(shape) or shape[axis] != 1 for axis in axes):
        raise c.unsupported(node, f"dimensions {sorted(axes)} of {shape} are not all 1")
    kept = [e for i, e in enumerate(shape) if (i not in axes if axes else e != 1)]
    return c.reshape(node, x, tuple(kept))


def expand_dims(c: Context, node: Node) -> Lowered:
    """Inserts an extent of 1."""
    x = c.values[node.inputs[0]]
    shape = list(c.shape(x))
    shape.insert(axis_of(c.integers(node, 1)[0], len(shape) + 1), 1)
    return c.reshape(node, x, tuple(shape))


def transpose(c: Context, node: Node) -> Lowered:
    """Transpose by a constant permutation."""
    x, perm = c.values[node.inputs[0]], tuple(c.integers(node, 1))
    return x if perm == tuple(range(len(perm))) else c.permute(node, x, perm)


def concat(c: Context, node: Node) -> Lowered:
    """ConcatV2 has the axis last, Concat first."""
    from budget.ops.shaping import ConcatAttributes

    values = c.inputs(node)
    last = node.op == "tf.ConcatV2"
    axis = c.integers(node, len(values) - 1 if last else 0)[0]
    parts = values[:-1] if last else values[1:]
    if len(parts) == 1:
        return parts[0]
    return c.emit(node, "concat", parts, ConcatAttributes(axis_of(axis, len(c.shape(parts[0])))))


def split(c: Context, node: Node) -> Lowered:
    """Split into equal parts; the axis comes first."""
    from budget.ops.shaping import SplitAttributes

    x = c.values[node.inputs[1]]
    axis = axis_of(c.integers(node, 0)[0], len(c.shape(x)))
    count = int(attribute(node, "num_split", 1))
    if count < 1 or c.shape(x)[axis] % count:
        raise c.unsupported(node, f"{c.shape(x)[axis]} does not divide into {count} parts")
    return (
        x
        if count == 1
        else c.emit(node, "split", [x], SplitAttributes(axis, (c.shape(x)[axis] // count,) * count))
    )


def split_v(c: Context, node: Node) -> Lowered:
    """SplitV: x, sizes (one of which may be -1), axis."""
    from budget.ops.shaping import SplitAttributes

    x, sizes = c.values[node.inputs[0]], c.integers(node, 1)
    axis = axis_of(c.integers(node, 2)[0], len(c.shape(x)))
    if -1 in sizes:
        sizes[sizes.index(-1)] = c.shape(x)[axis] - sum(size for size in sizes if size != -1)
    return x if len(sizes) == 1 else c.emit(node, "split", [x], SplitAttributes(axis, tuple(sizes)))


def slice_(c: Context, node: Node) -> Lowered:
    """Slice: x, begin, size (-1 reaches to the end)."""
    from budget.ops.shaping import SliceAttributes

    x, begin, size = c.values[node.inputs[0]], c.integers(node, 1), c.integers(node, 2)
    shape = c.shape(x)
    size = [e - b if s == -1 else s for e, b, s in zip(shape, begin, size)]
    if tuple(size) == shape:
        return x
    return c.emit(node, "slice", [x], SliceAttributes(tuple(begin), tuple(size)))


def strided_slice(c: Context, node: Node) -> Lowered:
    """StridedSlice with every mask, then a reshape for axes that vanish or are new."""
    from budget.ops.shaping import StridedSliceAttributes

    x = c.values[node.inputs[0]]
    begin, end, stride = (c.integers(node, index) for index in (1, 2, 3))
    plan = strided_ranges(c.shape(x), begin, end, stride, node.attributes)
    if plan is None:
        raise c.unsupported(node, f"the slice does not fit a tensor of shape {c.shape(x)}")
    ranges, shape = plan
    cut: Value = x
    whole = all(r == range(e) for r, e in zip(ranges, c.shape(x)))
    if not whole:
        attributes = StridedSliceAttributes(
            tuple(r.start for r in ranges),
            tuple(r.stop for r in ranges),
            tuple(r.step for r in ranges),
        )
        cut = c.emit_one(node, "strided_slice", [x], attributes)
    return c.reshape(node, cut, shape)


def pad(c: Context, node: Node) -> Lowered:
    """Pad and PadV2 with a constant value."""
    from budget.ops.shaping import PadAttributes

    x = c.values[node.inputs[0]]
    pairs = np.asarray(c.constant(node, 1)).reshape(-1, 2).tolist()
    paddings = tuple((int(a), int(b)) for a, b in pairs)
    if not any(a or b for a, b in paddings):
        return x
    value = float(np.asarray(c.constant(node, 2)).reshape(())) if len(node.inputs) > 2 else 0.0
    return c.emit(node, "pad", [x], PadAttributes(paddings, value))


def mirror_pad(c: Context, node: Node) -> Lowered:
    """MirrorPad, REFLECT or SYMMETRIC."""
    from budget.ops.shaping import MirrorMode, MirrorPadAttributes

    pairs = np.asarray(c.constant(node, 1)).reshape(-1, 2).tolist()
    mode = MirrorMode(attribute(node, "mode", "REFLECT").lower())
    attributes = MirrorPadAttributes(tuple((int(a), int(b)) for a, b in pairs), mode)
    return c.emit(node, "mirror_pad", [c.values[node.inputs[0]]], attributes)


def pack(c: Context, node: Node) -> Lowered:
    """Pack stacks tensors along a new axis."""
    from budget.ops.shaping import PackAttributes

    values = c.inputs(node)
    axis = axis_of(int(attribute(node, "axis", 0)), len(c.shape(values[0])) + 1)
    return c.emit(node, "pack", values, PackAttributes(axis))


def unpack(c: Context, node: Node) -> Lowered:
    """Unpack takes an axis apart."""
    from budget.ops.shaping import PackAttributes

    (x,) = c.inputs(node)
    axis = axis_of(int(attribute(node, "axis", 0)), len(c.shape(x)))
    return c.emit(node, "unpack", [x], PackAttributes(axis))


def tile(c: Context, node: Node) -> Lowered:
    """Tile as concatenations of a tensor with itself."""
    from budget.ops.shaping import ConcatAttributes

    x = c.values[node.inputs[0]]
    for axis, count in enumerate(c.integers(node, 1)):
        if not 1 <= count <= 4096:
            raise c.unsupported(node, f"a tensor cannot be repeated {count} times here")
        if count > 1:
            x = c.emit_one(node, "concat", [x] * count, ConcatAttributes(axis))
    return x


def gather(c: Context, node: Node) -> Lowered:
    """Gather and GatherV2."""
    from budget.ops.indexing import GatherAttributes

    x, indices = c.inputs(node)[:2]
    rank = len(c.shape(x))
    axis = axis_of(c.integers(node, 2)[0], rank) if len(node.inputs) > 2 else 0
    batch = axis_of(int(attribute(node, "batch_dims", 0)), len(c.shape(indices)))
    return c.emit(node, "gather", [x, indices], GatherAttributes(axis, batch))


HANDLERS: dict[str, Any] = {
    "Reshape": reshape,
    "Squeeze": squeeze,
    "ExpandDims": expand_dims,
    "Transpose": transpose,
    "ConcatV2": concat,
    "Concat": concat,
    "Split": split,
    "SplitV": split_v,
    "Slice": slice_,
    "StridedSlice": strided_slice,
    "Pad": pad,
    "PadV2": pad,
    "MirrorPad": mirror_pad,
    "Pack": pack,
    "Unpack": unpack,
    "Tile": tile,
    "Gather": gather,
    "GatherV2": gather,
    "ReverseV2": reverse,
}
