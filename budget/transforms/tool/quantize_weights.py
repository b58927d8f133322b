"""``quantize_weights``: large constants are stored in eight bits and widened when they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from budget.formats.tensorflow_schema import DataType
from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant, free_name
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class QuantizeWeights(Transform):
    """Replaces x by Dequantize(q), where |Dequantize(q) - x| is at most one step of 255.

    The range is the constant's, widened to hold zero; q is round(x · 255 / range) less that of
    the lower end, TensorFlow's mode MIN_FIRST. The Dequantize node takes the constant's name.

    Attributes:
        minimum_size: constants of fewer elements stay.
    """

    minimum_size: int = 1024
    called: ClassVar[str] = "quantize_weights"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        nodes: dict[str, NodeDef] = {}
        taken = dict(graph.nodes)
        for node in graph.nodes.values():
            value = node.value
            small = not value or value.array.size < max(1, self.minimum_size)
            if not value or small or value.dtype is not DataType.FLOAT:
                nodes[node.name] = node
            elif not np.isfinite(value.array).all():
                context.notes.append(f"{node.name} stays: not all its values are finite")
                nodes[node.name] = node
            else:
                for new in _quantized(node, value.array, taken):
                    nodes[new.name] = taken[new.name] = new
        return graph.with_nodes(nodes.values())


def _quantized(node: NodeDef, values: Any, taken: dict[str, NodeDef]) -> list[NodeDef]:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if low == high:
        high = low + 1.0  # all zero
    scale = np.float32(255) / np.float32(high - low)
    steps = np.round(values.astype(np.float32) * scale) - np.round(np.float32(low) * scale)
    stored = np.clip(steps, 0, 255).astype(np.uint8)
    parts = [
        constant(free_name(taken, f"{node.name}_quantized_{part}"), data, dtype, node.device)
        for part, data, dtype in (
            ("const", stored, DataType.QUINT8),
            ("min", np.float32(low), DataType.FLOAT),
            ("max", np.float32(high), DataType.FLOAT),
        )
    ]
    attributes = {"T": DataType.QUINT8, "mode": b"MIN_FIRST"}
    inputs = tuple(part.name for part in parts)
    return [
        *parts,
        NodeDef(node.name, "Dequantize", inputs, node.controls, node.device, attributes),
    ]
