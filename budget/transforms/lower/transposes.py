"""Transpositions that undo each other."""

from __future__ import annotations

from budget.graph.graph import Graph


def cancel_transposes(graph: Graph) -> Graph:
    """For now nothing."""
    return graph
