"""A canonical graph on its way to TensorFlow Lite's operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from budget.graph import ABSENT, Array, DType, Graph, Node, QuantParams, Tensor, TensorType
from budget.writers.tflite_versions import version_of

Rule = Callable[["Translation", Node], None]


class Translation:
    """Collects the operators and tensors that stand for a canonical graph.

    Attributes:
        tensors: those of the graph and those that rules added, by name.
        operators: mappings with ``builtin``, ``inputs``, ``outputs``, ``options_table``,
            ``options`` and ``version``, in execution order.
        problems: what could not be expressed, one line each.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.operators: list[dict[str, Any]] = []
        self.problems: list[str] = []

    def run(self) -> None:
        """Applies the rule of every node."""
        from budget.writers.tflite_operators import RULES

        for node in self.graph.nodes:
            rule = RULES.get(node.op)
            if rule is None:
                self.refuse(node, "no TensorFlow Lite operator for it")
            else:
                rule(self, node)

    def refuse(self, node: Node, reason: str) -> None:
        """Records that a node cannot be expressed."""
        self.problems.append(f"{node.name!r} ({node.op}): {reason}")

    def type(self, name: str) -> TensorType:
        """Type of a tensor, added ones included."""
        return self.tensors[name].type

    def constant(self, wanted: str, data: Any, quant: QuantParams | None = None) -> str:
        """Adds a constant and returns its name."""
        array: Array = np.ascontiguousarray(data).reshape(np.shape(data))
        type = TensorType(tuple(array.shape), DType(array.dtype.name), quant)
        name = self._free(wanted)
        self.tensors[name] = Tensor(name, type, array)
        return name

    def integers(self, node: Node, what: str, values: Any) -> str:
        """Adds an int32 operand such as a shape or axes."""
        return self.constant(f"{node.outputs[0]}/{what}", np.array(values, np.int32))

    def temporary(self, wanted: str, type: TensorType) -> str:
        """Adds a computed tensor and returns its name."""
        name = self._free(wanted)
        self.tensors[name] = Tensor(name, type)
        return name

    def emit(
        self, builtin: str, inputs: Any, outputs: Any, table: str = "", /, **options: Any
    ) -> None:
        """Appends one operator; ``table`` names its options, empty for none."""
        inputs, outputs = tuple(inputs), tuple(outputs)
        in_types = [None if name == ABSENT else self.type(name) for name in inputs]
        version = version_of(builtin, in_types, [self.type(name) for name in outputs], options)
        self.operators.append(
            {
                "builtin": builtin,
                "inputs": inputs,
                "outputs": outputs,
                "options_table": table,
                "options": options,
                "version": version,
            }
        )

    def _free(self, wanted: str) -> str:
        name, suffix = wanted, 0
        while name in self.tensors:
            suffix += 1
            name = f"{wanted}_{suffix}"
        return name
