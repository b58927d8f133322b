"""Keras layers to canonical operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from budget.errors import UnsupportedModelError
from budget.formats.keras_settings import Settings
from budget.graph.editor import GraphEditor
from budget.graph.graph import ABSENT, Graph, Node
from budget.graph.verifier import verify
from budget.transforms.lower import (
    keras_functions,
    keras_layers,
    keras_recurrent,
    keras_shapes,
)
from budget.transforms.lower.folding import fold_affine
from budget.transforms.lower.fusion import fuse
from budget.transforms.lower.keras_context import Handler, KerasContext, Layer
from budget.transforms.lower.tensorflow_context import Value

_TRAINING_ONLY = frozenset(
    (
        "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout",
        "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity", "RandomFlip",
        "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness",
    )
)  # fmt: skip
_HANDLERS: dict[str, Handler] = {
    **keras_layers.HANDLERS,
    **keras_functions.HANDLERS,
    **keras_shapes.HANDLERS,
    **keras_recurrent.HANDLERS,
    **dict.fromkeys(_TRAINING_ONLY, lambda layer: layer.x),
}


def lower_keras(graph: Graph, *, as_is: bool = False) -> Graph:
    """Makes a canonical graph of a graph in the dialect ``keras``.

    Padding becomes explicit, kernels get the canonical layout, one-dimensional layers become
    images of one row. Unless told otherwise the graph is also made as it would be deployed: batch
    norms in the weights, activations fused.

    Args:
        graph: as the Keras reader made it.
        as_is: keeps batch norms and activations as operators of their own.

    Returns:
        The canonical graph; inputs keep their names, and origins are names of Keras layers.

    Raises:
        UnsupportedModelError: it has layers that are not known here; all of them are listed.
    """
    unknown: dict[str, list[str]] = {}
    for node in graph.nodes:
        kind, _ = _kind(node)
        if kind not in _HANDLERS:
            unknown.setdefault(kind, []).append(*node.origin)
    if unknown:
        parts = [f"{kind} ({', '.join(names)})" for kind, names in sorted(unknown.items())]
        raise UnsupportedModelError(
            f"layers that are not known here: {'; '.join(parts)}",
            where=graph.source.name or graph.name,
            hint="replace them, or export the model as a SavedModel: model.export('folder')",
        )
    lowered = verify(_lower(graph))
    return lowered if as_is else verify(fuse(fold_affine(lowered)))


def _kind(node: Node) -> tuple[str, Mapping[str, Any]]:
    """Class and configuration of a layer; of the inner one where time is only another batch."""
    kind, config = node.op.removeprefix("keras."), node.attributes
    if kind == "TimeDistributed":
        return config["layer"]["class_name"], config["layer"]["config"]
    return kind, config


def _lower(graph: Graph) -> Graph:
    context = KerasContext(graph)
    values: dict[str, Value] = context.values
    for tensor in graph.constants:
        if tensor.data is not None:
            values[tensor.name] = tensor.data
    for name in graph.inputs:
        values[name] = context.builder.input(name, graph.type_of(name))
    for node in graph.nodes:
        results = _apply(context, graph, node)
        for name, value in zip(node.outputs, results):
            is_new = isinstance(value, str) and value not in values
            values[name] = context.rename(str(value), name) if is_new else value
    context.builder.output(*(str(values[name]) for name in graph.outputs))
    built = context.builder.build(graph.source)
    return _with_layer_names(GraphEditor(built).finish(), graph)


def _apply(context: KerasContext, graph: Graph, node: Node) -> tuple[Value, ...]:
    kind, config = _kind(node)
    where = f"{graph.source.name or graph.name}: layer {node.origin[0]!r} ({kind})"
    inputs = [None if name == ABSENT else context.values[name] for name in node.inputs]
    output = graph.type_of(node.outputs[0]).shape
    is_distributed = node.op == "keras.TimeDistributed"
    keeps_steps = is_distributed and kind != "Dense"
    first = inputs[0]
    if keeps_steps and first is not None:
        shape = context.shape(first)
        inputs[0] = context.reshape(node, first, (shape[0] * shape[1], *shape[2:]))
    inner = (output[0] * output[1], *output[2:]) if keeps_steps else output
    layer = Layer(context, node, Settings(config, where), inputs, node.inputs, inner)
    result = _HANDLERS[kind](layer)
    results = result if isinstance(result, tuple) else (result,)
    if keeps_steps:
        results = (context.reshape(node, results[0], output),)
    if isinstance(results[0], np.ndarray):
        results = (context.tensor(node, results[0]),)
    return results


def _with_layer_names(lowered: Graph, graph: Graph) -> Graph:
    """Origins as paths of layers instead of names of nodes."""
    origins = {node.name: node.origin for node in graph.nodes}
    editor = GraphEditor(lowered)
    for node in lowered.nodes:
        names = dict.fromkeys(name for part in node.origin for name in origins[part])
        renamed = Node(
            node.name, node.op, node.inputs, node.outputs, node.attributes, origin=tuple(names)
        )
        editor.replace_node(node.name, renamed)
    return editor.finish()
