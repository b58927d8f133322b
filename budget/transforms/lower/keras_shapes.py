"""Keras layers that move, join or look up elements, and the functions behind ``x + y``."""

from __future__ import annotations

from collections.abc import Sequence

from budget.graph.types import DType
from budget.transforms.lower.keras_context import Handler, Layer
from budget.transforms.lower.keras_layers import unit_norm
from budget.transforms.lower.tensorflow_context import Value


def _same(layer: Layer) -> Value:
    return layer.x


def _reshape(layer: Layer) -> Value:
    return layer.reshape(layer.x, layer.output)


def _permute(layer: Layer) -> Value:
    dims = layer.settings.integers("dims", None)
    return layer.c.permute(layer.node, layer.x, (0, *dims))


def _repeat(layer: Layer) -> Value:
    from budget.ops.shaping import ConcatAttributes

    batch, count, depth = layer.output
    row = layer.reshape(layer.x, (batch, 1, depth))
    return layer.emit("concat", *[row] * count, attributes=ConcatAttributes(1))


def _zero_padding(layer: Layer) -> Value:
    from budget.ops.shaping import PadAttributes

    pairs = layer.settings.pairs("padding", len(layer.shape) - 2, 1)
    return layer.emit("pad", layer.x, attributes=PadAttributes(((0, 0), *pairs, (0, 0))))


def _cropping(layer: Layer) -> Value:
    from budget.ops.shaping import SliceAttributes

    pairs = layer.settings.pairs("cropping", len(layer.shape) - 2, 0)
    begin = (0, *(before for before, _ in pairs), 0)
    return layer.emit("slice", layer.x, attributes=SliceAttributes(begin, layer.output))


def _upsampling(layer: Layer) -> Value:
    from budget.ops.resize import ResizeAttributes

    if len(layer.shape) == 3:
        batch, length, depth = layer.shape
        column = layer.reshape(layer.real(), (batch, length, 1, depth))
        size = (layer.output[1], 1)
        y = layer.emit("resize_nearest", column, attributes=ResizeAttributes(size))
        return layer.reshape(y, layer.output)
    size = (layer.output[1], layer.output[2])
    if layer.settings.choice("interpolation", "nearest", ("nearest", "bilinear")) == "nearest":
        return layer.emit("resize_nearest", layer.real(), attributes=ResizeAttributes(size))
    centred = ResizeAttributes(size, half_pixel_centers=True)
    return layer.emit("resize_bilinear", layer.real(), attributes=centred)


def _resizing(layer: Layer) -> Value:
    from budget.ops.resize import ResizeAttributes

    kind = layer.settings.choice("interpolation", "bilinear", ("nearest", "bilinear"))
    size = (layer.output[1], layer.output[2])
    attributes = ResizeAttributes(size, half_pixel_centers=True)
    return layer.emit(f"resize_{kind}", layer.real(), attributes=attributes)


def _embedding(layer: Layer) -> Value:
    from budget.ops.indexing import GatherAttributes
    from budget.ops.quantization import ConversionAttributes

    indices = layer.x
    if layer.c.type(indices).dtype not in (DType.INT32, DType.INT64):
        indices = layer.emit("cast", indices, attributes=ConversionAttributes(DType.INT32))
    return layer.emit("gather", layer.weight(1), indices, attributes=GatherAttributes())


# --- several operands -----------------------------------------------------------------------------
def _operands(layer: Layer) -> list[Value]:
    """All operands as float32, with the batch first and the rest aligned at the end."""
    values = [layer.real(value) for value in layer.inputs if value is not None]
    rank = max(len(layer.c.shape(value)) for value in values)
    aligned = []
    for value in values:
        shape = layer.c.shape(value)
        aligned.append(layer.reshape(value, (shape[0], *(1,) * (rank - len(shape)), *shape[1:])))
    return aligned


def _merge(op: str) -> Handler:
    def handler(layer: Layer) -> Value:
        return _chain(layer, op, _operands(layer))

    return handler


def _chain(layer: Layer, op: str, values: Sequence[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = layer.emit(op, result, value)
    return result


def _average(layer: Layer) -> Value:
    total = _chain(layer, "add", _operands(layer))
    return layer.emit("mul", total, layer.number(1 / len(layer.inputs)))


def _scaled_residual(layer: Layer) -> Value:
    x, residual = _operands(layer)
    scale = layer.number(layer.settings.number("scale"))
    return layer.emit("add", x, layer.emit("mul", residual, scale))


def _concatenate(default: int) -> Handler:
    def handler(layer: Layer) -> Value:
        from budget.ops.shaping import ConcatAttributes

        values = [value for value in layer.inputs if value is not None]
        if len({layer.c.type(value).dtype for value in values}) > 1:
            values = [layer.real(value) for value in values]
        (axis,) = layer.settings.axes("axis", default, len(layer.shape))
        if len(values) == 1:
            return values[0]
        return layer.emit("concat", *values, attributes=ConcatAttributes(axis))

    return handler


def _dot(layer: Layer) -> Value:
    """Sums of products along one dimension of each operand, for each example."""
    a, b = _operands_of_dot(layer)
    return layer.reshape(layer.emit("batch_matmul", a, b), layer.output)


def _operands_of_dot(layer: Layer) -> tuple[Value, Value]:
    axes = layer.settings.integers("axes", 2, minimum=-8)
    operands = []
    for index, value in enumerate(layer.inputs[:2]):
        x = layer.real(value)
        shape = layer.c.shape(x)
        axis = axes[index] % len(shape)
        if len(shape) > 3:
            raise layer.unsupported(f"a dot product of shapes beyond three dimensions: {shape}")
        if layer.settings.flag("normalize", False):
            x = unit_norm(layer, x, (axis,))
        if len(shape) == 2:
            shape = (shape[0], 1, shape[1]) if index == 0 else (*shape, 1)
            x = layer.reshape(x, shape)
        elif axis != (2 if index == 0 else 1):
            x = layer.c.permute(layer.node, x, (0, 2, 1))
        operands.append(x)
    return operands[0], operands[1]


# --- functions ------------------------------------------------------------------------------------
def _binary(op: str) -> Handler:
    def handler(layer: Layer) -> Value:
        x, y = (layer.real(value) for value in layer.inputs)
        return layer.emit(op, x, y)

    return handler


def _reduce(op: str) -> Handler:
    def handler(layer: Layer) -> Value:
        from budget.ops.reduction import ReduceAttributes

        rank = len(layer.shape)
        axes = layer.settings.axes("axis", tuple(range(rank)), rank)
        keep = layer.settings.flag("keepdims", False)
        return layer.emit(op, layer.real(), attributes=ReduceAttributes(axes, keep))

    return handler


def _transpose(layer: Layer) -> Value:
    rank = len(layer.shape)
    axes = layer.settings.integers("axes", rank, tuple(range(rank))[::-1], minimum=-rank)
    return layer.c.permute(layer.node, layer.x, tuple(axis % rank for axis in axes))


def _indexed(layer: Layer) -> Value:
    from budget.ops.shaping import StridedSliceAttributes
    from budget.readers.keras_operations import taken

    ranges, shape = taken(layer.settings, layer.shape)
    if ranges == [range(extent) for extent in layer.shape]:
        return layer.reshape(layer.x, shape)
    begin, end, stride = zip(*((r.start, r.stop, r.step) for r in ranges))
    attributes = StridedSliceAttributes(begin, end, stride)
    return layer.reshape(layer.emit("strided_slice", layer.x, attributes=attributes), shape)


def _matmul(layer: Layer) -> Value:
    return layer.emit("batch_matmul", *(layer.real(value) for value in layer.inputs))


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        ("Flatten", "Reshape", "ops.Reshape", "ops.ExpandDims", "ops.Squeeze"), _reshape
    ),
    "ops.Identity": _same,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
    "Cropping1D": _cropping,
    "Cropping2D": _cropping,
    "UpSampling1D": _upsampling,
    "UpSampling2D": _upsampling,
    "Resizing": _resizing,
    "Embedding": _embedding,
    "Add": _merge("add"),
    "Subtract": _merge("sub"),
    "Multiply": _merge("mul"),
    "Maximum": _merge("maximum"),
    "Minimum": _merge("minimum"),
    "Average": _average,
    "Concatenate": _concatenate(-1),
    "CustomScaleLayer": _scaled_residual,
    "LayerScale": lambda layer: layer.emit("mul", layer.real(), layer.weight(1)),
    "Dot": _dot,
    "ops.Add": _binary("add"),
    "ops.Subtract": _binary("sub"),
    "ops.Multiply": _binary("mul"),
    "ops.Divide": _binary("div"),
    "ops.TrueDivide": _binary("div"),
    "ops.Maximum": _binary("maximum"),
    "ops.Minimum": _binary("minimum"),
    "ops.Mean": _reduce("mean"),
    "ops.Sum": _reduce("sum"),
    "ops.Max": _reduce("reduce_max"),
    "ops.Min": _reduce("reduce_min"),
    "ops.Concatenate": _concatenate(0),
    "ops.Transpose": _transpose,
    "ops.Matmul": _matmul,
    "ops.GetItem": _indexed,
}
"""How each layer of this family becomes canonical operators."""
