"""Immutable graphs of operations on typed tensors."""

from budget.graph.builder import GraphBuilder
from budget.graph.dump import dump
from budget.graph.editor import GraphEditor
from budget.graph.graph import ABSENT, Graph, ModelSource, Node, Tensor
from budget.graph.types import Array, DType, QuantParams, TensorType
from budget.graph.verifier import verify

__all__ = [
    "ABSENT",
    "Array",
    "DType",
    "Graph",
    "GraphBuilder",
    "GraphEditor",
    "ModelSource",
    "Node",
    "QuantParams",
    "Tensor",
    "TensorType",
    "dump",
    "verify",
]
