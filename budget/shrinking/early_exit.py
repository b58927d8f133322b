"""A small classifier in the middle of a network: where it is sure, the rest is not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from budget.analysis.costs import node_cost
from budget.errors import UnsupportedModelError, UsageError
from budget.graph import Graph, GraphEditor, Node, TensorType, verify
from budget.ops.fully_connected import FullyConnectedAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.softmax import SoftmaxAttributes
from budget.records import record
from budget.shrinking.way import Calibration, Reason, Shrunk, Stage, Strength, Way

Floats = NDArray[np.float64]
_STEPS, _RATE, _DECAY = 600, 0.05, 1e-3
_LEAST_SAMPLES = 12


def cuts(graph: Graph) -> list[tuple[int, str]]:
    """Where a graph hangs together by one tensor: (index of the last node before it, its name)."""
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.present_inputs}
    found = []
    live: set[str] = {name for name in graph.inputs if name in last}
    for index, node in enumerate(graph.nodes):
        live.update(name for name in node.outputs if name in last)
        live = {name for name in live if last[name] > index}
        is_output = any(name in graph.outputs for name in node.outputs)
        if len(live) == 1 and node.outputs[0] in live and not is_output:
            found.append((index, node.outputs[0]))
    return found


def split(graph: Graph, index: int, name: str) -> tuple[Graph, Graph]:
    """The nodes up to an index, which make one tensor, and those behind, which read it."""
    first = GraphEditor(graph.replace(nodes=graph.nodes[: index + 1], outputs=(name,)))
    rest = GraphEditor(graph.replace(nodes=graph.nodes[index + 1 :], inputs=(name,)))
    return first.finish(), rest.finish()


def macs_of(nodes: Sequence[Node], graph: Graph) -> int:
    """Multiply-adds of some nodes of a graph."""
    types = {name: tensor.type for name, tensor in graph.tensors.items()}
    return sum(node_cost(node, types).macs for node in nodes)


def fit_classifier(x: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Weights [classes][features] and biases of a softmax that gives wanted probabilities.

    Args:
        x: features [examples][features].
        wanted: probabilities [examples][classes].
    """
    mean, spread = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / spread
    w, b = np.zeros((wanted.shape[1], x.shape[1])), np.zeros(wanted.shape[1])
    moments = [np.zeros_like(w), np.zeros_like(w), np.zeros_like(b), np.zeros_like(b)]
    for step in range(1, _STEPS + 1):
        gap = (_softmax(z @ w.T + b) - wanted) / len(z)
        gradients = (gap.T @ z + _DECAY * w, gap.sum(0))
        for value, gradient, place in ((w, gradients[0], 0), (b, gradients[1], 2)):
            first, second = moments[place], moments[place + 1]
            first += 0.1 * (gradient - first)
            second += 0.001 * (np.square(gradient) - second)
            unbiased = np.sqrt(second / (1 - 0.999**step)) + 1e-8
            value -= _RATE * first / (1 - 0.9**step) / unbiased
    return w / spread, b - (w / spread) @ mean


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    found: Floats = raised / raised.sum(1, keepdims=True)
    return found


@record
class EarlyExit(Way):
    """Early exit.

    Attributes:
        depth: share of the multiply-adds before the exit.
        agreement: with the whole network, that examples which leave early must reach.
    """

    depth: float = 0.5
    agreement: float = 0.98

    name: ClassVar[str] = "early-exit"
    words: ClassVar[str] = "adds a classifier half way; where it is sure, the rest is skipped"
    stage: ClassVar[Stage] = Stage.STRUCTURE

    @classmethod
    def strengths(cls) -> tuple[Strength, ...]:
        """Where, and how sure."""
        return (
            Strength("depth", "share of the multiply-adds before the exit", 0.05, 0.95),
            Strength("agreement", "of early answers with the whole network", 0.5, 1.0),
        )

    def apply(self, graph: Graph, calibration: Calibration) -> Shrunk:
        """Splits the graph; the first part has the early answer and the tensor the rest reads.

        Two thirds of the examples train the classifier on the network's own answers, the others
        choose the threshold.

        Raises:
            UnsupportedModelError: the graph is no classifier, or is nowhere held by one tensor.
            UsageError: there are too few examples.
        """
        shape = graph.type_of(graph.outputs[0]).shape
        if len(graph.outputs) != 1 or len(shape) != 2 or shape[0] != 1 or shape[1] < 2:
            raise UnsupportedModelError("only a classifier can leave early", where=graph.name)
        places = [c for c in cuts(graph) if len(graph.type_of(c[1]).shape) in (2, 4)]
        if not places:
            raise UnsupportedModelError(
                "no single tensor holds the network together anywhere", where=graph.name
            )
        if len(calibration.samples) < _LEAST_SAMPLES:
            raise UsageError(
                "too few examples to train an early exit", hint=f"give {_LEAST_SAMPLES} or more"
            )
        total = macs_of(graph.nodes, graph)

        def distance(place: tuple[int, str]) -> float:
            return abs(macs_of(graph.nodes[: place[0] + 1], graph) - self.depth * total)

        index, name = min(places, key=distance)
        values = calibration.activations(graph)
        x = np.stack([_pooled(value[name]) for value in values]).astype(np.float64)
        teacher = np.stack([value[graph.outputs[0]][0] for value in values]).astype(np.float64)
        producer = graph.producers[graph.outputs[0]]
        wanted = teacher if producer.op == "softmax" else _softmax(teacher)
        judges = np.arange(len(x)) % 3 == 0
        weights, bias = fit_classifier(x[~judges], wanted[~judges])
        early = _softmax(x[judges] @ weights.T + bias)
        agrees = early.argmax(1) == wanted[judges].argmax(1)
        threshold = _threshold(early.max(1), agrees, self.agreement)
        leaving = float((early.max(1) >= threshold).mean())
        first, rest = split(graph, index, name)
        first = _with_head(first, name, weights, bias)
        before, behind = macs_of(first.nodes, first), macs_of(rest.nodes, rest)
        expected = before + (1 - leaving) * behind
        note = (
            f"{100 * leaving:.0f} % leave behind '{name}' (probability {threshold:.3f} or more); "
            f"{expected:.0f} multiply-adds expected, {total} before, {before + behind} at most"
        )
        reasons = (Reason(name, f"{before} multiply-adds up to the exit, {behind} behind it"),)
        return Shrunk(verify(first), note, reasons, rest=verify(rest), threshold=float(threshold))


def _threshold(sure: Floats, agrees: NDArray[np.bool_], wanted: float) -> float:
    """The least probability above which answers agree often enough; above 1 if none does."""
    order = np.argsort(-sure)
    share = np.cumsum(agrees[order]) / np.arange(1, len(sure) + 1)
    fine = np.flatnonzero(share >= wanted)
    return float(sure[order[fine[-1]]]) if len(fine) else 2.0


def _pooled(x: NDArray[np.generic]) -> NDArray[np.generic]:
    found: NDArray[np.generic] = np.asarray(x[0].mean((0, 1)) if x.ndim == 4 else x[0])
    return found


def _with_head(graph: Graph, name: str, weights: Floats, bias: Floats) -> Graph:
    """The graph with probabilities as its first output, the tensor itself as its second."""
    editor = GraphEditor(graph)
    type = graph.type_of(name)
    pooled = name
    if len(type.shape) == 4:
        pooled = editor.add_tensor(f"{name}_pooled", TensorType((1, type.shape[3]), type.dtype))
        node = editor.unique_name("early_pool")
        editor.add_node(Node(node, "mean", (name,), (pooled,), ReduceAttributes((1, 2))))
    shape = (1, len(bias))
    logits = editor.add_tensor("early_logits", TensorType(shape, type.dtype))
    answer = editor.add_tensor("early_answer", TensorType(shape, type.dtype))
    operands = (
        pooled,
        editor.add_constant("early_weights", weights.astype(np.float32)),
        editor.add_constant("early_bias", bias.astype(np.float32)),
    )
    dense = editor.unique_name("early_dense")
    editor.add_node(Node(dense, "fully_connected", operands, (logits,), FullyConnectedAttributes()))
    node = editor.unique_name("early_softmax")
    editor.add_node(Node(node, "softmax", (logits,), (answer,), SoftmaxAttributes()))
    editor.outputs = [answer, name]
    return editor.finish()


WAYS: tuple[type[Way], ...] = (EarlyExit,)
