"""The C of a model, written into a folder."""

from __future__ import annotations

import json as jsons
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from budget.analysis.costs import total_cost
from budget.api.files import write_folder
from budget.api.front_ends import wanted_front_end
from budget.api.limits import limits_of
from budget.api.models import Model, precision_of, prepare
from budget.codegen import EmitOptions
from budget.codegen import emit as emit_files
from budget.codegen.names import identifier
from budget.codegen.options import ARENA, IO, OPTIMISE, TARGETS, WEIGHTS, choose
from budget.codegen.planning import plan_for
from budget.codegen.refusals import require_writable
from budget.errors import UsageError
from budget.graph import Array, DType, Graph
from budget.hardware import library
from budget.hardware.device_profiles import Device
from budget.ops import Rounding
from budget.ops.fixed_point import storage_range
from budget.plan.chooser import SHIPPED, Knowledge, Limits
from budget.plan.program import Program

_QUANTIZED = {"int8": DType.INT8, "int16x8": DType.INT16}
"""Precision of a float model on the device, and element type of its activations there."""


@dataclass(frozen=True)
class Emission:
    """What was emitted.

    Attributes:
        model: as read and as deployed.
        program: that the C executes.
        options: names and interface.
        files: relative path → content.
        manifest: the document NAME.json holds.
        folder: where the files are; None if they were not written.
        notes: assumptions made.
        warnings: what makes the result unfit for use as it is.
    """

    model: Model
    program: Program
    options: EmitOptions
    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]
    folder: Path | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        from budget.api.documents import SCHEMA, model_document

        return {
            "schema": SCHEMA,
            "command": "emit",
            "model": model_document(self.model, self.program.weight_bytes),
            "folder": None if self.folder is None else str(self.folder),
            "files": {path: len(content) for path, content in self.files.items()},
            "manifest": dict(self.manifest),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def emit(
    model: str | Path | Graph,
    folder: str | Path | None,
    *,
    name: str | None = None,
    target: str | None = None,
    device: str | Device | None = None,
    clock_hz: float | None = None,
    flash_bytes: int | None = None,
    ram_bytes: int | None = None,
    autotune: bool = False,
    optimise: str = "balanced",
    arena: str = "static",
    io: str = "model",
    rounding: str = "tflite",
    weights: str = "header",
    data: str | Path | Sequence[Mapping[str, Array]] | None = None,
    precision: str | None = None,
    remove_constant_channels: bool = True,
    front_end: bool | str | Path = False,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Emission:
    """Writes standalone C that equals the model bit for bit.

    Args:
        model: a path, ``zoo:NAME``, or a graph.
        folder: where to write; None to write nothing.
        name: prefix of files and symbols; made of the model's name if not given.
        target: core, see `budget.codegen.options.TARGETS`; if not given the device's, else
            ``portable``.
        device: whose flash, RAM and wait states decide which implementations the layers get.
        clock_hz: of the device; default: its highest. [Hz]
        flash_bytes: flash for the network, where it is less than the device has.
        ram_bytes: RAM likewise.
        autotune: try implementations that the shipped table does not hold on the virtual core;
            what was measured is kept in the user's cache.
        optimise: ``time``, ``size`` or ``balanced``.
        arena: ``static`` or ``caller``.
        io: ``model``, ``float`` or ``arena``.
        rounding: ``tflite`` or ``tflm``.
        weights: ``header`` or ``source``.
        data: representative inputs, for a float model that becomes int8.
        precision: what the device will run; a float model becomes int8 if not given.
        remove_constant_channels: leave out what is the same for every input; exact.
        front_end: write what makes the input of sound, too: True for the specification beside the
            model, or its path.
        inputs: as for `check`.
        outputs: as for `check`.
        input_shapes: as for `check`.

    Raises:
        ModelError: the model cannot be read or emitted.
        UsageError: an option makes no sense, or the folder cannot be written.
    """
    prepared = prepare(
        model, precision=precision, inputs=inputs, outputs=outputs, input_shapes=input_shapes
    )
    profile = library.device(device) if isinstance(device, str) else device
    limits = limits_of(profile, clock_hz, flash_bytes, ram_bytes)
    options = EmitOptions(
        identifier(_stem(prepared.name)) if name is None else name,
        target or _target_of(profile),
        choose(optimise, OPTIMISE, "--optimise"),
        choose(arena, ARENA, "--arena"),
        choose(io, IO, "--io"),
        choose(rounding, tuple(Rounding), "--rounding"),
        choose(weights, WEIGHTS, "--weights"),
    )
    require_writable(prepared.graph, options)
    graph, examples, warnings = _integers(prepared, data)
    knowledge = _knowledge(graph, options, autotune, remove_constant_channels)
    program = plan_for(
        graph,
        options,
        remove_constant_channels=remove_constant_channels,
        limits=limits,
        knowledge=knowledge,
    )
    files = emit_files(
        program,
        options,
        examples=examples,
        reference=graph,
        front_end=wanted_front_end(model, front_end),
        knowledge=knowledge,
    )
    manifest = jsons.loads(files[f"{options.name}.json"])
    if folder is not None:
        write_folder(Path(folder), files)
    notes = (*prepared.notes, *program.notes, *_saving(graph, program))
    warnings = (*warnings, *_too_large(manifest, limits))
    place = None if folder is None else Path(folder)
    return Emission(prepared, program, options, files, manifest, place, notes, warnings)


def _knowledge(
    graph: Graph, options: EmitOptions, autotune: bool, remove_constant_channels: bool
) -> Knowledge:
    """What is known of implementations: the shipped table, or that and new measurements."""
    if not autotune:
        return SHIPPED
    from budget.tuning.autotune import tuned_knowledge

    return tuned_knowledge(graph, options, removes=remove_constant_channels)


def _target_of(device: Device | None) -> str:
    """The device's core, if there is code for it."""
    return device.core if device is not None and device.core in TARGETS else "portable"


def _too_large(manifest: Mapping[str, Any], limits: Limits) -> tuple[str, ...]:
    """What does not fit the device whichever implementations are chosen."""
    found = []
    for label, key, limit in (
        ("flash", "flash_bytes", limits.flash_bytes),
        ("RAM", "ram_bytes", limits.ram_bytes),
    ):
        need = manifest["prediction"][key]
        if limit is not None and need is not None and need > limit:
            found.append(f"{need:,} B of {label} are needed, there are {limit:,} B")
    return tuple(found)


def _saving(graph: Graph, program: Program) -> tuple[str, ...]:
    """What the removal of constant channels saved, if anything."""
    before, after = total_cost(graph).macs, program.cost.macs
    if after >= before:
        return ()
    return (
        f"channels that no input can change are left out: {after:,} of {before:,} MACs remain, "
        "outputs are equal (--keep-channels keeps them)",
    )


def _integers(model: Model, data: Any) -> tuple[Graph, list[dict[str, Array]], tuple[str, ...]]:
    """The graph at the precision to deploy, examples of its inputs, and what to warn of."""
    held = precision_of(model.graph)
    if model.precision == held:
        if data is not None:
            raise UsageError(
                f"the model stays in {held}: nothing is quantised",
                where="--data",
                hint="representative data is for float models that become int8",
            )
        return model.graph, [], ()
    from budget.api.data import load_samples
    from budget.ops.interpreter import run
    from budget.shrinking.quantize import Recipe, quantize, random_samples, require_samples
    from budget.shrinking.ranges import observe

    warnings: tuple[str, ...] = ()
    if data is None:
        samples = random_samples(model.graph)
        warnings = (
            "no representative data: the scales come from random inputs and the model will "
            "likely be wrong on real ones; give some with --data",
        )
    else:
        samples = load_samples(data, model.graph)
        require_samples(model.graph, samples)
    recipe = Recipe(_QUANTIZED[model.precision])
    values = ({**sample, **run(model.graph, sample, keep="all")} for sample in samples)
    graph = quantize(model.graph, observe(model.graph, values), recipe)
    return graph, [_stored(graph, sample) for sample in samples[:4]], warnings


def _stored(graph: Graph, sample: Mapping[str, Array]) -> dict[str, Array]:
    """An example as the quantised graph takes it."""
    found: dict[str, Array] = {}
    for name in graph.inputs:
        quant = graph.type_of(name).quant
        value = sample[name]
        if quant is not None:
            steps = np.rint(value / quant.scale[0]) + quant.zero_point[0]
            low, high = storage_range(graph.type_of(name).dtype)
            value = np.clip(steps, low, high).astype(graph.type_of(name).dtype.numpy)
        found[name] = value
    return found


def _stem(name: str) -> str:
    """``zoo:hotword`` and ``models/hotword.tflite`` are both ``hotword``."""
    return Path(name.removeprefix("zoo:").partition("?")[0]).stem
