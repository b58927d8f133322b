"""``merge_reshapes``: chains of reshapes, squeezes and new dimensions become one reshape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.transforms.tool.affine import array_of
from budget.transforms.tool.nodes import NodeDef, NodeGraph
from budget.transforms.tool.patterns import (
    ANY,
    Match,
    Pattern,
    Rewriting,
    controls_of,
    find_matches,
    replaced,
)
from budget.transforms.tool.transform import Context, Transform

_CONST = Pattern("Const")


def _refusal(graph: NodeGraph, match: Match) -> str:
    shape = array_of(match.nodes["shape"])
    # Reshape has no code for "as it was", but older graphs write 0 for an empty dimension
    return "its shape holds a dimension of no elements" if (shape == 0).any() else ""


_SHAPE = Pattern("Const", capture="shape")
_BELOW = (
    Pattern("Squeeze", (Pattern(capture="x"),), single=True),
    Pattern("Reshape|ExpandDims", (Pattern(capture="x"), ANY), single=True),
)
_RESHAPED = tuple(Pattern("Reshape", (item, _SHAPE), condition=_refusal) for item in _BELOW)


@dataclass(frozen=True)
class MergeReshapes(Transform):
    """Replaces reshape(reshape(x, s), t) by reshape(x, t): neither moves an element.

    The inner one may be a Squeeze or ExpandDims; t has to be constant.
    """

    called: ClassVar[str] = "merge_reshapes"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        notes: dict[str, str] = {}
        changed = True
        while changed:
            changed = False
            for pattern in _RESHAPED:
                matches, refusals = find_matches(graph, pattern)
                notes.update({item.node: item.reason for item in refusals})
                if matches:
                    graph, changed = replaced(graph, matches, _merged), True
        context.notes += [f"{name} stays: {reason}" for name, reason in notes.items()
                          if name in graph.nodes and "earlier match" not in reason]  # fmt: skip
        return graph


def _merged(match: Match, rewriting: Rewriting) -> list[NodeDef]:
    root = match.root
    inputs = (match.tensors["x"], root.inputs[1])
    controls = controls_of(rewriting.graph, match)
    return [match.nodes["shape"], root.changed(inputs=inputs, controls=controls)]
