"""Patterns of nodes, written as what they look for, and matches that do not overlap.

Pattern("Mul", (
    Pattern("BiasAdd|Add", (Pattern("Conv2D", (ANY, Pattern("Const"))), Pattern("Const")),
            optional=True, single=True, capture="bias"),
    Pattern("Const", capture="factor"),
), commutative=True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from budget.errors import UnsupportedModelError
from budget.readers.graphdef import node_of
from budget.transforms.tool.nodes import NodeDef, NodeGraph, free_name, with_value

if TYPE_CHECKING:
    from budget.transforms.tool.transform import Context


@dataclass(frozen=True, slots=True)
class Match:
    """Nodes that fit a pattern.

    Attributes:
        root: the node at the pattern's head.
        nodes: what was captured, by name; optional nodes that are absent are missing.
        tensors: the tensor through which each captured node is read (the root's own name).
        matched: names of all nodes that belong to the match, constants excluded.
    """

    root: NodeDef
    nodes: Mapping[str, NodeDef]
    tensors: Mapping[str, str]
    matched: frozenset[str]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a node and those it reads must look like.

    Attributes:
        op: ``*``, one operator, or several as ``A|B|C``.
        inputs: of each data input; nothing asks nothing of them, else their number must agree.
        capture: name under which the match has the node.
        commutative: two inputs may stand in either order.
        optional: where no such node stands, its first input may stand in its place.
        single: nobody but the node above reads it, and the caller does not.
        repeat: stands for one input or more; captures below it end in 0, 1, 2 …
        condition: asked last, of the head of a pattern only; returns why not, or nothing.
    """

    op: str = "*"
    inputs: tuple[Pattern, ...] = ()
    capture: str = ""
    commutative: bool = False
    optional: bool = False
    single: bool = False
    repeat: bool = False
    condition: Callable[[NodeGraph, Match], str] | None = None

    @property
    def is_operand(self) -> bool:
        """Whether any node may stand here, which then is no part of a match."""
        return self.op == "*" and not self.inputs

    def accepts(self, op: str) -> bool:
        """Whether a node of that operator may stand here."""
        return self.op == "*" or op in self.op.split("|")


ANY = Pattern()
"""Any tensor."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A node at which a pattern began and failed.

    Attributes:
        node: the head's name.
        reason: what did not fit.
    """

    node: str
    reason: str


def find_matches(graph: NodeGraph, pattern: Pattern) -> tuple[list[Match], list[Refusal]]:
    """Matches in execution order, of which no two share a node other than a constant.

    Returns:
        The matches, and for nodes of the head's operator whose shape fitted but for a condition
        (reader or `Pattern.condition`), why.
    """
    used: set[str] = set()
    matches: list[Match] = []
    refusals: list[Refusal] = []
    for name in _heads(graph, pattern):
        node = graph.nodes[name]
        reasons: list[str] = []
        for state in _fit(graph, pattern, name, "", reasons):
            match = Match(node, state.nodes, state.tensors, state.matched)
            if not used.isdisjoint(match.matched):
                reasons.append("part of it belongs to an earlier match")
                continue
            reason = pattern.condition(graph, match) if pattern.condition else ""
            if reason:
                reasons.append(reason)
                continue
            used |= match.matched
            matches.append(match)
            break
        else:
            if reasons:
                refusals.append(Refusal(name, "; ".join(dict.fromkeys(reasons))))
    return matches, refusals


def _heads(graph: NodeGraph, pattern: Pattern) -> Iterator[str]:
    """Nodes at which a pattern may begin, in execution order."""
    if pattern.op == "*":
        yield from graph.execution_order
        return
    places = [place for op in pattern.op.split("|") for place in graph.by_op.get(op, ())]
    for place in sorted(places):
        yield graph.execution_order[place]


@dataclass(frozen=True, slots=True)
class _State:
    nodes: Mapping[str, NodeDef]
    tensors: Mapping[str, str]
    matched: frozenset[str]


_NOTHING = _State({}, {}, frozenset())


def _fit(
    graph: NodeGraph, pattern: Pattern, tensor: str, reader: str, reasons: list[str]
) -> Iterator[_State]:
    """Every way in which the node behind a tensor fits a pattern."""
    node = graph.nodes[node_of(tensor)]
    if pattern.accepts(node.op):
        alone = not reader or not pattern.single or _is_alone(graph, node, reader)
        for state in _fit_inputs(graph, pattern, node, reasons):
            if not alone:
                reasons.append(f"{node.name} ({node.op}) is read elsewhere too")
                break
            captured = {pattern.capture: node} if pattern.capture else {}
            tensors = {pattern.capture: tensor} if pattern.capture else {}
            own = (
                frozenset() if node.op == "Const" or pattern.is_operand else frozenset({node.name})
            )
            yield _State(
                {**state.nodes, **captured}, {**state.tensors, **tensors}, state.matched | own
            )
    if pattern.optional and pattern.inputs:
        yield from _fit(graph, pattern.inputs[0], tensor, reader, reasons)


def _is_alone(graph: NodeGraph, node: NodeDef, reader: str) -> bool:
    return graph.readers.get(node.name, ()) == (reader,) and node.name not in graph.kept


def _fit_inputs(
    graph: NodeGraph, pattern: Pattern, node: NodeDef, reasons: list[str]
) -> Iterator[_State]:
    if not pattern.inputs:
        yield _NOTHING
        return
    patterns = _repeated(pattern.inputs, len(node.inputs))
    if len(patterns) != len(node.inputs):
        return
    orders = [node.inputs]
    if pattern.commutative and len(node.inputs) == 2:
        orders.append(node.inputs[::-1])
    for order in orders:
        yield from _fit_each(graph, patterns, order, node.name, reasons)


@lru_cache(maxsize=1024)
def _repeated(patterns: tuple[Pattern, ...], count: int) -> tuple[Pattern, ...]:
    """Patterns of as many inputs, where one of them may be repeated."""
    at = next((index for index, item in enumerate(patterns) if item.repeat), None)
    copies = count - len(patterns) + 1
    if at is None or copies < 1:
        return patterns
    numbered = tuple(_numbered(patterns[at], index) for index in range(copies))
    return (*patterns[:at], *numbered, *patterns[at + 1 :])


def _numbered(pattern: Pattern, index: int) -> Pattern:
    return replace(
        pattern,
        inputs=tuple(_numbered(item, index) for item in pattern.inputs),
        capture=f"{pattern.capture}{index}" if pattern.capture else "",
    )


def _fit_each(
    graph: NodeGraph,
    patterns: tuple[Pattern, ...],
    tensors: tuple[str, ...],
    reader: str,
    reasons: list[str],
) -> Iterator[_State]:
    if not patterns:
        yield _NOTHING
        return
    for first in _fit(graph, patterns[0], tensors[0], reader, reasons):
        for rest in _fit_each(graph, patterns[1:], tensors[1:], reader, reasons):
            yield _State(
                {**first.nodes, **rest.nodes},
                {**first.tensors, **rest.tensors},
                first.matched | rest.matched,
            )


class Rewriting:
    """Replacements for matches, gathered and made at once."""

    def __init__(self, graph: NodeGraph) -> None:
        self.graph = graph
        self._new: dict[str, list[NodeDef]] = {}
        self._gone: set[str] = set()
        self._operands: set[str] = set()
        self._names: dict[str, NodeDef] = dict(graph.nodes)

    def name(self, wanted: str) -> str:
        """A free name near ``wanted``, which is then taken."""
        name = free_name(self._names, wanted)
        self._names[name] = self.graph.nodes[next(iter(self.graph.nodes))]
        return name

    def constant_like(self, old: NodeDef, array: Any) -> NodeDef:
        """A constant with new contents: under the old name if nobody else reads the old one."""
        if len(self.graph.readers[old.name]) == 1 and old.name not in self.graph.kept:
            self._gone.add(old.name)
            return with_value(old, array)
        return with_value(old, array).changed(name=self.name(old.name))

    def replace(self, match: Match, new: list[NodeDef]) -> None:
        """Puts nodes in the place of a match; the last has to carry the root's name.

        Constants that a match captured go too, unless something else reads them.
        """
        self._new[match.root.name] = new
        self._gone |= match.matched
        self._operands |= {node.name for node in match.nodes.values() if node.op == "Const"}

    def finish(self) -> NodeGraph:
        """The graph with all replacements made."""
        nodes: list[NodeDef] = []
        for name, node in self.graph.nodes.items():
            if name in self._new:
                nodes += self._new[name]
            elif name not in self._gone:
                nodes.append(node)
        read = {item for node in nodes for item in node.read_nodes} | self.graph.kept
        return self.graph.with_nodes(
            node for node in nodes if node.name in read or node.name not in self._operands
        )


def replaced(
    graph: NodeGraph,
    matches: Iterable[Match],
    replacement: Callable[[Match, Rewriting], list[NodeDef]],
) -> NodeGraph:
    """The graph with nodes in the place of each match, see `Rewriting.replace`."""
    rewriting = Rewriting(graph)
    for match in matches:
        rewriting.replace(match, replacement(match, rewriting))
    return rewriting.finish()


def controls_of(graph: NodeGraph, match: Match) -> tuple[str, ...]:
    """What any node of a match waits for, in the same order each time."""
    return tuple(
        dict.fromkeys(c for name in sorted(match.matched) for c in graph.nodes[name].controls)
    )


def rewrite(
    graph: NodeGraph,
    pattern: Pattern,
    replacement: Callable[[Match], NodeDef | list[NodeDef]],
    context: Context | None = None,
) -> NodeGraph:
    """The graph with every match of a pattern replaced, until none is left.

    Args:
        graph: to be rewritten.
        pattern: what to look for; what it refuses is noted with the reason.
        replacement: the nodes that take a match's place; the last has to carry the root's name.
        context: where notes go.

    Raises:
        UnsupportedModelError: every replacement matches again, without end.
    """

    def nodes_for(match: Match, rewriting: Rewriting) -> list[NodeDef]:
        new = replacement(match)
        return new if isinstance(new, list) else [new]

    for _ in range(len(graph.nodes) + 1):
        matches, refusals = find_matches(graph, pattern)
        if not matches:
            break
        graph = replaced(graph, matches, nodes_for)
    else:
        raise UnsupportedModelError(
            f"what replaces {pattern.op} matches again, without end", where=graph.envelope.name
        )
    if context is not None:
        context.notes += [f"{item.node} stays: {item.reason}" for item in refusals]
    return graph
