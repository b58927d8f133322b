"""What is fuzzed: one target for each reader, with its seeds and the mutations that suit it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import hdf5_child
import mutators
import seeds
import user_files
import user_seeds

from budget.errors import BudgetError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Attributes:
        name: of the target, and of its folder of kept inputs.
        run: reads the bytes; what it returns does not matter.
        seeds: makes the inputs to begin with.
        mutate: changes an input.
        share: of all inputs that this target should see, beside the others' shares.
        in_children: a library may end the process: children run it, some hundreds of inputs each.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    mutate: mutators.Mutator
    share: float
    in_children: bool = False

    def corpus(self) -> list[bytes]:
        """Kept inputs: what once broke the reader."""
        return [path.read_bytes() for path in sorted((FOLDER / "corpus" / self.name).glob("*"))]


def accepted(target: Target, data: bytes) -> bool:
    """Whether the target reads the input; any other error than a `BudgetError` goes through."""
    try:
        target.run(data)
    except BudgetError as error:
        assert error.what, "an error without words"
        return False
    return True


@cache
def scratch() -> Path:
    """A folder in memory, where there is one."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if os.access(memory, 2) else None))


def run_tflite(data: bytes) -> object:
    from budget.graph import verify
    from budget.readers.selection import select
    from budget.readers.tflite import read_tflite
    from budget.transforms.lower import lower

    graph = read_tflite(data, "fuzz.tflite")
    return verify(lower(select(graph, (), (), {})))


def run_graphdef(data: bytes) -> object:
    from budget.graph import verify
    from budget.readers.graphdef import read_graphdef
    from budget.transforms.lower import lower

    return verify(lower(read_graphdef(data, "fuzz.pb")))


def run_saved_model(data: bytes) -> object:
    """The folder's files, one behind the other; their names are fixed."""
    from budget.graph import verify
    from budget.readers.saved_model import read_saved_model
    from budget.transforms.lower import lower

    folder = scratch() / "saved_model"
    (folder / "variables").mkdir(parents=True, exist_ok=True)
    parts = data.split(seeds.PART)
    for index, name in enumerate(seeds.SAVED_MODEL_FILES):
        (folder / name).write_bytes(parts[index] if index < len(parts) else b"")
    return verify(lower(read_saved_model(folder)))


def run_keras_config(data: bytes) -> object:
    from budget.graph import verify
    from budget.readers import load
    from budget.transforms.lower import lower

    path = scratch() / "fuzz.json"
    path.write_bytes(b"{" + data[1:] if data else data)
    return verify(lower(load(path)))


def run_keras(data: bytes) -> object:
    """The archive; a child that stays reads its weights first if they are not a seed's."""
    from budget.readers import load

    path = scratch() / "fuzz.keras"
    path.write_bytes(b"PK\x03\x04" + data[4:])
    with hdf5_child.in_place_of_the_probe():
        return load(path)


def run_h5(data: bytes) -> object:
    """Whole-model HDF5 files, which a child that stays reads first."""
    from budget.readers import load

    path = scratch() / "fuzz.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + data[8:])
    with hdf5_child.in_place_of_the_probe():
        return load(path)


def run_profile(data: bytes) -> object:
    from budget.hardware import library

    path = scratch() / "fuzz.toml"
    path.write_bytes(data)
    library._LOADED.clear()
    return library.device(str(path))


def run_scenario(data: bytes) -> object:
    from budget.scenario.schema import load_scenario

    path = scratch() / "fuzz.toml"
    path.write_bytes(data)
    return load_scenario(path)


def run_data(data: bytes) -> object:
    from budget.api.data import load_samples

    path = scratch() / "fuzz.npz"
    path.write_bytes(data)
    return load_samples(path, seeds.two_inputs())


def run_transforms(data: bytes) -> object:
    from budget.transforms.tool.pipeline import plan_steps

    text = data.decode("utf-8", "replace")
    return plan_steps(text)


def _pbtxt(data: bytes, chance: object) -> bytes:
    return mutators.text(data, chance)  # type: ignore[arg-type]


_KERAS_MEMBERS = {".json": mutators.json_text, ".h5": mutators.raw}
_DATA_MEMBERS = {".npy": mutators.text}

TARGETS = {
    target.name: target
    for target in (
        Target("tflite", run_tflite, seeds.tflite, mutators.flatbuffer, 38),
        Target("graphdef", run_graphdef, seeds.graphdef, mutators.protobuf, 4),
        Target("pbtxt", run_graphdef, seeds.pbtxt, _pbtxt, 3),
        Target("saved_model", run_saved_model, seeds.saved_model,
               mutators.parts(seeds.PART, mutators.protobuf, mutators.raw, mutators.raw), 2),
        Target("keras_config", run_keras_config, seeds.keras_config, mutators.json_text, 4),
        Target("keras", run_keras, seeds.keras, mutators.archive(_KERAS_MEMBERS), 2,
               in_children=True),
        Target("h5", run_h5, seeds.h5, mutators.raw, 2, in_children=True),
        Target("profile", run_profile, seeds.profiles, mutators.text, 3),
        Target("scenario", run_scenario, seeds.scenarios, mutators.text, 4),
        Target("gate", user_files.run_gate, user_seeds.gates, mutators.text, 3),
        Target("sweep", user_files.run_sweep, user_seeds.sweeps, mutators.text, 3),
        Target("data", run_data, seeds.data, mutators.archive(_DATA_MEMBERS), 2),
        Target("examples", user_files.run_examples, user_seeds.examples,
               mutators.archive(_DATA_MEMBERS), 2),
        Target("inputs", user_files.run_inputs, user_seeds.inputs,
               mutators.archive(_DATA_MEMBERS), 2),
        Target("picture", user_files.run_picture, user_seeds.pictures, user_seeds.picture, 2),
        Target("sound", user_files.run_sound, user_seeds.sounds, mutators.raw, 2),
        Target("labels", user_files.run_labels, user_seeds.labels, mutators.text, 2),
        Target("front_end", user_files.run_front_end, user_seeds.front_ends, mutators.text, 2),
        Target("trace", user_files.run_trace, user_seeds.traces, mutators.text, 3),
        Target("export", user_files.run_export, user_seeds.exports, mutators.text, 3),
        Target("quantity", user_files.run_quantity, user_seeds.quantities, mutators.text, 2),
        Target("transforms", run_transforms, seeds.transforms, mutators.text, 3),
        Target("transform", user_files.run_transform, seeds.graphdef, mutators.protobuf, 2),
        Target("weights", user_files.run_weights, user_seeds.weights,
               mutators.parts(seeds.PART, mutators.protobuf, mutators.raw), 2),
        Target("ranges", user_files.run_ranges, user_seeds.ranges, mutators.text, 2),
        Target("document", user_files.run_document, user_seeds.document, mutators.json_text, 2),
        Target("manifest", user_files.run_manifest, user_seeds.manifests, mutators.json_text, 2),
        Target("elf", user_files.run_elf, user_seeds.elf_files, mutators.raw, 2),
    )
}  # fmt: skip


def clean_up() -> None:
    """Removes what targets wrote."""
    hdf5_child.end()
    shutil.rmtree(scratch(), ignore_errors=True)
