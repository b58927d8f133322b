"""Transforms of a TensorFlow graph, each step priced and its effect on the outputs measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from budget import units
from budget.api.models import load
from budget.api.transform_price import Price, price_of, source_of
from budget.api.transform_witness import Change, Witness
from budget.errors import UsageError
from budget.graph import Array, Graph, TensorType
from budget.records import record
from budget.transforms.tool.forms import Subject, as_graph, as_nodes, name_of
from budget.transforms.tool.nodes import NodeGraph
from budget.transforms.tool.pipeline import Outcome, plan_steps, run
from budget.transforms.tool.transform import AnyTransform, Transform

_SUFFIXES = (".pb", ".pbtxt", ".tflite", "")


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
        result: as the last step left it: nodes of TensorFlow, or a graph in canonical operators.
        before: price of the graph as it was.
        steps: in order.
        tolerance: largest absolute change of an output that was allowed, if any.
        input_shapes: what the caller said of open shapes.
        device: on which it was priced, if any.
        signature: names that callers use for inputs and outputs, where the file has others.
    """

    name: str
    result: Subject
    before: Price
    steps: tuple[TransformStep, ...]
    tolerance: float | None
    input_shapes: Mapping[str, tuple[int, ...]]
    device: str = ""
    signature: Mapping[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> NodeGraph:
        """The result as nodes of TensorFlow.

        Raises:
            UnsupportedModelError: it is quantised.
        """
        return as_nodes(self.result)

    @property
    def graph(self) -> Graph:
        """The result in the dialect ``tf``, or canonical where the last step left it so.

        Raises:
            UnsupportedModelError: shapes of inputs are open.
        """
        return source_of(self.result, self.input_shapes)

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

    def encode_tflite(self) -> bytes:
        """The result as a TensorFlow Lite file, lowered as it would be deployed.

        Raises:
            UnsupportedModelError: it holds what the format cannot express.
        """
        from budget.writers.tflite import write_tflite

        return write_tflite(as_graph(self.result, self.input_shapes))

    def encode_saved_model(self) -> bytes:
        """The result as the file ``saved_model.pb``; it needs no other."""
        from budget.writers.tensorflow_graph import write_saved_model

        nodes = self.nodes
        lowered = as_graph(nodes, self.input_shapes)
        ends = [
            {
                self.signature.get(name, name.replace(":", "_")): (
                    name,
                    self._open(nodes, name, lowered.type_of(own)),
                )
                for name, own in zip(names, owns, strict=True)
            }
            for names, owns in ((nodes.inputs, lowered.inputs), (nodes.outputs, lowered.outputs))
        ]
        return write_saved_model(nodes.encode(), *ends)

    def _open(self, nodes: NodeGraph, name: str, type: TensorType) -> TensorType:
        """A tensor's type with an open batch, where the placeholders have one."""
        shapes = [nodes.nodes[item].attributes.get("shape") for item in nodes.inputs
                  if item in nodes.nodes]  # fmt: skip
        dims = [shape.dims for shape in shapes if shape is not None and shape.dims]
        if dims and all(item[0] == -1 for item in dims) and type.shape:
            return type.with_shape((-1, *type.shape[1:]))
        return type

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA

        return {
            "schema": SCHEMA,
            "command": "transform",
            "model": {"name": self.name},
            "device": self.device or None,
            "inputs": list(self.result.inputs),
            "outputs": list(self.result.outputs),
            "before": self.before.to_json(),
            "steps": [
                {
                    "transform": step.text,
                    **step.price.to_json(),
                    "change": None
                    if step.change is None
                    else {
                        "absolute": units.finite(step.change.absolute),
                        "relative": units.finite(step.change.relative),
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


def transform(
    model: str | Path | Graph,
    transforms: str | AnyTransform | Sequence[str | AnyTransform],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    compat: str = "",
    tolerance: float | None = None,
    compare: bool = True,
    seed: int = 0,
    examples: str | Path | Sequence[Mapping[str, Array]] | None = None,
    device: str = "",
    runtime: str = "",
    price: bool = True,
) -> Transformation:
    """Rewrites a model step by step.

    Args:
        model: a file of any format that can be read, a SavedModel folder, ``zoo:NAME``, or a
            graph. A GraphDef file is taken node by node, as it stands there.
        transforms: in the Graph Transform Tool's language, the name of a preset, a transform, or a
            list of texts and transforms.
        inputs: nodes or tensors that a caller feeds; placeholders if not given.
        outputs: nodes or tensors wanted; those that nobody reads if not given.
        input_shapes: name → shape, where the file leaves dimensions open.
        compat: ``gtt`` asks for the old tool's results bit for bit.
        tolerance: largest absolute change of an output that `Transformation.failure` allows.
        compare: runs the graph after each step, on seeded inputs or the caller's.
        seed: of seeded inputs.
        examples: inputs to compare outputs on, as for `run`; the first eight are used.
        device: on which each step is priced.
        runtime: the software assumed there.
        price: finds MACs, arena and energy after each step.

    Returns:
        The result and what each step did to size and outputs.

    Raises:
        UsageError: transforms, inputs or outputs make no sense.
        ModelError: the model cannot be read, or a transform failed.
    """
    if compat not in ("", "gtt"):
        raise UsageError(f"{compat!r} is not a tool to be compatible with", hint="write gtt")
    given = [transforms] if isinstance(transforms, AnyTransform) else transforms
    steps = plan_steps(given)
    shapes = dict(input_shapes or {})
    first = steps[0]
    by_node = isinstance(first.transform, Transform) and not first.ignore_errors
    start, signature = _subject(model, tuple(inputs), tuple(outputs), shapes, by_node)
    if "" in shapes and len(start.inputs) == 1:
        shapes[start.inputs[0]] = shapes.pop("")
    witness = Witness(shapes, seed, examples, model) if compare else None
    if witness:
        witness.compare(start)
    done: list[TransformStep] = []

    def priced(subject: Subject) -> Price:
        return price_of(subject, shapes, device=device, runtime=runtime, deployed=price)

    last = before = priced(start)

    def observe(outcome: Outcome) -> None:
        nonlocal last
        if outcome.after is not outcome.before:
            last = priced(outcome.after)
        change = witness.compare(outcome.after) if witness else None
        done.append(TransformStep(outcome.step.text, last, change, outcome.notes, outcome.error))

    result = run(start, steps, compat=compat == "gtt", shapes=shapes, observer=observe)
    name = name_of(start)
    return Transformation(name, result, before, tuple(done), tolerance, shapes, device, signature)


def check_output_name(path: Path, weights: Path | None = None) -> None:
    """Refuses files of formats that cannot be written.

    Raises:
        UsageError: the name ends in neither ``.pb``, ``.pbtxt`` nor ``.tflite``, or in another
            than the first two where weights are to have a file of their own; or the two are one.
    """
    if path.suffix not in _SUFFIXES:
        raise UsageError(
            "the output is a GraphDef (.pb or .pbtxt), a .tflite file or the folder of a "
            f"SavedModel (a name without an ending), not {path.suffix}",
            where=str(path),
        )
    if weights is None:
        return
    if path.suffix not in (".pb", ".pbtxt"):
        raise UsageError(
            "only a GraphDef has weights in a file of their own; a .tflite file is mapped as it is",
            where=str(path),
            hint="write a .pb file",
        )
    if path.resolve() == weights.resolve():
        raise UsageError(
            "graph and weights cannot have the same file",
            where=str(path),
            hint="give --weights-out another name",
        )


def write_transformation(result: Transformation, path: Path, weights: Path | None = None) -> None:
    """Writes the result in the format that the name tells; whole or not at all.

    A name without an ending is the folder of a SavedModel.

    Args:
        result: to be written.
        path: where to.
        weights: a file for the larger constants, which a host maps into memory; a name that ends
            in ``.c`` makes it a source that a microcontroller links into flash. The graph then
            names each constant's place in it; `join_weights` puts them back.

    Raises:
        UsageError: the name tells another format, or the file cannot be written.
        UnsupportedModelError: the format cannot express it.
    """
    from budget.api.files import write_folder

    check_output_name(path, weights)
    if weights is not None:
        _write_separately(result, path, weights)
    elif path.suffix == "":
        write_folder(path, {"saved_model.pb": result.encode_saved_model()})
    elif path.suffix == ".tflite":
        write_folder(path.parent, {path.name: result.encode_tflite()})
    else:
        write_folder(path.parent, {path.name: result.encode(text=path.suffix == ".pbtxt")})


def _write_separately(result: Transformation, path: Path, weights: Path) -> None:
    from budget.api.files import write_folder, write_folders
    from budget.transforms.tool.map_weights import c_source, separate

    nodes, blob = separate(result.nodes)
    data = nodes.encode(text=path.suffix == ".pbtxt")
    name = re.sub(r"\W", "_", weights.stem)
    held = c_source(name, blob).encode() if weights.suffix == ".c" else blob
    if path.parent.resolve() == weights.parent.resolve():
        write_folder(path.parent, {path.name: data, weights.name: held})
    else:
        write_folders({path.parent: {path.name: data}, weights.parent: {weights.name: held}})


def join_weights(graph: str | Path, weights: str | Path) -> Graph:
    """A graph whose larger constants are in a file of their own, read as one.

    Args:
        graph: a GraphDef that `write_transformation` wrote with ``weights``.
        weights: the file.

    Returns:
        A graph in the dialect ``tf``.

    Raises:
        CorruptModelError: the files do not go together.
    """
    from budget.transforms.tool.forms import as_source
    from budget.transforms.tool.map_weights import join

    path = Path(graph)
    nodes = NodeGraph.decode(path.read_bytes(), path.name)
    return as_source(join(nodes, Path(weights).read_bytes()), {})


def _subject(
    model: str | Path | Graph,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    shapes: Mapping[str, tuple[int, ...]],
    by_node: bool,
) -> tuple[Subject, Mapping[str, str]]:
    """The model in the form nearest to its file, and the names its callers use.

    A file of another kind becomes nodes of TensorFlow at once if ``by_node``.
    """
    if not isinstance(model, Graph):
        path = Path(str(model)).expanduser()
        if path.is_file():
            data = path.read_bytes()
            if not data.startswith((b"\x89HDF", b"PK")) and data[4:8] != b"TFL3":
                return NodeGraph.decode(data, path.name, inputs, outputs), {}
        model = load(str(path) if path.exists() else model, inputs=inputs, outputs=outputs,
                     input_shapes=shapes)  # fmt: skip
    if model.dialect != "tf":
        from budget.transforms.lower import lower

        lowered = lower(model, as_is=True)
        start = as_nodes(lowered) if by_node else lowered
        ends, known = (*start.inputs, *start.outputs), (*model.inputs, *model.outputs)
        named = model.dialect == "keras" and len(ends) == len(known)
        return start, dict(zip(ends, known, strict=True)) if named else {}
    from budget.writers.graphdef import write_graphdef

    name = model.source.name or model.name
    nodes = NodeGraph.decode(
        write_graphdef(model), name, inputs or model.inputs, outputs or model.outputs
    )
    extras = model.extras
    return nodes, {**extras.get("signature_inputs", {}), **extras.get("signature_outputs", {})}
