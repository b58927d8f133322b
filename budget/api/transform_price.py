"""What a graph costs between two transforms: as a file, and on a device."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from budget.errors import BudgetError
from budget.formats.tensorflow_values import DTYPES
from budget.graph import Graph
from budget.hardware.figure import Quantity
from budget.records import record
from budget.transforms.tool.forms import Shapes, Subject, as_graph, as_source
from budget.transforms.tool.nodes import NodeGraph

if TYPE_CHECKING:
    from budget.api.models import Model
    from budget.hardware.device_profiles import Device
    from budget.plan.program import Program


@record
class Price:
    """What a graph costs.

    Attributes:
        node_count: nodes, in a TensorFlow graph constants and placeholders included.
        weight_bytes: of all constants' elements.
        compressed_bytes: of the file in a zip archive, as app stores hold it; None where the graph
            cannot be written.
        macs: of one inference, as deployed; None where the graph cannot be lowered.
        arena_bytes: RAM for its activations, in the precision it would be deployed in.
        energy: of one inference on the device; None without one.
        reason: why macs, arena and energy are not known.
    """

    node_count: int
    weight_bytes: int
    compressed_bytes: int | None
    macs: int | None = None
    arena_bytes: int | None = None
    energy: Quantity | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form that `--json` prints."""
        return {
            "node_count": self.node_count,
            "weight_bytes": self.weight_bytes,
            "compressed_bytes": self.compressed_bytes,
            "macs": self.macs,
            "arena_bytes": self.arena_bytes,
            "energy": None if self.energy is None else self.energy.to_json(),
            "reason": self.reason,
        }


def price_of(
    subject: Subject, shapes: Shapes, *, device: str = "", runtime: str = "", deployed: bool = True
) -> Price:
    """Prices a graph.

    Args:
        subject: in either form.
        shapes: of inputs, where the file leaves them open.
        device: id or TOML file; without one there is no energy.
        runtime: id; the default of `check` if not given.
        deployed: also what it costs to run, which takes longer to find out.

    Raises:
        ProfileError: there is no such device or runtime.
    """
    if isinstance(subject, NodeGraph):
        price = Price(len(subject.nodes), _weight_bytes(subject), _zipped(subject.encode()))
    else:
        weights = sum(tensor.type.size_bytes for tensor in subject.constants)
        price = Price(len(subject.nodes), weights, _zipped(_tflite(subject)))
    return _deployed(price, subject, shapes, device, runtime) if deployed else price


def _weight_bytes(graph: NodeGraph) -> int:
    bits = 0
    for node in graph.nodes.values():
        value = node.value
        if value is not None:
            bits += value.array.size * DTYPES[value.dtype].bits
    return bits // 8


def _tflite(graph: Graph) -> bytes | None:
    from budget.writers.tflite import write_tflite

    try:
        return write_tflite(graph)
    except BudgetError:
        return None


def _zipped(data: bytes | None) -> int | None:
    if data is None:
        return None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("graph", data)
    return len(buffer.getvalue())


def _deployed(price: Price, subject: Subject, shapes: Shapes, device: str, runtime: str) -> Price:
    from budget.analysis.costs import total_cost
    from budget.api.models import prepare
    from budget.plan import plan

    values: dict[str, Any] = {}
    profile = _profile(device)
    try:
        graph = as_graph(subject, shapes)
        values["macs"] = total_cost(graph).macs
        model = prepare(graph)
        if profile is None:
            values["arena_bytes"] = plan(model.graph, precision=model.precision).arena_bytes
        else:
            program, values["energy"] = _on_device(model, profile, runtime)
            values["arena_bytes"] = program.arena_bytes
    except BudgetError as error:
        values["reason"] = str(error)
    return replace(price, **values)


def _profile(device: str) -> Device | None:
    from budget.api.question import device_of

    return device_of(device) if device else None


def _on_device(model: Model, device: Device, runtime: str) -> tuple[Program, Quantity]:
    from budget.api.check import DEFAULT_RUNTIME, price
    from budget.api.question import Question
    from budget.hardware import library

    program, inference = price(
        model, device, library.runtime(runtime or DEFAULT_RUNTIME), Question()
    )
    return program, inference.energy


def source_of(subject: Subject, shapes: Shapes) -> Graph:
    """A model as a reader would give it: nodes in the dialect ``tf``, others as they are."""
    return as_source(subject, shapes) if isinstance(subject, NodeGraph) else subject
