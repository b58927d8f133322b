"""``rewrite_hard_swish``: the ways to write a hard swish become the one that converters know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from budget.transforms.tool.affine import array_of
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
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

_X = Pattern(capture="x")


def _scalar(capture: str) -> Pattern:
    return Pattern("Const", capture=capture)


_RAISED = Pattern("Add|AddV2", (ANY, _scalar("three")), capture="raised", commutative=True,
                  single=True)  # fmt: skip
_GATES = (
    Pattern("Relu6", (_RAISED,), single=True),
    Pattern("Minimum", (Pattern("Relu", (_RAISED,), single=True), _scalar("six")), single=True,
            commutative=True),
    Pattern("Minimum", (Pattern("Maximum", (_RAISED, _scalar("zero")), single=True,
                                commutative=True), _scalar("six")), single=True,
            commutative=True),
    Pattern("Maximum", (Pattern("Minimum", (_RAISED, _scalar("six")), single=True,
                                commutative=True), _scalar("zero")), single=True,
            commutative=True),
    Pattern("ClipByValue", (_RAISED, _scalar("zero"), _scalar("six")), single=True),
)  # fmt: skip


def _refusal(graph: NodeGraph, match: Match) -> str:
    raised = match.nodes["raised"]
    if match.tensors["x"] not in raised.inputs:
        return "what is multiplied is not what the gate reads"
    for name, wanted in (("three", 3), ("six", 6), ("zero", 0), ("sixth", 1 / 6), ("by", 6)):
        value = array_of(match.nodes[name]) if name in match.nodes else None
        if value is not None and (value.size != 1 or abs(float(value.item()) - wanted) > 1e-6):
            return f"its constants are not those of a hard swish ({value.ravel()[:1]})"
    return ""


def _forms() -> list[Pattern]:
    found: list[Pattern] = []
    for gate in _GATES:
        for op, name in (("Mul", "sixth"), ("RealDiv", "by")):
            both = op == "Mul"
            inside = Pattern(op, (gate, _scalar(name)), single=True, commutative=both)
            outside = Pattern("Mul", (_X, gate), single=True, commutative=True)
            found.append(Pattern("Mul", (_X, inside), commutative=True, condition=_refusal))
            found.append(
                Pattern(op, (outside, _scalar(name)), commutative=both, condition=_refusal)
            )
        scaled = Pattern("Mul", (_X, _scalar("sixth")), single=True, commutative=True)
        found.append(Pattern("Mul", (scaled, gate), commutative=True, condition=_refusal))
    return found


_PATTERNS = _forms()


@dataclass(frozen=True)
class RewriteHardSwish(Transform):
    """Writes x · min(max(x + 3, 0), 6) / 6, in whatever form, as Mul(x, Mul(Relu6(x + 3), 1/6)).

    That is the form that TensorFlow Lite's converter and our own reading make one operator of.
    """

    called: ClassVar[str] = "rewrite_hard_swish"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        notes: dict[str, str] = {}
        for pattern in _PATTERNS:
            matches, refusals = find_matches(graph, pattern)
            notes.update({item.node: item.reason for item in refusals})
            matches = [match for match in matches if not _is_canonical(graph, match)]
            if matches:
                graph = replaced(graph, matches, _canonical)
        context.notes += [f"{name} stays: {reason}" for name, reason in notes.items()
                          if name in graph.nodes and "constants" in reason]  # fmt: skip
        return graph


def _is_canonical(graph: NodeGraph, match: Match) -> bool:
    ops = [graph.nodes[name].op for name in match.matched]
    first = graph.nodes[match.root.inputs[1].partition(":")[0]]
    return match.root.inputs[0] == match.tensors["x"] and first.op == "Mul" and "Relu6" in ops


def _canonical(match: Match, rewriting: Rewriting) -> list[NodeDef]:
    root, x, held = match.root, match.tensors["x"], match.nodes["three"]
    kind, dtype = held.attributes["dtype"], array_of(held).dtype
    attributes = {"T": root.attributes["T"]}

    def made(part: str, op: str, *inputs: str) -> NodeDef:
        name = root.name if not part else rewriting.name(f"{root.name}/{part}")
        controls = () if part else controls_of(rewriting.graph, match)
        return NodeDef(name, op, inputs, controls, root.device, attributes)

    three, sixth = (
        constant(rewriting.name(f"{root.name}/{name}"), np.array(value, dtype), kind, root.device)
        for name, value in (("three", 3), ("sixth", 1 / 6))
    )
    raised = made("raised", "AddV2", x, three.name)
    bounded = made("bounded", "Relu6", raised.name)
    gate = made("gate", "Mul", bounded.name, sixth.name)
    return [three, sixth, raised, bounded, gate, made("", "Mul", x, gate.name)]
