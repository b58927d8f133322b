"""Random quantised layers, many in one graph, each with an input and an output of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops import Activation, Padding
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.elementwise import AddAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.operator import NO_PADDING
from budget.ops.pooling import PoolAttributes
from budget.ops.windows import slides

Layer = Callable[["Layers"], None]


class Layers:
    """A graph under construction, with a generator of random numbers."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.builder = GraphBuilder("layers")
        self.count = 0

    def graph(self) -> Graph:
        return self.builder.build()

    def quant(self) -> QuantParams:
        """Any scale; zero points at both ends and between."""
        zero_point = int(self.random.choice([-128, 127, 0, self.random.integers(-128, 128)]))
        return QuantParams.per_tensor(float(np.exp(self.random.uniform(-6, 0))), zero_point)

    def input(self, shape: tuple[int, ...], quant: QuantParams | None = None) -> str:
        self.count += 1
        type = TensorType(shape, DType.INT8, quant or self.quant())
        return self.builder.input(f"in{self.count}", type)

    def activation(self) -> Activation:
        return Activation(self.random.choice([a.value for a in Activation]))

    def weighted(
        self,
        op: str,
        x_shape: tuple[int, ...],
        w_shape: tuple[int, ...],
        y_shape: tuple[int, ...],
        attributes: Any,
        *,
        axis: int | None,
        extreme: bool = False,
    ) -> None:
        """A layer with weights and bias whose outputs use most of their range.

        Args:
            extreme: weights at both ends of their range, one channel without any effect, one
                with a bias near the end of 32 bits.
        """
        random, builder = self.random, self.builder
        x = self.input(x_shape)
        x_quant = builder.tensors[x].type.quant
        assert x_quant is not None
        weights = random.integers(-127, 128, w_shape)
        if extreme:
            weights = random.choice([-127, 127], w_shape)
        channels = y_shape[-1]
        taps = weights.size // channels
        scales = np.exp(random.uniform(-8, -4, channels if axis is not None else 1))
        spread = 128 * 74 * np.sqrt(taps)
        bias = random.integers(-int(spread), int(spread) + 1, channels)
        # three multiples of the usual deviation of the sums fill the output's range
        y_scale = float(x_quant.scale[0]) * float(scales.max()) * spread * 3 / 256
        if extreme and axis is not None and channels > 2:
            scales[0] = 1e-30
            scales[1] = scales.max() * 2.0**-20
            bias[1] = random.choice([-1, 1]) * (2**30)
        w_quant = QuantParams(scales.astype(np.float32), np.zeros(len(scales), np.int64), axis)
        w = builder.constant(f"w{self.count}", weights.astype(np.int8), w_quant)
        b = builder.constant(f"b{self.count}", bias.astype(np.int32))
        zero_point = int(random.choice([-128, 127, 0, random.integers(-128, 128)]))
        y_type = TensorType(y_shape, DType.INT8, QuantParams.per_tensor(y_scale, zero_point))
        self.result(op, [x, w, b], y_type, attributes)

    def result(self, op: str, inputs: list[str], type: TensorType, attributes: Any) -> None:
        y = self.builder.tensor(f"out{self.count}", type)
        self.builder.node(op, inputs, [y], attributes)
        self.builder.output(y)

    def convolution(
        self,
        image: tuple[int, int, int],
        channels: int | None,
        window: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        padding: Padding = NO_PADDING,
        batch: int = 1,
        extreme: bool = False,
    ) -> None:
        """Dense, or depthwise where no number of channels is given."""
        attributes = ConvolutionAttributes(stride, (1, 1), padding, self.activation())
        x_shape = (batch, *image)
        rows, columns = slides(x_shape, window, stride, padding)
        out = image[2] if channels is None else channels
        y_shape = (batch, rows.count, columns.count, out)
        if channels is None:
            op, w_shape, axis = "depthwise_conv_2d", (1, *window, image[2]), 3
        else:
            op, w_shape, axis = "conv_2d", (channels, *window, image[2]), 0
        self.weighted(op, x_shape, w_shape, y_shape, attributes, axis=axis, extreme=extreme)

    def fully_connected(
        self, depth: int, channels: int, rows: int = 1, extreme: bool = False
    ) -> None:
        attributes = FullyConnectedAttributes(self.activation())
        axis = 0 if extreme or self.random.random() < 0.3 else None
        self.weighted(
            "fully_connected", (rows, depth), (channels, depth), (rows, channels), attributes,
            axis=axis, extreme=extreme,
        )  # fmt: skip

    def add(self, shape: tuple[int, ...], ratio: float, activation: Activation) -> None:
        """Two operands whose scales differ by a factor."""
        left = self.quant()
        scale = float(left.scale[0])
        right = QuantParams.per_tensor(scale * ratio, int(self.random.integers(-128, 128)))
        out = QuantParams.per_tensor(
            scale * (1 + ratio) * 0.6, int(self.random.choice([-128, 0, 5]))
        )
        a = self.input(shape, left)
        b = self.input(shape, right)
        self.result("add", [a, b], TensorType(shape, DType.INT8, out), AddAttributes(activation))

    def average(
        self,
        image: tuple[int, int, int],
        window: tuple[int, int],
        stride: tuple[int, int],
        padding: Padding = NO_PADDING,
    ) -> None:
        quant = self.quant()
        x_shape = (1, *image)
        rows, columns = slides(x_shape, window, stride, padding)
        x = self.input(x_shape, quant)
        attributes = PoolAttributes(window, stride, padding, self.activation())
        type = TensorType((1, rows.count, columns.count, image[2]), DType.INT8, quant)
        self.result("average_pool_2d", [x], type, attributes)
