"""TensorFlow's attributes and tensors as Python values, and back.

An attribute becomes ``bytes`` (s), ``int``, ``float``, ``bool``, `DataType`, `Shape`,
`TensorValue`, `FunctionName`, `PlaceholderName`, or a tuple of these (list).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from budget.errors import CorruptModelError
from budget.formats.protobuf import Message
from budget.formats.tensorflow_schema import ATTR_VALUE, SCHEMAS, TENSOR_PROTO, DataType
from budget.graph.types import Array, DType

MAX_ELEMENTS = 1 << 31
"""A tensor of more elements is refused; its protocol buffer could not be written anyway."""

DTYPES: dict[DataType, DType] = {
    DataType.FLOAT: DType.FLOAT32, DataType.DOUBLE: DType.FLOAT64, DataType.HALF: DType.FLOAT16,
    DataType.BFLOAT16: DType.BFLOAT16, DataType.INT64: DType.INT64, DataType.INT32: DType.INT32,
    DataType.INT16: DType.INT16, DataType.INT8: DType.INT8, DataType.INT4: DType.INT4,
    DataType.UINT64: DType.UINT64, DataType.UINT32: DType.UINT32, DataType.UINT16: DType.UINT16,
    DataType.UINT8: DType.UINT8, DataType.BOOL: DType.BOOL, DataType.COMPLEX64: DType.COMPLEX64,
    DataType.STRING: DType.STRING, DataType.RESOURCE: DType.RESOURCE,
    DataType.VARIANT: DType.VARIANT, DataType.QINT8: DType.INT8, DataType.QUINT8: DType.UINT8,
    DataType.QINT16: DType.INT16, DataType.QUINT16: DType.UINT16, DataType.QINT32: DType.INT32,
}  # fmt: skip
"""Element types by TensorFlow's number; those missing here have no place in a `Graph`."""

TYPES_BY_DTYPE: dict[DType, DataType] = {
    dtype: number for number, dtype in reversed(DTYPES.items()) if not number.name.startswith("Q")
}
"""TensorFlow's number of each element type."""

_VALUE_FIELDS = {
    DataType.FLOAT: "float_val", DataType.DOUBLE: "double_val", DataType.INT32: "int_val",
    DataType.UINT8: "int_val", DataType.INT16: "int_val", DataType.INT8: "int_val",
    DataType.UINT16: "int_val", DataType.QINT8: "int_val", DataType.QUINT8: "int_val",
    DataType.QINT16: "int_val", DataType.QUINT16: "int_val", DataType.QINT32: "int_val",
    DataType.INT64: "int64_val", DataType.BOOL: "bool_val", DataType.STRING: "string_val",
    DataType.UINT32: "uint32_val", DataType.UINT64: "uint64_val", DataType.HALF: "half_val",
    DataType.BFLOAT16: "half_val", DataType.COMPLEX64: "scomplex_val", DataType.INT4: "int_val",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """Extents of a tensor; -1 is an unknown extent and ``dims`` None an unknown rank."""

    dims: tuple[int, ...] | None

    @property
    def known(self) -> tuple[int, ...] | None:
        """The extents if all of them are known."""
        if self.dims is None or any(extent < 0 for extent in self.dims):
            return None
        return self.dims


@dataclass(frozen=True, slots=True, eq=False)
class TensorValue:
    """A constant with the element type the file gave it."""

    dtype: DataType
    array: Array


@dataclass(frozen=True, slots=True)
class FunctionName:
    """A function of the library, with the attributes it is to be run with."""

    name: str
    attributes: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class PlaceholderName:
    """An attribute of a function body that takes its value from the function's caller."""

    name: str


def decode_dtype(number: int, where: str) -> DataType:
    """The element type of that number, references dropped.

    Raises:
        CorruptModelError: there is none.
    """
    try:
        return DataType(number - 100 if number > 100 else number)
    except ValueError:
        raise CorruptModelError(
            f"element type {number} does not exist",
            where=where,
            hint="the file is damaged or from a newer TensorFlow",
        ) from None


def graph_dtype(dtype: DataType, where: str) -> DType:
    """The element type in a `Graph`.

    Raises:
        CorruptModelError: no tensor may have it.
    """
    if dtype not in DTYPES:
        raise CorruptModelError(f"tensors of type {dtype.name} are not known here", where=where)
    return DTYPES[dtype]


def decode_shape(message: Message, where: str) -> Shape:
    """A TensorShapeProto.

    Raises:
        CorruptModelError: it has an impossible extent.
    """
    if message.unknown_rank:
        return Shape(None)
    dims = tuple(dim.size for dim in message.dim)
    if len(dims) > 254 or any(extent < -1 for extent in dims):
        raise CorruptModelError(f"shape {dims[:8]} is impossible", where=where)
    return Shape(dims)


def encode_shape(shape: Shape) -> Message:
    """A TensorShapeProto."""
    if shape.dims is None:
        return SCHEMAS["TensorShapeProto"].new(unknown_rank=True)
    dims = [SCHEMAS["Dim"].new(size=extent) for extent in shape.dims]
    return SCHEMAS["TensorShapeProto"].new(dim=dims)


def decode_attribute(message: Message, where: str) -> Any:
    """The Python value of an AttrValue; None if it holds nothing."""
    if not message.values:
        return None
    kind, value = next(reversed(message.values.items()))
    if kind == "list":
        for item_kind, items in value.values.items():
            return tuple(_decode_item(item_kind, item, where) for item in items)
        return ()
    return _decode_item(kind, value, where)


def _decode_item(kind: str, value: Any, where: str) -> Any:
    if kind == "type":
        return decode_dtype(value, where)
    if kind == "shape":
        return decode_shape(value, where)
    if kind == "tensor":
        return decode_tensor(value, where)
    if kind == "func":
        return FunctionName(value.name, decode_attributes(value.attr, where))
    return PlaceholderName(value) if kind == "placeholder" else value


def decode_attributes(attributes: Mapping[str, Message], where: str) -> dict[str, Any]:
    """All attributes of a node or function."""
    return {name: decode_attribute(value, where) for name, value in attributes.items()}


def encode_attribute(value: Any) -> Message:
    """The AttrValue of a Python value as `decode_attribute` gives it."""
    if value is None:
        return ATTR_VALUE.new()
    if isinstance(value, tuple):
        items = SCHEMAS["ListValue"].new()
        if value:
            setattr(items, _kind_of(value[0]), [_encode_item(item) for item in value])
        return ATTR_VALUE.new(list=items)
    return ATTR_VALUE.new(**{_kind_of(value): _encode_item(value)})


def _kind_of(value: Any) -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (bytes, "s"), (bool, "b"), (DataType, "type"), (int, "i"), (float, "f"),
        (Shape, "shape"), (TensorValue, "tensor"), (FunctionName, "func"),
    )  # fmt: skip
    return next((kind for type, kind in kinds if isinstance(value, type)), "placeholder")


def _encode_item(value: Any) -> Any:
    if isinstance(value, Shape):
        return encode_shape(value)
    if isinstance(value, TensorValue):
        return encode_tensor(value)
    if isinstance(value, FunctionName):
        attributes = {name: encode_attribute(item) for name, item in value.attributes.items()}
        return SCHEMAS["NameAttrList"].new(name=value.name, attr=attributes)
    return value.name if isinstance(value, PlaceholderName) else value


def decode_tensor(message: Message, where: str) -> TensorValue:
    """A TensorProto; one whose values repeat to the end is not spread out in memory.

    Raises:
        CorruptModelError: contents and shape do not agree, or the shape is absurd.
    """
    dtype = decode_dtype(message.dtype, where)
    numpy_type = graph_dtype(dtype, where).numpy
    shape = decode_shape(message.tensor_shape, where).known
    if shape is None:
        raise CorruptModelError("a constant has no definite shape", where=where)
    count = 1
    for extent in shape:
        count *= extent
    if count > MAX_ELEMENTS or len(shape) > 32:
        raise CorruptModelError(f"a constant of shape {shape} is too large", where=where)
    if message.tensor_content:
        flat = _from_content(message.tensor_content, dtype, numpy_type, where)
    else:
        flat = _from_values(message, dtype, numpy_type)
    if flat.size == count:
        array = flat.reshape(shape)
    elif flat.size == 1:
        array = np.broadcast_to(flat[0] if flat.dtype != object else flat, shape)
    elif flat.size == 0:
        array = np.broadcast_to(_zero(dtype, numpy_type), shape)
    elif flat.size < count <= _most_filled(flat) and not message.tensor_content:
        # the last value stands for all that follow
        array = np.concatenate([flat, np.full(count - flat.size, flat[-1])]).reshape(shape)
    else:
        raise CorruptModelError(
            f"a constant of shape {shape} holds {flat.size} values", where=where
        )
    array.setflags(write=False)
    return TensorValue(dtype, array)


def _most_filled(flat: Array) -> int:
    """To how many elements a constant may be filled up: few bytes must not become many."""
    return 1 << (16 if flat.dtype == object else 22)


def _zero(dtype: DataType, numpy_type: np.dtype[Any]) -> Array:
    return np.array(b"" if dtype is DataType.STRING else 0, numpy_type)


def _from_content(content: bytes, dtype: DataType, numpy_type: np.dtype[Any], where: str) -> Array:
    if dtype is DataType.BFLOAT16:
        if len(content) % 2:
            raise CorruptModelError("a constant ends inside an element", where=where)
        return _widen(np.frombuffer(content, "<u2"))
    if numpy_type.kind == "O" or len(content) % numpy_type.itemsize:
        raise CorruptModelError(
            f"a constant's {len(content)} bytes are not whole elements of {dtype.name}",
            where=where,
        )
    if dtype is DataType.BOOL:
        return np.asarray(np.frombuffer(content, np.uint8) != 0)
    return np.frombuffer(content, numpy_type.newbyteorder("<")).astype(numpy_type, copy=False)


def _from_values(message: Message, dtype: DataType, numpy_type: np.dtype[Any]) -> Array:
    values = getattr(message, _VALUE_FIELDS[dtype]) if dtype in _VALUE_FIELDS else []
    if dtype is DataType.HALF:
        return np.array(values, np.int64).astype(np.uint16).view(np.float16)
    if dtype is DataType.BFLOAT16:
        return _widen(np.array(values, np.int64).astype(np.uint16))
    if dtype is DataType.COMPLEX64:
        pairs = np.array(values[: len(values) // 2 * 2], np.float32)
        return pairs.view(np.complex64)
    if numpy_type.kind == "O":
        array = np.empty(len(values), object)
        array[:] = values
        return array
    if numpy_type.kind in "iu":
        return np.array(values, np.uint64 if dtype is DataType.UINT64 else np.int64).astype(
            numpy_type
        )
    return np.array(values, numpy_type)


def _widen(halves: Array) -> Array:
    """Bfloat16, as 16-bit integers, to float32."""
    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def encode_tensor(value: TensorValue) -> Message:
    """A TensorProto with the same contents."""
    array = value.array
    message = TENSOR_PROTO.new(
        dtype=int(value.dtype), tensor_shape=encode_shape(Shape(tuple(array.shape)))
    )
    if array.dtype == object:
        message.string_val = [bytes(item) for item in array.ravel().tolist()]
    elif value.dtype is DataType.BFLOAT16:
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
        message.tensor_content = (bits >> np.uint32(16)).astype("<u2").tobytes()
    else:
        message.tensor_content = np.ascontiguousarray(array).tobytes()
    return message
