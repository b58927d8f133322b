"""Transforms of a TensorFlow graph, each step priced and its effect on the outputs measured."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from budget.api.models import load
from budget.errors import BudgetError, UsageError
from budget.formats.tensorflow_values import DTYPES
from budget.graph import Graph
from budget.readers.graphdef import read_graphdef
from budget.records import record
from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.pipeline import Outcome, plan_steps, run
from budget.transforms.tool.transform import Transform

_SUFFIXES = (".pb", ".pbtxt")


@record
class Price:
    """What a graph costs as a file.

    Attributes:
        node_count: nodes, constants and placeholders included.
        weight_bytes: of all constants' elements.
        compressed_bytes: of the file after deflate, as a zip archive or an app store would hold it.
    """

    node_count: int
    weight_bytes: int
    compressed_bytes: int


@record
class Change:
    """How far outputs moved from those of the first graph that could be run.

    Attributes:
        absolute: largest difference of any element; None where the graph could not be run.
        relative: that, over the largest element of the output concerned.
        reason: why it could not be run.
    """

    absolute: float | None
    relative: float | None
    reason: str = ""


@record
class TransformStep:
    """One transform, as run.

    Attributes:
        text: as it was asked for.
        price: of the graph after it.
        change: of the outputs since the start; None if nothing was run.
        notes: what it did not do, and why.
        error: what it failed with, where that was to be ignored.
    """

    text: str
    price: Price
    change: Change | None
    notes: tuple[str, ...]
    error: str


@record
class Transformation:
    """A graph before and after transforms.

    Attributes:
        name: of the model.
        nodes: the result, node by node.
        before: price of the graph as it was.
        steps: in order.
        tolerance: largest absolute change of an output that was allowed, if any.
        input_shapes: what the caller said of open shapes.
    """

    name: str
    nodes: NodeGraph
    before: Price
    steps: tuple[TransformStep, ...]
    tolerance: float | None
    input_shapes: Mapping[str, tuple[int, ...]]

    @property
    def graph(self) -> Graph:
        """The result in the dialect ``tf``.

        Raises:
            UnsupportedModelError: shapes of inputs are open.
        """
        return _read(self.nodes, self.input_shapes)

    @property
    def failure(self) -> str:
        """Why the tolerance was not kept; empty if it was, or none was asked for."""
        if self.tolerance is None:
            return ""
        for step in self.steps:
            if step.change is None or step.change.absolute is None:
                reason = step.change.reason if step.change else "nothing was run"
                return f"outputs after {step.text} could not be compared: {reason}"
            if not step.change.absolute <= self.tolerance:
                return (
                    f"{step.text} moved an output by {step.change.absolute:.3g}, "
                    f"more than {self.tolerance:g}"
                )
        return ""

    def encode(self, *, text: bool = False) -> bytes:
        """The result as a GraphDef file, binary or text."""
        return self.nodes.encode(text=text)

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        return {
            "schema": 1,
            "command": "transform",
            "model": {"name": self.name},
            "inputs": list(self.nodes.inputs),
            "outputs": list(self.nodes.outputs),
            "before": _price_document(self.before),
            "steps": [
                {
                    "transform": step.text,
                    **_price_document(step.price),
                    "change": None
                    if step.change is None
                    else {
                        "absolute": step.change.absolute,
                        "relative": step.change.relative,
                        "reason": step.change.reason,
                    },
                    "notes": list(step.notes),
                    "error": step.error,
                }
                for step in self.steps
            ],
            "tolerance": self.tolerance,
            "failure": self.failure,
        }


def _price_document(price: Price) -> dict[str, int]:
    return {
        "node_count": price.node_count,
        "weight_bytes": price.weight_bytes,
        "compressed_bytes": price.compressed_bytes,
    }


def transform(
    model: str | Path | Graph,
    transforms: str | Sequence[str | Transform],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    compat: str = "",
    tolerance: float | None = None,
    compare: bool = True,
    seed: int = 0,
) -> Transformation:
    """Rewrites a TensorFlow graph step by step.

    Args:
        model: a GraphDef file, binary or text, a SavedModel folder, or a graph in dialect ``tf``.
        transforms: in the Graph Transform Tool's language, the name of a preset, or a list of
            texts and transforms.
        inputs: nodes or tensors that a caller feeds; placeholders if not given.
        outputs: nodes or tensors wanted; those that nobody reads if not given.
        input_shapes: name → shape, where the file leaves dimensions open.
        compat: ``gtt`` asks for the old tool's results bit for bit.
        tolerance: largest absolute change of an output that `Transformation.failure` allows.
        compare: runs the graph after each step on seeded inputs.
        seed: of those inputs.

    Returns:
        The result and what each step did to size and outputs.

    Raises:
        UsageError: transforms, inputs or outputs make no sense.
        ModelError: the model cannot be read, or a transform failed.
    """
    if compat not in ("", "gtt"):
        raise UsageError(f"{compat!r} is not a tool to be compatible with", hint="write gtt")
    steps = plan_steps(transforms)
    shapes = dict(input_shapes or {})
    start = _nodes(model, tuple(inputs), tuple(outputs), shapes)
    if "" in shapes and len(start.inputs) == 1:
        shapes[start.inputs[0]] = shapes.pop("")
    witness = _Witness(shapes, seed) if compare else None
    if witness:
        witness.compare(start)
    done: list[TransformStep] = []
    last = before = _price(start)

    def observe(outcome: Outcome) -> None:
        nonlocal last
        if outcome.after is not outcome.before:
            last = _price(outcome.after)
        change = witness.compare(outcome.after) if witness else None
        done.append(TransformStep(outcome.step.text, last, change, outcome.notes, outcome.error))

    result = run(start, steps, compat=compat == "gtt", observer=observe)
    name = start.envelope.name
    return Transformation(name, result, before, tuple(done), tolerance, shapes)


def check_output_name(path: Path) -> None:
    """Refuses files of formats that cannot be written.

    Raises:
        UsageError: the name ends in neither ``.pb`` nor ``.pbtxt``.
    """
    if path.suffix not in _SUFFIXES:
        raise UsageError(
            f"the output is a GraphDef, {' or '.join(_SUFFIXES)}, not {path.suffix or 'nothing'}",
            where=str(path),
        )


def write_transformation(result: Transformation, path: Path) -> None:
    """Writes the result, in text form if the name ends in ``.pbtxt``; whole or not at all.

    Raises:
        UsageError: the name tells another format, or the file cannot be written.
    """
    from budget.api.files import write_folder

    check_output_name(path)
    write_folder(path.parent, {path.name: result.encode(text=path.suffix == ".pbtxt")})


def _nodes(
    model: str | Path | Graph,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    shapes: Mapping[str, tuple[int, ...]],
) -> NodeGraph:
    """The model's nodes; a file's are taken as they stand there."""
    if not isinstance(model, Graph):
        path = Path(str(model)).expanduser()
        if path.is_file():
            data = path.read_bytes()
            if not data.startswith((b"\x89HDF", b"PK")) and data[4:8] != b"TFL3":
                return NodeGraph.decode(data, path.name, inputs, outputs)
        model = load(str(path) if path.exists() else model, inputs=inputs, outputs=outputs,
                     input_shapes=shapes)  # fmt: skip
    from budget.writers.graphdef import write_graphdef

    name = model.source.name or model.name
    return NodeGraph.decode(
        write_graphdef(model), name, inputs or model.inputs, outputs or model.outputs
    )


def _price(graph: NodeGraph) -> Price:
    weight_bits = 0
    for node in graph.nodes.values():
        value = node.value
        if value is not None:
            weight_bits += value.array.size * DTYPES[value.dtype].bits
    return Price(len(graph.nodes), weight_bits // 8, len(zlib.compress(graph.encode())))


def _read(graph: NodeGraph, shapes: Mapping[str, tuple[int, ...]]) -> Graph:
    known = {name: shape for name, shape in shapes.items() if name in graph.inputs}
    return read_graphdef(graph.encode(), graph.envelope.name, graph.inputs, graph.outputs, known)


class _Witness:
    """Runs graphs on the same seeded inputs, through our own lowering with nothing folded."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> None:
        self._shapes = dict(shapes)
        self._seed = seed
        self._reference: list[Any] | None = None
        self._inputs: list[Any] = []
        self._graph: NodeGraph | None = None
        self._change = Change(None, None, "")

    def compare(self, graph: NodeGraph) -> Change:
        """The change since the first graph that could be run."""
        if graph is not self._graph:
            self._graph, self._change = graph, self._compare(graph)
        return self._change

    def _compare(self, graph: NodeGraph) -> Change:
        try:
            found = self._run(graph)
        except BudgetError as error:
            return Change(None, None, str(error))
        if self._reference is None:
            self._reference = found
        if [item.shape for item in found] != [item.shape for item in self._reference]:
            return Change(float("inf"), float("inf"), "the shape of an output changed")
        absolute = relative = 0.0
        for old, new in zip(self._reference, found, strict=True):
            difference = float(np.max(np.abs(new - old), initial=0))
            largest = float(np.max(np.abs(old), initial=0))
            absolute = max(absolute, difference)
            relative = max(relative, difference / largest if largest else difference)
        return Change(absolute, relative)

    def _run(self, graph: NodeGraph) -> list[Any]:
        from budget.ops.interpreter import run as interpret
        from budget.transforms.lower import lower

        shapes = dict(self._shapes)
        if self._inputs:
            shapes |= {
                name: value.shape for name, value in zip(graph.inputs, self._inputs, strict=True)
            }
        lowered = lower(_read(graph, shapes), as_is=True)
        if not self._inputs:
            rng = np.random.default_rng(self._seed)
            self._inputs = [_draw(rng, lowered, name) for name in lowered.inputs]
        values = dict(zip(lowered.inputs, self._inputs, strict=True))
        results = interpret(lowered, values)
        return [np.asarray(results[name], np.float64) for name in lowered.outputs]


def _draw(rng: np.random.Generator, graph: Graph, name: str) -> Any:
    type = graph.type_of(name)
    if type.dtype.is_float:
        return rng.uniform(-1, 1, type.shape).astype(type.dtype.numpy)
    return rng.integers(0, 2, type.shape).astype(type.dtype.numpy)
