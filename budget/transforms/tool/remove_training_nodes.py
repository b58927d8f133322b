"""``remove_training_nodes``: what a graph needs to be trained and not to be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.affine import array_of
from budget.transforms.tool.nodes import NodeGraph, renamed
from budget.transforms.tool.patterns import ANY, Match, Pattern, find_matches
from budget.transforms.tool.remove_nodes import RemoveNodes
from budget.transforms.tool.transform import Context, Transform

_PASSING = ("Identity", "CheckNumerics", "StopGradient", "PreventGradient", "Snapshot", "Print")
_WATCHING = frozenset(
    ("Assert", "NoOp", "ScalarSummary", "HistogramSummary", "ImageSummary", "AudioSummary",
     "MergeSummary", "TensorSummary", "TensorSummaryV2", "WriteSummary", "WriteScalarSummary",
     "WriteHistogramSummary", "WriteImageSummary", "PrintV2")
)  # fmt: skip

_RANDOM = Pattern("RandomUniform|RandomUniformInt|StatelessRandomUniform|StatelessRandomUniformV2")
_NOISE = Pattern(
    "Add|AddV2|Sub|Mul",
    (
        Pattern(
            "Add|AddV2|Sub|Mul",
            (_RANDOM, Pattern("Const|Sub")),
            optional=True,
            commutative=True,
        ),
        Pattern("Const|Sub", capture="least"),
    ),
    optional=True,
    commutative=True,
)
_X = Pattern(capture="x")


def _keeps(graph: NodeGraph, match: Match) -> str:
    """Why a product with a random mask is no dropout: what it divides by is what it keeps."""
    rate = array_of(match.nodes["rate"])
    return "" if rate is not None and rate.size == 1 else "its rate is not one constant"


_SCALED = (
    Pattern("RealDiv", (_X, Pattern("Const", capture="rate")), single=True),
    Pattern("Mul", (_X, Pattern("Const", capture="rate")), single=True, commutative=True),
)
_MASKS = (
    Pattern("Floor", (_NOISE,), single=True),
    Pattern("Cast", (Pattern("GreaterEqual", (_NOISE, Pattern("Const"))),), single=True),
)
_DROPOUTS = tuple(
    Pattern("Mul", (scaled, mask), commutative=True, condition=_keeps)
    for scaled in _SCALED
    for mask in _MASKS
) + tuple(
    Pattern(
        "SelectV2",
        (Pattern("GreaterEqual", (_NOISE, Pattern("Const"))), scaled, ANY),
        condition=_keeps,
    )
    for scaled in _SCALED
)


@dataclass(frozen=True)
class RemoveTrainingNodes(Transform):
    """Drops what changes nothing at inference: y = x for Identity, CheckNumerics, StopGradient …

    Asserts, summaries and prints are waited for by nobody any more, and a dropout that is still
    switched on becomes its mean, E[mask · x / keep] = x. The graph's inputs and outputs stay.
    """

    called: ClassVar[str] = "remove_training_nodes"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        passing = Context()
        graph = RemoveNodes(op=_PASSING, max_inputs=1 << 16).apply(graph, passing)
        context.notes += [note for note in passing.notes if "Identity" not in note]
        graph = _without_dropout(graph, context)
        watching = {name for name, node in graph.nodes.items() if node.op in _WATCHING}
        watching -= graph.kept
        if not watching:
            return graph
        kept = [
            node.changed(controls=tuple(item for item in node.controls if item not in watching))
            for node in graph.nodes.values()
        ]
        read = {item for node in kept if node.name not in watching for item in node.read_nodes}
        return graph.with_nodes(
            node for node in kept if node.name not in watching or node.name in read
        )


def _without_dropout(graph: NodeGraph, context: Context) -> NodeGraph:
    for pattern in _DROPOUTS:
        matches, _ = find_matches(graph, pattern)
        passed: dict[str, str] = {}
        for match in matches:
            if match.root.name in graph.kept:
                context.notes.append(f"{match.root.name} stays: an output of the graph")
            else:
                # in execution order, so that what this one reads is known
                passed[match.root.name] = renamed(match.tensors["x"], passed)
        if not passed:
            continue
        nodes = [
            node.changed(inputs=tuple(renamed(item, passed) for item in node.inputs))
            for node in graph.nodes.values()
        ]
        changed = graph.with_nodes(nodes)
        # the mask and what it was made of go with it, unless something else reads them
        before = changed.needed(passed)
        others = [name for name in changed.nodes if name not in before]
        lost = before - changed.needed([*others, *graph.kept])
        graph = changed.with_nodes(node for node in nodes if node.name not in lost)
    return graph
