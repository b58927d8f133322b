"""What `emit` writes builds without a warning, tests itself, and is the same every time."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from host import WARNINGS, HostModel, random_inputs
from single_operator import interpreter, invoke

from budget.api.emit import emit
from budget.api.models import load, lower
from budget.codegen.options import ARENA, IO, OPTIMISE, WEIGHTS, EmitOptions
from budget.errors import UnsupportedModelError, UsageError
from budget.graph import Array, DType, GraphBuilder, QuantParams, TensorType
from budget.ops.interpreter import run
from budget.ops.shaping import ReshapeAttributes
from budget.ops.softmax import SoftmaxAttributes

EVERY = [(o, a, i, w) for o in OPTIMISE for a in ARENA for i in IO for w in WEIGHTS]


def build(folder: Path, name: str, *flags: str, compiler: str = "gcc") -> Path:
    """The self-test of an emitted model, compiled with every warning an error."""
    program = folder / "selftest"
    sources = sorted(str(path) for path in folder.glob("*.c"))
    command = [compiler, *WARNINGS, "-O1", *flags, f"-D{name.upper()}_SELFTEST_MAIN"]
    done = subprocess.run(
        [*command, "-o", str(program), *sources, "-lm"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


def outcome(program: Path) -> tuple[int, str]:
    done = subprocess.run([str(program)], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(("optimise", "arena", "io", "weights"), EVERY[::5])
def test_selftest_passes(tmp_path: Path, optimise: str, arena: str, io: str, weights: str) -> None:
    emit("zoo:digits", tmp_path, name="d", optimise=optimise, arena=arena, io=io, weights=weights)
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    assert outcome(build(tmp_path, "d", *flags)) == (0, "PASS d\n")


@pytest.mark.slow
@pytest.mark.parametrize(("optimise", "arena", "io", "weights"), EVERY)
@pytest.mark.parametrize("model", ["zoo:hotword", "zoo:ds_cnn?width=8"])
def test_selftest_passes_in_every_way(
    tmp_path: Path, model: str, optimise: str, arena: str, io: str, weights: str
) -> None:
    emit(model, tmp_path, name="m", optimise=optimise, arena=arena, io=io, weights=weights)
    assert outcome(build(tmp_path, "m", "-DM_STEP_NAMES")) == (0, "PASS m\n")


def test_selftest_finds_a_wrong_weight(tmp_path: Path) -> None:
    emit("zoo:hotword", tmp_path, name="hot")
    path = tmp_path / "hot_weights.h"
    text = path.read_text()
    start = text.index("{", text.index("step_00_weights"))
    changed = re.sub(r"-?\d+", lambda m: str(-int(m[0]) or 1), text[start : start + 400])
    path.write_text(text[:start] + changed + text[start + 400 :])
    code, words = outcome(build(tmp_path, "hot"))
    assert code == 1
    assert words.endswith("FAIL hot\n")
    assert re.search(r"example \d+, output 0: element \d+ is wrong\n", words)


def test_same_input_same_bytes(tmp_path: Path) -> None:
    first = emit("zoo:hotword", tmp_path / "a", name="hot")
    second = emit("zoo:hotword", tmp_path / "b" / "c", name="hot")
    assert first.files == second.files
    for path, content in first.files.items():
        assert (tmp_path / "a" / path).read_bytes() == content
        assert str(tmp_path).encode() not in content


def test_manifest_tells_layers_and_hashes(tmp_path: Path) -> None:
    import hashlib

    emission = emit("zoo:hotword", tmp_path)
    manifest = json.loads((tmp_path / "hotword.json").read_text())
    assert manifest == emission.manifest
    assert manifest["rounding"] == "tflite"
    assert manifest["macs"] == sum(layer["macs"] for layer in manifest["layers"])
    assert manifest["constant_bytes"] == sum(x["constant_bytes"] for x in manifest["layers"])
    for path, digest in manifest["files"].items():
        assert hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() == digest
    text = (tmp_path / "hotword.c").read_text()
    for layer in manifest["layers"]:
        assert f"void {layer['function']}(" in text
        for tensor in (*layer["inputs"], *layer["outputs"]):
            offset = tensor["arena_offset_bytes"]
            assert offset is None or f"arena + {offset};" in text
    prediction = manifest["prediction"]
    assert prediction["flash_bytes"] == prediction["constant_bytes"] + prediction["code_bytes"]


def test_several_models_in_one_firmware(tmp_path: Path) -> None:
    for name, model in (("one", "zoo:hotword"), ("two", "zoo:digits"), ("three", "zoo:hotword")):
        emit(model, tmp_path / name, name=name, weights="source" if name == "three" else "header")
    (tmp_path / "main.c").write_text(
        '#include "one/one.h"\n#include "two/two.h"\n#include "three/three.h"\n'
        "int main(void)\n{\n"
        "    return one_selftest(0) + two_selftest(0) + three_selftest(0);\n}\n"
    )
    sources = [str(path) for path in tmp_path.rglob("*.c")]
    program = str(tmp_path / "all")
    subprocess.run(["gcc", *WARNINGS, "-o", program, *sources], check=True)
    assert subprocess.run([program]).returncode == 0


def test_steps_and_hooks(tmp_path: Path) -> None:
    """Stepping gives what invoke gives; hooks see every step in order."""
    steps = emit("zoo:hotword", tmp_path, name="hot").manifest["layers"]
    (tmp_path / "hooks.h").write_text(
        "extern int hook_sum;\n#define HOT_STEP_BEGIN(i) (hook_sum += 1000 + (i))\n"
        "#define HOT_STEP_END(i) (hook_sum -= (i))\n"
    )
    (tmp_path / "main.c").write_text(
        '#include "hot.h"\n#include <string.h>\nint hook_sum;\n'
        "int main(void)\n{\n    static int8_t x[HOT_INPUT_SIZE], a[HOT_OUTPUT_SIZE];\n"
        "    static int8_t b[HOT_OUTPUT_SIZE];\n    hot_init();\n    hot_invoke(x, a);\n"
        "    hot_set(x);\n    for (int i = 0; i < HOT_STEPS; i++) {\n        hot_step(i);\n    }\n"
        "    hot_get(b);\n    if (hook_sum != 2000 * HOT_STEPS) {\n        return 1;\n    }\n"
        "    return memcmp(a, b, sizeof a) == 0 ? 0 : 2;\n}\n"
    )
    program = str(tmp_path / "program")
    flags = [*WARNINGS, '-DHOT_CONFIG="hooks.h"', f"-I{tmp_path}", "-o", program]
    subprocess.run(["gcc", *flags, str(tmp_path / "hot.c"), str(tmp_path / "main.c")], check=True)
    assert subprocess.run([program]).returncode == 0
    assert f"#define HOT_STEPS {len(steps)}\n" in (tmp_path / "hot.h").read_text()


def test_contexts_are_independent(tmp_path: Path) -> None:
    """With the caller's arena, two inferences may be in progress at the same time."""
    emit("zoo:hotword", tmp_path, name="hot", arena="caller")
    (tmp_path / "main.c").write_text(
        '#include "hot.h"\n#include <string.h>\n'
        "int main(void)\n{\n    static hot_context one, two;\n"
        "    static int8_t x[HOT_INPUT_SIZE], y[HOT_INPUT_SIZE];\n"
        "    int8_t a[HOT_OUTPUT_SIZE], b[HOT_OUTPUT_SIZE];\n"
        "    int8_t c[HOT_OUTPUT_SIZE], d[HOT_OUTPUT_SIZE];\n"
        "    for (int i = 0; i < HOT_INPUT_SIZE; i++) {\n"
        "        y[i] = (int8_t)(i * 7 % 255 - 128);\n"
        "    }\n    hot_init(&one);\n    hot_init(&two);\n    hot_invoke(&one, x, a);\n"
        "    hot_invoke(&one, y, b);\n    hot_set(&one, x);\n    hot_set(&two, y);\n"
        "    for (int i = 0; i < HOT_STEPS; i++) {\n        hot_step(&one, i);\n"
        "        hot_step(&two, i);\n    }\n    hot_get(&one, c);\n    hot_get(&two, d);\n"
        "    return memcmp(a, c, sizeof a) != 0 || memcmp(b, d, sizeof b) != 0\n"
        "        || memcmp(a, b, sizeof a) == 0;\n}\n"
    )
    program = str(tmp_path / "program")
    sources = [str(tmp_path / "hot.c"), str(tmp_path / "main.c")]
    subprocess.run(["gcc", *WARNINGS, "-o", program, *sources], check=True)
    assert subprocess.run([program]).returncode == 0


def test_float_interface_quantises_as_the_operator_does(tmp_path: Path) -> None:
    """Floats anywhere, infinities and what is no number included."""
    quant = QuantParams.per_tensor(0.37, 5)
    builder = GraphBuilder("g")
    builder.input("x", TensorType((1, 4096), DType.INT8, quant))
    builder.tensor("y", TensorType((4096,), DType.INT8, quant))
    builder.node("reshape", ["x"], ["y"], ReshapeAttributes((4096,)))
    builder.output("y")
    emit(builder.build(), tmp_path, name="g", io="float")
    library = tmp_path / "g.so"
    command = ["gcc", *WARNINGS, "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    command += ["-static-libubsan", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "g.c")]
    subprocess.run(command, check=True)
    generator = np.random.default_rng(0)
    x = (generator.normal(0, 1, 4096) * 10.0 ** generator.integers(-6, 38, 4096)).astype(np.float32)
    half = np.arange(-140, 140) + np.float32(0.5)
    x[:280] = half * np.float32(0.37)
    x[280:283] = [np.inf, -np.inf, np.nan]
    y = np.empty(4096, np.float32)
    assert ctypes.CDLL(str(library)).g_invoke(_pointer(x), _pointer(y)) == 0
    ratio = np.where(np.isnan(x), 0, np.clip(x / np.float32(0.37), -1e4, 1e4)).astype(np.float32)
    rounded = np.copysign(np.floor(np.abs(ratio) + np.float32(0.5)), ratio)
    stored = np.clip(rounded + 5, -128, 127)
    np.testing.assert_array_equal(y, np.float32(0.37) * (stored - 5).astype(np.float32))


def _pointer(array: Array) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def test_weights_go_where_the_user_says(tmp_path: Path) -> None:
    emit("zoo:hotword", tmp_path, name="hot", weights="source")
    for file in ("hot.c", "hot_weights.c"):
        command = ["gcc", "-c", '-DHOT_WEIGHTS_SECTION=".ext_flash"', "-o", f"{file}.o", file]
        subprocess.run(command, check=True, cwd=tmp_path)
    text = subprocess.run(
        ["objdump", "-h", "hot_weights.c.o"], cwd=tmp_path, capture_output=True, text=True
    ).stdout
    sizes = {row.split()[1]: int(row.split()[2], 16) for row in text.splitlines() if " ." in row}
    manifest = json.loads((tmp_path / "hot.json").read_text())
    assert sizes[".ext_flash"] >= manifest["constant_bytes"]
    assert sizes.get(".rodata", 0) == 0


def test_two_inputs_and_outputs_in_order(tmp_path: Path) -> None:
    quant = QuantParams.per_tensor(1 / 256, -128)
    builder = GraphBuilder("pair")
    for name in ("second", "first"):
        builder.input(name, TensorType((1, 8), DType.INT8, QuantParams.per_tensor(0.1)))
        builder.tensor(f"{name}_out", TensorType((1, 8), DType.INT8, quant))
        builder.node("softmax", [name], [f"{name}_out"], SoftmaxAttributes(1.0))
    builder.output("first_out", "second_out")
    graph = builder.build()
    emit(graph, tmp_path, name="pair")
    library = tmp_path / "pair.so"
    command = ["gcc", *WARNINGS, "-shared", "-fPIC", "-o", str(library), str(tmp_path / "pair.c")]
    subprocess.run(command, check=True)
    values = np.random.default_rng(1).integers(-128, 128, (2, 1, 8)).astype(np.int8)
    found = np.empty((2, 1, 8), np.int8)
    invoke = ctypes.CDLL(str(library)).pair_invoke
    assert invoke(*map(_pointer, (*values, *found))) == 0
    expected = run(graph, {"second": values[0], "first": values[1]})
    np.testing.assert_array_equal(found[0], expected["first_out"])
    np.testing.assert_array_equal(found[1], expected["second_out"])


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
def test_kernels_for_a_core_run_on_the_host_too(tmp_path: Path, target: str) -> None:
    emit("zoo:hotword", tmp_path, name="hot", target=target)
    assert outcome(build(tmp_path, "hot")) == (0, "PASS hot\n")


def test_rounding_is_told(tmp_path: Path) -> None:
    emit("zoo:hotword", tmp_path, name="hot", rounding="tflm")
    assert "TensorFlow Lite Micro" in (tmp_path / "hot.c").read_text()
    assert outcome(build(tmp_path, "hot")) == (0, "PASS hot\n")


def test_options_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    for wrong in (
        {"target": "z80"},
        {"optimise": "none"},
        {"arena": "heap"},
        {"io": "double"},
        {"rounding": "up"},
        {"weights": "eeprom"},
        {"name": "int"},
        {"name": "string"},
        {"name": "../x"},
        {"precision": "int4"},
        {"data": "x.npy"},
    ):
        model = "zoo:digits_cnn" if "precision" in wrong else "zoo:digits"
        with pytest.raises(UsageError):
            emit(model, tmp_path / "out", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_types_without_a_place_in_c_are_refused(tmp_path: Path) -> None:
    builder = GraphBuilder("g")
    builder.input("x", TensorType((1, 4), DType.FLOAT64))
    builder.tensor("y", TensorType((4,), DType.FLOAT64))
    builder.node("reshape", ["x"], ["y"], ReshapeAttributes((4,)))
    builder.output("y")
    with pytest.raises(UnsupportedModelError, match="float64 has no type in C"):
        emit(builder.build(), tmp_path, precision="float32")


def test_everything_that_cannot_be_emitted_is_listed(tmp_path: Path) -> None:
    builder = GraphBuilder("g")
    type = TensorType((1, 4), DType.FLOAT64)
    builder.input("x", type)
    builder.tensor("a", type)
    builder.tensor("b", type)
    builder.node("softmax", ["x"], ["a"], SoftmaxAttributes(1.0), name="first")
    builder.node("softmax", ["a"], ["b"], SoftmaxAttributes(1.0), name="second")
    builder.output("b")
    with pytest.raises(UnsupportedModelError, match=r"first.*second") as caught:
        emit(builder.build(), tmp_path, precision="float32")
    assert caught.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("model", ["kws", "vww", "ic", "ad"])
@pytest.mark.parametrize("io", IO)
def test_real_models(models: Path, tmp_path: Path, model: str, io: str) -> None:
    emit(models / f"{model}_int8.tflite", tmp_path, name=model, io=io)
    assert outcome(build(tmp_path, model)) == (0, f"PASS {model}\n")


def test_constant_channels_are_left_out_exactly(models: Path, tmp_path: Path) -> None:
    model = models / "vww_int8.tflite"
    emission = emit(model, tmp_path / "less", name="vww")
    whole = emit(model, tmp_path / "whole", name="vww", remove_constant_channels=False)
    assert emission.manifest["macs"] < 0.6 * whole.manifest["macs"]
    assert any("MACs remain" in note for note in emission.notes)
    assert not any("MACs remain" in note for note in whole.notes)
    for folder in ("less", "whole"):
        assert outcome(build(tmp_path / folder, "vww")) == (0, "PASS vww\n")
    recorded = [
        re.findall(
            r"output_of_\d+\[\d+\] = \{[^}]*\}", (tmp_path / f / "vww_selftest.c").read_text()
        )
        for f in ("less", "whole")
    ]
    assert recorded[0] == recorded[1] and recorded[0]


def test_float_models_become_16_bits_too(tmp_path: Path) -> None:
    """LiteRT is the witness of the arithmetic, the self-test of what is built."""
    emission = emit("zoo:digits_cnn", tmp_path, name="wide", precision="int16x8")
    assert "int wide_invoke(const int16_t *input, int16_t *output);" in (
        tmp_path / "wide.h"
    ).read_text(encoding="utf-8")
    assert outcome(build(tmp_path, "wide")) == (0, "PASS wide\n")
    graph = emission.program.graph
    inputs = random_inputs(emission.program, 5)
    expected = invoke(interpreter(graph), [inputs[name] for name in graph.inputs])
    folder = tmp_path / "host"
    folder.mkdir()
    found = HostModel(emission.program, folder, EmitOptions(name="wide")).run(inputs)
    for name, values in zip(graph.outputs, expected, strict=True):
        np.testing.assert_array_equal(found[name], values)


def test_lowered_graphs_are_taken(tmp_path: Path) -> None:
    emission = emit(lower(load("zoo:hotword")), None, name="hot")
    assert emission.folder is None
    assert not list(tmp_path.iterdir())
