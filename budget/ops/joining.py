"""Operators that join tensors and take them apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, TensorType
from budget.ops.fixed_point import apply_activation_float
from budget.ops.operator import Activation, Case, QuantizedCall
from budget.ops.quantized import per_tensor, round_away, saturate
from budget.ops.shaping import ConcatAttributes, Movement, PackAttributes, SplitAttributes


class Concat(Movement):
    """Tensors one behind the other along a dimension."""

    name = "concat"
    Attributes = ConcatAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Extents add up along the axis and agree elsewhere."""
        axis, first = attributes.axis, inputs[0]
        if axis not in range(len(first)):
            raise self.refusal(attributes, first)
        for shape in inputs[1:]:
            if (*shape[:axis], first[axis], *shape[axis + 1 :]) != first:
                raise self.refusal(attributes, shape)
        return [(*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :])]

    def joined_offsets(
        self, attributes: Any, inputs: Sequence[TensorType | None]
    ) -> tuple[int, ...] | None:
        """End to end if nothing lies outside the axis."""
        types = [type for type in inputs if type is not None]
        if prod(types[0].shape[: attributes.axis]) != 1:
            return None
        if attributes.activation is not Activation.NONE:
            return None
        return tuple(accumulate((type.element_count for type in types[:-1]), initial=0))

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A copy of all, then the activation."""
        joined = np.concatenate([np.asarray(x) for x in inputs], axis=attributes.axis)
        if attributes.activation is Activation.NONE:
            return (joined,)
        active = apply_activation_float(attributes.activation, joined.astype(np.float32))
        return (active.astype(joined.dtype),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """A copy; operands in another scale are brought to the output's in float32.

        Source: ConcatenationWithScaling in tensorflow/lite/kernels/internal/reference/
        concatenation.h, which TFLite uses for uint8; its int8 and int16 kernels demand one scale.
        """
        y_type = call.outputs[0]
        y = per_tensor(y_type)
        parts = []
        for x, x_type in zip(inputs, call.inputs, strict=True):
            if x_type is None or x_type.quant == y_type.quant:
                parts.append(np.asarray(x))
                continue
            quant = per_tensor(x_type)
            factor = quant.scale32 * (np.float32(1) / y.scale32)
            bias = -np.float32(quant.zero_point) * factor
            rounded = round_away(np.asarray(x).astype(np.float32) * factor + bias)
            parts.append(saturate(rounded.astype(np.int64) + y.zero_point, y_type))
        return (np.concatenate(parts, axis=attributes.axis),)

    def cases(self) -> Iterator[Case]:
        """Channels, rows, batches; two and three operands."""
        yield self.case("channels", ConcatAttributes(3), (1, 3, 4, 5), (1, 3, 4, 2))
        yield self.case("rows", ConcatAttributes(1), (2, 3, 4), (2, 1, 4), (2, 2, 4))
        yield self.case("batches", ConcatAttributes(0), (1, 7), (2, 7))


class Split(Movement):
    """A tensor cut into parts along a dimension."""

    name = "split"
    Attributes = SplitAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """One for each size; the sizes add up to the operand's extent."""
        axis, shape = attributes.axis, inputs[0]
        if axis not in range(len(shape)) or sum(attributes.sizes) != shape[axis]:
            raise self.refusal(attributes, shape)
        return [(*shape[:axis], size, *shape[axis + 1 :]) for size in attributes.sizes]

    def part_offsets(self, attributes: Any, x: TensorType) -> tuple[int, ...] | None:
        """Runs if nothing lies outside the axis."""
        if prod(x.shape[: attributes.axis]) != 1:
            return None
        inner = prod(x.shape[attributes.axis + 1 :])
        return tuple(accumulate((size * inner for size in attributes.sizes[:-1]), initial=0))

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Copies of the parts."""
        ends = np.cumsum(attributes.sizes)[:-1]
        parts = np.split(np.asarray(inputs[0]), ends, axis=attributes.axis)
        return tuple(np.ascontiguousarray(part) for part in parts)

    def cases(self) -> Iterator[Case]:
        """Equal and unequal parts."""
        yield self.case("halves", SplitAttributes(3, (3, 3)), (1, 2, 4, 6))
        yield self.case("unequal", SplitAttributes(1, (1, 4, 2)), (2, 7, 3))
        yield self.case("one", SplitAttributes(0, (2,)), (2, 3))


class Pack(Movement):
    """Tensors of one shape stacked along a new dimension."""

    name = "pack"
    Attributes = PackAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The operands' shape with their number inserted."""
        axis, first = attributes.axis, inputs[0]
        if axis not in range(len(first) + 1) or any(shape != first for shape in inputs):
            raise ModelError(f"pack cannot stack shapes {list(inputs)} along axis {axis}")
        return [(*first[:axis], len(inputs), *first[axis:])]

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A copy of all."""
        return (np.stack([np.asarray(x) for x in inputs], axis=attributes.axis),)

    def cases(self) -> Iterator[Case]:
        """The first, a middle and the last dimension."""
        for axis in (0, 1, 2):
            yield self.case(f"axis{axis}", PackAttributes(axis), (3, 4), (3, 4))


class Unpack(Movement):
    """A tensor taken apart along a dimension, which vanishes."""

    name = "unpack"
    Attributes = PackAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """As many outputs as the dimension's extent."""
        axis, shape = attributes.axis, inputs[0]
        if axis not in range(len(shape)):
            raise self.refusal(attributes, shape)
        return [(*shape[:axis], *shape[axis + 1 :])] * shape[axis]

    def part_offsets(self, attributes: Any, x: TensorType) -> tuple[int, ...] | None:
        """Runs if nothing lies outside the axis."""
        if prod(x.shape[: attributes.axis]) != 1:
            return None
        inner = prod(x.shape[attributes.axis + 1 :])
        return tuple(index * inner for index in range(x.shape[attributes.axis]))

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Copies of the parts."""
        x = np.moveaxis(np.asarray(inputs[0]), attributes.axis, 0)
        return tuple(np.ascontiguousarray(part) for part in x)

    def cases(self) -> Iterator[Case]:
        """The first and the last dimension."""
        for axis in (0, 2):
            yield self.case(f"axis{axis}", PackAttributes(axis), (3, 4, 2))


OPERATORS = (Concat(), Split(), Pack(), Unpack())
