"""Random quantised networks with channels that are the same for every input."""

from __future__ import annotations

import numpy as np

from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops import Activation, Padding, get

KINDS = ("conv", "depthwise", "add", "average", "maximum", "concat", "flat", "tiny", "relu", "cut")
ACTIVATIONS = tuple(Activation)


class Network:
    """Builds one network, layer by layer; every choice comes from one generator."""

    def __init__(self, random: np.random.Generator, dtype: DType = DType.INT8) -> None:
        self.random, self.dtype = random, dtype
        self.builder = GraphBuilder("planted")
        shape = (int(random.integers(1, 3)), *map(int, random.integers(4, 8, 2)), self.count())
        self.current = self.builder.input("x", self.type(shape))
        self.earlier = [self.current]

    def count(self) -> int:
        return int(self.random.integers(2, 7))

    def type(self, shape: tuple[int, ...], scale: float | None = None) -> TensorType:
        zero = 0 if self.dtype is DType.INT16 else int(self.random.integers(-128, 128))
        if scale is None:
            scale = float(np.exp(self.random.uniform(-4, -1)))
        return TensorType(shape, self.dtype, QuantParams.per_tensor(scale, zero))

    def shape(self, name: str | None = None) -> tuple[int, ...]:
        return self.builder.tensors[name or self.current].type.shape

    def add(self, op: str, inputs: list[str], attributes, like: TensorType | None = None) -> str:
        types = [self.builder.tensors[name].type for name in inputs]
        (found,) = get(op).infer(attributes, types)
        type = self.type(found.shape) if like is None else like.with_shape(found.shape)
        name = self.builder.tensor(f"t{len(self.builder.nodes)}", type)
        self.builder.node(op, inputs, [name], attributes)
        self.current = name
        self.earlier.append(name)
        return name

    def weighted(self, op: str, shape: tuple[int, ...], axis: int, attributes, tiny: bool) -> str:
        """A layer whose weights have dead outputs, unread inputs, or scales that round to 0."""
        random, out = self.random, shape[axis]
        weights = random.integers(-127, 128, shape).astype(np.int8)
        dead = random.random(out) < 0.3
        weights[tuple(dead if d == axis else slice(None) for d in range(len(shape)))] = 0
        if op != "depthwise_conv_2d" and random.random() < 0.5:
            weights[..., random.random(shape[-1]) < 0.3] = 0
        taps = weights.size // out
        scales = np.exp(random.uniform(-1, 1, out)) / (60 * np.sqrt(taps))
        bias = random.integers(-3000, 3000, out)
        if tiny:  # multipliers of 2^-18 to 2^-36, biases that fill the register
            extreme = random.random(out) < 0.5
            scales = np.where(extreme, 2.0 ** -random.uniform(18, 36, out), scales)
            large = random.integers((1 << 30) - 5000, 1 << 30, out) * random.choice([-1, 1], out)
            bias = np.where(extreme, large, bias)
        wide = self.dtype is DType.INT16
        quant = QuantParams.per_channel(scales, axis)
        inputs = [
            self.current,
            self.builder.constant(f"w{len(self.builder.nodes)}", weights, quant),
        ]
        if random.random() < 0.85:
            values = bias.astype(np.int64 if wide else np.int32)
            inputs.append(self.builder.constant(f"b{len(self.builder.nodes)}", values))
        scale = float(np.exp(random.uniform(-2, 1)))
        found = get(op).infer(attributes, [self.builder.tensors[name].type for name in inputs])
        return self.add(op, inputs, attributes, self.type(found[0].shape, scale))

    def window(self) -> tuple[int, int, Padding]:
        _, height, width, _ = self.shape()
        rows, columns = (int(self.random.integers(1, min(3, n) + 1)) for n in (height, width))
        pads = [int(self.random.integers(0, n)) for n in (rows, rows, columns, columns)]
        padding = Padding(*pads) if self.random.random() < 0.6 else Padding()
        return rows, columns, padding

    def step(self, kind: str) -> None:
        if len(self.shape()) != 4:
            kind = "flat"
        activation = ACTIVATIONS[int(self.random.integers(len(ACTIVATIONS)))]
        stride = (int(self.random.integers(1, 3)), int(self.random.integers(1, 3)))
        depth = self.shape()[-1]
        rows, columns, padding = self.window() if len(self.shape()) == 4 else (1, 1, Padding())
        same = [n for n in self.earlier if n != self.current and self.shape(n) == self.shape()]
        if kind in ("conv", "tiny"):
            attributes = get("conv_2d").Attributes(stride, (1, 1), padding, activation)
            shape = (self.count(), rows, columns, depth)
            self.weighted("conv_2d", shape, 0, attributes, kind == "tiny")
        elif kind == "depthwise":
            attributes = get("depthwise_conv_2d").Attributes(stride, (1, 1), padding, activation)
            times = int(self.random.integers(1, 3)) if self.random.random() < 0.2 else 1
            shape = (1, rows, columns, depth * times)
            self.weighted("depthwise_conv_2d", shape, 3, attributes, False)
        elif kind == "add":
            attributes = get("add").Attributes(activation=activation)
            self.add("add", [self.current, (same or [self.current])[-1]], attributes)
        elif kind in ("average", "maximum"):
            op = f"{'average' if kind == 'average' else 'max'}_pool_2d"
            attributes = get(op).Attributes((rows, columns), stride, padding, activation)
            self.add(op, [self.current], attributes, self.builder.tensors[self.current].type)
        elif kind == "concat":
            type = self.builder.tensors[self.current].type
            fitting = [n for n in same if self.builder.tensors[n].type.quant == type.quant]
            pair = [self.current, (fitting or [self.current])[-1]]
            attributes = get("concat").Attributes(axis=int(self.random.choice([1, 3])))
            self.add("concat", pair, attributes, type)
        elif kind == "cut":
            self.cut()
        elif kind == "relu":
            self.add("relu", [self.current], get("relu").Attributes())
        else:
            self.flat(activation)

    def flat(self, activation: Activation) -> None:
        shape = self.shape()
        if len(shape) == 4 and self.random.random() < 0.5:
            flat = (shape[0], int(np.prod(shape[1:])))
            attributes = get("reshape").Attributes(flat)
            self.add("reshape", [self.current], attributes, self.builder.tensors[self.current].type)
            shape = flat
        depth = int(np.prod(shape[1:]))
        attributes = get("fully_connected").Attributes(activation)
        self.weighted("fully_connected", (self.count(), depth), 0, attributes, False)

    def cut(self) -> None:
        """A run of rows or of channels, by one of the operators that cut; all parts are kept."""
        shape, type = self.shape(), self.builder.tensors[self.current].type
        axis = int(self.random.choice([1, 1, 3]))
        if shape[axis] < 2:
            return
        first = int(self.random.integers(1, shape[axis]))
        begin = [first if d == axis else 0 for d in range(4)]
        size = [n - b for n, b in zip(shape, begin, strict=True)]
        if self.random.random() < 0.4:
            attributes = get("split").Attributes(axis, (first, shape[axis] - first))
            names = []
            for extent in attributes.sizes:
                part = (*shape[:axis], extent, *shape[axis + 1 :])
                name = f"t{len(self.builder.nodes)}_{len(names)}"
                names.append(self.builder.tensor(name, type.with_shape(part)))
            self.builder.node("split", [self.current], names, attributes)
            self.earlier += names
            self.current = names[int(self.random.integers(2))]
        elif self.random.random() < 0.5:
            attributes = get("slice").Attributes(tuple(begin), tuple(size))
            self.add("slice", [self.current], attributes, type)
        else:
            attributes = get("strided_slice").Attributes(tuple(begin), shape, (1, 1, 1, 1))
            self.add("strided_slice", [self.current], attributes, type)

    def finish(self) -> Graph:
        read = {name for node in self.builder.nodes for name in node.inputs}
        outputs = [n for n in self.earlier[1:] if n not in read]
        self.builder.output(self.current, *(n for n in outputs if n != self.current))
        return self.builder.build()


def network(kinds: list[str], seed: int, dtype: DType = DType.INT8) -> Graph:
    """Layers of the given kinds with random shapes, scales and weights."""
    made = Network(np.random.default_rng(seed), dtype)
    for kind in kinds:
        made.step(kind)
    return made.finish()


def inputs_of(graph: Graph, seed: int) -> list[dict[str, np.ndarray]]:
    """Random values, both ends of the type, and a random mixture of the two ends."""
    random = np.random.default_rng(seed)
    found = []
    for kind in ("random", "low", "high", "ends"):
        values = {}
        for name in graph.inputs:
            type = graph.type_of(name)
            info = np.iinfo(type.dtype.numpy)
            low, high = info.min, info.max
            values[name] = {
                "random": random.integers(low, high + 1, type.shape),
                "low": np.full(type.shape, low),
                "high": np.full(type.shape, high),
                "ends": np.where(random.random(type.shape) < 0.5, low, high),
            }[kind].astype(type.dtype.numpy)
        found.append(values)
    return found
