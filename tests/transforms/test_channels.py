"""Dependency groups of channels on random networks over many operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from budget.errors import UnsupportedModelError
from budget.graph import Array, DType, Graph, GraphBuilder, TensorType, verify
from budget.ops import NoAttributes, Padding, registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.elementwise import AddAttributes, ArithmeticAttributes
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.interpreter import run
from budget.ops.operator import Activation
from budget.ops.pooling import PoolAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.shaping import (
    ConcatAttributes,
    PadAttributes,
    ReshapeAttributes,
    SliceAttributes,
    SplitAttributes,
    StridedSliceAttributes,
    TransposeAttributes,
)
from budget.ops.softmax import SoftmaxAttributes
from budget.transforms.channels import Channels, remove_channels
from budget.writers.tflite import write_tflite

Draw = st.DataObject


class Net:
    """A float network under construction: images of 4×6 pixels, then rows."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.builder = GraphBuilder("random")
        self.builder.input("x", TensorType((1, 4, 6, 3), DType.FLOAT32))
        self.shapes: dict[str, tuple[int, ...]] = {"x": (1, 4, 6, 3)}

    def constant(self, *shape: int) -> str:
        name = self.builder.unique_name("c")
        return self.builder.constant(name, self.random.normal(0, 0.6, shape).astype(np.float32))

    def node(self, op: str, inputs: list[str], attributes: Any, count: int = 1) -> list[str]:
        types = [self.builder.tensors[name].type for name in inputs]
        outputs = []
        for type in registry.get(op).infer(attributes, types):
            name = self.builder.unique_name("t")
            self.builder.tensor(name, type)
            self.shapes[name] = type.shape
            outputs.append(name)
        assert len(outputs) == count
        self.builder.node(op, inputs, outputs, attributes)
        return outputs

    def conv(self, x: str, out: int, size: int = 3, groups: int = 1) -> str:
        depth = self.shapes[x][3] // groups
        pad = Padding(1, 1, 1, 1) if size == 3 else Padding()
        a = ConvolutionAttributes(padding=pad, activation=Activation.RELU)
        w, b = self.constant(out, size, size, depth), self.constant(out)
        return self.node("conv_2d", [x, w, b], a)[0]

    def layer(self, kind: int, x: str, others: list[str], draw: Any) -> list[str]:
        channels = self.shapes[x][3]
        same = [n for n in others if self.shapes[n] == self.shapes[x]]
        match kind:
            case 0:
                return [self.conv(x, draw(2, 8))]
            case 1:
                return [self.conv(x, draw(2, 8), 1)]
            case 2:
                multiplier = draw(1, 2)
                w = self.constant(1, 3, 3, channels * multiplier)
                b = self.constant(channels * multiplier)
                a = ConvolutionAttributes(padding=Padding(1, 1, 1, 1))
                return self.node("depthwise_conv_2d", [x, w, b], a)
            case 3 if same:
                return self.node("add", [x, same[draw(0, len(same) - 1)]], AddAttributes())
            case 4:
                pair = others[draw(0, len(others) - 1)]
                return self.node("concat", [x, pair], ConcatAttributes(3))
            case 5 if channels > 1:
                cut = draw(1, channels - 1)
                return self.node("split", [x], SplitAttributes(3, (cut, channels - cut)), 2)
            case 6 if channels > 1:
                begin = draw(0, channels - 1)
                size = (1, 4, 6, draw(1, channels - begin))
                return self.node("slice", [x], SliceAttributes((0, 0, 0, begin), size))
            case 7:
                op = ["relu", "logistic", "hard_swish"][draw(0, 2)]
                return self.node(op, [x], registry.get(op).Attributes())
            case 8:
                shape = [(channels,), (1,), (1, 4, 6, channels), (4, 6, 1)][draw(0, 3)]
                return self.node("mul", [x, self.constant(*shape)], ArithmeticAttributes())
            case 9:
                # squeeze and excite
                pooled = self.node("mean", [x], ReduceAttributes((1, 2), True))[0]
                gate = self.conv(self.conv(pooled, 3, 1), channels, 1)
                return self.node("mul", [x, gate], ArithmeticAttributes())
            case 10:
                a = PoolAttributes((3, 3), (1, 1), Padding(1, 1, 1, 1))
                return self.node("max_pool_2d", [x], a)
            case 11:
                around = ((0, 0), (0, 0), (0, 0), (draw(0, 2), draw(0, 2)))
                return self.node("pad", [x], PadAttributes(around))
            case 12:
                flipped = self.node("transpose", [x], TransposeAttributes((0, 2, 1, 3)))[0]
                return self.node("transpose", [flipped], TransposeAttributes((0, 2, 1, 3)))
            case 13 if channels % 2 == 0:
                return [self.conv(x, channels, 1, groups=2)]
            case 14:
                rows = self.node("reshape", [x], ReshapeAttributes((1, 24 * channels)))[0]
                return self.node("reshape", [rows], ReshapeAttributes((1, 4, 6, channels)))
            case 15 if channels > 1:
                begin = draw(0, channels - 1)
                a = StridedSliceAttributes((0, 0, 0, begin), (1, 4, 6, channels), (1, 1, 1, 1))
                return self.node("strided_slice", [x], a)
            case 16:
                stats = [self.constant(channels) for _ in range(3)]
                ones = self.builder.constant(
                    self.builder.unique_name("v"), np.ones(channels, np.float32)
                )
                a = registry.get("batch_norm").Attributes()
                return self.node("batch_norm", [x, *stats, ones], a)
        return self.node("relu", [x], NoAttributes())

    def finish(self, x: str) -> Graph:
        shape = self.shapes[x]
        size = int(np.prod(shape[1:]))
        rows = self.node("reshape", [x], ReshapeAttributes((1, size)))[0]
        w, b = self.constant(7, size), self.constant(7)
        hidden = self.node("fully_connected", [rows, w, b], FullyConnectedAttributes())[0]
        w, b = self.constant(5, 7), self.constant(5)
        logits = self.node("fully_connected", [hidden, w, b], FullyConnectedAttributes())[0]
        self.builder.output(self.node("softmax", [logits], SoftmaxAttributes())[0])
        return verify(self.builder.build())


def random_network(data: Draw) -> Graph:
    def draw(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    net = Net(draw(0, 1000))
    flows = [net.conv("x", draw(3, 8))]
    for _ in range(draw(1, 9)):
        x = flows[draw(max(0, len(flows) - 3), len(flows) - 1)]
        images = [n for n in flows if net.shapes[n][1:3] == (4, 6)]
        flows += net.layer(draw(0, 16), x, images, draw)
    joined, *others = flows[-3:]
    for other in others:
        joined = net.node("concat", [joined, other], ConcatAttributes(3))[0]
    return net.finish(joined)


def without_columns(graph: Graph, channels: Channels, gone: set[int]) -> Graph:
    """The same graph with zeros where layers read some classes: what removal must equal."""
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        if channels.is_layer(node):
            columns = np.isin(channels.columns(node), sorted(gone))
            tensor = tensors[node.inputs[1]]
            assert tensor.data is not None
            data = tensor.data.copy()
            data[..., columns] = 0
            tensors[tensor.name] = type(tensor)(tensor.name, tensor.type, data)
    return graph.replace(tensors=tensors)


def sample(graph: Graph, seed: int = 0) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {
        name: random.normal(0, 1, graph.type_of(name).shape).astype(np.float32)
        for name in graph.inputs
    }


def draw_removal(data: Draw, graph: Graph) -> tuple[Channels, set[int]]:
    channels = Channels(graph)
    every = [root for group in channels.groups() for root in group.classes]
    wanted = data.draw(st.permutations(every)) if every else []
    count = data.draw(st.integers(0, len(every)))
    return channels, channels.removable(wanted[:count])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_removal_equals_reading_nothing(data: Draw) -> None:
    """Removed channels count as zeros where layers read them; everything else is as it was."""
    graph = random_network(data)
    channels, gone = draw_removal(data, graph)
    smaller, notes = remove_channels(graph, channels, gone)
    verify(smaller)
    for node in smaller.nodes:
        types = [smaller.type_of(n) if n else None for n in node.inputs]
        inferred = registry.get(node.op).infer(node.attributes, types)
        assert [t.shape for t in inferred] == [smaller.type_of(n).shape for n in node.outputs]
    assert bool(notes) == bool(gone)
    assert all(smaller.type_of(n) == graph.type_of(n) for n in graph.inputs)
    wanted = run(without_columns(graph, channels, gone), sample(graph))
    found = run(smaller, sample(graph))
    for name in graph.outputs:
        np.testing.assert_allclose(found[name], wanted[name], rtol=2e-4, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_litert_runs_what_is_left(data: Draw) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    graph = random_network(data)
    channels, gone = draw_removal(data, graph)
    smaller, _ = remove_channels(graph, channels, gone)
    try:
        content = write_tflite(smaller)
    except UnsupportedModelError:
        assume(False)
    made = interpreter.Interpreter(model_content=content)
    made.allocate_tensors()
    given = sample(smaller)["x"]
    made.set_tensor(made.get_input_details()[0]["index"], given)
    made.invoke()
    theirs = made.get_tensor(made.get_output_details()[0]["index"])
    wanted = run(without_columns(graph, channels, gone), sample(graph))
    np.testing.assert_allclose(theirs, wanted[graph.outputs[0]], rtol=1e-3, atol=1e-4)


def test_every_channel_that_can_go_is_found() -> None:
    """Two convolutions summed are one group; what concatenation joins stays apart."""
    net = Net(0)
    a, b = net.conv("x", 6), net.conv("x", 6)
    total = net.node("add", [a, b], AddAttributes())[0]
    side = net.conv(total, 4, 1)
    joined = net.node("concat", [total, side], ConcatAttributes(3))[0]
    graph = net.finish(joined)
    groups = Channels(graph).groups()
    assert [len(group.classes) for group in groups] == [6, 4, 7]
    assert len(groups[0].layers) == 2 and len(groups[0].readers) == 2
    everything = [root for group in groups for root in group.classes]
    left = Channels(graph).removable(everything)
    assert len(left) == 5 + 3 + 6  # every tensor keeps one


def test_states_inputs_and_outputs_keep_their_channels() -> None:
    net = Net(1)
    a = net.conv("x", 4)
    net.builder.output(a)
    assert Channels(verify(net.builder.build())).groups() == ()
