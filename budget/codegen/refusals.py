"""What of a model cannot be emitted, all at once, and the transforms that take it away."""

from __future__ import annotations

from collections.abc import Iterator

from budget.analysis.costs import unsupported_operators
from budget.codegen.options import EmitOptions
from budget.codegen.source import write_steps
from budget.errors import BudgetError, UnsupportedModelError
from budget.graph import ABSENT, Graph, Node
from budget.ops import registry
from budget.plan import plan

_REMEDIES = (
    # operators of TensorFlow, and the transform of `budget transform` that removes them
    (
        "remove_training_nodes",
        "Identity CheckNumerics StopGradient PreventGradient Snapshot Print PrintV2 Assert NoOp "
        "ScalarSummary HistogramSummary ImageSummary AudioSummary MergeSummary TensorSummary "
        "TensorSummaryV2 RandomUniform RandomUniformInt StatelessRandomUniform "
        "StatelessRandomUniformV2",
    ),
    (
        "fold_control_flow",
        "Switch RefSwitch Merge RefMerge Enter Exit NextIteration If StatelessIf",
    ),
    ("inline_partitionedcall", "PartitionedCall StatefulPartitionedCall"),
    ("fold_old_batch_norms", "BatchNormWithGlobalNormalization"),
    ("flatten_atrous_conv", "SpaceToBatchND BatchToSpaceND SpaceToBatch BatchToSpace"),
    ("freeze_requantization_ranges", "Requantize RequantizationRange"),
    ("strip_unused_nodes", "Save SaveV2 RestoreV2 ReadFile DecodeJpeg DecodePng ParseExample"),
    ("fold_constants", "Shape Rank Size Fill Range Where"),
)
REMEDIES = {op: transform for transform, ops in _REMEDIES for op in ops.split()}
"""Operator without its dialect's prefix → transform."""


def require_writable(graph: Graph, options: EmitOptions) -> None:
    """Does nothing if every operator is known; which element types C has, its writer tells.

    Raises:
        UnsupportedModelError: some are not. The message lists them and every other step that
            cannot be written, and names the transforms that remove them, where there are any.
    """
    unknown = unsupported_operators(graph)
    if not unknown:
        return
    refused = [f"{_named(op)} ({_few(names)})" for op, names in unknown.items()]
    refused += list(dict.fromkeys(_refusals(graph, options)))
    transforms = " ".join(dict.fromkeys(t for op in unknown if (t := REMEDIES.get(_plain(op)))))
    hint = "'budget ops' lists the operators that can be; --outputs may end the model before them"
    if transforms:
        hint = f"try: budget transform MODEL --transforms '{transforms}'; {hint}"
    raise UnsupportedModelError(
        "cannot be emitted: " + "; ".join(refused),
        where=graph.source.name or graph.name,
        hint=hint,
    )


def _plain(op: str) -> str:
    return op.rpartition(".")[2]


def _named(op: str) -> str:
    transform = REMEDIES.get(_plain(op))
    return f"{op}, which {transform} removes," if transform else op


def _few(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"node {shown}" if len(names) == 1 else f"{len(names)} nodes: {shown}"


def _refusals(graph: Graph, options: EmitOptions) -> Iterator[str]:
    """Known operators that have no place in C, each planned on its own."""
    for node in graph.nodes:
        if registry.is_canonical(node.op) and not node.subgraphs:
            try:
                write_steps(plan(_alone(graph, node)), options)
            except BudgetError as error:
                yield error.what.removeprefix("cannot be emitted: ")


def _alone(graph: Graph, node: Node) -> Graph:
    """A graph of one node of another; what it reads is given."""
    names = [name for name in dict.fromkeys((*node.inputs, *node.outputs)) if name != ABSENT]
    tensors = {name: graph.tensors[name] for name in names}
    given = tuple(
        name
        for name in dict.fromkeys(node.present_inputs)
        if not tensors[name].is_constant and not tensors[name].is_variable
    )
    return Graph(graph.name, graph.dialect, tensors, (node,), given, node.outputs)
