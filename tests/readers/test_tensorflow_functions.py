from __future__ import annotations

import numpy as np
import pytest

from budget.errors import CorruptModelError, ModelError, UnsupportedModelError
from budget.formats.protobuf import Message
from budget.formats.tensorflow_schema import FUNCTION_DEF, GRAPH_DEF, NODE_DEF, SCHEMAS, DataType
from budget.formats.tensorflow_values import Shape, TensorValue, encode_attribute
from budget.readers.graphdef import FlatNode, read_graphdef
from budget.readers.tensorflow_functions import FunctionLibrary, inline_calls
from budget.transforms.lower import lower


def function(name: str, arguments: list[str], body: list[tuple[str, str, list[str]]], ret: str):
    nodes = [NODE_DEF.new(name=n, op=op, input=inputs).encode() for n, op, inputs in body]
    signature = SCHEMAS["OpDef"].new(
        name=name,
        input_arg=[SCHEMAS["ArgDef"].new(name=argument) for argument in arguments],
        output_arg=[SCHEMAS["ArgDef"].new(name="out")],
    )
    entry = SCHEMAS["StringEntry"].new(key="out", value=ret).encode()
    return FUNCTION_DEF.new(signature=signature, node_def=nodes, ret=[entry]).encode()


def inline(*functions: bytes, inputs: tuple[str, ...] = ("x",)) -> list[FlatNode]:
    library: Message = SCHEMAS["FunctionDefLibrary"].new(function=list(functions))
    nodes = [FlatNode("x", "Placeholder", []), FlatNode("y", "f", list(inputs))]
    return inline_calls(nodes, FunctionLibrary(library, "m"), ["y"])


def test_a_call_becomes_the_body() -> None:
    nodes = {n.name: n for n in inline(function("f", ["a"], [("n", "Neg", ["a"])], "n:y:0"))}
    assert nodes["y"].op == "IdentityN" and nodes["y"].inputs == ["y/n"]
    assert nodes["y/n"].inputs == ["x"]


def test_calls_that_make_no_sense() -> None:
    with pytest.raises(CorruptModelError, match="without end"):
        inline(function("f", ["a"], [("n", "f", ["a"])], "n:out:0"))
    with pytest.raises(CorruptModelError, match="takes 1 arguments, not 2"):
        inline(function("f", ["a"], [], "a"), inputs=("x", "x"))
    with pytest.raises(CorruptModelError, match="'gone' does not exist"):
        inline(function("f", ["a"], [("n", "Neg", ["gone"])], "n:y:0"))
    with pytest.raises(UnsupportedModelError, match="output 'other' of TopKV2"):
        inline(function("f", ["a"], [("n", "TopKV2", ["a", "a"])], "n:other:0"))


def test_operands_that_do_not_go_together_name_the_node() -> None:
    values = TensorValue(DataType.FLOAT, np.ones((3, 3), np.float32))
    attributes = [
        ("x", "Placeholder", [], {"dtype": DataType.FLOAT, "shape": Shape((1, 4))}),
        ("w", "Const", [], {"dtype": DataType.FLOAT, "value": values}),
        ("y", "MatMul", ["x", "w"], {"T": DataType.FLOAT}),
    ]
    nodes = [
        NODE_DEF.new(
            name=name, op=op, input=inputs,
            attr={key: encode_attribute(value) for key, value in given.items()},
        ).encode()
        for name, op, inputs, given in attributes
    ]  # fmt: skip
    with pytest.raises(ModelError, match="'y'"):
        lower(read_graphdef(GRAPH_DEF.new(node=nodes).encode(), "m"))
