"""A few words in which architectures are written: layers with seeded He-normal weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from budget.graph.builder import GraphBuilder
from budget.graph.graph import Graph, ModelSource
from budget.graph.types import DType, TensorType
from budget.ops import registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.elementwise import AddAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.operator import Activation, Padding
from budget.ops.pooling import PoolAttributes
from budget.ops.shaping import ConcatAttributes, ReshapeAttributes
from budget.ops.softmax import SoftmaxAttributes

RELU = Activation.RELU
LINEAR = Activation.NONE


class Layers:
    """Builds a canonical float graph layer by layer; methods take and return tensor names.

    Batch norms stand folded: every convolution has a bias.
    """

    def __init__(self, name: str, input_shape: Sequence[int], *, seed: int) -> None:
        self._builder = GraphBuilder(name)
        self._random = np.random.default_rng(seed)
        self._counts: dict[str, int] = {}
        self.input = self._builder.input("input", TensorType((1, *input_shape), DType.FLOAT32))

    def shape(self, x: str) -> tuple[int, ...]:
        """Shape of a tensor, batch first."""
        return self._builder.tensors[x].type.shape

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        *,
        activation: Activation = RELU,
        name: str = "conv",
    ) -> str:
        """A dense convolution whose output covers the input (TensorFlow's SAME padding)."""
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        attributes = ConvolutionAttributes(
            (stride, stride), (1, 1), self._same(x, (height, width), stride), activation
        )
        weights = (channels, height, width, self.shape(x)[3])
        return self._weighted("conv_2d", x, weights, channels, attributes, name)

    def depthwise(
        self, x: str, stride: int = 1, *, activation: Activation = RELU, name: str = "depthwise"
    ) -> str:
        """A 3×3 depthwise convolution with SAME padding."""
        channels = self.shape(x)[3]
        attributes = ConvolutionAttributes(
            (stride, stride), (1, 1), self._same(x, (3, 3), stride), activation
        )
        return self._weighted(
            "depthwise_conv_2d", x, (1, 3, 3, channels), channels, attributes, name
        )

    def dense(
        self, x: str, units: int, *, activation: Activation = LINEAR, name: str = "dense"
    ) -> str:
        """A fully connected layer over the flattened input."""
        flat = int(np.prod(self.shape(x)[1:]))
        if len(self.shape(x)) > 2:
            x = self._node("reshape", [x], ReshapeAttributes((1, flat)), "flatten")
        attributes = FullyConnectedAttributes(activation)
        return self._weighted("fully_connected", x, (units, flat), units, attributes, name)

    def max_pool(self, x: str, size: int, stride: int) -> str:
        """Maximum over square windows with SAME padding."""
        padding = self._same(x, (size, size), stride)
        attributes = PoolAttributes((size, size), (stride, stride), padding)
        return self._node("max_pool_2d", [x], attributes, "max_pool")

    def average_pool(self, x: str, size: tuple[int, int] | None = None) -> str:
        """Mean over windows that do not overlap; over the whole image by default."""
        if size is None:
            size = (self.shape(x)[1], self.shape(x)[2])
        return self._node("average_pool_2d", [x], PoolAttributes(size, size), "average_pool")

    def add(self, x: str, y: str, *, activation: Activation = LINEAR) -> str:
        """Element-wise sum."""
        return self._node("add", [x, y], AddAttributes(activation), "add")

    def concat(self, *parts: str) -> str:
        """Channels side by side."""
        return self._node("concat", parts, ConcatAttributes(3), "concat")

    def finish(self, x: str, *, softmax: bool, notes: tuple[str, ...] = ()) -> Graph:
        """The graph that gives ``x``, behind a softmax if wanted."""
        if softmax:
            x = self._node("softmax", [x], SoftmaxAttributes(), "softmax")
        self._builder.output(x)
        name = self._builder.name
        return self._builder.build(ModelSource(f"zoo:{name}", "zoo", "", notes))

    def _same(self, x: str, window: tuple[int, int], stride: int) -> Padding:
        before_after = []
        for extent, size in zip(self.shape(x)[1:3], window):
            missing = max((-(-extent // stride) - 1) * stride + size - extent, 0)
            before_after += [missing // 2, missing - missing // 2]
        return Padding(*before_after)

    def _weighted(
        self, op: str, x: str, shape: tuple[int, ...], channels: int, attributes: Any, name: str
    ) -> str:
        name = self._unique(name)
        fan_in = int(np.prod(shape)) // channels
        data = self._random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
        weights = self._builder.constant(f"{name}/weights", data)
        bias = self._builder.constant(f"{name}/bias", np.zeros(channels, np.float32))
        return self._node(op, [x, weights, bias], attributes, name, is_unique=True)

    def _node(
        self, op: str, inputs: Sequence[str], attributes: Any, name: str, *, is_unique: bool = False
    ) -> str:
        if not is_unique:
            name = self._unique(name)
        types = [self._builder.tensors[tensor].type for tensor in inputs]
        (type,) = registry.get(op).infer(attributes, types)
        self._builder.tensor(name, replace(type, dtype=DType.FLOAT32))
        self._builder.node(op, inputs, [name], attributes, name=name, origin=(name,))
        return name

    def _unique(self, name: str) -> str:
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"
