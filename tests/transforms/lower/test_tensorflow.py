from __future__ import annotations

import numpy as np
import pytest
import tensorflow_models as models

from budget.errors import ModelError, UnsupportedModelError
from budget.graph import Graph, verify
from budget.ops.interpreter import run
from budget.ops.registry import get
from budget.readers.graphdef import read_graphdef
from budget.transforms.lower import lower


def output_of(graph: Graph, x: np.ndarray) -> np.ndarray:
    return np.asarray(run(graph, {graph.inputs[0]: x})[graph.outputs[0]])


def macs_of(graph: Graph) -> int:
    total = 0
    for node in graph.nodes:
        inputs = [graph.type_of(name) if name else None for name in node.inputs]
        outputs = [graph.type_of(name) for name in node.outputs]
        total += get(node.op).cost(node.attributes, inputs, outputs).macs
    return total


@pytest.mark.parametrize("name", models.MODELS)
def test_a_lowered_model_computes_what_tensorflow_computes(name: str) -> None:
    graph_def, x, expected = models.frozen(name)
    graph = verify(read_graphdef(graph_def, name))
    for as_is in (True, False):
        lowered = verify(lower(graph, as_is=as_is))
        np.testing.assert_allclose(output_of(lowered, x), expected, rtol=1e-5, atol=1e-5)


def test_batch_norms_biases_and_activations_are_fused_as_deployed() -> None:
    graph_def, _, _ = models.frozen("convolutions")
    graph = read_graphdef(graph_def, "m")
    ops = [node.op for node in lower(graph).nodes]
    assert ops == ["conv_2d", "depthwise_conv_2d", "conv_2d", "mean", "fully_connected", "softmax"]
    as_is = [node.op for node in lower(graph, as_is=True).nodes]
    assert as_is.count("add") > 3 and "relu6" in as_is
    assert macs_of(lower(graph)) == macs_of(lower(graph, as_is=True))


def test_dilated_and_one_dimensional_convolutions_fuse_completely() -> None:
    graph = lower(read_graphdef(models.frozen("dilated")[0], "m"))
    assert [node.attributes.dilation for node in graph.nodes] == [(2, 2), (2, 2), (3, 3)]
    graph = lower(read_graphdef(models.frozen("one_dimensional")[0], "m"))
    assert "add" not in {node.op for node in graph.nodes}
    assert [n.op for n in graph.nodes].count("reshape") == 2


def test_gelu_and_hard_swish_are_recognised() -> None:
    graph = lower(read_graphdef(models.frozen("activations")[0], "m"))
    gelus = [node.attributes.approximate for node in graph.nodes if node.op == "gelu"]
    assert gelus == [False, True, False]
    assert "hard_swish" in {node.op for node in graph.nodes}


def _nchw(tf, x):
    rng = np.random.default_rng(0)
    ramp = tf.constant([1.0, 2, 3, 4])
    return (
        tf.constant(rng.normal(size=(3, 3, 3, 4)).astype("f")),
        tf.transpose(x, [0, 3, 1, 2]),
        ramp,
    )


def test_nchw_lowers_to_nhwc_without_transpositions() -> None:
    tf = models.tensorflow()

    def build(x):
        filters, x, ramp = _nchw(tf, x)
        x = tf.nn.conv2d(x, filters, 2, "SAME", data_format="NCHW")
        x = tf.nn.bias_add(x, ramp, data_format="NCHW")
        x, _, _ = tf.compat.v1.nn.fused_batch_norm(
            x, ramp, ramp, ramp, ramp, is_training=False, data_format="NCHW"
        )
        x = tf.nn.relu(x) + tf.reshape(ramp, (1, 4, 1, 1))
        x = tf.pad(tf.concat([x, x], 1), [[0, 0], [0, 0], [1, 2], [0, 1]])
        x = tf.nn.max_pool2d(x, 2, 2, "VALID", data_format="NCHW")
        return tf.reduce_mean(x, [2, 3])

    graph_def = models.freeze(build, (1, 9, 11, 3))
    lowered = lower(read_graphdef(graph_def, "m"))
    ops = [node.op for node in lowered.nodes]
    assert ops == ["conv_2d", "add", "concat", "pad", "max_pool_2d", "mean"]

    # TensorFlow has no NCHW on a CPU; the same in NHWC is the witness
    def nhwc(x):
        filters, _, ramp = _nchw(tf, x)
        x = tf.nn.bias_add(tf.nn.conv2d(x, filters, 2, "SAME"), ramp)
        x, _, _ = tf.compat.v1.nn.fused_batch_norm(x, ramp, ramp, ramp, ramp, is_training=False)
        x = tf.nn.relu(x) + ramp
        x = tf.pad(tf.concat([x, x], 3), [[0, 0], [1, 2], [0, 1], [0, 0]])
        return tf.reduce_mean(tf.nn.max_pool2d(x, 2, 2, "VALID"), [1, 2])

    x = np.random.default_rng(1).normal(size=(1, 9, 11, 3)).astype(np.float32)
    np.testing.assert_allclose(output_of(lowered, x), nhwc(x).numpy(), rtol=1e-5, atol=1e-5)


OPERATORS = {
    "stack": lambda tf, x: tf.stack([x, x * 2], axis=-1),
    "unstack": lambda tf, x: tf.add_n(tf.unstack(x, axis=1)),
    "split": lambda tf, x: tf.concat(tf.split(x, 2, axis=3)[::-1], 3),
    "split_v": lambda tf, x: tf.split(x, [1, -1, 1], axis=3)[1],
    "slice": lambda tf, x: tf.slice(x, [0, 1, 0, 2], [-1, 2, 3, -1]),
    "strided": lambda tf, x: x[:, 1, ..., tf.newaxis, ::-2],
    "tile": lambda tf, x: tf.tile(x, [1, 2, 1, 3]),
    "mirror": lambda tf, x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], "REFLECT"),
    "symmetric": lambda tf, x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], "SYMMETRIC"),
    "pad_v2": lambda tf, x: tf.pad(x, [[0, 0], [1, 0], [0, 1], [0, 0]], constant_values=3.0),
    "gather": lambda tf, x: tf.gather(x, [[2, 0], [1, 1]], axis=1),
    "squeeze": lambda tf, x: tf.squeeze(x[:, :, :1], [2]),
    "arg_max": lambda tf, x: tf.cast(tf.argmax(x, -1), tf.float32),
    "arg_min": lambda tf, x: tf.cast(tf.argmin(x, 1), tf.float32),
    "sum": lambda tf, x: tf.reduce_sum(x, [1, -1], keepdims=True),
    "max": lambda tf, x: tf.reduce_max(x, 2) - tf.reduce_min(x, 2),
    "nearest": lambda tf, x: tf.compat.v1.image.resize_nearest_neighbor(x, (7, 9)),
    "bilinear": lambda tf, x: tf.compat.v1.image.resize_bilinear(x, (7, 9), align_corners=True),
    "clip": lambda tf, x: tf.clip_by_value(x, -0.5, 0.5),
    "clip_to_six": lambda tf, x: tf.minimum(tf.maximum(x * 9, 0.0), 6.0),
    "clip_to_one": lambda tf, x: tf.maximum(tf.minimum(x, 1.0), -1.0),
    "reciprocal": lambda tf, x: tf.math.reciprocal(x) + tf.math.divide_no_nan(x, 3.0),
    "batch_matmul": lambda tf, x: tf.matmul(x, x, transpose_b=True),
    "matmul_swapped": lambda tf, x: tf.matmul(tf.reshape(x, (12, 4)), tf.ones((12, 2)), True),
    "einsum": lambda tf, x: tf.einsum("nhwc,cwk->nkh", x, tf.ones((4, 4, 3)) * 0.3),
    "einsum_two": lambda tf, x: tf.einsum("nhwc,nhvc->nwhv", x, x * 0.5),
    "shape": lambda tf, x: tf.reshape(x, [tf.shape(x)[0], tf.reduce_prod(tf.shape(x)[1:])]),
    "select": lambda tf, x: tf.where(x > 0.2, x, tf.zeros_like(x)),
    "elementwise": lambda tf, x: tf.sqrt(tf.abs(x)) + tf.exp(-x) * tf.floor(x) - tf.square(x),
    "conv_transposed": lambda tf, x: tf.nn.conv2d_transpose(
        x, tf.ones((3, 2, 5, 4)) * 0.1, (1, 6, 8, 5), 2
    ),
    "explicit": lambda tf, x: tf.nn.conv2d(
        x, tf.ones((2, 2, 4, 3)), 1, [[0, 0], [1, 0], [2, 1], [0, 0]]
    ),
    "softmax": lambda tf, x: tf.nn.softmax(x) + tf.nn.log_softmax(x),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_lowers_to_the_same_numbers(name: str) -> None:
    tf = models.tensorflow()
    graph_def = models.freeze(lambda x: OPERATORS[name](tf, x), (1, 3, 4, 4))
    x = np.random.default_rng(5).normal(size=(1, 3, 4, 4)).astype(np.float32)
    expected = OPERATORS[name](tf, tf.constant(x)).numpy()
    for as_is in (True, False):
        lowered = verify(lower(read_graphdef(graph_def, name), as_is=as_is))
        got = output_of(lowered, x)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_all_unsupported_operators_are_listed_at_once() -> None:
    tf = models.tensorflow()
    graph_def = models.freeze(
        lambda x: tf.math.lgamma(tf.raw_ops.Betainc(a=x, b=x, x=x)) + tf.math.igamma(x, x), (2, 2)
    )
    with pytest.raises(UnsupportedModelError) as caught:
        lower(read_graphdef(graph_def, "m.pb"))
    text = str(caught.value)
    assert "tf.Lgamma" in text and "tf.Betainc" in text and "tf.Igamma" in text
    assert "--outputs" in caught.value.hint


def test_function_calls_in_a_graphdef_are_inlined() -> None:
    tf = models.tensorflow()

    @tf.function(autograph=False)
    def inner(x, y):
        a, b = tf.split(x, 2, axis=-1)
        return b * y, a

    def outer(x):
        first, second = inner(x, 3.0)
        return tf.concat([first, second], -1)

    concrete = tf.function(outer).get_concrete_function(tf.TensorSpec((2, 4)))
    graph = read_graphdef(concrete.graph.as_graph_def().SerializeToString(), "m")
    assert any(node.op.endswith("PartitionedCall") for node in graph.nodes)
    lowered = lower(graph)
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_allclose(output_of(lowered, x), outer(tf.constant(x)).numpy())


def test_a_constant_condition_chooses_its_branch() -> None:
    tf = models.tensorflow()
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, (2,), name="x")
        off, on = tf.raw_ops.Switch(data=x, pred=tf.constant(True))
        tf.raw_ops.Merge(inputs=[off * 2.0, on * 5.0], name="result")
    read = read_graphdef(graph.as_graph_def().SerializeToString(), "m", outputs=["result"])
    np.testing.assert_allclose(output_of(lower(read), np.ones(2, np.float32)), [5, 5])


def test_training_mode_is_refused() -> None:
    tf = models.tensorflow()
    graph_def = models.freeze(
        lambda x: tf.compat.v1.nn.fused_batch_norm(x, [1.0] * 4, [1.0] * 4)[0], (1, 3, 3, 4)
    )
    with pytest.raises(ModelError, match="training mode"):
        lower(read_graphdef(graph_def, "m"))
