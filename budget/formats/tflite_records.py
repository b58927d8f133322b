"""What a TensorFlow Lite file says of an operator beside its options, kept for writing it back."""

from __future__ import annotations

from dataclasses import dataclass

from budget.graph.graph import Graph


@dataclass(frozen=True, slots=True)
class OperatorRecord:
    """`Node.source` of a node of the dialect ``tfl``.

    Attributes:
        number: its place among the operators of its graph in the file.
        builtin: operator code, 32 for a custom operator.
        custom_code: name of a custom operator.
        version: of the operator.
        options_table: name of the table that its attributes came from; empty if it has none.
        custom_options: what the file holds for a custom operator, as it is.
    """

    number: int
    builtin: int
    custom_code: str
    version: int
    options_table: str
    custom_options: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class OriginalFile:
    """``Graph.extras["original"]`` of a graph of the dialect ``tfl``: what was read.

    Attributes:
        data: the whole file.
        graphs: those of the file by number; tensors and nodes in the file's order.
    """

    data: bytes
    graphs: tuple[Graph, ...]
