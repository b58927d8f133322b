"""Quantised graphs: equal in LiteRT, close to the floats they were made of, scales as specified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from budget.api.data import load_samples
from budget.api.emit import emit
from budget.api.models import load, lower
from budget.errors import UnsupportedModelError, UsageError
from budget.graph import Array, DType, Graph, GraphBuilder, TensorType, verify
from budget.ops import registry
from budget.ops.convolution import ConvolutionAttributes
from budget.ops.interpreter import run
from budget.ops.operator import NoAttributes
from budget.shrinking.quantize import quantize_int8, random_samples, require_samples
from budget.shrinking.ranges import Range, calibrate
from budget.writers.tflite import write_tflite


def stored(graph: Graph, sample: dict[str, Array]) -> dict[str, Array]:
    found = {}
    for name, value in sample.items():
        quant = graph.type_of(name).quant
        assert quant is not None
        steps = np.rint(value / quant.scale[0]) + quant.zero_point[0]
        found[name] = np.clip(steps, -128, 127).astype(np.int8)
    return found


def litert(graph: Graph, values: dict[str, Array]) -> list[Array]:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    made = interpreter.Interpreter(
        model_content=write_tflite(graph),
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF,
    )
    made.allocate_tensors()
    for name, detail in zip(graph.inputs, made.get_input_details(), strict=True):
        made.set_tensor(detail["index"], values[name].reshape(detail["shape"]))
    made.invoke()
    return [made.get_tensor(detail["index"]) for detail in made.get_output_details()]


@pytest.mark.parametrize(
    "model",
    [
        "zoo:ds_cnn",
        "zoo:resnet8",
        "zoo:autoencoder",
        "zoo:digits_cnn",
        "zoo:hotword_fc",
        "zoo:mobilenet_v2?alpha=0.35&resolution=64&classes=4",
    ],
)
def test_equals_litert_and_stays_close(model: str) -> None:
    graph = lower(load(model))
    samples = random_samples(graph, 4, seed=3)
    quantized = quantize_int8(graph, samples)
    verify(quantized)
    assert all(not tensor.type.dtype.is_float for tensor in quantized.tensors.values())
    for sample in samples:
        values = stored(quantized, sample)
        ours = run(quantized, values)
        reals = run(graph, sample)
        for name, theirs in zip(quantized.outputs, litert(quantized, values), strict=True):
            np.testing.assert_array_equal(ours[name], theirs.reshape(ours[name].shape))
            quant = quantized.type_of(name).quant
            assert quant is not None
            found = (ours[name].astype(float) - quant.zero_point[0]) * quant.scale[0]
            spread = max(float(np.ptp(reals[name])), float(quant.scale[0]))
            # deep networks with random weights lose more than trained ones do
            assert np.abs(found - reals[name]).max() < (0.5 if "v2" in model else 0.15) * spread


def test_scales_follow_the_specification() -> None:
    graph = quantize_int8(*_with_samples(lower(load("zoo:ds_cnn"))))
    for node in graph.nodes:
        x, y = graph.type_of(node.inputs[0]), graph.type_of(node.outputs[0])
        assert x.quant is not None and y.quant is not None
        if node.op in {"conv_2d", "depthwise_conv_2d", "fully_connected"}:
            w, b = graph.type_of(node.inputs[1]), graph.type_of(node.inputs[2])
            assert w.quant is not None and b.quant is not None
            assert w.dtype is DType.INT8 and b.dtype is DType.INT32
            assert (w.quant.zero_point == 0).all() and (b.quant.zero_point == 0).all()
            np.testing.assert_array_equal(b.quant.scale, x.quant.scale * w.quant.scale)
            data = graph.constant(node.inputs[1])
            assert data is not None and data.min() >= -127
            channels = {"conv_2d": w.shape[0], "depthwise_conv_2d": w.shape[-1]}
            assert len(w.quant.scale) == channels.get(node.op, 1)
        elif node.op in {"average_pool_2d", "reshape"}:
            assert x.quant == y.quant
        elif node.op == "softmax":
            assert (float(y.quant.scale[0]), int(y.quant.zero_point[0])) == (1 / 256, -128)


def _with_samples(graph: Graph) -> tuple[Graph, list[dict[str, Array]]]:
    return graph, random_samples(graph, 2)


def _joined(*ops: str) -> Graph:
    """One operator for each branch of a concatenation."""

    builder = GraphBuilder("joined")
    type = TensorType((1, 3, 3, 2), DType.FLOAT32)
    builder.input("x", type)
    for index, op in enumerate(ops):
        builder.tensor(f"y{index}", type)
        builder.node(op, ["x"], [f"y{index}"], NoAttributes())
    builder.tensor("out", type.with_shape((1, 3, 3, 2 * len(ops))))
    names = [f"y{index}" for index in range(len(ops))]
    builder.node("concat", names, ["out"], registry.get("concat").Attributes(3))
    builder.output("out")
    return builder.build()


@pytest.mark.parametrize(
    ("ops", "count"),
    [(("logistic", "tanh"), 1), (("relu", "tanh"), 1), (("relu", "relu6"), 0)],
)
def test_branches_with_other_fixed_scales_are_rescaled(ops: tuple[str, ...], count: int) -> None:
    graph = _joined(*ops)
    samples = random_samples(graph, 3)
    quantized = quantize_int8(graph, samples)
    verify(quantized)
    assert sum(node.op == "requantize" for node in quantized.nodes) == count
    values = stored(quantized, samples[0])
    ours = run(quantized, values)["out"]
    np.testing.assert_array_equal(ours, litert(quantized, values)[0])
    quant = quantized.type_of("out").quant
    assert quant is not None
    real = (ours.astype(float) - quant.zero_point[0]) * quant.scale[0]
    assert np.abs(real - run(graph, samples[0])["out"]).max() < 0.05


def _convolution(bias: float, weight: float = 1.0) -> Graph:
    builder = GraphBuilder("conv")
    builder.input("x", TensorType((1, 2, 2, 1), DType.FLOAT32))
    builder.constant("w", np.full((1, 1, 1, 1), weight, np.float32))
    builder.constant("b", np.full(1, bias, np.float32))
    builder.tensor("y", TensorType((1, 2, 2, 1), DType.FLOAT32))
    attributes = ConvolutionAttributes()
    builder.node("conv_2d", ["x", "w", "b"], ["y"], attributes)
    builder.output("y")
    return builder.build()


@pytest.mark.parametrize(("bias", "weight"), [(1e9, 1e-6), (5.0, 0.0), (0.0, 0.0), (-1e30, 1.0)])
def test_bias_never_overflows(bias: float, weight: float) -> None:
    """A scale of weights that would make the bias too large for 32 bits is widened."""
    graph = _convolution(bias, weight)
    samples = random_samples(graph, 2)
    quantized = quantize_int8(graph, samples)
    values = stored(quantized, samples[0])
    ours = run(quantized, values)["y"]
    np.testing.assert_array_equal(ours, litert(quantized, values)[0])
    quant = quantized.type_of("y").quant
    assert quant is not None
    real = (ours.astype(float) - quant.zero_point[0]) * quant.scale[0]
    assert np.allclose(real, bias, rtol=0.01, atol=0.05)


def test_zero_is_exact_and_ranges_are_covered() -> None:
    for low, high in ((-1.0, 3.0), (0.0, 6.0), (-5.0, 0.0), (0.0, 0.0), (-1e-42, 1e-42)):
        quant = Range(low, high).quant()
        scale, zero = float(quant.scale[0]), int(quant.zero_point[0])
        assert -128 <= zero <= 127 and scale > 0
        assert (-128 - zero) * scale <= low + scale / 2
        assert (127 - zero) * scale >= high - scale / 2


def test_operators_without_int8_are_all_named() -> None:
    builder = GraphBuilder("g")
    type = TensorType((1, 4), DType.FLOAT32)
    builder.input("x", type)
    for name, op, source in (("a", "sqrt", "x"), ("b", "square", "a")):
        builder.tensor(name, type)
        builder.node(op, [source], [name], registry.get(op).Attributes())
    builder.output("b")
    with pytest.raises(UnsupportedModelError, match="sqrt, square"):
        quantize_int8(builder.build(), [{"x": np.ones((1, 4), np.float32)}])


def test_other_floats_are_refused() -> None:
    builder = GraphBuilder("g")
    builder.input("x", TensorType((1, 4), DType.FLOAT16))
    builder.tensor("y", TensorType((1, 4), DType.FLOAT16))
    builder.node("relu", ["x"], ["y"], NoAttributes())
    builder.output("y")
    with pytest.raises(UnsupportedModelError, match="float16"):
        quantize_int8(builder.build(), [])


def test_samples_that_make_no_sense_are_refused() -> None:
    graph = _convolution(0.0)
    with pytest.raises(UsageError, match="no representative data"):
        calibrate(graph, [])
    with pytest.raises(UsageError, match="not finite"):
        calibrate(graph, [{"x": np.full((1, 2, 2, 1), np.inf, np.float32)}])
    with pytest.raises(UsageError, match="nothing for input 'x'"):
        require_samples(graph, [{}])
    with pytest.raises(UsageError, match=r"\[3\] for input 'x'"):
        require_samples(graph, [{"x": np.zeros(3, np.float32)}])


def test_computed_weights_with_a_constant_bias_are_refused() -> None:
    builder = GraphBuilder("g")
    builder.input("x", TensorType((1, 2, 2, 1), DType.FLOAT32))
    builder.input("w", TensorType((1, 1, 1, 1), DType.FLOAT32))
    builder.constant("b", np.ones(1, np.float32))
    builder.tensor("y", TensorType((1, 2, 2, 1), DType.FLOAT32))
    attributes = ConvolutionAttributes()
    builder.node("conv_2d", ["x", "w", "b"], ["y"], attributes, name="c")
    builder.output("y")
    graph = builder.build()
    with pytest.raises(UnsupportedModelError, match="'c': its weights are computed"):
        quantize_int8(graph, random_samples(graph, 1))


def test_data_files(tmp_path: Path) -> None:
    graph = lower(load("zoo:digits_cnn"))
    (name,) = graph.inputs
    shape = graph.type_of(name).shape
    examples = np.random.default_rng(0).random((5, *shape[1:])).astype(np.float64)
    np.save(tmp_path / "a.npy", examples)
    np.savez(tmp_path / "b.npz", **{name: examples[:, None]})
    (tmp_path / "folder").mkdir()
    for index, example in enumerate(examples):
        np.save(tmp_path / "folder" / f"{index}.npy", example)
    for path in ("a.npy", "b.npz", "folder"):
        samples = load_samples(tmp_path / path, graph)
        assert len(samples) == 5
        for sample, example in zip(samples, examples):
            np.testing.assert_array_equal(sample[name][0], example.astype(np.float32))
    emission = emit("zoo:digits_cnn", None, data=tmp_path / "a.npy")
    assert emission.warnings == ()
    assert emit("zoo:digits_cnn", None).warnings != ()
    given = [dict(sample) for sample in load_samples(tmp_path / "a.npy", graph)]
    assert emit("zoo:digits_cnn", None, data=given).files == emission.files


def test_data_files_that_do_not_suit(tmp_path: Path) -> None:
    graph = lower(load("zoo:digits_cnn"))
    (name,) = graph.inputs
    shape = graph.type_of(name).shape
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npy").write_text("not an array")
    np.save(tmp_path / "shape.npy", np.zeros((2, 3)))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    np.save(tmp_path / "none.npy", np.zeros((0, *shape[1:])))
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    for path, words in (
        ("missing.npy", "cannot be read"),
        ("text.npy", "cannot be read"),
        ("empty", r"no \.npy or \.npz"),
        ("shape.npy", "has shape"),
        ("words.npy", "not numbers"),
        ("none.npy", "no examples"),
        ("two.npz", "has arrays a, b for the inputs"),
    ):
        with pytest.raises(UsageError, match=words):
            load_samples(tmp_path / path, graph)
    builder = GraphBuilder("pair")
    for tensor in ("a", "b"):
        builder.input(tensor, TensorType((1, 2), DType.FLOAT32))
    np.savez(tmp_path / "uneven.npz", a=np.zeros((2, 2)), b=np.zeros((3, 2)))
    with pytest.raises(UsageError, match="different numbers of examples"):
        load_samples(tmp_path / "uneven.npz", builder.build())


def test_what_feeds_a_network_settles_the_scale_it_reads() -> None:
    from budget import zoo
    from budget.graph import QuantParams
    from budget.shrinking.quantize import with_input_quant

    graph = lower(zoo.load("digits_cnn"))
    x = graph.inputs[0]
    samples = [{x: np.random.default_rng(i).normal(0, 1, (1, 8, 8, 1)).astype(np.float32)}
               for i in range(4)]  # fmt: skip
    given = QuantParams.per_tensor(1 / 32, 5)
    assert quantize_int8(graph, samples).type_of(x).quant != given
    assert quantize_int8(with_input_quant(graph, given), samples).type_of(x).quant == given
