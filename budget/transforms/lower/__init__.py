"""From the dialect of a model file to canonical operators."""

from __future__ import annotations

from budget.graph.graph import Graph


def lower(graph: Graph, *, as_is: bool = False) -> Graph:
    """The graph in canonical operators.

    Args:
        graph: as a reader made it; a canonical graph is returned as it is.
        as_is: keeps batch norms, biases and activations as operators of their own where the file
            has them so, instead of folding them as a deployment would.

    Raises:
        UnsupportedModelError: operators without a canonical form; all of them are listed.
    """
    if graph.dialect == "tfl":
        from budget.transforms.lower.tflite import lower_tflite

        return lower_tflite(graph)
    if graph.dialect == "tf":
        from budget.transforms.lower.tensorflow import lower_tensorflow

        return lower_tensorflow(graph, as_is=as_is)
    if graph.dialect == "keras":
        from budget.transforms.lower.keras import lower_keras

        return lower_keras(graph, as_is=as_is)
    return graph
