"""FLOPs equal those of TensorFlow's profiler for the same operator written in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest
from single_operator import build, seeded

from budget.graph import DType
from budget.ops import registry
from budget.ops.operator import Case, Padding

pytestmark = pytest.mark.slow  # starts TensorFlow


class _TensorFlow:
    """TensorFlow, imported when it is first used and not when tests are collected."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", "pytest")):  # asked of every object when tests are collected
            raise AttributeError(name)
        return getattr(pytest.importorskip("tensorflow"), name)


tf: Any = _TensorFlow()


def called(path: str) -> Any:
    """The function of TensorFlow at a dotted path."""
    return attrgetter(path)(tf)


def explicit(padding: Padding) -> list[list[int]]:
    return [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], [0, 0]]


def with_bias(y: Any, rest: list[Any]) -> Any:
    return tf.nn.bias_add(y, rest[0]) if rest and rest[0] is not None else y


def conv_2d(case: Case, x: Any, weights: Any, *bias: Any) -> Any:
    a = case.attributes
    filters = tf.transpose(weights, (1, 2, 3, 0))
    y = tf.nn.conv2d(x, filters, a.stride, explicit(a.padding), dilations=a.dilation)
    return tf.nn.relu(with_bias(y, list(bias)))


def depthwise_conv_2d(case: Case, x: Any, weights: Any, *bias: Any) -> Any:
    a = case.attributes
    channels = x.shape[3]
    filters = tf.reshape(weights, (*weights.shape[1:3], channels, weights.shape[3] // channels))
    y = tf.raw_ops.DepthwiseConv2dNative(
        input=x,
        filter=filters,
        strides=(1, *a.stride, 1),
        padding="EXPLICIT",
        explicit_paddings=[each for pair in explicit(a.padding) for each in pair],
        dilations=(1, *a.dilation, 1),
    )
    return with_bias(y, list(bias))


def transpose_conv_2d(case: Case, x: Any, weights: Any, *bias: Any) -> Any:
    a = case.attributes
    shape = (x.shape[0], *a.output_size, weights.shape[0])
    y = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.constant(shape),
        filter=tf.transpose(weights, (1, 2, 0, 3)),
        out_backprop=x,
        strides=(1, *a.stride, 1),
        padding="VALID",
    )
    y.set_shape(shape)
    return with_bias(y, list(bias))


def fully_connected(case: Case, x: Any, weights: Any, *bias: Any) -> Any:
    rows = tf.reshape(x, (-1, weights.shape[1]))
    return tf.nn.relu(with_bias(tf.matmul(rows, weights, transpose_b=True), list(bias)))


def batch_matmul(case: Case, x: Any, y: Any) -> Any:
    # the profiler looks for an attribute that this operator does not have (transpose_a, where it
    # is adj_x) and so takes the wrong depth of a swapped x; a product with x swapped before is the
    # same and counted right
    if case.attributes.adj_x:
        x = tf.linalg.matrix_transpose(x)
    return tf.raw_ops.BatchMatMulV2(x=x, y=y, adj_y=case.attributes.adj_y)


def pool(path: str) -> Callable[..., Any]:
    def built(case: Case, x: Any) -> Any:
        a = case.attributes
        padding = "VALID" if a.padding == Padding() else "SAME"
        return tf.nn.relu(called(path)(x, a.filter, a.stride, padding))

    return built


def l2_pool_2d(case: Case, x: Any) -> Any:
    return tf.sqrt(pool("nn.avg_pool2d")(case, tf.square(x)))


def batch_norm(case: Case, x: Any, *parameters: Any) -> Any:
    if len(x.shape) != 4 or None in parameters:
        pytest.skip("TensorFlow's operator takes images and all parameters")
    names = ("scale", "offset", "mean", "variance")
    given = dict(zip(names, parameters))
    return tf.raw_ops.FusedBatchNormV3(x=x, is_training=False, **given).y


def layer_norm(case: Case, x: Any, scale: Any, offset: Any) -> Any:
    axes, epsilon = case.attributes.axes, case.attributes.epsilon
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    y = (x - mean) * tf.math.rsqrt(variance + epsilon)
    y = y if scale is None else y * scale
    return y if offset is None else y + offset


def steps_of(case: Case, x: Any) -> list[Any]:
    return tf.unstack(x, axis=0 if case.attributes.time_major else 1)


def state(rows: Any, like: Any) -> Any:
    return tf.compat.v1.placeholder(tf.float32, (like.shape[0], rows.shape[1]))


def simple_rnn(case: Case, x: Any, weights: Any, again: Any, bias: Any, h: Any) -> Any:
    for step in steps_of(case, x):
        h = state(again, step) if h is None else h
        sums = with_bias(tf.matmul(step, weights, transpose_b=True), [bias])
        h = tf.tanh(sums + tf.matmul(h, again, transpose_b=True))
    return h


def lstm(case: Case, x: Any, weights: Any, again: Any, bias: Any, h: Any, c: Any) -> Any:
    clip = case.attributes.cell_clip
    for step in steps_of(case, x):
        h, c = (state(again, step) if each is None else each for each in (h, c))
        sums = with_bias(tf.matmul(step, weights, transpose_b=True), [bias])
        i, f, g, o = tf.split(sums + tf.matmul(h, again, transpose_b=True), 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        c = tf.maximum(tf.minimum(c, clip), -clip) if clip else c
        h = tf.sigmoid(o) * tf.tanh(c)
    return h


def gru(case: Case, x: Any, weights: Any, again: Any, bias: Any, bias_again: Any, h: Any) -> Any:
    units = again.shape[1]
    for step in steps_of(case, x):
        h = state(again, step) if h is None else h
        sums = with_bias(tf.matmul(step, weights, transpose_b=True), [bias])
        both = tf.matmul(h, again[: 2 * units], transpose_b=True)
        both = with_bias(both, [None if bias_again is None else bias_again[: 2 * units]])
        z, r = tf.split(tf.sigmoid(sums[:, : 2 * units] + both), 2, axis=1)
        own = None if bias_again is None else bias_again[2 * units :]
        if case.attributes.reset_after:
            last = r * with_bias(tf.matmul(h, again[2 * units :], transpose_b=True), [own])
        else:
            last = with_bias(tf.matmul(r * h, again[2 * units :], transpose_b=True), [own])
        candidate = tf.tanh(sums[:, 2 * units :] + last)
        h = z * h + (1 - z) * candidate
    return h


def svdf(case: Case, x: Any, features: Any, times: Any, bias: Any, memory: Any = None) -> Any:
    filters, steps = times.shape
    batch = x.shape[0]
    entered = tf.reshape(tf.matmul(x, features, transpose_b=True), (batch, filters, 1, 1))
    if memory is None:
        memory = tf.compat.v1.placeholder(tf.float32, (batch, filters * steps))
    past = tf.reshape(memory, (batch, filters, 1, steps))[..., 1:]
    window = tf.concat([past, entered], axis=3)
    # a product of one row and one column for each filter
    columns = tf.tile(tf.reshape(times, (1, filters, steps, 1)), (batch, 1, 1, 1))
    sums = tf.reshape(
        tf.raw_ops.BatchMatMulV2(x=window, y=columns), (batch, -1, case.attributes.rank)
    )
    return with_bias(tf.reduce_sum(sums, axis=2), [bias])


def arg(path: str) -> Callable[..., Any]:
    return lambda case, x: called(path)(x, case.attributes.axis)


def reduction(path: str) -> Callable[..., Any]:
    return lambda case, x: called(path)(x, case.attributes.axes)


def plain(path: str) -> Callable[..., Any]:
    return lambda case, *x: called(path)(*x)


# fmt: off
WRITTEN: dict[str, Callable[..., Any]] = {
    "conv_2d": conv_2d, "depthwise_conv_2d": depthwise_conv_2d,
    "transpose_conv_2d": transpose_conv_2d, "fully_connected": fully_connected,
    "batch_matmul": batch_matmul, "average_pool_2d": pool("nn.avg_pool2d"),
    "max_pool_2d": pool("nn.max_pool2d"), "l2_pool_2d": l2_pool_2d, "batch_norm": batch_norm,
    "layer_norm": layer_norm, "l2_norm": lambda case, x: tf.nn.l2_normalize(x, -1),
    "arg_max": arg("argmax"), "arg_min": arg("argmin"),
    "mean": reduction("reduce_mean"), "sum": reduction("reduce_sum"),
    "reduce_max": reduction("reduce_max"), "reduce_min": reduction("reduce_min"),
    "add": plain("add"), "sub": plain("subtract"), "mul": plain("multiply"),
    "div": plain("divide"), "maximum": plain("maximum"), "minimum": plain("minimum"),
    "pow": plain("pow"), "squared_difference": plain("math.squared_difference"),
    "greater": plain("greater"), "less_equal": plain("less_equal"),
    "equal": lambda case, a, b: tf.raw_ops.Equal(x=a, y=b),
    "exp": plain("exp"), "log": plain("math.log"), "sqrt": plain("sqrt"),
    "rsqrt": plain("math.rsqrt"), "square": plain("square"), "abs": plain("abs"),
    "neg": plain("negative"), "floor": plain("floor"), "relu": plain("nn.relu"),
    "relu6": plain("nn.relu6"), "logistic": plain("sigmoid"), "tanh": plain("tanh"),
    "elu": plain("nn.elu"), "softmax": plain("nn.softmax"),
    "log_softmax": plain("nn.log_softmax"),
    "simple_rnn": simple_rnn, "lstm": lstm, "gru": gru, "svdf": svdf,
}
# fmt: on


def _cases() -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}-{case.label}")
        for name in WRITTEN
        for case in registry.get(name).cases()
        if DType.FLOAT32 in case.dtypes
    ]


def profiled(function: Callable[..., Any], case: Case, types: Any) -> int:
    """FLOPs that TensorFlow's registered rules give a graph."""
    from tensorflow.python.framework import ops

    with tf.Graph().as_default() as graph:
        function(
            case,
            *(
                None if type is None else tf.compat.v1.placeholder(type.dtype.value, type.shape)
                for type in types
            ),
        )
        counts = [
            ops.get_stats_for_node_def(graph, operation.node_def, "flops").value
            for operation in graph.get_operations()
        ]
    return int(sum(count or 0 for count in counts))


@pytest.mark.parametrize(("name", "case"), _cases())
def test_flops_are_the_profilers(name: str, case: Case) -> None:
    operator = registry.get(name)
    made = build(operator, case, DType.FLOAT32, seeded("flops", name, case.label))
    cost = operator.cost(case.attributes, made.types, made.outputs)
    assert cost.flops == profiled(WRITTEN[name], case, made.types)
