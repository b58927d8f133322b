"""Rules of the dialect ``tfl`` for operators that move elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from budget.graph import Node
from budget.transforms.lower.tflite import Lowering, Refused, Rule
from budget.transforms.lower.tflite_elementwise import activation_of, check_operands
from budget.transforms.lower.tflite_folding import real_values


def _shape(lowering: Lowering, name: str) -> tuple[int, ...]:
    return lowering.type(name).shape


def _reshape(lowering: Lowering, node: Node) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the result's shape says it all."""
    check_operands(node, 1, 2)
    target = _shape(lowering, node.outputs[0])
    lowering.emit("reshape", node.inputs[:1], node.outputs, node, shape=target)


def _transpose(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    rank = len(_shape(lowering, node.inputs[0]))
    given = lowering.integers(node, 1, "order of dimensions")
    perm = tuple(lowering.axis(axis, rank) for axis in given)
    if sorted(perm) != list(range(rank)):
        raise Refused(f"its order of dimensions is {list(given)}")
    lowering.emit("transpose", node.inputs[:1], node.outputs, node, perm=perm)


def _concat(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1, len(node.inputs))
    rank = len(_shape(lowering, node.outputs[0]))
    axis = lowering.axis(int(node.attributes.get("axis", 0)), rank)
    activation = activation_of(node)
    lowering.emit("concat", node.inputs, node.outputs, node, axis=axis, activation=activation)


def _split(lowering: Lowering, node: Node) -> None:
    is_even = node.op == "tfl.SPLIT"
    operand, where = (1, 0) if is_even else (0, 2)
    check_operands(node, 2 if is_even else 3, outputs=len(node.outputs))
    x = node.inputs[operand]
    axes = lowering.integers(node, where, "dimension")
    if len(axes) != 1 or not node.outputs:
        raise Refused(f"it works on dimensions {list(axes)}")
    axis = lowering.axis(axes[0], len(_shape(lowering, x)))
    if is_even:
        size, rest = divmod(_shape(lowering, x)[axis], len(node.outputs))
        if rest:
            raise Refused(f"it cuts an extent of {_shape(lowering, x)[axis]} into unequal parts")
        sizes: tuple[int, ...] = (size,) * len(node.outputs)
    else:
        sizes = lowering.integers(node, 1, "list of sizes")
        missing = _shape(lowering, x)[axis] - sum(size for size in sizes if size >= 0)
        sizes = tuple(missing if size == -1 else size for size in sizes)
    if len(sizes) != len(node.outputs):
        raise Refused(f"it has {len(node.outputs)} results of sizes {list(sizes)}")
    lowering.emit("split", (x,), node.outputs, node, axis=axis, sizes=sizes)


def _slice(lowering: Lowering, node: Node) -> None:
    check_operands(node, 3)
    shape = _shape(lowering, node.inputs[0])
    begin, given = lowering.integers(node, 1, "begin"), lowering.integers(node, 2, "size")
    if len(begin) != len(shape) or len(given) != len(shape):
        raise Refused(f"its begin {list(begin)} and size {list(given)} do not fit {list(shape)}")
    size = tuple(
        extent - first if count == -1 else count
        for extent, first, count in zip(shape, begin, given)
    )
    lowering.emit("slice", node.inputs[:1], node.outputs, node, begin=begin, size=size)


@dataclass(slots=True)
class _Cut:
    """One dimension of a strided slice."""

    begin: int
    end: int
    stride: int
    vanishes: bool = False


def _strided_slice(lowering: Lowering, node: Node) -> None:
    check_operands(node, 4)
    shape = _shape(lowering, node.inputs[0])
    cuts = _cuts(lowering, node, shape)
    attributes = {
        "begin": tuple(cut.begin for cut in cuts),
        "end": tuple(cut.end for cut in cuts),
        "stride": tuple(cut.stride for cut in cuts),
    }
    kept = tuple(len(range(cut.begin, cut.end, cut.stride)) for cut in cuts)
    out = _shape(lowering, node.outputs[0])
    if kept == out:
        lowering.emit("strided_slice", node.inputs[:1], node.outputs, node, **attributes)
        return
    type = lowering.type(node.outputs[0]).with_shape(kept)
    full = lowering.add_tensor(f"{node.outputs[0]}/slice", type)
    lowering.emit("strided_slice", node.inputs[:1], (full,), node, **attributes)
    lowering.emit("reshape", (full,), node.outputs, node, shape=out)


def _cuts(lowering: Lowering, node: Node, shape: tuple[int, ...]) -> list[_Cut]:
    """Begin, end and stride of every input dimension, masks resolved.

    New dimensions of extent 1 and those that vanish are left to a reshape behind.
    """
    a = node.attributes
    begins, ends, strides = (
        lowering.integers(node, index, what)
        for index, what in ((1, "begin"), (2, "end"), (3, "stride"))
    )
    masks = {
        name: int(a.get(f"{name}_mask", 0))
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    if not len(begins) == len(ends) == len(strides) or masks["ellipsis"].bit_count() > 1:
        raise Refused("its begin, end and stride do not go together")
    given = [d for d in range(len(begins)) if not (masks["ellipsis"] | masks["new_axis"]) >> d & 1]
    spare = len(shape) - len(given)
    if spare < 0:
        raise Refused(f"it cuts {len(given)} dimensions of {len(shape)}")
    cuts: list[_Cut] = []
    for d in range(len(begins)):
        bit = 1 << d
        if masks["ellipsis"] & bit:
            cuts += [_Cut(0, extent, 1) for extent in shape[len(cuts) : len(cuts) + spare]]
            spare = 0
        elif not masks["new_axis"] & bit:
            end = ends[d] + (begins[d] if a.get("offset", False) else 0)
            extent = shape[len(cuts)]
            cuts.append(_cut(begins[d], end, strides[d], extent, d, masks))
    return cuts + [_Cut(0, extent, 1) for extent in shape[len(cuts) :]]


def _cut(begin: int, end: int, stride: int, extent: int, d: int, masks: dict[str, int]) -> _Cut:
    """One dimension, by the rules of Python's slices."""
    bit = 1 << d
    if masks["shrink_axis"] & bit:
        first = begin + extent if begin < 0 else begin
        if not 0 <= first < extent:
            raise Refused(f"it takes index {begin} of {extent}")
        return _Cut(first, first + 1, 1, vanishes=True)
    if stride == 0:
        raise Refused("its stride is 0")
    first_or_none = None if masks["begin"] & bit else begin
    last_or_none = None if masks["end"] & bit else end
    return _Cut(*slice(first_or_none, last_or_none, stride).indices(extent))


def _paddings(lowering: Lowering, node: Node) -> tuple[tuple[int, int], ...]:
    flat = lowering.integers(node, 1, "padding")
    rank = len(_shape(lowering, node.inputs[0]))
    if len(flat) != 2 * rank or min(flat, default=0) < 0:
        raise Refused(f"its padding {list(flat)} does not fit {rank} dimensions")
    return tuple(zip(flat[0::2], flat[1::2]))


def _pad(lowering: Lowering, node: Node) -> None:
    is_valued = node.op == "tfl.PADV2"
    check_operands(node, 3 if is_valued else 2)
    value = 0.0
    if is_valued:
        filler = lowering.constant(node, 2, "value")
        quant = lowering.type(node.inputs[2]).quant
        if filler.size != 1:
            raise Refused(f"it pads with {filler.size} values")
        value = float((filler if quant is None else real_values(filler, quant)).reshape(-1)[0])
    paddings = _paddings(lowering, node)
    lowering.emit("pad", node.inputs[:1], node.outputs, node, paddings=paddings, value=value)


def _mirror_pad(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    from budget.ops.shaping import MirrorMode

    name = str(node.attributes.get("mode", "REFLECT")).lower()
    if name not in list(MirrorMode):
        raise Refused(f"its mode is {name}")
    mode = MirrorMode(name)
    paddings = _paddings(lowering, node)
    lowering.emit("mirror_pad", node.inputs[:1], node.outputs, node, paddings=paddings, mode=mode)


def _pack(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1, len(node.inputs))
    rank = len(_shape(lowering, node.outputs[0]))
    axis = lowering.axis(int(node.attributes.get("axis", 0)), rank)
    lowering.emit("pack", node.inputs, node.outputs, node, axis=axis)


def _unpack(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1, outputs=len(node.outputs))
    rank = len(_shape(lowering, node.inputs[0]))
    axis = lowering.axis(int(node.attributes.get("axis", 0)), rank)
    lowering.emit("unpack", node.inputs, node.outputs, node, axis=axis)


def _gather(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    x, indices = (_shape(lowering, name) for name in node.inputs)
    axis = lowering.axis(int(node.attributes.get("axis", 0)), len(x))
    batch = lowering.axis(int(node.attributes.get("batch_dims", 0)), len(indices) + 1)
    lowering.emit("gather", node.inputs, node.outputs, node, axis=axis, batch_dims=batch)


def _embedding(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    indices, table = node.inputs
    if lowering.type(table).dtype != lowering.type(node.outputs[0]).dtype:
        raise Refused("it looks up quantised rows as real numbers")
    lowering.emit("gather", (table, indices), node.outputs, node, axis=0, batch_dims=0)


def _rearrange(lowering: Lowering, node: Node, split: Sequence[int], perm: tuple[int, ...]) -> None:
    """Reshape, transpose, reshape."""
    type, out = lowering.type(node.outputs[0]), node.outputs[0]
    parts = lowering.add_tensor(f"{out}/blocks", type.with_shape(tuple(split)))
    turned = lowering.add_tensor(
        f"{out}/turned", type.with_shape(tuple(split[axis] for axis in perm))
    )
    lowering.emit("reshape", node.inputs, (parts,), node, shape=tuple(split))
    lowering.emit("transpose", (parts,), (turned,), node, perm=perm)
    lowering.emit("reshape", (turned,), node.outputs, node, shape=type.shape)


def _depth_and_space(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    block = int(node.attributes.get("block_size", 0))
    shape = _shape(lowering, node.inputs[0])
    if block < 1 or len(shape) != 4:
        raise Refused(f"it cuts {list(shape)} into blocks of {block}")
    n, h, w, c = shape
    if node.op == "tfl.DEPTH_TO_SPACE":
        split = (n, h, w, block, block, c // (block * block))
        _rearrange(lowering, node, split, (0, 1, 3, 2, 4, 5))
    else:
        split = (n, h // block, block, w // block, block, c)
        _rearrange(lowering, node, split, (0, 1, 3, 2, 4, 5))


def _broadcast_to(lowering: Lowering, node: Node) -> None:
    check_operands(node, 2)
    if _shape(lowering, node.inputs[0]) != _shape(lowering, node.outputs[0]):
        raise Refused("it repeats elements")
    _reshape(lowering, node)


RULES: dict[str, Rule] = {
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "TRANSPOSE": _transpose,
    "CONCATENATION": _concat,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "PACK": _pack,
    "UNPACK": _unpack,
    "GATHER": _gather,
    "EMBEDDING_LOOKUP": _embedding,
    "DEPTH_TO_SPACE": _depth_and_space,
    "SPACE_TO_DEPTH": _depth_and_space,
    "BROADCAST_TO": _broadcast_to,
}
