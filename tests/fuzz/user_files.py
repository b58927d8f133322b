"""What users give besides models: pictures, sounds, arrays, plans, logs, traces, firmware."""

from __future__ import annotations

import json
from pathlib import Path

import seeds
import user_seeds

PICTURE = (1, 4, 4, 3)


def _written(name: str, data: bytes) -> Path:
    from targets import scratch

    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def run_picture(data: bytes) -> object:
    """As `run` reads it, or as `shrink` does in a folder of classes: by the number of bytes."""
    from budget.api.examples import read_picture
    from budget.shrinking.class_folders import read_folder

    graph = user_seeds.one_input(PICTURE)
    if len(data) % 2:
        return read_folder(_written("classes/a/fuzz.png", data).parents[1], graph)
    return read_picture(_written("fuzz.png", data), graph.type_of("x"), "x")


def run_sound(data: bytes) -> object:
    from budget.features import FeatureSpec, read_sound

    return read_sound(_written("fuzz.wav", data), FeatureSpec.parse(user_seeds.front_end_table()))


def run_examples(data: bytes) -> object:
    """Arrays with labels, as `shrink` learns from them."""
    from budget.shrinking.data import Source, load_sets

    graph = user_seeds.classifier()
    return load_sets(Source(str(_written("fuzz.npz", data))), graph)


def run_inputs(data: bytes) -> object:
    """Arrays that `run` feeds a quantised model with."""
    from budget.api.examples import read_examples

    graph = user_seeds.quantised_inputs()
    return read_examples(_written("fuzz.npz", data), graph, model="fuzz.tflite")


def run_front_end(data: bytes) -> object:
    """A specification and all tables that a program makes of it."""
    from budget.features import FeatureSpec

    spec = FeatureSpec.load(_written("fuzz.features.toml", data))
    return spec.spans, spec.cosines, spec.twiddles, spec.constant_bytes, spec.state_bytes


def run_gate(data: bytes) -> object:
    from budget.api.gate import load_gate

    return load_gate(_written("budget.toml", data))


def run_sweep(data: bytes) -> object:
    """A plan in TOML; in CSV if it begins with a header of that kind."""
    from budget.scenario.sweep_plan import read_plan

    is_table = data.lstrip()[:6] == b"model,"
    return read_plan(_written("fuzz.csv" if is_table else "fuzz.toml", data))


def run_trace(data: bytes) -> object:
    from budget.scenario.traces import read_trace

    return read_trace(_written("fuzz.csv", data), resistance_ohm=1e4).lasting(86_400.0)


def run_export(data: bytes) -> object:
    from budget.tuning.exports import read_export

    return read_export(_written("fuzz.csv", data), supply_v=3.0)


def run_ranges(data: bytes) -> object:
    """A log of ranges, given to the transform that freezes them."""
    from budget.transforms.tool.pipeline import plan_steps, run

    path = _written("ranges.log", data)
    steps = plan_steps(f'freeze_requantization_ranges(min_max_log_file="{path}")')
    return run(user_seeds.requantising(), steps)


def run_weights(data: bytes) -> object:
    """A graph and the file of its weights."""
    from budget.api.transform import join_weights

    graph, _, blob = data.partition(seeds.PART)
    return join_weights(_written("fuzz.pb", graph), _written("fuzz.bin", blob))


def run_transform(data: bytes) -> object:
    """A graph of nodes through transforms."""
    from budget.transforms.tool.nodes import NodeGraph
    from budget.transforms.tool.pipeline import plan_steps, run

    return run(NodeGraph.decode(data, "fuzz.pb"), plan_steps(user_seeds.TRANSFORMS))


def run_labels(data: bytes) -> object:
    """Names of classes as `run` and as `shrink` read them."""
    from budget.api import examples
    from budget.shrinking import data as sets

    path = _written("fuzz.txt", data)
    return examples.read_labels(path), sets.read_labels(str(path))


def run_document(data: bytes) -> object:
    """What `check --json` printed, against what it prints now."""
    from budget.api.against import compare_documents, load_document

    path = _written("fuzz.json", data)
    return compare_documents(load_document(path), json.loads(user_seeds.document()[0]))


def run_manifest(data: bytes) -> object:
    """The manifest in a folder of emitted C."""
    from budget.api.firmware import Firmware

    place = _written("emitted/fuzz.json", data)
    (place.parent / "fuzz.c").write_bytes(b"int x;\n")
    found = Firmware.read(place.parent)
    return found.layers, found.macs, found.arena_bytes, found.optimise, found.target, (
        found.sources, found.selftest_sources, found.entry_points, found.io_bytes,
        found.has_real_outputs, found.name,
    )  # fmt: skip


def run_elf(data: bytes) -> object:
    """A linked program, loaded into the virtual core."""
    from budget.core.elf import load_elf
    from budget.core.machine import Machine

    elf = load_elf(data, "fuzz.elf")
    return Machine(elf), elf.owner(elf.entry), elf.flash_bytes, elf.ram_bytes


def run_quantity(data: bytes) -> object:
    """A number with its unit, in every dimension; a text that none takes is refused."""
    from budget import units
    from budget.errors import UsageError

    text = data.decode("utf-8", "replace")
    found = []
    for dimension in units.DIMENSIONS:
        try:
            found.append(units.parse(text, dimension))
        except UsageError as error:
            refused = error
    if not found:
        raise refused
    return found
