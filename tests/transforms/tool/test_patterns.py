"""Patterns and graphs of nodes: what matches, what does not and why, and what is no graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import tool_graphs as graphs

from budget.errors import CorruptModelError, UnsupportedModelError, UsageError
from budget.formats.tensorflow_schema import DataType
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant
from budget.transforms.tool.patterns import (
    ANY,
    Match,
    Pattern,
    controls_of,
    find_matches,
    rewrite,
)
from budget.transforms.tool.pipeline import Step, plan_steps, run
from budget.transforms.tool.rewrite_hard_swish import RewriteHardSwish
from budget.transforms.tool.transform import Context, Transform


def graph_of(*lines: str, outputs: str = "") -> NodeGraph:
    """A graph of lines ``name = Op a b:1 ^c``."""
    nodes = []
    for line in lines:
        name, _, rest = line.partition(" = ")
        op, *items = rest.split()
        data = tuple(item for item in items if item[0] != "^")
        controls = tuple(item[1:] for item in items if item[0] == "^")
        nodes.append(constant(name, 1.0) if op == "Const" else NodeDef(name, op, data, controls))
    graph = NodeGraph.decode(b"", "test.pb").with_nodes(nodes)
    return replace(graph, outputs=tuple(outputs.split()))


def heads(graph: NodeGraph, pattern: Pattern) -> list[str]:
    return [match.root.name for match in find_matches(graph, pattern)[0]]


def test_alternatives_and_number_of_inputs() -> None:
    """One of several operators; inputs are counted without those waited for."""
    graph = graph_of("x = Placeholder", "a = Add x x", "s = Sub x x ^a", "n = AddN x x x")
    assert heads(graph, Pattern("Add|Sub", (ANY, ANY))) == heads(graph, Pattern("Add|Sub"))
    assert set(heads(graph, Pattern("Add|Sub", (ANY, ANY)))) == {"a", "s"}
    assert heads(graph, Pattern("*", (ANY, ANY, ANY))) == ["n"]
    assert len(heads(graph, Pattern())) == 4


def test_operands_in_either_order() -> None:
    """Only where the pattern says so."""
    graph = graph_of("x = Placeholder", "c = Const", "a = Mul c x", "b = Mul x c")
    ordered = Pattern("Mul", (Pattern("Placeholder"), Pattern("Const", capture="c")))
    assert heads(graph, ordered) == ["b"]
    # the placeholder belongs to one match only
    assert len(heads(graph, replace(ordered, commutative=True))) == 1
    free = Pattern("Mul", (ANY, Pattern("Const", capture="c")), commutative=True)
    matches, _ = find_matches(graph, free)
    assert {match.root.name: match.nodes["c"].name for match in matches} == {"a": "c", "b": "c"}


def test_optional_nodes() -> None:
    """Captured where they are, passed over where not."""
    graph = graph_of("x = Placeholder", "r = Relu x", "i = Identity r", "a = Abs i",
                     "q = Relu6 x", "b = Abs q")  # fmt: skip
    pattern = Pattern(
        "Abs", (Pattern("Identity", (Pattern("Relu|Relu6"),), optional=True, capture="i"),)
    )
    matches, _ = find_matches(graph, pattern)
    assert {m.root.name: set(m.nodes) for m in matches} == {"a": {"i"}, "b": set()}


def test_matches_do_not_overlap() -> None:
    """In execution order; what is taken is taken, and the other head says so."""
    graph = graph_of("x = Placeholder", "a = Relu x", "b = Relu a", "c = Relu b", "d = Relu c")
    matches, refusals = find_matches(graph, Pattern("Relu", (Pattern("Relu"),)))
    assert [match.matched for match in matches] == [{"a", "b"}, {"c", "d"}]
    assert [(item.node, item.reason) for item in refusals] == [
        ("c", "part of it belongs to an earlier match")
    ]


def test_conditions_return_their_reason() -> None:
    """Readers elsewhere, the caller, and a condition of the pattern's own."""
    below = Pattern("Relu", (ANY,), single=True, capture="below")
    pattern = Pattern("Abs", (below,))
    lines = ("x = Placeholder", "r = Relu x", "a = Abs r")
    assert heads(graph_of(*lines), pattern) == ["a"]
    for graph in (
        graph_of(*lines, "o = Neg r"),
        graph_of(*lines, "o = NoOp ^r"),
        graph_of(*lines, outputs="r"),
    ):
        matches, refusals = find_matches(graph, pattern)
        assert not matches
        assert [item.reason for item in refusals] == ["r (Relu) is read elsewhere too"]

    def never(graph: NodeGraph, match: Match) -> str:
        return f"{match.tensors['below']} is not wanted"

    _, refusals = find_matches(graph_of(*lines), replace(pattern, condition=never))
    assert [item.reason for item in refusals] == ["r is not wanted"]


def test_broken_graphs_are_refused() -> None:
    """Edges from nowhere, cycles and missing ends stop the first step."""
    for graph, message in (
        (graph_of("a = Relu b"), "reads 'b', which does not exist"),
        (graph_of("a = Relu b", "b = Relu a"), "wait for each other: a, b"),
        (graph_of("a = Const", outputs="z"), "'z' is an input or output"),
    ):
        with pytest.raises(CorruptModelError, match=message):
            run(graph, plan_steps("remove_device"))


def test_files_that_are_no_graph() -> None:
    """Nodes without a name, names that occur twice, ends that do not exist."""
    twice = graph_of("a = Relu a").nodes["a"].encode()
    for nodes, message in (([twice, twice], "two nodes"), ([b""], "lacks its name")):
        data = graphs.NodeGraph.decode(b"", "test.pb").envelope.message
        data.node = nodes
        with pytest.raises(CorruptModelError, match=message):
            NodeGraph.decode(data.encode(), "test.pb")
    with pytest.raises(UsageError, match="no node called 'b'"):
        NodeGraph.decode(graph_of("a = NoOp").encode(), "test.pb", ["b"])


@dataclass(frozen=True)
class Careless(Transform):
    """Loses the first node."""

    called: ClassVar[str] = "careless"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        return graph.with_nodes(list(graph.nodes.values())[1:])


def test_what_a_transform_leaves_is_verified() -> None:
    """A transform of the user's that breaks the graph is found out, or undone if asked."""
    graph = graph_of("x = Placeholder", "a = Relu x")
    with pytest.raises(UnsupportedModelError, match="careless leaves no sound graph: node 'a'"):
        run(graph, plan_steps([Careless()]))
    assert run(graph, [Step("careless", Careless(), ignore_errors=True)]) is graph


def test_nodes_that_cannot_go_stay() -> None:
    """remove_nodes keeps ends and nodes of several inputs or outputs, and says so."""
    graph = graph_of("x = Placeholder", "a = Identity x", "b = Split x", "c = Relu b:1",
                     "d = Split x x", "e = Add a d", outputs="a c e")  # fmt: skip
    text = "remove_nodes(op=Identity, op=Split)"
    assert graphs.apply(graph, text).nodes == graph.nodes
    notes = " ".join(graphs.notes_of(graph, text))
    for reason in ("a (Identity) stays: an input or output", "b (Split) stays: its second output",
                   "d (Split) stays: it reads 2"):  # fmt: skip
        assert reason in notes
    assert "d" not in graphs.apply(graph, "remove_nodes(op=Split, max_inputs=2)").nodes


def test_who_waited_still_waits() -> None:
    """Control edges of a removed node pass to what it read and waited for."""
    graph = graph_of("x = Placeholder", "w = NoOp", "i = Identity x ^w", "j = Identity i",
                     "r = Relu x ^j", "s = Relu j", outputs="r s")  # fmt: skip
    after = graphs.apply(graph, "remove_nodes(op=Identity)")
    assert set(after.nodes["r"].controls) == {"x", "w"}
    assert after.nodes["s"].inputs == ("x",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("remove_nodes", "needs the parameter 'op'"),
        ("round_weights(num_steps=0)", "1 or more"),
        ("rename_node(old_node_name=a, new_node_name=x)", "'x' exists already"),
        ("strip_unused_nodes(type=floaty)", "'floaty' is not an element type"),
        ("strip_unused_nodes(shape=wide)", "'wide' is not a shape"),
    ],
)
def test_parameters_that_do_not_fit(text: str, message: str) -> None:
    """Refused with what is wrong."""
    graph = replace(graph_of("x = Placeholder", "a = Relu x", "b = Relu a", outputs="b"),
                    inputs=("a",))  # fmt: skip
    with pytest.raises(UsageError, match=message):
        graphs.apply(graph, text)


def test_stripping_needs_outputs_and_makes_placeholders() -> None:
    """Inputs get their type and shape, by name where given; nothing before them is left."""
    lines = ("x = Placeholder", "a = Relu x", "b = Relu a", "c = Add a b")
    with pytest.raises(UsageError, match="needs to know the outputs"):
        graphs.apply(graph_of(*lines), "strip_unused_nodes")
    graph = replace(graph_of(*lines, outputs="c"), inputs=("a", "b"))
    after = graphs.apply(
        graph, 'strip_unused_nodes(type=int32, shape="1,2", name=b, type_for_name=float, '
        'shape_for_name="3")'
    )  # fmt: skip
    assert graphs.ops(after) == ["Placeholder", "Placeholder", "Add"]
    assert [after.nodes[n].attributes["shape"].dims for n in "ab"] == [(1, 2), (3,)]
    assert [after.nodes[n].attributes["dtype"].name for n in "ab"] == ["INT32", "FLOAT"]
    assert graphs.apply(after, "strip_unused_nodes").nodes == after.nodes


def test_rewriting_ends() -> None:
    """Matches are replaced until none is left; a replacement that always matches is found out."""
    graph = graph_of("x = Placeholder", "a = Relu x", "b = Relu a", "c = Relu b", outputs="c")
    pattern = Pattern("Relu", (Pattern("Relu", (Pattern(capture="x"),), single=True),))
    after = rewrite(graph, pattern, lambda m: m.root.changed(inputs=(m.tensors["x"],)))
    assert list(after.nodes) == ["x", "c"]
    with pytest.raises(UnsupportedModelError, match="without end"):
        rewrite(graph, Pattern("Relu", (ANY,)), lambda m: m.root)


def test_repeated_inputs() -> None:
    """One pattern for any number of inputs, captured with their number."""
    graph = graph_of("x = Placeholder", "a = Relu x", "b = Neg x", "k = Const",
                     "c = ConcatV2 a b a k", "d = ConcatV2 k")  # fmt: skip
    part = Pattern("Relu|Neg", (ANY,), repeat=True, capture="part")
    matches, _ = find_matches(graph, Pattern("ConcatV2", (part, Pattern("Const"))))
    assert [{k: v.name for k, v in m.nodes.items()} for m in matches] == [
        {"part0": "a", "part1": "b", "part2": "a"}
    ]


def test_what_a_match_waits_for_is_kept_in_one_order() -> None:
    """Names come in sets, whose order differs from one run of Python to the next."""
    lines = [f"w{i} = NoOp" for i in range(9)]
    chain = [f"n{i} = Relu {f'n{i - 1}' if i else 'x'} ^w{8 - i}" for i in range(9)]
    graph = graph_of("x = Placeholder", *lines, *chain, outputs="n8")
    pattern = ANY
    for _ in range(9):
        pattern = Pattern("Relu", (pattern,), single=True)
    (match,), _ = find_matches(graph, pattern)
    assert controls_of(graph, match) == tuple(f"w{8 - i}" for i in range(9))


def test_a_rewritten_hard_swish_waits_for_what_it_waited_for() -> None:
    lines = ["three = Const", "sixth = Const", "w = NoOp", "a = AddV2 x three ^w", "r = Relu6 a",
             "g = Mul x r", "y = Mul g sixth ^v", "v = NoOp"]  # fmt: skip
    graph = graph_of("x = Placeholder", *lines, outputs="y")
    values = {"three": 3.0, "sixth": 1 / 6}
    graph = graph.with_nodes(
        constant(name, np.float32(values[name])) if name in values else node
        for name, node in graph.nodes.items()
    )
    kinds = {"T": DataType.FLOAT}
    graph = graph.with_nodes(
        node if node.op in ("Const", "NoOp") else node.changed(attributes=kinds)
        for node in graph.nodes.values()
    )
    after = RewriteHardSwish().apply(graph, Context())
    assert after is not graph and set(after.nodes["y"].controls) == {"v", "w"}
