"""Operators that move the elements of one tensor, and the attributes of all that move elements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.operator import (
    Activation,
    Case,
    Cost,
    Operand,
    Operator,
    QuantizedCall,
    traffic_bytes,
)
from budget.ops.quantized import per_tensor, round_away, saturate


@dataclass(frozen=True, slots=True)
class ReshapeAttributes:
    """Attributes of `Reshape`.

    Attributes:
        shape: of the output, without -1.
    """

    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TransposeAttributes:
    """Attributes of `Transpose`.

    Attributes:
        perm: which input dimension each output dimension is.
    """

    perm: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConcatAttributes:
    """Attributes of `Concat`.

    Attributes:
        axis: not negative.
        activation: fused behind the operation (float only).
    """

    axis: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class SplitAttributes:
    """Attributes of `Split`.

    Attributes:
        axis: not negative.
        sizes: extent of each output along the axis.
    """

    axis: int
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SliceAttributes:
    """Attributes of `Slice`.

    Attributes:
        begin: first index in each dimension.
        size: extent in each dimension, without -1.
    """

    begin: tuple[int, ...]
    size: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StridedSliceAttributes:
    """Attributes of `StridedSlice`; dimension d takes the indices range(begin, end, stride).

    Attributes:
        begin: first index in each dimension, masks resolved, not negative.
        end: index behind the last one; -1 for a negative stride that runs to index 0.
        stride: step, not zero.
    """

    begin: tuple[int, ...]
    end: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PadAttributes:
    """Attributes of `Pad`.

    Attributes:
        paddings: elements added before and behind, for each dimension.
        value: what they are: a real number, whatever the tensor's quantisation.
    """

    paddings: tuple[tuple[int, int], ...]
    value: float = 0.0


class MirrorMode(StrEnum):
    """How `MirrorPad` continues a tensor behind its border."""

    REFLECT = "reflect"
    SYMMETRIC = "symmetric"


@dataclass(frozen=True, slots=True)
class MirrorPadAttributes:
    """Attributes of `MirrorPad`.

    Attributes:
        paddings: elements added before and behind, for each dimension.
        mode: whether the border element itself is repeated (symmetric) or not (reflect).
    """

    paddings: tuple[tuple[int, int], ...]
    mode: MirrorMode = MirrorMode.REFLECT


@dataclass(frozen=True, slots=True)
class PackAttributes:
    """Attributes of `Pack` and `Unpack`.

    Attributes:
        axis: the dimension that is new (pack) or vanishes (unpack), not negative.
    """

    axis: int


def run_offset(shape: Sequence[int], begin: Sequence[int], size: Sequence[int]) -> int | None:
    """Index of a box's first element, if its elements follow one another; None otherwise."""
    inner, is_cut, offset = 1, False, 0
    for extent, first, taken in zip(reversed(shape), reversed(begin), reversed(size), strict=True):
        if is_cut and taken != 1:
            return None
        is_cut = is_cut or taken != extent
        offset += first * inner
        inner *= extent
    return offset


class Movement(Operator):
    """Base: the output holds the operand's elements, or copies of one value, and no arithmetic."""

    dtypes: ClassVar[tuple[DType, ...]] = (DType.FLOAT32, DType.INT8, DType.INT16)

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """The operand's element type under the shape that `shapes` gives."""
        present = [type for type in inputs if type is not None]
        if not present:
            raise ModelError(f"{self.name} needs an operand")
        shapes = self.shapes(attributes, [type.shape for type in present])
        return tuple(TensorType(shape, present[0].dtype) for shape in shapes)

    @abstractmethod
    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Shapes of the outputs."""

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Traffic only: what is written has been read."""
        written = traffic_bytes(outputs)
        return Cost(read_bytes=min(traffic_bytes(inputs), written), write_bytes=written)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Of the stored numbers; operand and output share one scale."""
        return self.run_float(attributes, inputs)

    def case(self, label: str, attributes: Any, *shapes: tuple[int, ...]) -> Case:
        """A test case with operands of those shapes and one scale for all."""
        operands = tuple(Operand(shape) for shape in shapes)
        return Case(label, attributes, operands, self.dtypes, "same")

    def refusal(self, attributes: Any, shape: tuple[int, ...]) -> ModelError:
        """The error to raise where attributes and shape do not go together."""
        return ModelError(f"{self.name} cannot apply {attributes} to a tensor of shape {shape}")


class Reshape(Movement):
    """The same elements in the same order under another shape."""

    name = "reshape"
    Attributes = ReshapeAttributes
    is_view = True

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The shape that was asked for; it has as many elements."""
        if np.prod(inputs[0], dtype=np.int64) != np.prod(attributes.shape, dtype=np.int64):
            raise self.refusal(attributes, inputs[0])
        return [attributes.shape]

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Nothing is done."""
        return Cost()

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A view."""
        return (np.asarray(inputs[0]).reshape(attributes.shape),)

    def cases(self) -> Iterator[Case]:
        """To a vector, to a scalar, to more dimensions."""
        yield self.case("flatten", ReshapeAttributes((1, 60)), (1, 3, 4, 5))
        yield self.case("scalar", ReshapeAttributes(()), (1, 1))
        yield self.case("expand", ReshapeAttributes((2, 1, 6, 1)), (2, 6))


class Transpose(Movement):
    """Dimensions in another order."""

    name = "transpose"
    Attributes = TransposeAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The operand's extents in the new order."""
        if sorted(attributes.perm) != list(range(len(inputs[0]))):
            raise self.refusal(attributes, inputs[0])
        return [tuple(inputs[0][axis] for axis in attributes.perm)]

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A copy in the new order."""
        return (np.ascontiguousarray(np.asarray(inputs[0]).transpose(attributes.perm)),)

    def cases(self) -> Iterator[Case]:
        """Two, three and four dimensions."""
        yield self.case("matrix", TransposeAttributes((1, 0)), (3, 5))
        yield self.case("rotate", TransposeAttributes((2, 0, 1)), (3, 5, 2))
        yield self.case("to-channels-first", TransposeAttributes((0, 3, 1, 2)), (2, 3, 5, 4))


class Slice(Movement):
    """A box cut out of a tensor."""

    name = "slice"
    Attributes = SliceAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The box's size; it lies inside the operand."""
        begin, size, shape = attributes.begin, attributes.size, inputs[0]
        inside = len(begin) == len(size) == len(shape) and all(
            start >= 0 and extent >= 0 and start + extent <= limit
            for start, extent, limit in zip(begin, size, shape, strict=True)
        )
        if not inside:
            raise self.refusal(attributes, shape)
        return [size]

    def part_offsets(self, attributes: Any, x: TensorType) -> tuple[int, ...] | None:
        """A box that is whole in all inner dimensions is a run."""
        offset = run_offset(x.shape, attributes.begin, attributes.size)
        return None if offset is None else (offset,)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A copy of the box."""
        box = tuple(
            slice(begin, begin + size)
            for begin, size in zip(attributes.begin, attributes.size, strict=True)
        )
        return (np.ascontiguousarray(np.asarray(inputs[0])[box]),)

    def cases(self) -> Iterator[Case]:
        """Inside, at the border, everything."""
        yield self.case("inside", SliceAttributes((0, 1, 1, 2), (2, 2, 3, 1)), (2, 4, 5, 3))
        yield self.case("border", SliceAttributes((1, 3), (2, 4)), (3, 7))
        yield self.case("all", SliceAttributes((0, 0), (3, 7)), (3, 7))


class StridedSlice(Movement):
    """Every stride-th element of a box; a negative stride runs backwards."""

    name = "strided_slice"
    Attributes = StridedSliceAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """How many indices each dimension's range has."""
        shape, ranges = inputs[0], self._ranges(attributes)
        inside = len(ranges) == len(shape) and all(
            not indices or (min(indices) >= 0 and max(indices) < limit)
            for indices, limit in zip(ranges, shape, strict=True)
        )
        if not inside:
            raise self.refusal(attributes, shape)
        return [tuple(len(indices) for indices in ranges)]

    def _ranges(self, attributes: Any) -> list[range]:
        bounds = (attributes.begin, attributes.end, attributes.stride)
        if 0 in attributes.stride or len({len(values) for values in bounds}) > 1:
            raise ModelError(f"strided_slice cannot apply {attributes}")
        return [range(*values) for values in zip(*bounds, strict=True)]

    def part_offsets(self, attributes: Any, x: TensorType) -> tuple[int, ...] | None:
        """A box without gaps that is whole in all inner dimensions is a run."""
        ranges = self._ranges(attributes)
        if any(indices.step != 1 and len(indices) > 1 for indices in ranges):
            return None
        size = [len(indices) for indices in ranges]
        offset = run_offset(x.shape, attributes.begin, size)
        return None if offset is None else (offset,)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A copy of the elements."""
        x = np.asarray(inputs[0])
        if not x.shape:
            return (x.copy(),)
        return (np.ascontiguousarray(x[np.ix_(*self._ranges(attributes))]),)

    def cases(self) -> Iterator[Case]:
        """Steps of one, of two and backwards."""
        plain = StridedSliceAttributes((0, 1, 0), (2, 4, 3), (1, 1, 1))
        yield self.case("plain", plain, (2, 5, 3))
        yield self.case("step", StridedSliceAttributes((1, 0), (7, 5), (2, 3)), (7, 5))
        yield self.case("backwards", StridedSliceAttributes((6, 3), (0, -1), (-2, -1)), (7, 5))


class Pad(Movement):
    """A tensor with a border of one value."""

    name = "pad"
    Attributes = PadAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Extents grow by what is added."""
        shape = inputs[0]
        if (
            len(attributes.paddings) != len(shape)
            or min(map(min, attributes.paddings), default=0) < 0
        ):
            raise self.refusal(attributes, shape)
        return [
            tuple(
                before + extent + behind
                for extent, (before, behind) in zip(shape, attributes.paddings, strict=True)
            )
        ]

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """The border holds the value."""
        x = np.asarray(inputs[0])
        value = x.dtype.type(attributes.value)
        return (np.pad(x, attributes.paddings, constant_values=value) if x.shape else x.copy(),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """The border holds what stands for the value: the zero point for 0."""
        y_type = call.outputs[0]
        y = per_tensor(y_type)
        real = np.asarray(attributes.value, np.float64)
        stored = saturate(round_away(real / y.scale) + y.zero_point, y_type)
        x = np.asarray(inputs[0])
        return (np.pad(x, attributes.paddings, constant_values=stored) if x.shape else x.copy(),)

    def cases(self) -> Iterator[Case]:
        """Unequal borders; borders of zero and of another value."""
        paddings = ((0, 0), (1, 2), (3, 0), (0, 0))
        yield self.case("zero", PadAttributes(paddings), (1, 3, 4, 2))
        yield self.case("all", PadAttributes(((1, 1), (0, 2))), (3, 4))
        operands = (Operand((1, 3, 4, 2)),)
        yield Case("value", PadAttributes(paddings, -1.5), operands, (DType.FLOAT32,))


class MirrorPad(Movement):
    """A tensor continued as its own mirror image."""

    name = "mirror_pad"
    Attributes = MirrorPadAttributes

    def shapes(self, attributes: Any, inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Extents grow by what is added, which may not exceed what there is to mirror."""
        shape = inputs[0]
        spare = 1 if attributes.mode is MirrorMode.REFLECT else 0
        fits = len(attributes.paddings) == len(shape) and all(
            min(pair) >= 0 and max(pair) <= max(extent - spare, 0)
            for extent, pair in zip(shape, attributes.paddings, strict=True)
        )
        if not fits:
            raise self.refusal(attributes, shape)
        return [
            tuple(
                before + extent + behind
                for extent, (before, behind) in zip(shape, attributes.paddings, strict=True)
            )
        ]

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """A copy with its mirror images around it."""
        return (np.pad(np.asarray(inputs[0]), attributes.paddings, attributes.mode.value),)

    def cases(self) -> Iterator[Case]:
        """Both modes, unequal borders."""
        for mode in MirrorMode:
            attributes = MirrorPadAttributes(((0, 0), (2, 1), (1, 3), (0, 0)), mode)
            yield self.case(mode.value, attributes, (1, 4, 5, 2))


OPERATORS = (
    Reshape(),
    Transpose(),
    Slice(),
    StridedSlice(),
    Pad(),
    MirrorPad(),
)
