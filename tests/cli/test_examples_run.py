"""The examples of every command's help run, with files of the names that they use."""

from __future__ import annotations

import shutil
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from test_help import commands_of
from typer.testing import CliRunner

from budget.api.models import load, lower
from budget.cli.app import application
from budget.cli.examples import examples_of
from budget.core.build import build
from budget.errors import MissingToolError
from budget.shrinking.dequantize import dequantize
from budget.writers.tensorflow_graph import write_canonical_graphdef
from budget.writers.tflite import write_tflite
from budget.zoo import MODELS

GROUP: Any = typer.main.get_command(application())
EXAMPLES = [
    example
    for name in sorted(GROUP.commands)
    for example in examples_of(GROUP.commands[name].epilog)
]
# they train for minutes; tests/api/test_shrink.py runs such ones
LONG = ("budget shrink model.keras", "budget shrink zoo:hotword-large")
GATE = 'schema = 1\n[[check]]\nmodel = "model.tflite"\ndevice = "stm32l4r5"\n'
PLAN = """\
models = ["zoo:hotword"]
devices = ["efm32pg12"]
sources = ["indoor-light"]
areas = { from = "1cm2", to = "1dm2", count = 3 }
rates = ["1/min", "1/s"]
"""
FIRMWARE = b"volatile int total;\nvoid invoke(void) { for (int i = 0; i < 9; ++i) total += i; }\n"


def graph_def(path: Path, first: str, last: str) -> None:
    """A network of digits in float whose input and output have these names."""
    graph = dequantize(lower(load("zoo:digits")))
    names = {graph.inputs[0]: first, graph.outputs[0]: last}

    def called(items: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(item, item) for item in items)

    renamed = replace(
        graph,
        tensors={
            names.get(name, name): replace(tensor, name=names.get(name, name))
            for name, tensor in graph.tensors.items()
        },
        nodes=tuple(
            replace(node, inputs=called(node.inputs), outputs=called(node.outputs))
            for node in graph.nodes
        ),
        inputs=called(graph.inputs),
        outputs=called(graph.outputs),
    )
    path.write_bytes(write_canonical_graphdef(renamed)[0])


def sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(16000) / 9)).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("examples")
    for name, model in (("model", "digits"), ("int8", "digits"), ("old", "hotword"),
                        ("new", "hotword-large"), ("kws", "hotword")):  # fmt: skip
        shutil.copy(MODELS / f"{model}.tflite", folder / f"{name}.tflite")
    shutil.copy(MODELS / "hotword.features.toml", folder / "kws.features.toml")
    write_tflite(dequantize(lower(load("zoo:digits"))), folder / "float.tflite")
    graph_def(folder / "in.pb", "Mul", "softmax")
    graph_def(folder / "frozen.pb", "x", "y")
    (folder / "photos").mkdir()
    picture = image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    for name in ("photo.png", "photos/a.png", "photos/b.png"):
        picture.save(folder / name)
    for name in ("clip", "a", "b"):
        sound(folder / f"{name}.wav")
    with np.load(MODELS / "digits.training.npz") as file:
        pixels, labels = file["features"][:200, ..., None], file["labels"][:200]
    np.savez(folder / "inputs.npz", x=(pixels + 128.0).astype(np.float32) / 255, labels=labels)
    (folder / "labels.txt").write_text("\n".join("0123456789"))
    (folder / "budget.toml").write_text(GATE)
    (folder / "plan.toml").write_text(PLAN)
    (folder / "MEASUREMENTS.csv").write_text("model,latency_ms\nzoo:ds_cnn,70\nzoo:resnet8,300\n")
    try:
        linked = build({"invoke.c": FIRMWARE}, "cortex-m4", keep=["invoke"])
        (folder / "firmware.elf").write_bytes(linked.data)
    except MissingToolError:
        pass  # its example says that there is no compiler
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if example.startswith(LONG):
        pytest.skip("it trains for minutes")
    for extra, part in (("tensorflow", "shrink"), ("optuna", "shrink"), ("pyarrow", ".parquet"),
                        ("unicorn", "measure")):  # fmt: skip
        if part in example:
            pytest.importorskip(extra)
    if "measure" in example and not (place / "firmware.elf").exists():
        pytest.skip("there is no compiler")
    monkeypatch.chdir(place)
    for program, *words in commands_of(example):
        assert program == "budget"
        done = CliRunner().invoke(application(words), words)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code in (0, 1, 6), done.output
        if ">" in example:
            (place / example.rpartition(">")[2].strip()).write_text(done.stdout)
