"""What is fuzzed: one target for each reader, with its seeds and the mutations that suit it."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mutators
import seeds

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
        share: of all inputs that this target should see.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    mutate: mutators.Mutator
    share: float

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
    from budget.readers.keras import read_keras
    from budget.transforms.lower import lower

    path = scratch() / "fuzz.json"
    path.write_bytes(b"{" + data[1:] if data else data)
    return verify(lower(read_keras(path)))


def run_keras(data: bytes) -> object:
    """The archive; its weights are read in a forked process first if they are not a seed's."""
    from budget.readers.keras import read_keras

    path = scratch() / "fuzz.keras"
    path.write_bytes(b"PK\x03\x04" + data[4:])
    with _forked_probe():
        return read_keras(path)


def run_h5(data: bytes) -> object:
    """Whole-model HDF5 files, read in a forked process first as the reader would in a new one."""
    from budget.readers.keras import read_keras

    path = scratch() / "fuzz.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + data[8:])
    with _forked_probe():
        return read_keras(path)


class _forked_probe:
    """Replaces the probe's new process, which takes a third of a second, by a forked one."""

    def __enter__(self) -> None:
        from budget.readers import keras_files

        self.module, self.probe = keras_files, keras_files.probe
        keras_files.probe = _probe_in_fork

    def __exit__(self, *_: object) -> None:
        self.module.probe = self.probe


def _probe_in_fork(data: bytes, where: str) -> None:
    import resource

    from budget.errors import CorruptModelError, ModelError
    from budget.readers.keras_hdf5 import Hdf5File

    if data in seeds.sound_weights():
        return
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        import contextlib
        import signal

        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGXCPU):
            signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(ModelError):
            Hdf5File(io.BytesIO(data), len(data), "").read_everything()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise CorruptModelError("reading it makes the HDF5 library fail", where=where)


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
        Target("tflite", run_tflite, seeds.tflite, mutators.flatbuffer, 0.79),
        Target("graphdef", run_graphdef, seeds.graphdef, mutators.protobuf, 0.04),
        Target("pbtxt", run_graphdef, seeds.pbtxt, _pbtxt, 0.02),
        Target("saved_model", run_saved_model, seeds.saved_model,
               mutators.parts(seeds.PART, mutators.protobuf, mutators.raw, mutators.raw), 0.003),
        Target("keras_config", run_keras_config, seeds.keras_config, mutators.json_text, 0.03),
        Target("keras", run_keras, seeds.keras, mutators.archive(_KERAS_MEMBERS), 0.004),
        Target("h5", run_h5, seeds.h5, mutators.raw, 0.003),
        Target("profile", run_profile, seeds.profiles, mutators.text, 0.03),
        Target("scenario", run_scenario, seeds.scenarios, mutators.text, 0.03),
        Target("data", run_data, seeds.data, mutators.archive(_DATA_MEMBERS), 0.02),
        Target("transforms", run_transforms, seeds.transforms, mutators.text, 0.03),
    )
}  # fmt: skip


def clean_up() -> None:
    """Removes what targets wrote."""
    shutil.rmtree(scratch(), ignore_errors=True)
