"""Types of tensors: element type, shape, quantisation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


class DType(StrEnum):
    """Element types that model files use; the value is the name that is printed."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT64 = "int64"
    INT32 = "int32"
    INT16 = "int16"
    INT8 = "int8"
    INT4 = "int4"
    UINT64 = "uint64"
    UINT32 = "uint32"
    UINT16 = "uint16"
    UINT8 = "uint8"
    BOOL = "bool"
    COMPLEX64 = "complex64"
    STRING = "string"
    RESOURCE = "resource"
    VARIANT = "variant"

    @property
    def bits(self) -> int:
        """Bits that one element occupies in a packed array; 0 where it has no fixed size."""
        return _BITS[self]

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy type that holds this one (int4 in int8, bfloat16 in float32)."""
        return np.dtype(_NUMPY[self])

    @property
    def is_float(self) -> bool:
        """Whether arithmetic on it is floating point."""
        return self.value.startswith(("float", "bfloat"))

    @property
    def is_integer(self) -> bool:
        """Whether it is a signed or unsigned integer."""
        return self.value.startswith(("int", "uint"))


_BITS = {
    DType.FLOAT64: 64, DType.FLOAT32: 32, DType.FLOAT16: 16, DType.BFLOAT16: 16,
    DType.INT64: 64, DType.INT32: 32, DType.INT16: 16, DType.INT8: 8, DType.INT4: 4,
    DType.UINT64: 64, DType.UINT32: 32, DType.UINT16: 16, DType.UINT8: 8, DType.BOOL: 8,
    DType.COMPLEX64: 64, DType.STRING: 0, DType.RESOURCE: 0, DType.VARIANT: 0,
}  # fmt: skip
_NUMPY = {dtype: dtype.value for dtype in DType if dtype.bits} | {
    DType.BFLOAT16: "float32",
    DType.INT4: "int8",
    DType.STRING: "object",
    DType.RESOURCE: "object",
    DType.VARIANT: "object",
}


@dataclass(frozen=True, slots=True, eq=False)
class QuantParams:
    """Affine quantisation: real = scale · (stored - zero_point).

    Attributes:
        scale: float32, one element per tensor, or one per slice along ``axis``.
        zero_point: int64, as many as ``scale``.
        axis: the dimension that ``scale`` runs along; None for one scale per tensor.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int | None = None

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int = 0) -> QuantParams:
        """One scale and zero point for the whole tensor."""
        return cls(np.array([scale], np.float32), np.array([zero_point], np.int64))

    @classmethod
    def per_channel(cls, scale: NDArray[np.float32], axis: int) -> QuantParams:
        """Symmetric quantisation with one scale per slice along ``axis``."""
        scale = np.asarray(scale, np.float32)
        return cls(scale, np.zeros(scale.shape, np.int64), axis)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, QuantParams)
            and self.axis == other.axis
            and self.scale.shape == other.scale.shape
            and self.zero_point.shape == other.zero_point.shape
            and bool((self.scale == other.scale).all())
            and bool((self.zero_point == other.zero_point).all())
        )

    def __hash__(self) -> int:
        return hash((self.scale.tobytes(), self.zero_point.tobytes(), self.axis))


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape (row-major, batch first), element type and quantisation of a tensor.

    A dimension is never unknown: readers set an unknown batch to 1 and leave a note.
    """

    shape: tuple[int, ...]
    dtype: DType
    quant: QuantParams | None = None

    @property
    def element_count(self) -> int:
        """Number of elements; 1 for a scalar."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def size_bytes(self) -> int:
        """Bytes of the packed array, rounded up to whole bytes."""
        return (self.element_count * self.dtype.bits + 7) // 8

    @property
    def is_quantized(self) -> bool:
        """Whether integers stand for reals."""
        return self.quant is not None and self.dtype.is_integer

    def with_shape(self, shape: tuple[int, ...]) -> TensorType:
        """The same type with another shape."""
        return replace(self, shape=shape)
