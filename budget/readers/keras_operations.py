"""Functions used as layers of Keras 3 models, such as the Add behind ``x + y``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from budget.formats.keras_config import Call, LayerEntry
from budget.formats.keras_settings import Settings
from budget.readers.keras_rules import Shape


@dataclass(frozen=True, slots=True)
class OperationRule:
    """How the reader understands one function.

    Attributes:
        shape: of the output, from the shapes of all operands (numbers are scalars).
        operands: how many tensors or numbers it takes; None for a list of any length.
        keys: configuration keys with a meaning.
    """

    shape: Callable[[Settings, Sequence[Shape]], Shape]
    operands: int | None
    keys: frozenset[str] = frozenset()


def _same(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    return inputs[0]


def _broadcast(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    try:
        return tuple(np.broadcast_shapes(*inputs))
    except ValueError:
        raise settings.bad(f"shapes {list(inputs)} do not agree") from None


def _reduced(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    rank = len(inputs[0])
    axes = settings.axes("axis", tuple(range(rank)), rank)
    keep = settings.flag("keepdims", False)
    shape = (1 if axis in axes else n for axis, n in enumerate(inputs[0]))
    return tuple(n for axis, n in enumerate(shape) if keep or axis not in axes)


def _reshaped(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    key = "newshape" if settings.has("newshape") else "shape"
    target = tuple(
        1 if extent is None else extent for extent in settings.config.get(key) or ()
    )  # None is the batch, which is 1
    target = Settings({key: target}, settings.where).integers(key, None, minimum=-1)
    count, known = prod(inputs[0]), prod(n for n in target if n != -1)
    if target.count(-1) == 1 and known and count % known == 0:
        target = tuple(count // known if n == -1 else n for n in target)
    if -1 in target or prod(target) != count:
        raise settings.bad(f"{count} elements do not fill the shape {target}")
    return target


def _transposed(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    rank = len(inputs[0])
    axes = settings.integers("axes", rank, tuple(range(rank))[::-1], minimum=-rank)
    perm = tuple(axis % rank for axis in axes)
    if sorted(perm) != list(range(rank)):
        raise settings.bad(f"axes {axes} do not permute {rank} dimensions")
    return tuple(inputs[0][axis] for axis in perm)


def _concatenated(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    (axis,) = settings.axes("axis", 0, len(inputs[0]))
    if len({(len(s), s[:axis], s[axis + 1 :]) for s in inputs}) != 1:
        raise settings.bad(f"shapes {list(inputs)} do not agree")
    return (*inputs[0][:axis], sum(s[axis] for s in inputs), *inputs[0][axis + 1 :])


def _expanded(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    (axis,) = settings.axes("axis", None, len(inputs[0]) + 1)
    return (*inputs[0][:axis], 1, *inputs[0][axis:])


def _squeezed(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    ones = tuple(axis for axis, n in enumerate(inputs[0]) if n == 1 and axis)
    axes = settings.axes("axis", ones, len(inputs[0]))
    if any(inputs[0][axis] != 1 for axis in axes):
        raise settings.bad(f"dimensions {axes} of shape {inputs[0]} are not all 1")
    return tuple(n for axis, n in enumerate(inputs[0]) if axis not in axes)


def _product(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    a, b = inputs
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-2]:
        raise settings.bad(f"matrices of shapes {a} and {b} cannot be multiplied")
    return (*_broadcast(settings, [a[:-2], b[:-2]]), a[-2], b[-1])


def _indexed(settings: Settings, inputs: Sequence[Shape]) -> Shape:
    return taken(settings, inputs[0])[1]


def with_key(layer: LayerEntry, call: Call) -> tuple[LayerEntry, Call]:
    """An indexing such as ``x[:, 1:]`` with what stands in the brackets among its settings."""
    key = call.args[1] if len(call.args) > 1 else call.kwargs.get("key")
    items = key if isinstance(key, list) else [key]
    return replace(layer, config={**layer.config, "key": items}), Call(call.args[:1], {})


def taken(settings: Settings, shape: Shape) -> tuple[list[range], Shape]:
    """What an indexing takes of each dimension, and the shape of its result.

    Raises:
        CorruptModelError: it takes nothing, or other than by numbers, slices, new axes and dots.
    """
    items = settings.config["key"]
    full = {"class_name": "__slice__", "config": {}}
    used = sum(item is not None and _class(item) != "__ellipsis__" for item in items)
    rest = [full] * (len(shape) - used)
    if not any(_class(item) == "__ellipsis__" for item in items):
        items = [*items, *rest]
    ranges: list[range] = []
    result: list[int] = []
    for item in items:
        for each in rest if _class(item) == "__ellipsis__" else [item]:
            if each is None:
                result.append(1)
                continue
            extent = shape[len(ranges)] if len(ranges) < len(shape) else 0
            part = _part(each, extent)
            if part is None:
                raise settings.bad(f"{str(each)[:80]} takes nothing of shape {shape} that is known")
            ranges.append(part)
            if type(each) is not int:
                result.append(len(part))
    return ranges, tuple(result)


def _class(item: object) -> object:
    return item.get("class_name") if isinstance(item, dict) else None


def _part(item: object, extent: int) -> range | None:
    if type(item) is int:
        at = item + extent if item < 0 else item
        return range(at, at + 1) if 0 <= at < extent else None
    if not isinstance(item, dict) or _class(item) != "__slice__":
        return None
    config = item.get("config")
    config = config if isinstance(config, dict) else {}
    ends = [config.get(name) for name in ("start", "stop", "step")]
    if any(end is not None and type(end) is not int for end in ends) or ends[2] == 0:
        return None
    return range(*slice(*ends).indices(extent)) or None


def _named(names: str, rule: OperationRule) -> dict[str, OperationRule]:
    return {f"ops.{name}": rule for name in names.split()}


OPERATIONS: dict[str, OperationRule] = {
    **_named(
        "Add Subtract Multiply Divide TrueDivide Maximum Minimum", OperationRule(_broadcast, 2)
    ),
    **_named(
        "Relu Relu6 Sigmoid Tanh Silu HardSigmoid HardSilu Softplus Softsign Selu Mish LogSigmoid"
        " HardTanh Exp Log Sqrt Rsqrt Square Negative Absolute Abs",
        OperationRule(_same, 1),
    ),
    **_named("Gelu", OperationRule(_same, 1, frozenset({"approximate"}))),
    **_named("LeakyRelu", OperationRule(_same, 1, frozenset({"negative_slope"}))),
    **_named("Elu Celu", OperationRule(_same, 1, frozenset({"alpha"}))),
    **_named("Softmax LogSoftmax", OperationRule(_same, 1, frozenset({"axis"}))),
    **_named("Mean Sum Max Min", OperationRule(_reduced, 1, frozenset({"axis", "keepdims"}))),
    **_named("Reshape", OperationRule(_reshaped, 1, frozenset({"newshape", "shape"}))),
    **_named("Transpose", OperationRule(_transposed, 1, frozenset({"axes"}))),
    **_named("Concatenate", OperationRule(_concatenated, None, frozenset({"axis"}))),
    **_named("ExpandDims", OperationRule(_expanded, 1, frozenset({"axis"}))),
    **_named("Squeeze", OperationRule(_squeezed, 1, frozenset({"axis"}))),
    **_named("Matmul", OperationRule(_product, 2)),
    **_named("GetItem", OperationRule(_indexed, 1)),
    **_named("Identity", OperationRule(_same, 1)),
}
"""Every function that files may use as a layer."""
