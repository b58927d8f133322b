"""Lowers the dialect ``tfl`` to canonical operators.

Constants that are attributes in disguise (shapes, axes, paddings) become attributes; SAME and VALID
become numbers; arithmetic on constants is done here. Every operator that has no canonical form is
listed in one error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from budget.errors import CorruptModelError, ModelError, UnsupportedModelError
from budget.graph import ABSENT, Array, DType, Graph, Node, Tensor, TensorType
from budget.ops import registry

Rule = Callable[["Lowering", Node], None]

# module under budget.transforms.lower: TensorFlow Lite operators it has rules for
_FAMILIES: dict[str, tuple[str, ...]] = {
    "tflite_layers": (
        "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL",
        "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D", "SOFTMAX", "MEAN", "SUM", "REDUCE_MAX",
        "REDUCE_MIN", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "ARG_MAX", "ARG_MIN",
        "L2_NORMALIZATION", "QUANTIZE", "DEQUANTIZE", "DENSIFY",
    ),
    "tflite_elementwise": (
        "ADD", "SUB", "MUL", "DIV", "ADD_N", "MAXIMUM", "MINIMUM", "POW", "SQUARED_DIFFERENCE",
        "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL", "NOT_EQUAL", "SELECT",
        "SELECT_V2", "EXP", "LOG", "SQRT", "RSQRT", "SQUARE", "ABS", "NEG", "FLOOR", "RELU",
        "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "PRELU", "LOGISTIC", "TANH", "HARD_SWISH", "ELU",
        "GELU", "LOG_SOFTMAX", "CAST",
    ),
    "tflite_shapes": (
        "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "CONCATENATION", "SPLIT", "SPLIT_V",
        "SLICE", "STRIDED_SLICE", "PAD", "PADV2", "MIRROR_PAD", "PACK", "UNPACK", "GATHER",
        "EMBEDDING_LOOKUP", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "BROADCAST_TO",
    ),
    "tflite_loops": ("WHILE", "REVERSE_V2"),
    "tflite_recurrent": (
        "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "SVDF", "VAR_HANDLE",
        "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE",
    ),
}  # fmt: skip
_MODULE_OF = {op: module for module, ops in _FAMILIES.items() for op in ops}


def lower_tflite(graph: Graph) -> Graph:
    """The canonical form of a graph in the dialect ``tfl``.

    Tensors keep their names, nodes are called after their first output, and ``origin`` holds the
    names of the file's nodes that each stands for.

    Raises:
        UnsupportedModelError: operators, options or operands without a canonical form; all listed.
        CorruptModelError: the shapes that the file states are not those its operators give.
    """
    lowering = Lowering(graph)
    for index, node in enumerate(graph.nodes):
        lowering.lower_node(index, node)
    return lowering.finish()


class Lowering:
    """A canonical graph as it grows.

    Attributes:
        graph: what is lowered.
        tensors: of the new graph, by name; unused ones are dropped at the end.
        nodes: of the new graph.
        notes: assumptions that the user must be told of.
        bodies: of loops, whose nodes are just being lowered.
        handles: tensor that refers to a variable → the variable's name.
        visits: nodes of loops' bodies that were looked at.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.nodes: list[Node] = []
        self.notes: dict[str, None] = dict.fromkeys(graph.source.notes)
        self.bodies: list[Graph] = []
        self.handles: dict[str, str] = {}
        self.visits = 0
        self._problems: list[str] = []
        self._mismatches: list[str] = []
        self._node_names: set[str] = set()
        self._label = ""

    def lower_node(self, index: int, node: Node) -> None:
        """Applies the rule of one operator, or folds it away."""
        from budget.transforms.lower.tflite_folding import fold

        op = node.op.removeprefix("tfl.")
        shown = f"{op} {node.attributes['custom_code']!r}" if op == "CUSTOM" else op
        self._label = f"node {index} {node.name!r} ({shown})"
        if node.attributes.get("unknown_fields"):
            self.refuse("it has options of a newer schema")
            return
        if fold(self, node, op):
            return
        module = _MODULE_OF.get(op)
        if module is None:
            self.refuse("")
            return
        if not self._types_are_known(node, op):
            return
        rules: Mapping[str, Rule] = import_module(f"budget.transforms.lower.{module}").RULES
        try:
            rules[op](self, node)
        except Refused as refused:
            self.refuse(str(refused))

    def _types_are_known(self, node: Node, op: str) -> bool:
        """Whether a rule may see the node: 8 unsigned bits are read, not computed with."""
        if op in ("QUANTIZE", "DEQUANTIZE") or moves_elements(op):
            return True
        for name in (*node.present_inputs, *node.outputs):
            type = self.tensors[name].type
            if type.dtype is DType.UINT8 and type.is_quantized:
                self.refuse("it computes with unsigned 8-bit integers, which TensorFlow left")
                return False
        return True

    def refuse(self, reason: str) -> None:
        """Records that the node at hand has no canonical form."""
        self._problems.append(f"{self._label}: {reason}" if reason else self._label)

    def note(self, text: str) -> None:
        """Records an assumption."""
        self.notes[text] = None

    def type(self, name: str) -> TensorType:
        """Type of a tensor."""
        return self.tensors[name].type

    def constant(self, node: Node, index: int, what: str) -> Array:
        """Data of an operand that must be known before inference.

        Raises:
            Refused: it is computed, or left out.
        """
        name = node.inputs[index] if index < len(node.inputs) else ABSENT
        data = self.tensors[name].data if name != ABSENT else None
        if data is None:
            raise Refused(f"its {what} is not a constant")
        return data

    def integers(self, node: Node, index: int, what: str) -> tuple[int, ...]:
        """A constant operand as a flat tuple of integers."""
        data = self.constant(node, index, what)
        if not np.issubdtype(data.dtype, np.integer):
            raise Refused(f"its {what} is not made of integers")
        return tuple(int(value) for value in data.reshape(-1).tolist())

    def axis(self, value: int, rank: int) -> int:
        """A dimension's number, not negative.

        Raises:
            Refused: there is no such dimension.
        """
        if not -rank <= value < rank:
            raise Refused(f"it works on dimension {value} of {rank}")
        return value % rank

    def unique_name(self, wanted: str) -> str:
        """``wanted``, or with the first free number behind it."""
        name, suffix = wanted, 0
        while name in self.tensors:
            suffix += 1
            name = f"{wanted}_{suffix}"
        return name

    def add_tensor(self, wanted: str, type: TensorType, data: Array | None = None) -> str:
        """Declares a tensor under a free name near ``wanted``."""
        name = self.unique_name(wanted)
        if data is not None:
            data.setflags(write=False)
        self.tensors[name] = Tensor(name, type, data)
        return name

    def fold_to(self, name: str, data: Array) -> None:
        """Makes a computed tensor a constant."""
        tensor = self.tensors[name]
        data = np.ascontiguousarray(data, tensor.type.dtype.numpy).reshape(data.shape)
        data.setflags(write=False)
        self.tensors[name] = Tensor(name, tensor.type.with_shape(tuple(data.shape)), data)

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        source: Node,
        **attributes: Any,
    ) -> None:
        """Appends a canonical node for ``source``; ``attributes`` are those of the operator."""
        operator = registry.get(op)
        values = operator.Attributes(**attributes)
        types = [None if name == ABSENT else self.type(name) for name in inputs]
        try:
            inferred = operator.infer(values, types)
        except ModelError as error:
            self.refuse(error.what)
            return
        except (ArithmeticError, LookupError, ValueError):
            self.refuse(f"its operands do not go together: {', '.join(map(str, types))}")
            return
        for name, type in zip(outputs, inferred):
            stated = self.type(name)
            if (stated.shape, stated.dtype) != (type.shape, type.dtype):
                self._mismatches.append(
                    f"{self._label} gives {type.dtype.value}{list(type.shape)}, "
                    f"the file says {stated.dtype.value}{list(stated.shape)}"
                )
        self.nodes.append(
            Node(
                outputs[0],
                op,
                tuple(inputs),
                tuple(outputs),
                values,
                origin=source.origin or (source.name,),
            )
        )

    def finish(self) -> Graph:
        """The canonical graph.

        Raises:
            UnsupportedModelError: something was refused.
            CorruptModelError: stated and computed shapes differ.
        """
        graph = self.graph
        where = graph.source.name or graph.name
        if self._problems:
            count = len(self._problems)
            raise UnsupportedModelError(
                f"{count} operator{'s' if count > 1 else ''} of the model cannot be handled: "
                + "; ".join(self._problems),
                where=where,
                hint="leave these operators to the application with --inputs and --outputs, or "
                "convert the model without them",
            )
        if self._mismatches:
            raise CorruptModelError(
                "shapes do not fit together: " + "; ".join(self._mismatches[:5]),
                where=where,
                hint="the file is damaged, or its shapes were edited without the operators",
            )
        used = dict.fromkeys(graph.inputs)
        for node in self.nodes:
            used.update(dict.fromkeys(node.present_inputs))
            used.update(dict.fromkeys(node.outputs))
        used.update(dict.fromkeys(graph.outputs))
        from dataclasses import replace

        return Graph(
            graph.name,
            "canonical",
            {name: self.tensors[name] for name in used},
            tuple(self.nodes),
            graph.inputs,
            graph.outputs,
            {},
            replace(graph.source, notes=tuple(self.notes)),
            {key: graph.extras[key] for key in ("metadata", "signatures") if key in graph.extras},
        )


class Refused(Exception):
    """A rule cannot express the node at hand; `Lowering` collects the reason."""


def moves_elements(op: str) -> bool:
    """Whether an operator moves elements without arithmetic on them."""
    return _MODULE_OF.get(op) == "tflite_shapes"
