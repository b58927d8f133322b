"""Images brought to another size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from budget.errors import ModelError
from budget.graph.types import Array, DType, TensorType
from budget.ops.fixed_point import Int64s
from budget.ops.operator import Case, Cost, Operand, Operator, QuantizedCall, traffic_bytes
from budget.ops.quantized import round_away, types_of
from budget.ops.requantize import operand_type


@dataclass(frozen=True, slots=True)
class ResizeAttributes:
    """Attributes of `ResizeNearest` and `ResizeBilinear`.

    Attributes:
        size: output height and width.
        align_corners: the corner pixels of input and output fall together.
        half_pixel_centers: a pixel's place is its centre, not its corner.
    """

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False


class ResizeNearest(Operator):
    """Every output pixel is the nearest input pixel; x [batch][height][width][channels]."""

    name = "resize_nearest"
    Attributes = ResizeAttributes

    def infer(self, attributes: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """[n][h][w][c] → [n][size][c]."""
        x = operand_type(inputs, 0)
        if len(x.shape) != 4:
            raise ModelError(f"{self.name} needs an image batch of four dimensions")
        return (TensorType((x.shape[0], *attributes.size, x.shape[3]), x.dtype),)

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Traffic only."""
        return Cost(read_bytes=traffic_bytes(inputs), write_bytes=traffic_bytes(outputs))

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Source: tensorflow/lite/kernels/internal/reference/resize_nearest_neighbor.h."""
        x = np.asarray(inputs[0])
        rows, columns = (
            nearest(attributes, x.shape[axis], size)
            for axis, size in zip((1, 2), attributes.size, strict=True)
        )
        return (np.ascontiguousarray(x[:, rows][:, :, columns]),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Of the stored numbers; nothing is rescaled."""
        return self.run_float(attributes, inputs)

    def cases(self) -> Iterator[Case]:
        """Larger, smaller and odd sizes, with every way to place the pixels."""
        dtypes = (DType.FLOAT32, DType.INT8, DType.INT16)
        for corners, centers in ((False, False), (True, False), (False, True)):
            for size in ((8, 6), (3, 7), (2, 2), (1, 1)):
                label = f"{size[0]}x{size[1]}{'-corners' * corners}{'-centers' * centers}"
                attributes = ResizeAttributes(size, corners, centers)
                yield Case(label, attributes, (Operand((2, 4, 3, 5)),), dtypes, "same")


class ResizeBilinear(ResizeNearest):
    """Every output pixel mixes the four input pixels around its place."""

    name = "resize_bilinear"

    def cost(
        self, attributes: Any, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]
    ) -> Cost:
        """Four products and three sums for each output element."""
        traffic = super().cost(attributes, inputs, outputs)
        return traffic + Cost(alu=7 * outputs[0].element_count)

    def run_float(self, attributes: Any, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        """Source: tensorflow/lite/kernels/internal/reference/resize_bilinear.h."""
        x = np.asarray(inputs[0])
        y0, y1, dy = between(attributes, x.shape[1], attributes.size[0])
        x0, x1, dx = between(attributes, x.shape[2], attributes.size[1])
        dy, dx = dy[:, None, None], dx[:, None]
        top, bottom = x[:, y0], x[:, y1]
        one = np.float32(1)
        mixed = (
            top[:, :, x0] * (one - dy) * (one - dx)
            + bottom[:, :, x0] * dy * (one - dx)
            + top[:, :, x1] * (one - dy) * dx
            + bottom[:, :, x1] * dy * dx
        )
        return (mixed.astype(x.dtype),)

    def run_quantized(
        self, attributes: Any, inputs: Sequence[Array | None], call: QuantizedCall
    ) -> tuple[Array, ...]:
        """Places with 10 fraction bits, sums with 20; rounded half away from zero.

        Source: ResizeBilinearInteger in tensorflow/lite/kernels/internal/reference/
        resize_bilinear.h.
        """
        x = np.asarray(inputs[0]).astype(np.int64)
        y0, y1, dy = between10(attributes, x.shape[1], attributes.size[0])
        x0, x1, dx = between10(attributes, x.shape[2], attributes.size[1])
        dy, dx = dy[:, None, None], dx[:, None]
        top, bottom = x[:, y0], x[:, y1]
        total = (
            top[:, :, x0] * (1024 - dy) * (1024 - dx)
            + bottom[:, :, x0] * dy * (1024 - dx)
            + top[:, :, x1] * (1024 - dy) * dx
            + bottom[:, :, x1] * dy * dx
        )
        total = total + np.where(total > 0, 1 << 19, -(1 << 19))
        output = np.where(total >= 0, total >> 20, -((-total) >> 20))
        return (output.astype(types_of(call)[1][0].dtype.numpy),)


def _scale(attributes: ResizeAttributes, extent: int, size: int) -> np.float32:
    if attributes.align_corners and size > 1:
        return np.float32(extent - 1) / np.float32(size - 1)
    return np.float32(extent) / np.float32(size)


def nearest(attributes: ResizeAttributes, extent: int, size: int) -> Int64s:
    """Along one dimension, the input index that each output index takes."""
    offset = np.float32(0.5 if attributes.half_pixel_centers else 0)
    places = (np.arange(size).astype(np.float32) + offset) * _scale(attributes, extent, size)
    nearest = round_away(places) if attributes.align_corners else np.floor(places)
    return np.clip(nearest.astype(np.int64), 0, extent - 1)


def between(attributes: ResizeAttributes, extent: int, size: int) -> tuple[Int64s, Int64s, Any]:
    """Along one dimension, the indices around each output's place, and how far behind the first."""
    scale = _scale(attributes, extent, size)
    places = np.arange(size).astype(np.float32)
    if attributes.half_pixel_centers:
        places = (places + np.float32(0.5)) * scale - np.float32(0.5)
    else:
        places = places * scale
    below = np.maximum(np.floor(places).astype(np.int64), 0)
    above = np.minimum(np.ceil(places).astype(np.int64), extent - 1)
    return below, above, places - below.astype(np.float32)


def between10(
    attributes: ResizeAttributes, extent: int, size: int
) -> tuple[Int64s, Int64s, Int64s]:
    """The same for integers; the distance is in 1024ths."""
    if attributes.align_corners and size > 1:
        scale = (1024 * (extent - 1) + (size - 1) // 2) // (size - 1)
    else:
        scale = (1024 * extent + size // 2) // size
    places = np.arange(size, dtype=np.int64) * scale
    if attributes.half_pixel_centers:
        places = places + scale // 2 - 512
    below = np.maximum(_divide(places, 1024), 0)
    above = np.minimum(_divide(places + 1023, 1024), extent - 1)
    return below, above, places - 1024 * below


def _divide(a: Int64s, b: int) -> Int64s:
    return np.asarray(np.sign(a) * (np.abs(a) // b))


OPERATORS = (ResizeNearest(), ResizeBilinear())
