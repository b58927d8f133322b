"""Whole graphs in numpy: against LiteRT on real models, and what can go wrong."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from single_operator import seeded

from budget.errors import ModelError, UsageError
from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops import interpreter
from budget.ops.elementwise import AddAttributes
from budget.ops.interpreter import run
from budget.ops.joining import SplitAttributes
from budget.ops.quantization import ConversionAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.shaping import ReshapeAttributes

FLOAT = TensorType((1, 4), DType.FLOAT32)
STORED = TensorType((1, 4), DType.INT8, QuantParams.per_tensor(0.5, 3))
X = np.array([[-2.0, 0.0, 1.5, 4.0]], np.float32)


def chain(*ops: str) -> Graph:
    """x → each operator in turn → y."""
    builder = GraphBuilder("chain")
    name = builder.input("x", FLOAT)
    for index, op in enumerate(ops):
        following = builder.tensor(f"t{index}", FLOAT)
        builder.node(op, [name], [following], name=f"{op}_{index}")
        name = following
    builder.output(name)
    return builder.build()


def mixed() -> Graph:
    """A float input, integer arithmetic inside, plain integers beside, a float output."""
    builder = GraphBuilder("mixed")
    x = builder.input("x", FLOAT)
    counts = builder.input("counts", TensorType((1, 4), DType.INT32))
    stored = builder.tensor("stored", STORED)
    builder.node("quantize", [x], [stored], ConversionAttributes(DType.INT8))
    twice = builder.tensor("twice", TensorType((1, 4), DType.INT8, QuantParams.per_tensor(1.0, 3)))
    builder.node("add", [stored, stored], [twice], AddAttributes())
    real = builder.tensor("real", FLOAT)
    builder.node("dequantize", [twice], [real])
    total = builder.tensor("total", TensorType((1,), DType.INT32))
    builder.node("sum", [counts], [total], ReduceAttributes((1,)))
    builder.output(real, total)
    return builder.build()


def test_integers_and_reals_in_one_graph() -> None:
    counts = np.array([[1, 2, 3, 4]], np.int32)
    results = run(mixed(), {"x": X, "counts": counts})
    np.testing.assert_array_equal(results["real"], 2 * X)
    np.testing.assert_array_equal(results["total"], [10])
    assert results["total"].dtype == np.int32
    assert list(results) == ["real", "total"]


def test_keeps_every_computed_tensor_when_asked() -> None:
    results = run(chain("neg", "exp", "relu"), {"x": X}, keep="all")
    assert list(results) == ["t0", "t1", "t2"]
    np.testing.assert_array_equal(results["t0"], -X)


def test_frees_what_nobody_reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    original = interpreter.run_node

    def watched(graph, node, values, rounding):
        alive.append(len(values))
        return original(graph, node, values, rounding)

    monkeypatch.setattr(interpreter, "run_node", watched)
    run(chain(*["abs"] * 20), {"x": X})
    assert max(alive) == 1


def test_time_grows_in_proportion_to_nodes() -> None:
    def seconds(count: int) -> float:
        graph = chain(*["abs"] * count)
        started = time.perf_counter()
        run(graph, {"x": X})
        return time.perf_counter() - started

    seconds(200)
    assert min(seconds(4000) for _ in range(3)) < 30 * min(seconds(400) for _ in range(3))


@given(st.lists(st.sampled_from(["neg", "abs", "square", "floor", "relu", "relu6"]), max_size=8))
@settings(max_examples=30, deadline=None)
def test_a_chain_is_the_functions_one_after_the_other(ops: list[str]) -> None:
    functions = {
        "neg": np.negative,
        "abs": np.abs,
        "square": np.square,
        "floor": np.floor,
        "relu": lambda v: np.where(v > 0, v, 0),
        "relu6": lambda v: np.minimum(np.where(v > 0, v, 0), 6),
    }
    expected = X
    for op in ops:
        expected = functions[op](expected).astype(np.float32)
    graph = chain(*ops)
    np.testing.assert_array_equal(run(graph, {"x": X})[graph.outputs[0]], expected)


def test_several_outputs_and_an_input_that_is_an_output() -> None:
    builder = GraphBuilder("parts")
    x = builder.input("x", FLOAT)
    half = TensorType((1, 2), DType.FLOAT32)
    parts = [builder.tensor(name, half) for name in ("left", "right")]
    builder.node("split", [x], parts, SplitAttributes(1, (2, 2)))
    builder.constant("fixed", np.ones(3, np.float32))
    builder.output("right", "x", "fixed")
    results = run(builder.build(), {"x": X})
    np.testing.assert_array_equal(results["right"], X[:, 2:])
    np.testing.assert_array_equal(results["x"], X)
    np.testing.assert_array_equal(results["fixed"], np.ones(3))


def counter() -> Graph:
    builder = GraphBuilder("counter")
    x = builder.input("x", FLOAT)
    state = builder.tensor("state", FLOAT, is_variable=True)
    builder.node("add", [x, state], [state], AddAttributes(), name="step")
    builder.output(state)
    return builder.build()


def test_state_starts_at_zero_and_can_be_carried_on() -> None:
    first = run(counter(), {"x": X})
    np.testing.assert_array_equal(first["state"], X)
    second = run(counter(), {"x": X, "state": first["state"]})
    np.testing.assert_array_equal(second["state"], 2 * X)


def test_state_that_is_quantised_starts_at_real_zero() -> None:
    builder = GraphBuilder("state")
    state = builder.tensor("state", STORED, is_variable=True)
    copied = builder.tensor("copied", STORED.with_shape((4,)))
    builder.node("reshape", [state], [copied], ReshapeAttributes((4,)))
    builder.output(copied)
    np.testing.assert_array_equal(run(builder.build(), {})["copied"], [3, 3, 3, 3])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"^chain: no value for input: 'x'$"),
        ({"x": X, "y": X}, r"^chain: no such input: 'y'$"),
        ({"x": X[0]}, r"input 'x' is float32\[4\], not float32\[1, 4\]"),
        ({"x": X.astype(np.int8)}, r"input 'x' is int8\[1, 4\], not float32\[1, 4\]"),
    ],
)
def test_inputs_must_fit(given: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(chain("relu"), given)


def test_the_hint_lists_the_inputs() -> None:
    with pytest.raises(UsageError) as caught:
        run(chain("relu"), {})
    assert caught.value.hint == "inputs are: 'x'"


def test_an_error_names_the_node() -> None:
    builder = GraphBuilder("broken")
    x = builder.input("x", TensorType((4,), DType.INT32))
    zero = builder.constant("zero", np.zeros(4, np.int32))
    builder.node("div", [x, zero], [builder.tensor("y", TensorType((4,), DType.INT32))],
                 interpreter.get("div").Attributes(), name="quotient")  # fmt: skip
    builder.output("y")
    with pytest.raises(ModelError, match="divided by zero") as caught:
        run(builder.build(), {"x": np.ones(4, np.int32)})
    assert caught.value.where == "broken: node 'quotient' (div)"


def test_an_operator_without_integer_arithmetic_is_refused() -> None:
    builder = GraphBuilder("broken")
    x = builder.input("x", STORED)
    builder.node("pow", [x, x], [builder.tensor("y", STORED)], name="power")
    builder.output("y")
    with pytest.raises(ModelError, match="no integer arithmetic for int8 here") as caught:
        run(builder.build(), {"x": np.zeros((1, 4), np.int8)})
    assert caught.value.where == "broken: node 'power' (pow)"


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ModelError, match="operator 'fft' is not one") as caught:
        run(chain("fft"), {"x": X})
    assert caught.value.where == "chain: node 'fft_0' (fft)"


def test_a_result_must_have_the_declared_type() -> None:
    builder = GraphBuilder("broken")
    x = builder.input("x", FLOAT)
    builder.node("abs", [x], [builder.tensor("y", TensorType((4,), DType.FLOAT32))], name="size")
    builder.output("y")
    with pytest.raises(ModelError, match=r"float32\[1, 4\] for 'y', .* float32\[4\]"):
        run(builder.build(), {"x": X})


@pytest.mark.parametrize("name", ["ad_int8", "ic_int8", "kws_int8", "vww_int8"])
def test_real_models_equal_litert_in_every_tensor(models: Path, name: str) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    from budget.readers.tflite import read_tflite
    from budget.transforms.lower import lower

    path = models / f"{name}.tflite"
    graph = lower(read_tflite(path.read_bytes(), path.name))
    made = litert.Interpreter(
        str(path),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    made.allocate_tensors()
    indices = {detail["name"]: detail["index"] for detail in made.get_tensor_details()}
    given = made.get_input_details()[0]
    for seed in range(3):
        random = seeded(name, seed)
        x = random.integers(-128, 128, given["shape"]).astype(given["dtype"])
        made.set_tensor(given["index"], x)
        made.invoke()
        results = run(graph, {graph.inputs[0]: x}, keep="all")
        compared = 0
        for tensor, result in results.items():
            if tensor in indices:
                expected = made.get_tensor(indices[tensor])
                np.testing.assert_array_equal(result.ravel(), expected.ravel())
                compared += 1
        assert compared >= len(results) // 2
        assert graph.outputs[0] in indices
