"""Names made to break C, or the file system, break nothing."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from host import WARNINGS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from budget.api.emit import emit
from budget.codegen.names import comment, identifier, layer_label, require_prefix, string
from budget.errors import UsageError
from budget.graph import DType, Graph, GraphBuilder, ModelSource, QuantParams, TensorType
from budget.ops.softmax import SoftmaxAttributes

NASTY = [
    "",
    "*/ #error */",
    "/*",
    "//",
    "\\",
    "name\\",
    '"; int x = 1; //',
    "line\nbreak\r\n#error here",
    "??/",
    "?????/",
    "??)??=error",
    "/???/**/",
    "int",
    "while",
    "string",
    "con",
    "9lives",
    "_Bool",
    "größe Übung 模型 🧠",
    "\x00\x1b[31m\u2028\u202e",
    "%s%n%d {} {0} $NAME `id`",
    "../../etc/passwd",
    "a" * 10_000,
    "*/" * 5_000,
    "\ud800",
]
TEXT = st.one_of(st.sampled_from(NASTY), st.text(max_size=40), st.text('*/\\?"\n #a', max_size=30))


def graph_of(model: str, tensor: str, layer: str) -> Graph:
    builder = GraphBuilder(model)
    quant = QuantParams.per_tensor(1 / 256, -128)
    builder.input(tensor, TensorType((1, 4), DType.INT8, QuantParams.per_tensor(0.1)))
    out = builder.unique_name(tensor)
    builder.tensor(out, TensorType((1, 4), DType.INT8, quant))
    builder.node("softmax", [tensor], [out], SoftmaxAttributes(1.0), name="n", origin=(layer,))
    builder.output(out)
    return builder.build(ModelSource(name=model, notes=()))


@given(model=TEXT, tensor=TEXT.filter(bool), layer=TEXT)
@example(model="*/", tensor="??/", layer="a" * 10_000)
@example(model="x\\", tensor="\\", layer="y\\\n#error")
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_names_are_harmless(tmp_path: Path, model: str, tensor: str, layer: str) -> None:
    name = identifier(Path(model.replace("\x00", "")).stem)
    files = emit(graph_of(model, tensor, layer), None, name=name, io="float").files
    for path, content in files.items():
        assert re.fullmatch(r"[A-Za-z0-9_./]+", path)
        assert all(" " <= c <= "~" or c in "\n\t" for c in content.decode("ascii")), path
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    main = f"-D{name.upper()}_SELFTEST_MAIN"
    names = f"-D{name.upper()}_STEP_NAMES"
    sources = [str(tmp_path / f"{name}.c"), str(tmp_path / f"{name}_selftest.c")]
    program = str(tmp_path / "program")
    command = ["gcc", *WARNINGS, "-Wtrigraphs", main, names, "-o", program, *sources]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    passed = subprocess.run([program], capture_output=True, text=True)
    assert (passed.returncode, passed.stdout) == (0, f"PASS {name}\n")
    manifest = json.loads(files[f"{name}.json"])
    assert manifest["inputs"][0]["name"] == tensor
    for path in (tmp_path / f"{name}.c", tmp_path / f"{name}_selftest.c"):
        path.unlink()


@given(st.one_of(TEXT, st.text()))
def test_identifiers_are_valid(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,47}", identifier(text))
    assert require_prefix(identifier(text)) == identifier(text)


@given(st.one_of(TEXT, st.text(), st.text("*/\\?")))
def test_comments_and_strings_stay_inside(text: str) -> None:
    inside = comment(text)
    assert not re.search(r"\*/|/\*|//|\\|\?\?", inside)
    assert len(inside) <= 96
    literal = string(text)
    assert literal[0] == literal[-1] == '"'
    assert re.fullmatch(r'(?:[^"\\?]|\\["\\?])*', literal[1:-1])
    assert all(" " <= c <= "~" for c in inside + literal)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("conv", "conv"),
        ("", ""),
        ("functional_1/re_lu/Relu;functional_1/bn/Fused;functional_1/re_lu/x", "re_lu; bn"),
        ("model/sequential_2/dense/MatMul", "dense"),
        ("model", "model"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall:0"),
        (";/", "; /"),
    ],
)
def test_layers_can_be_recognised(name: str, label: str) -> None:
    assert layer_label(name) == label


@pytest.mark.parametrize(
    "name", ["", "1x", "a-b", "int", "stdint", "CON", "_x", "a" * 49, "naïve", "x/y", "a b"]
)
def test_prefixes_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        require_prefix(name)
    assert caught.value.where == "--name"
    assert require_prefix(caught.value.hint.rpartition(" ")[2])
