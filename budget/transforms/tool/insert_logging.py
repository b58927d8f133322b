"""``insert_logging``: chosen nodes print what they compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from budget.formats.tensorflow_schema import DataType
from budget.formats.tensorflow_values import TYPES_BY_DTYPE
from budget.readers.graphdef import FlatNode, node_of, output_types
from budget.transforms.tool.nodes import NodeDef, NodeGraph, renamed_inputs
from budget.transforms.tool.transform import Context, Transform

_TRUTHS = ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalAnd",
           "LogicalOr", "LogicalNot", "All", "Any", "IsNan", "IsInf", "IsFinite")  # fmt: skip


@dataclass(frozen=True)
class InsertLogging(Transform):
    """Puts a Print node, which passes its first input on, behind nodes whose output is read.

    Attributes:
        op: operators to log; all if not given.
        prefix: beginnings of names to log; all if not given.
        show_op: prints the operator.
        show_name: prints the name of the Print node, ``<node>__print__``.
        message: printed before the values.
        first_n: logs so many times only; -1 is always.
        summarize: so many elements at most.
    """

    op: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    show_op: bool = False
    show_name: bool = False
    message: str = ""
    first_n: int = -1
    summarize: int = 1024
    called: ClassVar[str] = "insert_logging"

    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """As the class says."""
        used: dict[str, list[str]] = {}
        for node in graph.nodes.values():
            for tensor in node.inputs:
                if tensor not in used.setdefault(node_of(tensor), []):
                    used[node_of(tensor)].append(tensor)
        prints: dict[str, NodeDef] = {}
        for name, node in graph.nodes.items():
            wanted = not self.op or node.op in self.op
            if self.prefix and not name.startswith(self.prefix):
                wanted = False
            if not wanted or node.op == "Print":
                continue
            if name not in used:
                context.notes.append(f"{name} ({node.op}) is not logged: nobody reads it")
            elif f"{name}__print__" in graph.nodes:
                context.notes.append(f"{name} ({node.op}) is logged already")
            else:
                prints[name] = self._print(node, sorted(used[name], key=_port))
        # the first output only, so that what a Print reads stays the node itself
        names = {name: new.name for name, new in prints.items()}
        changed = []
        for node in graph.nodes.values():
            inputs = tuple(names.get(item, item) for item in node.inputs)
            changed.append(node.changed(inputs=inputs))
            if node.name in prints:
                changed += renamed_inputs([prints[node.name]], {})
        return graph.with_nodes(changed)

    def _print(self, node: NodeDef, outputs: list[str]) -> NodeDef:
        name = f"{node.name}__print__"
        text = f";{node.op};" if self.show_op else ""
        text += f";{name};" if self.show_name else ""
        types = _types(node)
        attributes = {
            "T": types[0],
            "U": tuple(types[min(_port(item), len(types) - 1)] for item in outputs),
            "message": (text + self.message).encode(),
            "first_n": self.first_n,
            "summarize": self.summarize,
        }
        return NodeDef(name, "Print", (node.name, *outputs), (), node.device, attributes)


def _port(tensor: str) -> int:
    return int(tensor.rpartition(":")[2]) if ":" in tensor else 0


def _types(node: NodeDef) -> list[DataType]:
    """Element types of a node's outputs."""
    if node.op in _TRUTHS:
        return [DataType.BOOL]
    flat = FlatNode(node.name, node.op, list(node.inputs), [], dict(node.attributes))
    return [TYPES_BY_DTYPE[dtype] for dtype, _ in output_types(flat)]
