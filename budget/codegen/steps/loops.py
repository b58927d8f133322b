"""Loops over the elements of tensors that broadcast, are cut, or are read in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from budget.codegen.context import StepContext


@dataclass(frozen=True, slots=True)
class Access:
    """How the innermost loop reads or writes one tensor.

    Attributes:
        array: C name of the tensor.
        offset: C expression for where the innermost loop starts, empty for 0.
        step: elements from one round of it to the next.
    """

    array: str
    offset: str
    step: int

    @property
    def pointer(self) -> str:
        """C expression for the address of the first element."""
        return f"{self.array} + {self.offset}" if self.offset else self.array

    @property
    def element(self) -> str:
        """C expression for the element of round ``i``."""
        index = {0: "", 1: "i"}.get(self.step, f"i * {self.step}")
        return f"{self.array}[{' + '.join(filter(None, (self.offset, index))) or '0'}]"


def row_major(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next, for each dimension of a dense tensor."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def stretched(shape: Sequence[int], to: Sequence[int]) -> list[int]:
    """Strides of a dense tensor that broadcasts to another shape: 0 where it repeats."""
    missing = len(to) - len(shape)
    strides = [0] * missing + row_major(shape)
    return [
        0 if axis < missing or shape[axis - missing] == 1 else stride
        for axis, stride in enumerate(strides)
    ]


def merged(
    extents: Sequence[int], strides: Sequence[Sequence[int]]
) -> tuple[list[int], list[list[int]]]:
    """The same walk in as few dimensions as possible, at least one.

    Args:
        extents: of each dimension.
        strides: for each tensor, its stride in each dimension.
    """
    dimensions: list[tuple[int, list[int]]] = []
    for axis, extent in enumerate(extents):
        here = [each[axis] for each in strides]
        if extent == 1:
            continue
        if dimensions and all(
            outer == inner * extent for outer, inner in zip(dimensions[-1][1], here)
        ):
            dimensions[-1] = (dimensions[-1][0] * extent, here)
        else:
            dimensions.append((extent, here))
    if not dimensions:
        dimensions = [(1, [1] * len(strides))]
    return [extent for extent, _ in dimensions], [
        list(each) for each in zip(*(here for _, here in dimensions))
    ]


def nest(extents: Sequence[int], body: Iterable[str]) -> list[str]:
    """Loops with the indices ``i0``, ``i1`` … around some statements."""
    lines = [
        f"{'    ' * depth}for (int32_t i{depth} = 0; i{depth} < {extent}; i{depth}++) {{"
        for depth, extent in enumerate(extents)
    ]
    lines += ["    " * len(extents) + line for line in body]
    return lines + ["    " * depth + "}" for depth in reversed(range(len(extents)))]


def offset(strides: Sequence[int], start: int = 0) -> str:
    """C expression for a place that the indices ``i0``, ``i1`` … give; empty for 0."""
    parts = [str(start)] if start else []
    for depth, stride in enumerate(strides):
        if stride:
            parts.append(f"i{depth}" if stride == 1 else f"i{depth} * {stride}")
    return " + ".join(parts).replace("+ -", "- ")


def walk(
    extents: Sequence[int],
    arrays: Sequence[str],
    strides: Sequence[Sequence[int]],
    inner: Callable[[int, list[Access]], list[str]],
) -> list[str]:
    """Statements that walk several tensors in step.

    Args:
        extents: of the walk's dimensions.
        arrays: C names of the tensors.
        strides: of each tensor in each dimension.
        inner: from the innermost extent and each tensor's access, the innermost statements.
    """
    extents, strides = merged(extents, strides)
    accesses = [Access(array, offset(each[:-1]), each[-1]) for array, each in zip(arrays, strides)]
    return nest(extents[:-1], inner(extents[-1], accesses))


def broadcast(
    context: StepContext, inner: Callable[[int, list[Access]], list[str]], operands: int = 2
) -> list[str]:
    """A walk over the result and the operands, which stretch to its shape.

    Args:
        context: the step.
        inner: gets the accesses of the operands in order, then that of the result.
        operands: how many there are.
    """
    shape = context.output_type().shape
    strides = [stretched(context.type(index).shape, shape) for index in range(operands)]
    arrays = [context.operand(index) for index in range(operands)]
    return walk(shape, [*arrays, "y0"], [*strides, row_major(shape)], inner)


def assignments(value: Callable[[list[str]], str]) -> Callable[[int, list[Access]], list[str]]:
    """The inner statements of a walk: each element of the last tensor from those of the others.

    Args:
        value: from the C expressions of the operands' elements, that of the result's.
    """

    def inner(extent: int, accesses: list[Access]) -> list[str]:
        *operands, result = (access.element for access in accesses)
        return [
            f"for (int32_t i = 0; i < {extent}; i++) {{",
            f"    {result} = {value(operands)};",
            "}",
        ]

    return inner
