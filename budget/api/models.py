"""Models by path or by name, as read and as deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from budget.errors import UsageError
from budget.graph import DType, Graph
from budget.records import record

PRECISIONS = ("int8", "int16x8", "float32")


@record
class Model:
    """A model as its file has it and as it would be deployed.

    Attributes:
        raw: source dialect, everything the file said.
        graph: canonical, lowered as it would be deployed.
        precision: what the device will run: ``int8``, ``int16x8`` or ``float32``.
        notes: assumptions made on the way, for the user.
    """

    raw: Graph
    graph: Graph
    precision: str
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name or zoo name."""
        return self.raw.source.name or self.raw.name


def load(
    model: str | Path,
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Graph:
    """A graph in its source dialect.

    Args:
        model: a path, or ``zoo:NAME``.
        inputs: names of the tensors to feed, for graphs that need them.
        outputs: names of the tensors wanted, likewise.
        input_shapes: name → shape, where the file leaves dimensions open.

    Raises:
        ModelError: the file is missing, damaged, or of no known format.
        UsageError: the zoo has no such model.
    """
    text = str(model)
    if text.startswith("zoo:"):
        return _load_from_zoo(text.removeprefix("zoo:"))
    from budget.readers import load as read

    return read(text, inputs=inputs, outputs=outputs, input_shapes=dict(input_shapes or {}))


def _load_from_zoo(name: str) -> Graph:
    from budget import zoo

    path = zoo.shipped_path(name)
    if path is None:
        return zoo.load(name)
    from budget.readers import load as read

    graph = read(str(path))
    return graph.replace(source=replace(graph.source, name=f"zoo:{name}"))


def lower(graph: Graph, *, as_is: bool = False) -> Graph:
    """The canonical form: constants and batch norms folded, bias and activation fused.

    Args:
        graph: in any dialect.
        as_is: keep what folding would remove.
    """
    from budget.transforms.lower import lower as lower_graph

    return lower_graph(graph, as_is=as_is)


def prepare(
    model: str | Path | Graph,
    *,
    precision: str | None = None,
    as_is: bool = False,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Model:
    """Loads and lowers a model and settles the precision the device will run.

    Raises:
        UsageError: the precision is unknown, or the file's own cannot become it.
    """
    raw = (
        model
        if isinstance(model, Graph)
        else load(model, inputs=inputs, outputs=outputs, input_shapes=input_shapes)
    )
    graph = lower(raw, as_is=as_is)
    held = precision_of(graph)
    notes = list(raw.source.notes)
    if precision is None:
        precision = held
        if held == "float32":
            precision = "int8"
            notes.append(
                "float model: judged as int8, as it would be deployed"
                " (--precision float32 keeps it)"
            )
    elif precision not in PRECISIONS:
        raise UsageError(
            f"precision {precision!r} is unknown", hint=f"one of {', '.join(PRECISIONS)}"
        )
    elif held != "float32" and precision != held:
        raise UsageError(
            f"the model is quantised to {held} already and cannot be judged as {precision}",
            where=raw.source.name,
            hint="give the float model it was made from",
        )
    return Model(raw, graph, precision, tuple(notes))


def precision_of(graph: Graph) -> str:
    """What the graph's computed tensors hold: ``int16x8``, ``int8`` or ``float32``."""
    held = {
        graph.type_of(out).dtype
        for node in graph.nodes
        for out in node.outputs
        if graph.type_of(out).is_quantized
    }
    if DType.INT16 in held:
        return "int16x8"
    return "int8" if held & {DType.INT8, DType.UINT8} else "float32"
