"""Random int8 networks over all operators: a structure that hypothesis draws and shrinks.

A network is a list of choices, each an integer; a choice is turned into a layer that fits the
tensor it is applied to, so every list is a valid network and a shorter or smaller list a simpler
one. Weights, scales and inputs come from a seed. Scales are calibrated on one random input, so
that outputs neither all saturate nor all vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from single_operator import dequantized

from budget.graph import ABSENT, DType, Graph, GraphBuilder, QuantParams, TensorType, verify
from budget.ops import Activation, NoAttributes, Padding, registry
from budget.ops.activations import LeakyReluAttributes
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.elementwise import AddAttributes, ArithmeticAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.indexing import GatherAttributes
from budget.ops.normalization import L2NormAttributes
from budget.ops.pooling import PoolAttributes
from budget.ops.quantization import ConversionAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.resize import ResizeAttributes
from budget.ops.shaping import (
    ConcatAttributes,
    MirrorPadAttributes,
    PackAttributes,
    PadAttributes,
    ReshapeAttributes,
    SliceAttributes,
    SplitAttributes,
    StridedSliceAttributes,
    TransposeAttributes,
)
from budget.ops.softmax import SoftmaxAttributes
from budget.ops.transpose_convolution import TransposeConv2DAttributes

MOST_ELEMENTS = 4096
FIXED = {
    "softmax": (1 / 256, -128),
    "log_softmax": (16 / 256, 127),
    "logistic": (1 / 256, -128),
    "tanh": (1 / 128, 0),
    "l2_norm": (1 / 128, 0),
}


CURVES = [
    "relu",
    "relu6",
    "relu_n1_to_1",
    "logistic",
    "tanh",
    "hard_swish",
    "leaky_relu",
    "requantize",
    "softmax",
    "log_softmax",
    "l2_norm",
]


class Choices:
    """Small numbers taken one by one from a drawn list; zeros when it is used up."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = list(numbers)

    def below(self, count: int) -> int:
        """A number from 0 to ``count`` - 1."""
        return self.numbers.pop(0) % count if self.numbers and count > 0 else 0

    def one_of(self, values: Sequence[Any]) -> Any:
        return values[self.below(len(values))]


class Network:
    """A network under construction, with the real values that one random input gives."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.builder = GraphBuilder("random")
        self.real: dict[str, np.ndarray] = {}
        self.types: dict[str, TensorType] = {}
        self.read: set[str] = set()
        quant = QuantParams.per_tensor(0.05, int(self.random.integers(-20, 20)))
        type = TensorType(shape, DType.INT8, quant)
        self.builder.input("x", type)
        stored = self.random.integers(-128, 128, shape).astype(np.int8)
        self._remember("x", type, dequantized(stored, type))

    def _remember(self, name: str, type: TensorType, real: np.ndarray) -> None:
        self.types[name], self.real[name] = type, real

    def constant(self, shape: tuple[int, ...], *, axis: int | None = None, low: int = -127) -> str:
        """Symmetric 8-bit weights, with a scale for each slice along ``axis``."""
        name = self.builder.unique_name("w")
        data = self.random.integers(low, 128, shape).astype(np.int8)
        count = 1 if axis is None else shape[axis]
        scales = np.exp(self.random.uniform(np.log(0.002), np.log(0.05), count)).astype(np.float32)
        quant = QuantParams(scales, np.zeros(count, np.int64), axis)
        self.builder.constant(name, data, quant)
        type = self.builder.tensors[name].type
        self._remember(name, type, dequantized(data, type))
        return name

    def bias(self, x: str, weights: str, count: int) -> str:
        """A 32-bit bias in the scale of the products."""
        x_quant, w_quant = self.types[x].quant, self.types[weights].quant
        assert x_quant is not None and w_quant is not None
        scale = (x_quant.scale * w_quant.scale).astype(np.float32)
        quant = QuantParams(scale, np.zeros(len(scale), np.int64), 0 if len(scale) > 1 else None)
        name = self.builder.unique_name("b")
        data = self.random.integers(-3000, 3000, count).astype(np.int32)
        self.builder.constant(name, data, quant)
        type = self.builder.tensors[name].type
        self._remember(name, type, dequantized(data, type))
        return name

    def indices(self, values: Sequence[int]) -> str:
        name = self.builder.unique_name("i")
        data = np.array(values, np.int32)
        self.builder.constant(name, data)
        self._remember(name, self.builder.tensors[name].type, data)
        return name

    def add(self, op: str, inputs: Sequence[str], attributes: Any, *, same: bool = False) -> str:
        """Appends a node; returns its first output."""
        types = [self.types.get(name) for name in inputs]
        operator = registry.get(op)
        shapes = operator.infer(attributes, types)
        values = [self.real.get(name) for name in inputs]
        reals = operator.run_float(attributes, values)
        outputs = []
        for shape, real in zip(shapes, reals):
            quant = self.types[inputs[0]].quant if same else self._quant(op, real)
            type = TensorType(shape.shape, DType.INT8, quant)
            name = self.builder.tensor(self.builder.unique_name("t"), type)
            self._remember(name, type, np.asarray(real, np.float32))
            outputs.append(name)
        self.builder.node(op, inputs, outputs, attributes)
        self.read.update(inputs)
        return outputs[0]

    def _quant(self, op: str, real: np.ndarray) -> QuantParams:
        if op in FIXED:
            return QuantParams.per_tensor(*FIXED[op])
        low, high = min(0.0, float(real.min())), max(0.0, float(real.max()))
        scale = max(high - low, 0.05) * float(self.random.uniform(0.7, 1.2)) / 255
        return QuantParams.per_tensor(scale, int(np.clip(round(-128 - low / scale), -128, 127)))

    def earlier(self, accept: Callable[[TensorType], bool], choices: Choices) -> str | None:
        """An earlier computed tensor that fits, if any."""
        found = [
            name
            for name, type in self.types.items()
            if type.dtype is DType.INT8
            and name in self.builder.tensors
            and self.builder.tensors[name].data is None
            and accept(type)
        ]
        return choices.one_of(found) if found else None

    def brought_to(self, name: str, like: str) -> str:
        """The tensor in the scale of another."""
        if self.types[name].quant == self.types[like].quant:
            return name
        type = TensorType(self.types[name].shape, DType.INT8, self.types[like].quant)
        out = self.builder.tensor(self.builder.unique_name("t"), type)
        self.builder.node("requantize", [name], [out], ConversionAttributes(DType.INT8))
        self.read.add(name)
        self._remember(out, type, self.real[name])
        return out

    def finish(self) -> Graph:
        """The graph; whatever nobody reads is an output."""
        computed = [t.name for t in self.builder.tensors.values() if t.data is None]
        self.builder.output(*[n for n in computed if n not in self.read and n != "x"])
        return verify(self.builder.build())


def _convolution(net: Network, x: str, c: Choices) -> str:
    _, h, w, depth = net.types[x].shape
    groups = c.one_of([g for g in (1, 2, 3) if depth % g == 0])
    out = groups * (1 + c.below(4))
    attributes, taps = _window(h, w, c)
    axis = c.one_of([0, None])
    weights = net.constant((out, *taps, depth // groups), axis=axis)
    return net.add("conv_2d", [x, weights, net.bias(x, weights, out)], attributes)


def _depthwise(net: Network, x: str, c: Choices) -> str:
    _, h, w, depth = net.types[x].shape
    out = depth * (1 + c.below(2))
    attributes, taps = _window(h, w, c)
    weights = net.constant((1, *taps, out), axis=3)
    return net.add("depthwise_conv_2d", [x, weights, net.bias(x, weights, out)], attributes)


def _window(h: int, w: int, c: Choices) -> tuple[ConvolutionAttributes, tuple[int, int]]:
    taps = (1 + c.below(min(h, 4)), 1 + c.below(min(w, 4)))
    dilation = tuple(1 + c.below(2) if (t - 1) * 2 + 1 <= n else 1 for t, n in zip(taps, (h, w)))
    same = c.below(2)
    stride = (1 + c.below(2), 1 + c.below(2))
    pads = [0, 0, 0, 0]
    if same:
        for place, (extent, tap, step, gap) in enumerate(zip((h, w), taps, stride, dilation)):
            need = max(0, (-(-extent // step) - 1) * step + (tap - 1) * gap + 1 - extent)
            pads[2 * place : 2 * place + 2] = [need // 2, need - need // 2]
    activation = c.one_of(list(Activation))
    return ConvolutionAttributes(
        stride, (dilation[0], dilation[1]), Padding(*pads), activation
    ), taps


def _transposed(net: Network, x: str, c: Choices) -> str:
    _, h, w, depth = net.types[x].shape
    out, stride, taps = 1 + c.below(3), 1 + c.below(2), 1 + c.below(3)
    size = (h * stride + max(taps - stride, 0), w * stride + max(taps - stride, 0))
    weights = net.constant((out, taps, taps, depth), axis=0)
    attributes = TransposeConv2DAttributes(size, (stride, stride))
    return net.add("transpose_conv_2d", [x, weights, net.bias(x, weights, out)], attributes)


def _dense(net: Network, x: str, c: Choices) -> str:
    shape = net.types[x].shape
    depth, out = int(np.prod(shape[1:])), 1 + c.below(8)
    flat = net.add("reshape", [x], ReshapeAttributes((shape[0], depth)), same=True)
    weights = net.constant((out, depth), axis=c.one_of([None, 0]))
    attributes = FullyConnectedAttributes(c.one_of(list(Activation)))
    y = net.add("fully_connected", [flat, weights, net.bias(flat, weights, out)], attributes)
    return net.add("reshape", [y], ReshapeAttributes((shape[0], 1, 1, out)), same=True)


def _pool(net: Network, x: str, c: Choices) -> str:
    _, h, w, _ = net.types[x].shape
    window, taps = _window(h, w, c)
    if window.dilation != (1, 1):
        window = ConvolutionAttributes(window.stride, activation=window.activation)
    attributes = PoolAttributes(taps, window.stride, window.padding, window.activation)
    return net.add(c.one_of(["average_pool_2d", "max_pool_2d"]), [x], attributes, same=True)


def _two(net: Network, x: str, c: Choices) -> str:
    shape = net.types[x].shape
    op = c.one_of(["add", "sub", "mul", "maximum", "minimum", "squared_difference"])
    kind = c.below(3)
    if kind == 0:
        other = net.earlier(lambda t: t.shape == shape, c) or x
    elif kind == 1:
        other = net.constant((1, 1, 1, shape[3]), low=-128)
    else:
        other = net.constant(shape, low=-128)
    if op in {"maximum", "minimum"}:
        if kind:
            return net.add("relu", [x], NoAttributes())
        return net.add(op, [x, net.brought_to(other, x)], NoAttributes(), same=True)
    if op == "squared_difference":
        return net.add(op, [x, other], NoAttributes())
    kinds = {"add": AddAttributes, "sub": AddAttributes, "mul": ArithmeticAttributes}
    return net.add(op, [x, other], kinds[op](activation=c.one_of(list(Activation))))


def _curve(net: Network, x: str, c: Choices) -> str:
    op = c.one_of(CURVES)
    attributes: Any = NoAttributes()
    if op == "leaky_relu":
        attributes = LeakyReluAttributes(c.one_of([0.1, 0.01, 0.5]))
    if op == "requantize":
        attributes = ConversionAttributes(DType.INT8)
    if op == "l2_norm":
        attributes = L2NormAttributes()
    if op == "softmax":
        attributes = SoftmaxAttributes(c.one_of([1.0, 0.5]))
    return net.add(op, [x], attributes)


def _join(net: Network, x: str, c: Choices) -> str:
    shape = net.types[x].shape
    axis = c.one_of([3, 1, 2])
    other = net.earlier(
        lambda t: len(t.shape) == 4 and all(t.shape[i] == shape[i] for i in range(4) if i != axis),
        c,
    )
    parts = [x, net.brought_to(other or x, x)]
    return net.add("concat", parts, ConcatAttributes(axis), same=True)


def _cut(net: Network, x: str, c: Choices) -> str:
    shape = net.types[x].shape
    axis = c.one_of([a for a in (1, 2, 3) if shape[a] > 1] or [3])
    extent = shape[axis]
    kind = c.below(4)
    if kind == 0 and extent > 1:
        first = 1 + c.below(extent - 1)
        return net.add("split", [x], SplitAttributes(axis, (first, extent - first)), same=True)
    if kind == 1:
        begin = [0] * 4
        begin[axis] = c.below(extent)
        size = [n - b for n, b in zip(shape, begin)]
        return net.add("slice", [x], SliceAttributes(tuple(begin), tuple(size)), same=True)
    if kind == 2:
        stride = [1] * 4
        stride[axis] = 2
        attributes = StridedSliceAttributes((0, 0, 0, 0), shape, tuple(stride))
        return net.add("strided_slice", [x], attributes, same=True)
    picks = net.indices([c.below(extent) for _ in range(1 + c.below(3))])
    return net.add("gather", [x, picks], GatherAttributes(axis), same=True)


def _move(net: Network, x: str, c: Choices) -> str:
    n, h, w, depth = net.types[x].shape
    kind = c.below(6)
    if kind == 0:
        around = ((0, 0), (c.below(2), c.below(3)), (c.below(2), c.below(3)), (0, c.below(2)))
        return net.add("pad", [x], PadAttributes(around), same=True)
    if kind == 1:
        around = ((0, 0), (c.below(h), c.below(h)), (c.below(w), 0), (0, 0))
        return net.add("mirror_pad", [x], MirrorPadAttributes(around), same=True)
    if kind == 2:
        perm = c.one_of([(0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 3, 2), (0, 3, 2, 1)])
        return net.add("transpose", [x], TransposeAttributes(perm), same=True)
    if kind == 3:
        return net.add("reshape", [x], ReshapeAttributes((n, w, h, depth)), same=True)
    if kind == 4:
        pair = net.add("pack", [x, x], PackAttributes(1), same=True)
        return net.add("reshape", [pair], ReshapeAttributes((n, 2 * h, w, depth)), same=True)
    sizes = (1 + c.below(2 * h), 1 + c.below(2 * w))
    corners = bool(c.below(2)) and min(sizes) > 1
    attributes = ResizeAttributes(sizes, corners, not corners and bool(c.below(2)))
    return net.add(c.one_of(["resize_nearest", "resize_bilinear"]), [x], attributes, same=True)


def _reduce(net: Network, x: str, c: Choices) -> str:
    op = c.one_of(["mean", "reduce_max", "reduce_min"])
    attributes = ReduceAttributes(c.one_of([(1, 2), (1,), (2,), (3,)]), keep_dims=True)
    return net.add(op, [x], attributes, same=op != "mean")


def _prelu(net: Network, x: str, c: Choices) -> str:
    slopes = net.constant((1, 1, net.types[x].shape[3]))
    return net.add("prelu", [x, slopes], NoAttributes())


LAYERS: tuple[Callable[[Network, str, Choices], str], ...] = (
    _convolution,
    _depthwise,
    _two,
    _dense,
    _pool,
    _curve,
    _join,
    _cut,
    _move,
    _reduce,
    _transposed,
    _prelu,
)

numbers = st.lists(st.integers(0, 11), max_size=12)
structures = st.tuples(
    st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 6)),
    st.lists(st.tuples(st.integers(0, len(LAYERS) - 1), numbers), min_size=1, max_size=6),
    st.integers(0, 2**16),
)


def network(structure: tuple[Any, Any, int]) -> Graph:
    """The graph of a drawn structure."""
    (h, w, depth), layers, seed = structure
    net = Network((1, h, w, depth), seed)
    x = "x"
    for kind, drawn in layers:
        if net.types[x].element_count > MOST_ELEMENTS:
            break
        x = LAYERS[kind](net, x, Choices(drawn))
    return net.finish()


__all__ = ["ABSENT", "Network", "network", "structures"]
