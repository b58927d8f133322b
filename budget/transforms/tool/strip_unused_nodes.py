"""``strip_unused_nodes``: only what lies between the inputs and the outputs is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.errors import UsageError
from budget.formats.tensorflow_schema import DataType
from budget.formats.tensorflow_values import Shape
from budget.readers.graphdef import node_of
from budget.transforms.tool.nodes import NodeDef, NodeGraph
from budget.transforms.tool.transform import Context, Transform


@dataclass(frozen=True)
class StripUnusedNodes(Transform):
    """Keeps what the outputs need, up to the inputs, which become placeholders.

    With the inputs fed, every kept equation is as before, so the outputs are too.

    Attributes:
        type: of inputs that become placeholders, such as ``float`` (the default).
        shape: of those, such as ``1,299,299,3``; nothing is a scalar's.
        name: inputs that have a type or shape of their own, in the order of those.
        type_for_name: types by place in ``name``.
        shape_for_name: shapes by place in ``name``.
    """

    type: str = "float"
    shape: str = ""
    name: tuple[str, ...] = ()
    type_for_name: tuple[str, ...] = ()
    shape_for_name: tuple[str, ...] = ()
    called: ClassVar[str] = "strip_unused_nodes"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says.

        Raises:
            UsageError: the graph's outputs are not known, or a type or shape is none.
        """
        if not graph.outputs:
            raise UsageError("strip_unused_nodes needs to know the outputs", hint="give --outputs")
        inputs = set(map(node_of, graph.inputs))
        needed = graph.needed(map(node_of, graph.outputs), inputs) | inputs
        result = []
        for name, node in graph.nodes.items():
            if name not in needed:
                continue
            if name in inputs and not node.op.startswith("Placeholder"):
                node = self._placeholder(node)
            elif name in inputs and node.read_nodes:
                node = self._placeholder(node)  # a default that nothing uses any more
            result.append(node)
        return graph.with_nodes(result)

    def _placeholder(self, node: NodeDef) -> NodeDef:
        place = self.name.index(node.name) if node.name in self.name else -1
        kind, shape = self.type, self.shape
        if 0 <= place < len(self.type_for_name):
            kind = self.type_for_name[place]
        if 0 <= place < len(self.shape_for_name):
            shape = self.shape_for_name[place]
        attributes = {"dtype": data_type(kind), "shape": parse_shape(shape)}
        return NodeDef(node.name, "Placeholder", device=node.device, attributes=attributes)


def data_type(text: str) -> DataType:
    """An element type as protocol buffers in text form and C++ name it.

    Raises:
        UsageError: there is none of that name.
    """
    name = text.upper().removeprefix("DT_")
    name = {"FLOAT32": "FLOAT", "FLOAT64": "DOUBLE", "FLOAT16": "HALF"}.get(name, name)
    if name not in DataType.__members__ or name == "INVALID":
        raise UsageError(f"{text!r} is not an element type", hint="such as float, int32 or uint8")
    return DataType[name]


def parse_shape(text: str) -> Shape:
    """``1,224,224,3`` as a shape; nothing is a scalar's.

    Raises:
        UsageError: it is not a list of integers.
    """
    try:
        return Shape(tuple(int(part) for part in text.split(",")) if text.strip() else ())
    except ValueError:
        raise UsageError(f"{text!r} is not a shape", hint="write it as 1,224,224,3") from None
