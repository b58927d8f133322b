"""What a transform is: a frozen dataclass whose fields are its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Self

from budget.errors import UsageError
from budget.graph import Graph
from budget.transforms.tool.nodes import NodeGraph


@dataclass(slots=True)
class Context:
    """What a transform is told and tells beside the graph.

    Attributes:
        compat: results of the old tool are wanted bit for bit, where ours are better.
        notes: what was not done, and why, for the user.
    """

    compat: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Parameters:
    """What transforms of both kinds share: a name, and parameters that can be given as text.

    A field of type ``str``, ``int``, ``float`` or ``bool`` is a parameter given once, one of type
    ``tuple[str, ...]`` may be repeated; one without a default has to be given.
    """

    called: ClassVar[str]

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Sequence[str]]) -> Self:
        """The transform with parameters given as text.

        Raises:
            UsageError: a parameter is unknown, missing, repeated or not of its type.
        """
        known = {item.name: item for item in fields(cls)}
        values: dict[str, Any] = {}
        for key, texts in parameters.items():
            if key not in known:
                raise UsageError(
                    f"{cls.called} has no parameter {key!r}",
                    where="transforms",
                    hint=f"it has {', '.join(known) or 'none'}",
                )
            values[key] = _value(cls.called, key, str(known[key].type), texts)
        for key, item in known.items():
            required = item.default is MISSING and item.default_factory is MISSING
            if required and key not in values:
                raise UsageError(f"{cls.called} needs the parameter {key!r}", where="transforms")
        return cls(**values)


@dataclass(frozen=True)
class Transform(_Parameters, ABC):
    """Rewrites a TensorFlow graph, node by node as its file has them; fields are parameters."""

    @abstractmethod
    def apply(self, graph: NodeGraph, context: Context) -> NodeGraph:
        """The rewritten graph; the same object if there was nothing to do."""


@dataclass(frozen=True)
class GraphTransform(_Parameters, ABC):
    """Rewrites a model of any format, lowered to canonical operators; fields are parameters."""

    @abstractmethod
    def apply(self, graph: Graph, context: Context) -> Graph:
        """The rewritten graph; the same object if there was nothing to do."""


AnyTransform = Transform | GraphTransform


def _value(transform: str, key: str, kind: str, texts: Sequence[str]) -> Any:
    if kind.startswith("tuple"):
        return tuple(texts)
    if len(texts) != 1:
        raise UsageError(
            f"{transform} takes the parameter {key!r} once, not {len(texts)} times",
            where="transforms",
        )
    text = texts[0]
    if kind == "str":
        return text
    try:
        return _CONVERTERS[kind.removesuffix(" | None")](text)
    except (ValueError, KeyError):
        raise UsageError(
            f"{text!r} is not a value for the parameter {key!r} of {transform} ({kind})",
            where="transforms",
        ) from None


def boolean(text: str) -> bool:
    """``true``, ``false``, ``1`` or ``0``, in any case.

    Raises:
        KeyError: it is something else.
    """
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


_CONVERTERS: dict[str, Any] = {"int": int, "float": float, "bool": boolean}
