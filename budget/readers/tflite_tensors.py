"""Tensors of TensorFlow Lite files: types, quantisation, and the data of constants."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from budget.errors import UnsupportedModelError
from budget.formats.tflite_schema import TENSOR_TYPES
from budget.formats.tflite_wire import FlatFile, Table
from budget.graph import Array, DType, QuantParams, Tensor, TensorType

_MAX_ELEMENTS = 1 << 40  # of a tensor; no device that runs these files holds as many
_SPARSE_RATIO = 1024  # elements that a sparse tensor may unfold into, for each byte of the file


class Buffers:
    """The file's data areas, by number."""

    def __init__(self, file: FlatFile, tables: list[Table]) -> None:
        self.file = file
        self.tables = tables

    def contents(self, number: int, what: str) -> memoryview:
        """The bytes of a buffer; empty for one that holds no data."""
        if number >= len(self.tables):
            self.file.fail(f"{what} refers to buffer {number} of {len(self.tables)}")
        table, data = self.tables[number], self.file.data
        offset, size_bytes = table.scalar(1, "Q"), table.scalar(2, "Q")
        if offset > 1:  # data of very large files stand behind the flatbuffer
            if offset + size_bytes > len(data):
                self.file.fail(f"buffer {number} of {what} lies outside the file")
            return memoryview(data)[offset : offset + size_bytes]
        place = table.place(0)
        if not place:
            return memoryview(b"")
        start, count = self.file.vector(self.file.follow(place), 1)
        return memoryview(data)[start : start + count]

    def empty(self, type: TensorType) -> Array:
        """Data of a constant without elements."""
        array: Array = np.zeros(type.shape, type.dtype.numpy)
        array.setflags(write=False)
        return array


def read_tensors(
    file: FlatFile, tables: list[Table], buffers: Buffers
) -> tuple[list[Tensor], dict[str, str]]:
    """The tensors of one graph in the file's order, and those with unknown dimensions.

    Names are made unique; an unknown dimension is taken as 1, and the second result shows what
    the file says of those tensors.
    """
    tensors: list[Tensor] = []
    taken: set[str] = set()
    suffixes: dict[str, int] = {}
    unknown: dict[str, str] = {}
    for number, table in enumerate(tables):
        wanted = name = table.text(3) or f"tensor_{number}"
        while name in taken:
            suffixes[wanted] = suffixes.get(wanted, 0) + 1
            name = f"{wanted}_{suffixes[wanted]}"
        taken.add(name)
        tensors.append(_tensor(file, table, name, buffers, unknown))
    return tensors, unknown


def _tensor(
    file: FlatFile, table: Table, name: str, buffers: Buffers, unknown: dict[str, str]
) -> Tensor:
    number = table.scalar(1, "b")
    if not 0 <= number < len(TENSOR_TYPES):
        file.fail(f"tensor {name!r} has element type {number}, which the format does not have")
    try:
        dtype = DType(TENSOR_TYPES[number])
    except ValueError:
        raise UnsupportedModelError(
            f"tensor {name!r} has elements of type {TENSOR_TYPES[number]}", where=file.name
        ) from None
    stated = table.integers(0)
    if -1 in stated or -1 in table.integers(7):
        unknown[name] = f"{name} {list(table.integers(7) or stated)}"
    shape = tuple(1 if extent == -1 else extent for extent in stated)
    if any(e < 0 for e in shape) or math.prod(max(e, 1) for e in shape) > _MAX_ELEMENTS:
        file.fail(f"tensor {name!r} has the impossible shape {list(stated)}")
    type = TensorType(shape, dtype, _quantization(file, table.table(4), name, shape, dtype))
    is_variable = bool(table.scalar(5, "?"))
    if table.scalar(10, "I"):
        file.fail(f"tensor {name!r} keeps its data in an external buffer that is not declared")
    buffer = table.scalar(2, "I")
    contents = buffers.contents(buffer, f"tensor {name!r}")
    if not len(contents) or is_variable:
        return Tensor(name, type, None, is_variable)
    sparsity = table.table(6)
    if sparsity is not None:
        return Tensor(name, type, _sparse(file, sparsity, contents, type, name))
    return Tensor(name, type, _dense(file, contents, type, name))


def _quantization(
    file: FlatFile, table: Table | None, name: str, shape: tuple[int, ...], dtype: DType
) -> QuantParams | None:
    if table is None or not dtype.is_integer:
        return None
    if table.scalar(4, "B"):
        raise UnsupportedModelError(
            f"tensor {name!r} is quantised in blocks or by a custom scheme",
            where=file.name,
            hint="quantise it per tensor or per channel",
        )
    scale = table.numbers(2, "f")
    if scale is None or not scale.size:
        return None
    zero_point = table.numbers(3, "q")
    if zero_point is None or not zero_point.size:
        zero_point = np.zeros(1, np.int64)
    axis = table.scalar(6, "i")
    if scale.size > 1 and not (0 <= axis < len(shape) and shape[axis] == scale.size):
        file.fail(f"tensor {name!r} has {scale.size} scales, which no dimension of {shape} matches")
    if zero_point.size not in (1, scale.size):
        file.fail(f"tensor {name!r} has {scale.size} scales and {zero_point.size} zero points")
    # a scale that is not a number is not at least 0 either
    if not bool(((scale >= 0) & (scale < np.inf)).all()):
        file.fail(f"tensor {name!r} has a scale that is negative or not a number")
    file.charge(scale.nbytes + 8 * scale.size)
    if zero_point.size != scale.size:
        zero_point = np.full(scale.size, zero_point[0], np.int64)
    return QuantParams(_aligned(scale), _aligned(zero_point), axis if scale.size > 1 else None)


def _aligned(array: np.ndarray[Any, np.dtype[Any]]) -> Any:
    if array.flags.aligned:
        return array
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def _dense(file: FlatFile, contents: memoryview, type: TensorType, name: str) -> Array:
    if type.dtype is DType.STRING:
        return _strings(file, contents, type, name)
    if not type.dtype.bits:
        file.fail(f"tensor {name!r} of type {type.dtype.value} cannot be a constant")
    if len(contents) != type.size_bytes:
        file.fail(
            f"constant {name!r} of shape {list(type.shape)} needs {type.size_bytes} bytes; "
            f"the file has {len(contents)}"
        )
    return _elements(file, contents, type.dtype, type.element_count).reshape(type.shape)


def _elements(file: FlatFile, contents: memoryview, dtype: DType, count: int) -> Array:
    """``count`` elements; a view where the file stores them as numpy does."""
    array: Array
    if dtype is DType.INT4:
        file.charge(2 * len(contents))
        packed = np.frombuffer(contents, np.uint8)
        nibbles = np.stack([packed & 0x0F, packed >> 4], axis=-1).reshape(-1)[:count]
        array = ((nibbles ^ 8).astype(np.int8) - np.int8(8)).astype(np.int8)
    elif dtype is DType.BFLOAT16:
        file.charge(2 * len(contents))
        bits = np.frombuffer(contents, "<u2", count).astype(np.uint32) << 16
        array = bits.view(np.float32)
    else:
        array = np.frombuffer(contents, dtype.numpy.newbyteorder("<"), count)
        if dtype is DType.BOOL and array.size and array.view(np.uint8).max() > 1:
            array = array.view(np.uint8) != 0
        if array.flags.aligned and array.dtype.isnative:
            return array
        file.charge(len(contents))
        array = array.astype(dtype.numpy)
    array.setflags(write=False)
    return array


def _strings(file: FlatFile, contents: memoryview, type: TensorType, name: str) -> Array:
    """Strings: their count, where each begins and the last ends, then the bytes."""
    count = type.element_count
    file.charge(64 * count)
    head_bytes = 4 * (count + 2)
    if len(contents) < head_bytes:
        file.fail(f"constant {name!r} is too short for {count} strings")
    head = np.frombuffer(contents, "<i4", count + 2).tolist()
    ends = head[1:]
    in_order = all(a <= b for a, b in pairwise(ends))
    if head[0] != count or ends[0] < head_bytes or ends[-1] > len(contents) or not in_order:
        file.fail(f"constant {name!r} does not hold {count} strings")
    array = np.empty(count, object)
    for index, (start, end) in enumerate(pairwise(ends)):
        array[index] = bytes(contents[start:end])
    array = array.reshape(type.shape)
    array.setflags(write=False)
    return array


def _sparse(
    file: FlatFile, table: Table, contents: memoryview, type: TensorType, name: str
) -> Array:
    """A dense array from the format's sparse storage (block structure included)."""
    from budget.readers.tflite_sparse import densify

    if type.element_count > _SPARSE_RATIO * len(file.data):
        file.fail(f"sparse tensor {name!r} would unfold into {type.element_count} elements")
    if not type.dtype.bits:
        file.fail(f"sparse tensor {name!r} has elements without a size")
    count = len(contents) * 8 // type.dtype.bits
    values = _elements(file, contents, type.dtype, count)
    return densify(file, table, values, type, name)
