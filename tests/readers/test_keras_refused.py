"""Keras configurations that are refused: unknown, odd, wrong or made to harm."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("h5py")

from keras_by_hand import (
    calls,
    dense,
    functional,
    layer,
    refuse,
    sequential,
    source,
    tensor,
    write_h5,
    write_json,
    write_keras,
)

from budget.errors import BudgetError, CorruptModelError, ModelError, UnsupportedModelError
from budget.readers.keras import read_keras


def test_everything_unknown_is_listed_at_once(tmp_path: Path) -> None:
    config = sequential(
        source([3]),
        layer("Lambda", "code", function={"class_name": "__lambda__", "config": {"code": "4wAA"}}),
        {**layer("Swish2", "mine"), "module": "evil", "registered_name": "evil>Swish2"},
        layer("Conv3D", "volume"),
        dense("odd", activation="os.system"),
        dense("later", future_option=3),
        dense("narrow", dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_x"}}),
        layer("TimeDistributed", "steps", layer=layer("Lambda", "inner_code")),
        layer("Bidirectional", "both", layer=dense("d")),
        layer("TFOpLambda", "op", function="math.add"),
    )
    text = refuse(
        write_json(tmp_path / "m.json", config),
        "9 layers cannot be read",
        "'code' (Lambda: it holds code, which is never run)",
        "evil>Swish2",
        "'volume' (Conv3D: unknown layer)",
        "activation 'os.system' is unknown",
        "future_option",
        "int8_x",
        "'steps'",
        "'both'",
        "'op' (TFOpLambda",
        "model.export",
        kind=UnsupportedModelError,
    )
    assert "'dense'" not in text


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_code_in_a_file_leaves_no_trace(suffix: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'w').write('x')"
    lambda_layer = layer(
        "Lambda", "l", function={"class_name": "__lambda__", "config": {"code": code}}
    )
    hook = {"module": "builtins", "class_name": "function", "config": "exec"}
    foreign = {**dense("d"), "module": "os", "class_name": "system", "config": {"command": code}}
    for bad in (lambda_layer, foreign, dense("d", kernel_initializer=hook, activation=hook)):
        config = sequential(source([3]), bad)
        path = tmp_path / f"m.{suffix}"
        write_h5(path, config) if suffix == "h5" else write_keras(path, config)
        refuse(path, kind=UnsupportedModelError)
        assert sorted(p.name for p in tmp_path.iterdir()) == [f"m.{suffix}"]


def test_members_outside_the_known_ones_are_never_unpacked(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "m.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../escaped", "x")
        archive.writestr("/tmp/escaped_from_budget", "x")
        archive.writestr("assets/x.py", "raise SystemExit")
    read_keras(path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]
    assert not (tmp_path.parent / "escaped").exists()


SUBCLASSED: dict[str, Any] = {
    "registered": {"class_name": "Net", "config": {}, "registered_name": "Custom>Net"},
    "functional": {"class_name": "Functional", "config": {"name": "f"}},
    "foreign": {"class_name": "Functional", "config": {}, "registered_name": "pkg>Functional"},
}


@pytest.mark.parametrize("name", SUBCLASSED)
def test_subclassed_models_are_sent_to_saved_model(name: str, tmp_path: Path) -> None:
    path = write_json(tmp_path / "m.json", SUBCLASSED[name])
    refuse(path, "model.export", kind=UnsupportedModelError)


def f(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A functional model from x of [1][3] to the last layer."""
    start = {**source([3]), "inbound_nodes": []}
    inputs, outputs = (
        more.get("inputs", [["x", 0, 0]]),
        more.get("outputs", [[layers[-1]["name"], 0, 0]]),
    )
    return functional([start, *layers], inputs, outputs)


def window(**config: Any) -> dict[str, Any]:
    return layer("Conv2D", "c", filters=2, kernel_size=3, **config)


D = dense
X = tensor("x")
CORRUPT: dict[str, tuple[Any, str]] = {
    "scalar": (sequential(layer("InputLayer", "x", batch_shape=[2]), D()), "no feature dimension"),
    "wrapped rank": (
        sequential(source([4, 3]), layer("TimeDistributed", "t", layer=window())),
        "does not take an input",
    ),
    "keys and values": (
        f(
            calls(layer("RepeatVector", "a", n=2), X),
            calls(layer("RepeatVector", "b", n=3), X),
            calls(
                layer("MultiHeadAttention", "m", num_heads=1, key_dim=2),
                tensor("a"),
                tensor("a"),
                tensor("b"),
            ),
        ),
        "differ in length",
    ),
    "list": ([], "neither"),
    "no class": ({"config": {}}, "'class_name' is missing"),
    "no config": ({"class_name": "Sequential"}, "not described by an object"),
    "layer is text": (sequential(source([3]), "dense"), "not described by an object"),
    "layer without config": (sequential({"class_name": "Dense"}), "configuration of a Dense"),
    "same names": (sequential(source([3]), D(), D()), "same name"),
    "no inputs": (f(calls(D(), X), inputs=[]), "names no input"),
    "bad output": (f(calls(D(), X), outputs=[["dense", -1, 0]]), "[layer, call, output]"),
    "foreign reference": (f(calls(D(), tensor("y"))), "'y' does not exist"),
    "missing call": (f(calls(D(), X), outputs=[["dense", 3, 0]]), "call 3"),
    "missing output": (f(calls(D(), X), outputs=[["dense", 0, 4]]), "no output 4"),
    "circle": (f(calls(D("a"), tensor("b")), calls(D("b"), tensor("a"))), "in a circle"),
    "nodes no list": (f({**D(), "inbound_nodes": 7}), "not a list"),
    "node no list": (f({**D(), "inbound_nodes": [7]}), "neither list nor object"),
    "item too short": (f({**D(), "inbound_nodes": [[["x", 0]]]}), "a call's input"),
    "args no list": (f({**D(), "inbound_nodes": [{"args": 1}]}), "args and kwargs"),
    "tensor without history": (
        f(calls(D(), {"class_name": "__keras_tensor__", "config": {}})),
        "[layer, call, output]",
    ),
    "units text": (sequential(source([3]), D(units="many")), "units is 'many'"),
    "units zero": (sequential(source([3]), D(units=0)), "whole number from 1"),
    "units huge": (sequential(source([3]), D(units=1 << 40)), "whole number from 1"),
    "flag": (
        sequential(source([3]), layer("Dense", "d", units=1, use_bias="yes")),
        "true or false",
    ),
    "activation": (
        sequential(source([3]), layer("Dense", "d", units=1, activation=3)),
        "activation",
    ),
    "choice": (
        sequential(
            source([9, 9, 3]), layer("Conv2D", "c", filters=1, kernel_size=3, padding="odd")
        ),
        "valid or same or causal",
    ),
    "kernel": (
        sequential(source([9, 9, 3]), layer("Conv2D", "c", filters=1, kernel_size=[3, 3, 3])),
        "2 whole numbers",
    ),
    "rank": (
        sequential(source([3]), layer("Conv2D", "c", filters=1, kernel_size=3)),
        "4 dimensions",
    ),
    "groups": (
        sequential(source([9, 9, 3]), layer("Conv2D", "c", filters=4, kernel_size=3, groups=2)),
        "groups do not divide",
    ),
    "axes": (sequential(source([3]), layer("LayerNormalization", "n", axis=[1, -1])), "each once"),
    "axis": (sequential(source([3]), layer("LayerNormalization", "n", axis=5)), "of rank 2"),
    "axis text": (
        sequential(source([3]), layer("LayerNormalization", "n", axis="x")),
        "dimensions",
    ),
    "reshape": (
        sequential(source([3]), layer("Reshape", "r", target_shape=[2, -1])),
        "do not fill",
    ),
    "permute": (sequential(source([3]), layer("Permute", "p", dims=[2, 1])), "do not permute"),
    "padding": (
        sequential(source([9, 9, 3]), layer("ZeroPadding2D", "p", padding=[1, 2, 3])),
        "2 pairs",
    ),
    "padding pair": (
        sequential(source([9, 9, 3]), layer("ZeroPadding2D", "p", padding=[[1], [2]])),
        "2 pairs",
    ),
    "merge": (
        f(
            calls(D("a", 2), X),
            calls(D("b", 3), X),
            calls(layer("Add", "s"), [tensor("a"), tensor("b")]),
        ),
        "do not agree",
    ),
    "concatenate": (
        f(
            calls(D("a", 2), X),
            calls(D("b", 3), X),
            calls(layer("Concatenate", "s", axis=0), [tensor("a"), tensor("b")]),
        ),
        "do not agree",
    ),
    "dot": (
        f(calls(D("a", 2), X), calls(layer("Dot", "s", axes=1), [tensor("a"), X])),
        "do not agree",
    ),
    "dot axes": (f(calls(layer("Dot", "s", axes=7), [X, X])), "out of range"),
    "operands": (f(calls(layer("Subtract", "s"), [X])), "given 1 inputs"),
    "shared shapes": (
        f(
            {
                **D("b", 4),
                "inbound_nodes": [
                    {"args": [X], "kwargs": {}},
                    {"args": [tensor("b")], "kwargs": {}},
                ],
            },
            outputs=[["b", 1, 0]],
        ),
        "do not fit the same weights",
    ),
    "input shape": (sequential(layer("InputLayer", "x", batch_shape=[1, "a"])), "has shape"),
    "input type": (sequential(source([3], dtype="float7"), D()), "has type"),
    "function operands": (
        f(
            calls({**layer("Add", "s"), "module": "keras.src.ops.numpy"}, X, tensor("d")),
            calls(D("d", 2), X),
            outputs=[["s", 0, 0]],
        ),
        "do not agree",
    ),
    "inner inputs": (
        f(calls({**f(calls(D("i"), X)), "name": "inner"}, [X, X])),
        "takes 1 inputs, not 2",
    ),
    "inner sequential inputs": (
        f(calls({**sequential(D("i")), "name": "inner"}, [X, X])),
        "takes one input",
    ),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_configurations(name: str, tmp_path: Path) -> None:
    config, words = CORRUPT[name]
    refuse(write_json(tmp_path / "m.json", config), words)


def operation(class_name: str, *args: Any, config: Any = None, **kwargs: Any) -> dict[str, Any]:
    entry = {
        "module": "keras.src.ops.numpy",
        "class_name": class_name,
        "config": {"name": "s", **(config or {})},
        "registered_name": class_name,
        "name": "s",
    }
    return f(calls(entry, *args, **kwargs))


BAD_OPERATIONS: dict[str, tuple[Any, str, type[BudgetError]]] = {
    "reshape": (operation("Reshape", X, config={"newshape": [5]}), "fill", CorruptModelError),
    "transpose": (operation("Transpose", X, config={"axes": [0, 0]}), "permute", CorruptModelError),
    "concatenate": (
        operation("Concatenate", [X, 1.0], config={"axis": 1}),
        "do not agree",
        CorruptModelError,
    ),
    "squeeze": (operation("Squeeze", X, config={"axis": 1}), "not all 1", CorruptModelError),
    "matmul": (operation("Matmul", X, X), "cannot be multiplied", CorruptModelError),
    "count": (operation("Add", X), "given 1 operands", UnsupportedModelError),
    "text": (operation("Add", X, "y"), "called with y", UnsupportedModelError),
    "unknown": (operation("Einsum", X, X), "unknown layer", UnsupportedModelError),
    "index far": (operation("GetItem", X, [0, 7]), "7 takes nothing", CorruptModelError),
    "index deep": (operation("GetItem", X, [0, 0, 0]), "takes nothing", CorruptModelError),
    "index by text": (operation("GetItem", X, key="a"), "a takes nothing", CorruptModelError),
    "index empty": (
        operation("GetItem", X, [0, {"class_name": "__slice__", "config": {"start": 5}}]),
        "takes nothing",
        CorruptModelError,
    ),
    "index in steps of text": (
        operation("GetItem", X, [0, {"class_name": "__slice__", "config": {"step": "b"}}]),
        "takes nothing",
        CorruptModelError,
    ),
    "setting": (operation("Relu", X, config={"odd": 1}), "odd", UnsupportedModelError),
}


@pytest.mark.parametrize("name", BAD_OPERATIONS)
def test_odd_functions(name: str, tmp_path: Path) -> None:
    config, words, kind = BAD_OPERATIONS[name]
    refuse(write_json(tmp_path / "m.json", config), words, kind=kind)


def conv(**config: Any) -> dict[str, Any]:
    return layer("Conv2D", "c", filters=2, kernel_size=3, **config)


def attention(**config: Any) -> dict[str, Any]:
    return layer("MultiHeadAttention", "a", num_heads=1, key_dim=2, **config)


def g(*layers: dict[str, Any]) -> dict[str, Any]:
    start = {**source([4, 3]), "inbound_nodes": []}
    return functional([start, *layers], ["x", 0, 0], [layers[-1]["name"], 0, 0])


UNSUPPORTED: dict[str, tuple[Any, str]] = {
    "channels first": (
        sequential(source([3, 9, 9]), conv(data_format="channels_first")),
        "channels_first",
    ),
    "dilated transposed": (
        sequential(
            source([9, 9, 3]),
            layer("Conv2DTranspose", "c", filters=2, kernel_size=3, dilation_rate=2),
        ),
        "dilated",
    ),
    "norm axis": (
        sequential(source([4, 3]), layer("BatchNormalization", "n", axis=1)),
        "instead of the last",
    ),
    "resizing": (
        sequential(source([9, 9, 3]), layer("Resizing", "r", height=2, width=2, antialias=True)),
        "aspect ratio",
    ),
    "mask": (
        sequential(
            source([4], dtype="int32"),
            layer("Embedding", "e", input_dim=3, output_dim=2, mask_zero=True),
            layer("GlobalAveragePooling1D", "p"),
        ),
        "mask of 'e'",
    ),
    "attention rank": (f(calls(attention(), X, X)), "more than one dimension"),
    "attention axes": (g(calls(attention(attention_axes=[2]), X, X)), "chosen dimensions"),
    "causal": (g(calls(attention(), X, X, use_causal_mask=True)), "use_causal_mask"),
    "extra argument": (g(calls(dense(), X, 3)), "called with arguments"),
    "time distributed": (
        sequential(source([3]), layer("TimeDistributed", "t", layer=dense("d"))),
        "TimeDistributed",
    ),
    "inner input": (
        f(calls(layer("InputLayer", "y", batch_shape=[None, 3]), X)),
        "an input layer inside",
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_settings(name: str, tmp_path: Path) -> None:
    config, words = UNSUPPORTED[name]
    refuse(write_json(tmp_path / "m.json", config), words, kind=UnsupportedModelError)


def test_shapes_that_vanish_or_explode(tmp_path: Path) -> None:
    small = sequential(source([2, 2, 3]), conv())
    refuse(write_json(tmp_path / "m.json", small), "would have shape", kind=ModelError)
    rows = [layer("UpSampling2D", f"u{i}", size=[1 << 20, 1 << 20]) for i in range(3)]
    huge = sequential(source([2, 2, 3]), *rows)
    refuse(write_json(tmp_path / "m.json", huge), "would have shape", kind=ModelError)


def test_models_that_call_each_other_exponentially(tmp_path: Path) -> None:
    inner: dict[str, Any] = sequential(layer("ReLU", "r"))
    for depth in range(24):
        part = {**inner, "name": "i", "inbound_nodes": []}
        part = calls(calls(part, tensor("x")), tensor("i", 0))
        start = {**source([3]), "inbound_nodes": []}
        inner = functional([start, part], ["x", 0, 0], ["i", 1, 0])
        inner["config"]["name"] = f"level{depth}"
    start_s = time.process_time()
    refuse(write_json(tmp_path / "m.json", inner), "called so often")
    assert time.process_time() - start_s < 3


def test_deep_nesting(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text('{"a":' * 200_000 + "1" + "}" * 200_000)
    refuse(path, "nested too deeply")
    model: dict[str, Any] = dense()
    for depth in range(40):
        model = sequential(model, name=f"m{depth}")
    refuse(write_json(path, model), "models nested")
    path.write_text('{"class_name": ' + "9" * 10_000 + "}")
    refuse(path, "not JSON")


def test_a_type_that_is_a_list_is_refused(tmp_path: Path) -> None:
    config = sequential(source([3]), dense(dtype=["float32"]))
    refuse(write_json(tmp_path / "m.json", config), "type policy", kind=UnsupportedModelError)
