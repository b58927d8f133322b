"""Canonical graphs as TensorFlow graphs: every operator's cases, run by TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_models as models
import tool_graphs as graphs

from budget.errors import UnsupportedModelError
from budget.graph import ABSENT, DType, Graph, GraphBuilder, TensorType
from budget.ops import registry
from budget.ops.interpreter import run
from budget.ops.operator import Case
from budget.readers.saved_model import read_saved_model
from budget.transforms.lower import lower
from budget.writers.tensorflow_graph import write_canonical_graphdef, write_saved_model
from budget.writers.tensorflow_operators import RULES


def graph_of(op: str, case: Case) -> tuple[Graph, dict[str, Any]]:
    """A graph of one node, and values for its inputs."""
    rng = np.random.default_rng(0)
    operator = registry.get(op)
    builder = GraphBuilder(op)
    names: list[str] = []
    values: dict[str, Any] = {}
    for index, operand in enumerate(case.operands):
        if operand is None:
            names.append(ABSENT)
            continue
        dtype = operand.dtype or DType.FLOAT32
        if operand.role == "bias":
            dtype = DType.FLOAT32
        data = rng.uniform(0.1, 1.5, operand.shape).astype(dtype.numpy)
        if op not in ("log", "sqrt", "rsqrt", "pow") and dtype is DType.FLOAT32:
            data = data * rng.choice([-1, 1], operand.shape).astype(np.float32)
        if op == "batch_norm" and index == 4:
            data = np.abs(data)
        if dtype is DType.BOOL:
            data = rng.integers(0, 2, operand.shape).astype(bool)
        if operand.values is not None:
            data = np.array(operand.values, dtype.numpy).reshape(operand.shape)
        name = f"operand{index}"
        if operand.is_constant:
            builder.constant(name, data)
        else:
            builder.input(name, TensorType(operand.shape, dtype))
            values[name] = data
        names.append(name)
    types = [None if name == ABSENT else builder.tensors[name].type for name in names]
    outputs = operator.infer(case.attributes, types)
    out = [builder.tensor(f"y{i}", type) for i, type in enumerate(outputs)]
    builder.node(op, names, out, case.attributes)
    builder.output(*out)
    return builder.build(), values


CASES = [
    (op, case)
    for op in registry.names()
    for case in registry.get(op).cases()
    if DType.FLOAT32 in case.dtypes and op in RULES
]


def test_every_float_operator_is_written_and_computes_the_same() -> None:
    """TensorFlow gives for each case what the operator's own meaning gives; refusals are few."""
    refused: dict[str, int] = {}
    checked: set[str] = set()
    for op, case in CASES:
        graph, values = graph_of(op, case)
        try:
            data, inputs, outputs = write_canonical_graphdef(graph)
        except UnsupportedModelError:
            refused[op] = refused.get(op, 0) + 1
            continue
        try:
            feeds = dict(zip(inputs, values.values(), strict=True))
            found = graphs.execute(data, feeds, list(outputs))
        except Exception as error:
            raise AssertionError(f"{op} {case.label}: {error}") from error
        expected = run(graph, values)
        for name, value in zip(graph.outputs, found, strict=True):
            np.testing.assert_allclose(
                value, expected[name], rtol=2e-4, atol=2e-5, err_msg=f"{op} {case.label}"
            )
        checked.add(op)
    assert set(refused) <= {"average_pool_2d", "transpose_conv_2d"}
    without = set(registry.names()) - checked
    assert without <= {
        "quantize", "dequantize", "requantize", "l2_pool_2d", "simple_rnn", "gru", "lstm", "svdf",
        "cast",
    }  # fmt: skip


def test_saved_model_runs_in_tensorflow(tmp_path: Path) -> None:
    """TensorFlow loads what is written and computes the same; so does our own reader."""
    op, case = next(item for item in CASES if item[0] == "conv_2d")
    graph, values = graph_of(op, case)
    data, inputs, outputs = write_canonical_graphdef(graph)
    folder = tmp_path / "model"
    folder.mkdir()
    fed = {"image": (inputs[0], graph.type_of(graph.inputs[0]))}
    wanted = {"scores": (outputs[0], graph.type_of(graph.outputs[0]))}
    (folder / "saved_model.pb").write_bytes(write_saved_model(data, fed, wanted))
    (expected,) = run(graph, values).values()
    (x,) = values.values()

    def load() -> Any:
        tf = models.tensorflow()
        signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
        return np.asarray(signature(image=tf.constant(x))["scores"])

    np.testing.assert_allclose(models.quietly(load), expected, rtol=2e-4, atol=2e-5)
    read = lower(read_saved_model(folder))
    (ours,) = run(read, {read.inputs[0]: x}).values()
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_what_has_no_counterpart_is_listed() -> None:
    """Quantised tensors and operators without a counterpart are refused together, by name."""
    from budget.api.models import load

    with pytest.raises(UnsupportedModelError, match="tensors are quantised") as raised:
        write_canonical_graphdef(lower(load("zoo:hotword")))
    assert "cannot be written as GraphDef" in str(raised.value)
    assert len(str(raised.value)) < 300
