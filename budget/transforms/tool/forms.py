"""The two forms a model has between transforms: a file's nodes, and canonical operators."""

from __future__ import annotations

from collections.abc import Mapping

from budget.errors import InvalidGraphError
from budget.graph import Graph
from budget.readers.graphdef import read_graphdef
from budget.transforms.tool.nodes import NodeGraph

Subject = NodeGraph | Graph
Shapes = Mapping[str, tuple[int, ...]]


def as_nodes(subject: Subject) -> NodeGraph:
    """A model as nodes of TensorFlow.

    Raises:
        UnsupportedModelError: it is quantised, or holds what TensorFlow has no operator for.
    """
    if isinstance(subject, NodeGraph):
        return subject
    from budget.writers.tensorflow_graph import write_canonical_graphdef

    data, inputs, outputs = write_canonical_graphdef(subject)
    return NodeGraph.decode(data, name_of(subject), inputs, outputs)


def as_source(subject: NodeGraph, shapes: Shapes) -> Graph:
    """Nodes as a graph in the dialect ``tf``.

    Args:
        subject: to be read.
        shapes: of inputs, where the file leaves them open.

    Raises:
        UnsupportedModelError: shapes of inputs are open.
    """
    known = {name: shape for name, shape in shapes.items() if name in subject.inputs}
    name = subject.envelope.name
    return read_graphdef(subject.encode(), name, subject.inputs, subject.outputs, known)


def as_graph(subject: Subject, shapes: Shapes, *, as_is: bool = False) -> Graph:
    """A model in canonical operators, as it would be deployed.

    Raises:
        UnsupportedModelError: operators without a canonical form, or open shapes.
    """
    if isinstance(subject, Graph):
        return subject
    from budget.transforms.lower import lower

    return lower(as_source(subject, shapes), as_is=as_is)


def problems_of(subject: Subject) -> list[str]:
    """What keeps a subject from being a graph."""
    if isinstance(subject, NodeGraph):
        return subject.problems()
    from budget.graph.verifier import verify

    try:
        verify(subject)
    except InvalidGraphError as error:
        return [str(error)]
    return []


def name_of(subject: Subject) -> str:
    """What errors call a model."""
    if isinstance(subject, NodeGraph):
        return subject.envelope.name
    return subject.source.name or subject.name
