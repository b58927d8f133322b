"""Whether a graph for one example can be run on many at once along its first dimension."""

from __future__ import annotations

from budget.graph import ABSENT, Graph, Node

_ALONG_AXIS = frozenset({"concat", "split", "pack", "unpack", "arg_max", "arg_min", "gather"})
_ALONG_AXES = frozenset({"mean", "sum", "reduce_max", "reduce_min", "layer_norm"})
_RECURRENT = frozenset({"simple_rnn", "gru", "lstm"})
_ALONG_LAST = frozenset({"softmax", "log_softmax", "l2_norm"})


def runs_in_batches(graph: Graph) -> bool:
    """Whether the first dimension stays that of the examples, untouched by every operator.

    What is computed from an input must have extent 1 there, and no operator may mix along it or
    move it elsewhere.
    """
    flowing = {*graph.inputs, *(name for name, t in graph.tensors.items() if t.is_variable)}
    if not all(graph.type_of(name).shape[:1] == (1,) for name in flowing):
        return False
    for node in graph.nodes:
        given = [name for name in node.present_inputs if name in flowing]
        if not given:
            continue
        if not all(graph.type_of(name).shape[:1] == (1,) for name in node.outputs):
            return False
        if not _keeps_examples_apart(graph, node, set(given)):
            return False
        flowing.update(node.outputs)
    return flowing.issuperset(graph.outputs)


def _keeps_examples_apart(graph: Graph, node: Node, flowing: set[str]) -> bool:
    rank = max(len(graph.type_of(name).shape) for name in flowing)
    attributes = node.attributes
    if node.op == "gather":
        # from a table, or at fixed places of each example
        table, indices = node.inputs
        if table in flowing and (indices in flowing or attributes.axis == 0):
            return False
        return not attributes.batch_dims and (table in flowing or attributes.axis == 0)
    if node.op in _ALONG_AXIS:
        return bool(attributes.axis != 0)
    if node.op in _ALONG_AXES:
        return 0 not in attributes.axes
    if node.op in _ALONG_LAST:
        return rank > 1
    if node.op in _RECURRENT:
        return not attributes.time_major
    if node.op == "transpose":
        return bool(attributes.perm[0] == 0)
    if node.op == "batch_matmul":
        return all(len(graph.type_of(name).shape) > 2 for name in flowing)
    # one that stretches over another of higher rank lies along another dimension of it
    ranks = {len(graph.type_of(name).shape) for name in (*flowing, *node.outputs)}
    reshapes = node.op in {"reshape", "fully_connected"}
    fixed = [n for n in node.inputs if n != ABSENT and n not in flowing]
    is_wide = any(
        len(graph.type_of(name).shape) == rank and graph.type_of(name).shape[0] != 1
        for name in fixed
    )
    stretches = node.op not in {"conv_2d", "transpose_conv_2d", "fully_connected"} and is_wide
    return (reshapes or len(ranks) == 1) and not stretches
