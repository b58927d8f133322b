"""Canonical float graphs as TensorFlow graphs: GraphDef files and SavedModels.

A *rule* takes the translation of a graph and one node, and emits TensorFlow operators; what it
cannot express it reports through `Translation.refuse`, so that everything is told at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from budget.errors import UnsupportedModelError, shorten
from budget.formats.tensorflow_schema import GRAPH_DEF, NODE_DEF, SCHEMAS, DataType
from budget.formats.tensorflow_values import (
    TYPES_BY_DTYPE,
    Shape,
    TensorValue,
    encode_attribute,
    encode_shape,
)
from budget.graph.graph import Graph, Node
from budget.graph.types import DType, TensorType

PRODUCER = 1087
"""The version of graphs that TensorFlow 2.8 wrote; every operator used here is older."""


class Translation:
    """A GraphDef in the making."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[bytes] = []
        self.names: dict[str, str] = {}
        self.problems: list[str] = []
        self.quantized: dict[str, str] = {}  # tensors and their types
        self._taken: set[str] = set()
        self._held: set[str] = set()

    def run(self) -> None:
        """Translates everything."""
        from budget.writers.tensorflow_operators import RULES

        graph = self.graph
        for name in (*graph.inputs, *graph.outputs, *graph.tensors):
            if name not in self.names:
                self.names[name] = self.free(_legal(name))
        for name in graph.inputs:
            type = graph.type_of(name)
            self._require_plain(name, type)
            attributes = {"dtype": _dtype(type.dtype), "shape": Shape(type.shape)}
            self._add(self.names[name], "Placeholder", (), attributes)
        for node in graph.nodes:
            for out in node.outputs:
                self._require_plain(out, graph.type_of(out))
            rule = RULES.get(node.op)
            if rule is None:
                self.refuse(node, "it has no counterpart")
            else:
                rule(self, node)
        for name in graph.outputs:
            if graph.constant(name) is not None:
                self.ref(name)
        self.problems = list(dict.fromkeys(self.problems))
        if self.quantized:
            types = ", ".join(sorted(set(self.quantized.values())))
            first = shorten(next(iter(self.quantized)))
            many = len(self.quantized)
            self.problems.insert(0, f"{many} tensors are quantised ({types}), as {first!r} is")

    def _require_plain(self, name: str, type: TensorType) -> None:
        if type.is_quantized or type.dtype not in TYPES_BY_DTYPE:
            self.quantized[name] = type.dtype.value

    def refuse(self, node: Node, reason: str) -> None:
        """Notes that a node cannot be written."""
        self.problems.append(f"{shorten(node.name)!r} ({node.op}): {reason}")

    def free(self, wanted: str) -> str:
        """A free name, which is then taken."""
        name, suffix = wanted, 0
        while name in self._taken:
            suffix += 1
            name = f"{wanted}_{suffix}"
        self._taken.add(name)
        return name

    def type(self, tensor: str) -> TensorType:
        """A tensor's type."""
        return self.graph.type_of(tensor)

    def ref(self, tensor: str) -> str:
        """The name that readers use; a constant is written on first use."""
        data = self.graph.constant(tensor)
        name = self.names[tensor]
        if data is not None and tensor not in self._held:
            self._held.add(tensor)
            if self.type(tensor).is_quantized:
                self.quantized[tensor] = self.type(tensor).dtype.value
            self._add_constant(name, data)
        return name

    def constant(self, node: Node, part: str, values: Any, dtype: Any = np.int32) -> str:
        """A constant of the translation's own."""
        return self._add_constant(
            self.free(f"{self.names[node.outputs[0]]}/{part}"), np.asarray(values, dtype)
        )

    def permuted(self, node: Node, tensor: str, perm: tuple[int, ...], *shape: int) -> str:
        """A tensor with its dimensions in another order, and then another shape."""
        data = self.graph.constant(tensor)
        if data is not None:
            turned = np.ascontiguousarray(np.transpose(data, perm))
            turned = turned.reshape(shape or turned.shape)
            return self._add_constant(self.free(self.names[tensor]), turned)
        kind = {"T": _dtype(self.type(tensor).dtype)}
        name = self.emit(node, "Transpose", [self.ref(tensor), self.constant(node, "order", perm)],
                         {**kind, "Tperm": DataType.INT32}, part="turned")  # fmt: skip
        if not shape:
            return name
        return self.emit(node, "Reshape", [name, self.constant(node, "shape", shape)],
                         {**kind, "Tshape": DataType.INT32}, part="shaped")  # fmt: skip

    def emit(
        self,
        node: Node,
        op: str,
        inputs: Iterable[str],
        attributes: dict[str, Any] | None = None,
        *,
        part: str = "",
    ) -> str:
        """Adds an operator: the node's own name, or that of one of its parts."""
        own = self.names[node.outputs[0]]
        name = self.free(f"{own}/{part}") if part else own
        given = {"T": self.kind(node), **(attributes or {})}
        kept = {key: value for key, value in given.items() if value is not None}
        self._add(name, op, tuple(inputs), kept)
        if not part:
            for port, out in enumerate(node.outputs[1:], 1):
                self.names[out] = f"{own}:{port}"
        return name

    def kind(self, node: Node) -> DataType:
        """The element type of a node's first operand."""
        return _dtype(self.type(node.present_inputs[0]).dtype)

    def _add_constant(self, name: str, data: Any) -> str:
        dtype = _dtype(DType(np.asarray(data).dtype.name))
        self._add(name, "Const", (), {"dtype": dtype, "value": TensorValue(dtype, data)})
        return name

    def _add(self, name: str, op: str, inputs: tuple[str, ...], attributes: dict[str, Any]) -> None:
        encoded = {key: encode_attribute(value) for key, value in attributes.items()}
        message = NODE_DEF.new(name=name, op=op, input=list(inputs), attr=encoded)
        self.nodes.append(message.encode())


def _dtype(dtype: DType) -> DataType:
    return TYPES_BY_DTYPE.get(dtype, DataType.FLOAT)


def _legal(name: str) -> str:
    """A name as TensorFlow allows it."""
    text = re.sub(r"[^A-Za-z0-9_.\-/]", "_", name) or "tensor"
    return text if re.match(r"[A-Za-z0-9.]", text) else f"t{text}"


def write_canonical_graphdef(graph: Graph) -> tuple[bytes, tuple[str, ...], tuple[str, ...]]:
    """A canonical float graph as a GraphDef file.

    Args:
        graph: canonical; not quantised, as TensorFlow has no operators for that.

    Returns:
        The file, and the names its inputs and outputs have there.

    Raises:
        UnsupportedModelError: it holds what TensorFlow cannot express; all of it is listed.
    """
    translation = Translation(graph)
    translation.run()
    if graph.subgraphs:
        translation.problems.append("subgraphs: " + ", ".join(graph.subgraphs))
    if translation.problems:
        shown = translation.problems[:10]
        more = len(translation.problems) - len(shown)
        raise UnsupportedModelError(
            "this cannot be written as GraphDef: "
            + "; ".join(shown)
            + (f"; and {more} more" if more else ""),
            where=graph.source.name or graph.name,
            hint="write a .tflite file, or give the float model",
        )
    versions = SCHEMAS["VersionDef"].new(producer=PRODUCER).encode()
    message = GRAPH_DEF.new(node=translation.nodes, versions=versions)
    names = translation.names
    return (
        message.encode(),
        tuple(names[name] for name in graph.inputs),
        tuple(names[name] for name in graph.outputs),
    )


def write_saved_model(
    graph_def: bytes,
    inputs: dict[str, tuple[str, TensorType]],
    outputs: dict[str, tuple[str, TensorType]],
) -> bytes:
    """The file ``saved_model.pb`` of a frozen graph with one signature, ``serving_default``.

    Args:
        graph_def: a GraphDef file without variables.
        inputs: tensors of the graph and their types by the names that callers use.
        outputs: likewise.
    """
    signature = SCHEMAS["SignatureDef"].new(
        inputs={key: _tensor_info(*value) for key, value in inputs.items()},
        outputs={key: _tensor_info(*value) for key, value in outputs.items()},
        method_name="tensorflow/serving/predict",
    )
    meta = SCHEMAS["MetaGraphDef"].new(
        meta_info_def=SCHEMAS["MetaInfoDef"].new(tags=["serve"]),
        graph_def=GRAPH_DEF.decode(graph_def),
        signature_def={"serving_default": signature},
    )
    saved = SCHEMAS["SavedModel"].new(saved_model_schema_version=1, meta_graphs=[meta])
    return saved.encode()


def _tensor_info(tensor: str, type: TensorType) -> Any:
    return SCHEMAS["TensorInfo"].new(
        name=tensor if ":" in tensor else f"{tensor}:0",
        dtype=int(_dtype(type.dtype)),
        tensor_shape=encode_shape(Shape(type.shape)),
    )
