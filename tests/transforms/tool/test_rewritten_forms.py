"""Transforms of forms that few graphs have, each against TensorFlow and a second run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tool_graphs as graphs
from tensorflow_models import quietly, tensorflow

from budget.errors import UsageError
from budget.transforms.tool.nodes import NodeGraph

RNG = np.random.default_rng(9)
X = RNG.normal(size=(1, 12, 12, 3)).astype(np.float32)
Make = Callable[[Any, Any], Any]


def draw(*shape: int) -> Any:
    return (np.abs(RNG.normal(size=shape)) + 0.1).astype(np.float32)


def built(make: Make) -> NodeGraph:
    """The graph of a function from input to output."""

    def add(tf: Any) -> None:
        tf.identity(make(tf, tf.placeholder(tf.float32, X.shape, name="x")), name="y")

    message = graphs.parse(graphs.build(add))
    for node in message.node:
        if node.op == "FusedBatchNorm":
            # removed from graphs of version 9 on, so it cannot be built any more
            node.op, message.versions.producer = "BatchNormWithGlobalNormalization", 8
            x, scale, offset, mean, variance = node.input
            node.input[:] = [x, mean, variance, offset, scale]
            dtype = int(node.attr["T"].type)
            node.attr.clear()
            node.attr["T"].type = dtype
            node.attr["variance_epsilon"].f = 1e-3
            node.attr["scale_after_normalization"].b = node.name.startswith("scaled")
    return graphs.graph_of(message.SerializeToString(), ["x"], ["y"])


def conv(tf: Any, x: Any, out: int = 4, padding: str = "SAME", **more: Any) -> Any:
    return tf.nn.conv2d(x, tf.constant(draw(3, 3, int(x.shape[-1]), out)), 1, padding, **more)


def global_norm(tf: Any, x: Any, scaled: bool = True) -> Any:
    count = int(x.shape[-1])
    return tf.nn.batch_norm_with_global_normalization(
        x, draw(count), draw(count), draw(count), draw(count), 1e-3, scaled
    )


def raw_norm(tf: Any, x: Any, scaled: bool = True) -> Any:
    """A fused batch norm that `built` turns into one of 2016."""
    count = int(x.shape[-1])
    values = [tf.constant(draw(count)) for _ in range(4)]
    names = dict(zip(("scale", "offset", "mean", "variance"), values, strict=True))
    return tensorflow().raw_ops.FusedBatchNorm(
        x=x, **names, is_training=False, name="scaled_norm" if scaled else "norm"
    )[0]


def spread(tf: Any, x: Any, paddings: Any, crops: Any, depthwise: bool = False) -> Any:
    x = tf.space_to_batch_nd(x, [2, 3], paddings)
    if depthwise:
        x = tf.nn.depthwise_conv2d(x, tf.constant(draw(3, 3, 3, 2)), [1, 1, 1, 1], "VALID")
    else:
        x = conv(tf, x, padding="VALID")
    return tf.batch_to_space_nd(x, [2, 3], crops)


SAME = ([[2, 2], [3, 3]], [[0, 0], [0, 0]])
VALID = ([[0, 0], [0, 0]], [[0, 0], [0, 0]])


def resized(tf: Any, x: Any) -> Any:
    return tf.image.resize_bilinear(x, (17, 15), align_corners=True)


def mirrored(tf: Any, x: Any) -> Any:
    return tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "REFLECT")


def called(tf: Any, x: Any) -> Any:
    """A call inside a call, of two results each."""
    whole = tensorflow()

    @whole.function  # type: ignore[untyped-decorator]
    def inner(a: Any, b: Any) -> Any:
        return a * b, a - b

    @whole.function  # type: ignore[untyped-decorator]
    def outer(a: Any) -> Any:
        product, difference = inner(a, a + 1.0)
        return whole.nn.relu(difference), product * draw(3)

    first, second = outer(x)
    return conv(tf, first + second)


def decided(tf: Any, x: Any) -> Any:
    """Branches of functions, decided by constants; an index outside the cases takes the last."""
    whole = tensorflow()
    y = whole.cond(whole.constant(False), lambda: x * 2.0, lambda: whole.nn.relu(x) + 1.0)
    return whole.switch_case(whole.constant(7), [lambda: y, lambda: y - x, lambda: y * x])


def switched(tf: Any, x: Any) -> Any:
    """Branches of single nodes, as TensorFlow 1 wrote them, with a constant that waits for one."""
    raw = tensorflow().raw_ops
    chosen = tf.identity(tf.constant(True))
    off, on = raw.Switch(data=x, pred=chosen)
    pivot_off, pivot_on = raw.Switch(data=chosen, pred=chosen)
    with tf.control_dependencies([tf.identity(pivot_on, name="pivot")]):
        factor = tf.constant(draw(3))
    with tf.control_dependencies([tf.identity(pivot_off)]):
        other = tf.constant(draw(3))
    merged, index = raw.Merge(inputs=[off + other, on * factor])
    return merged + tf.cast(index, tf.float32)


def dropped(tf: Any, x: Any, kind: int) -> Any:
    """Dropout that was left switched on, with a rate of nothing so that outputs agree."""
    if kind == 0:  # TensorFlow 1: the kept are those whose noise and share reach one
        mask = tf.floor(tf.random_uniform(x.shape, seed=1) + tf.constant(1.0))
        return tf.multiply(tf.divide(x, tf.constant(1.0)), mask)
    noise = tf.random_uniform(x.shape, seed=1)
    if kind == 1:
        kept = tf.cast(tf.greater_equal(noise, tf.constant(0.0)), tf.float32)
        return x * tf.constant(1.0) * kept
    return tf.where_v2(tf.greater_equal(noise, tf.constant(0.0)), x * tf.constant(1.0), 0.0)


def swish(tf: Any, x: Any, kind: int) -> Any:
    if kind == 0:
        return x * tf.nn.relu6(x + 3.0) / 6.0
    if kind == 1:
        return tf.minimum(tf.maximum(3.0 + x, 0.0), 6.0) * np.float32(1 / 6) * x
    if kind == 2:
        return x * (tf.minimum(tf.nn.relu(x + 3.0), 6.0) / 6.0)
    if kind == 3:
        return (x * np.float32(1 / 6)) * tf.maximum(tf.minimum(x + 3.0, 6.0), 0.0)
    return x * tf.raw_ops.ClipByValue(t=x + 3.0, clip_value_min=0.0, clip_value_max=6.0) / 6.0


def separable(tf: Any, x: Any, steps: Any = 1) -> Any:
    u, v = draw(5, 3, 2), draw(2, 3, 4)
    weights = np.einsum("hir,rwo->hwio", u, v).astype(np.float32)
    return tf.nn.conv2d(x, tf.constant(weights), steps, "SAME")


def leading(tf: Any, x: Any, padding: str = "VALID") -> Any:
    return conv(tf, raw_norm(tf, x), padding=padding)


def fused(tf: Any, x: Any, version: str) -> Any:
    values = dict(zip(("scale", "offset", "mean", "variance"), [draw(int(x.shape[-1]))
                      for _ in range(4)], strict=True))  # fmt: skip
    return getattr(tensorflow().raw_ops, version)(x=x, **values, is_training=False)[0]


def joined(tf: Any, x: Any, count: int) -> Any:
    parts = [conv(tf, x, 2 + i) + (draw(2 + i) if i % 2 else 0.0) for i in range(count)]
    return tf.concat([conv(tf, x, 3), *parts[1:]], 3)


# transform, graph, an operator that must be gone
CASES: dict[str, tuple[str, Make, str]] = {
    "global norm": ("fold_old_batch_norms", lambda tf, x: raw_norm(tf, conv(tf, x)), "BatchNorm"),
    "global norm without scale": (
        "fold_old_batch_norms", lambda tf, x: raw_norm(tf, conv(tf, x), False), "BatchNorm"),
    "before blocks are put back": (
        "fold_old_batch_norms", lambda tf, x: raw_norm(tf, spread(tf, x, *SAME)), "BatchNorm"),
    "behind a concatenation": (
        "fold_old_batch_norms",
        lambda tf, x: raw_norm(tf, tf.concat([conv(tf, x, 4), conv(tf, x, 5)], 3)), "BatchNorm"),
    "behind an older concatenation": (
        "backport_concatv2 fold_old_batch_norms",
        lambda tf, x: raw_norm(tf, tf.concat([conv(tf, x, 4), conv(tf, x, 5)], 3)), "BatchNorm"),
    "decomposed norm": (
        "fold_constants fold_batch_norms", lambda tf, x: global_norm(tf, conv(tf, x)), "Mul"),
    "two factors": (
        "fold_batch_norms", lambda tf, x: conv(tf, x) * draw(4) * draw(4), "Mul"),
    "one factor for all": (
        "fold_batch_norms", lambda tf, x: (conv(tf, x) + draw(4)) * np.float32(3), "Mul"),
    "product with turned weights": (
        "fold_batch_norms",
        lambda tf, x: tf.matmul(tf.reshape(x, (12, 36)), draw(5, 36), transpose_b=True) * draw(5),
        "Mul"),
    "older concatenation": (
        "backport_concatv2", lambda tf, x: tf.concat([x, x * 2.0], 2), "ConcatV2"),
    "dilated": ("flatten_atrous_conv", lambda tf, x: spread(tf, x, *SAME), "BatchToSpace"),
    "dilated, valid": ("flatten_atrous_conv", lambda tf, x: spread(tf, x, *VALID), "BatchToSpace"),
    "dilated, depthwise": (
        "flatten_atrous_conv", lambda tf, x: spread(tf, x, *SAME, True), "BatchToSpace"),
    "resized": ("fuse_resize_and_conv", lambda tf, x: conv(tf, resized(tf, x)), "ResizeBilinear"),
    "padded": (
        "fuse_pad_and_conv", lambda tf, x: conv(tf, mirrored(tf, x), padding="VALID"), "MirrorPad"),
    "resized and padded": (
        "fuse_resize_pad_and_conv",
        lambda tf, x: conv(tf, mirrored(tf, resized(tf, x)), padding="VALID"), "MirrorPad"),
    "call": ("inline_partitionedcall", called, "PartitionedCall"),
    "decided branches": ("fold_control_flow", decided, "StatelessIf"),
    "decided cases": ("fold_control_flow", decided, "StatelessCase"),
    "switches": ("fold_control_flow", switched, "Switch"),
    "merges": ("fold_control_flow", switched, "Merge"),
    "old dropout": ("remove_training_nodes", lambda tf, x: dropped(tf, x, 0), "Random"),
    "dropout": ("remove_training_nodes", lambda tf, x: dropped(tf, x, 1), "Random"),
    "newer dropout": ("remove_training_nodes", lambda tf, x: dropped(tf, x, 2), "Random"),
    "before a convolution": ("fold_leading_batch_norms", leading, "BatchNorm"),
    "decomposed, before a convolution": (
        "fold_leading_batch_norms",
        lambda tf, x: conv(tf, (x - draw(3)) * draw(3) / draw(3) + draw(1, 3), padding="VALID"),
        "Mul"),
    "before a depthwise convolution": (
        "fold_leading_batch_norms",
        lambda tf, x: tf.nn.depthwise_conv2d(x * draw(3) + draw(3), draw(3, 3, 3, 2), [1] * 4,
                                             "VALID"),
        "Add"),
    "before a matrix product": (
        "fold_leading_batch_norms",
        lambda tf, x: tf.matmul(tf.reshape(x, (12, 36)) * draw(36) + draw(36), draw(5, 36),
                                transpose_b=True), "Mul"),
    "factor before padding": (
        "fold_leading_batch_norms", lambda tf, x: conv(tf, x * draw(3)), "Mul"),
    "version 2": ("fold_old_batch_norms",
                  lambda tf, x: fused(tf, conv(tf, x), "FusedBatchNormV2"), "FusedBatchNorm"),
    "version 3 through a bias": (
        "fold_old_batch_norms",
        lambda tf, x: fused(tf, tf.nn.bias_add(conv(tf, x), draw(4)), "FusedBatchNormV3"),
        "FusedBatchNorm"),
    "behind four convolutions": (
        "fold_old_batch_norms",
        lambda tf, x: raw_norm(tf, tf.concat([conv(tf, x, 2 + i) for i in range(4)], 3)),
        "BatchNorm"),
    "decomposed, behind three with biases": (
        "fold_batch_norms",
        lambda tf, x: (joined(tf, x, 3) - draw(10)) * draw(1, 1, 1, 10) + draw(10), "Sub"),
    "decomposed factor behind three": (
        "fold_batch_norms", lambda tf, x: joined(tf, x, 3) * draw(10), "Mul"),
    "a division": ("fold_batch_norms", lambda tf, x: conv(tf, x) / draw(4), "RealDiv"),
    "norm without a product": (
        "decompose_batch_norms", lambda tf, x: fused(tf, tf.nn.relu(x), "FusedBatchNormV3"),
        "FusedBatchNorm"),
    "old norm without a product": (
        "decompose_batch_norms", lambda tf, x: raw_norm(tf, tf.nn.relu(x)), "BatchNorm"),
    "activation": (
        "fuse_bias_and_activation",
        lambda tf, x: tf.nn.relu6(tf.nn.bias_add(conv(tf, x), draw(4))), "Relu6"),
    "bias": ("fuse_bias_and_activation", lambda tf, x: draw(4) + conv(tf, x), "Add"),
    "depthwise bias and activation": (
        "fuse_bias_and_activation",
        lambda tf, x: tf.nn.relu(tf.nn.bias_add(tf.nn.depthwise_conv2d(
            x, draw(3, 3, 3, 2), [1] * 4, "SAME"), draw(6))), "BiasAdd"),
    "matrix product with bias": (
        "fuse_bias_and_activation",
        lambda tf, x: tf.nn.relu(tf.nn.bias_add(tf.matmul(tf.reshape(x, (12, 36)), draw(36, 4)),
                                                draw(4))), "BiasAdd"),
    "zeros around": (
        "fold_padding",
        lambda tf, x: conv(tf, tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]]), padding="VALID"),
        "Pad"),
    "zeros given": (
        "fold_padding",
        lambda tf, x: conv(tf, tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]], constant_values=0.0),
                           padding="VALID"), "Pad"),
    "hard swish": ("rewrite_hard_swish", lambda tf, x: swish(tf, x, 0), "RealDiv"),
    "hard swish of maximum": ("rewrite_hard_swish", lambda tf, x: swish(tf, x, 1), "Maximum"),
    "hard swish of minimum": ("rewrite_hard_swish", lambda tf, x: swish(tf, x, 2), "Minimum"),
    "hard swish, scaled first": ("rewrite_hard_swish", lambda tf, x: swish(tf, x, 3), "Minimum"),
    "hard swish, clipped": ("rewrite_hard_swish", lambda tf, x: swish(tf, x, 4), "ClipByValue"),
    "reshapes": (
        "merge_reshapes",
        lambda tf, x: tf.reshape(tf.squeeze(tf.expand_dims(tf.reshape(x, (36, 12)), 1)), (48, -1)),
        "Squeeze"),
    "all fusions": (
        "fuse_convolutions", lambda tf, x: conv(tf, mirrored(tf, resized(tf, x))), "MirrorPad"),
}  # fmt: skip


REWRITTEN: dict[str, tuple[str, Make, str]] = {
    "same as a padding": ("split_padding", conv, "Pad"),
    "explicit as a padding": (
        "fold_padding split_padding",
        lambda tf, x: conv(tf, tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]]), padding="VALID"),
        "Pad"),
    "separable": ("split_separable", separable, "Conv2D"),
    "separable with strides": (
        "split_separable", lambda tf, x: separable(tf, x, [1, 2, 1, 1]), "Conv2D"),
}  # fmt: skip


@pytest.mark.parametrize("case", REWRITTEN)
def test_form_is_made(case: str) -> None:
    """Outputs in TensorFlow stay, what was to come is there, and a second run changes nothing."""
    transforms, make, present = REWRITTEN[case]
    graph = built(make)
    after = graphs.apply(graph, transforms)
    assert present in graphs.ops(after), graphs.notes_of(graph, transforms)
    assert after.encode() != graph.encode()
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    (new,) = graphs.execute(after.encode(), {"x": X}, ["y"])
    np.testing.assert_allclose(new, old, rtol=0, atol=2e-6 * np.max(np.abs(old)))
    assert graphs.apply(after, transforms).encode() == after.encode()


@pytest.mark.parametrize("case", CASES)
def test_form_is_rewritten(case: str) -> None:
    """Outputs in TensorFlow stay, what was to go is gone, and a second run changes nothing."""
    transforms, make, gone = CASES[case]
    graph = built(make)
    assert any(op.startswith(gone) for op in graphs.ops(graph))
    after = graphs.apply(graph, transforms)
    assert not any(op.startswith(gone) for op in graphs.ops(after)), graphs.notes_of(
        graph, transforms
    )
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    (new,) = graphs.execute(after.encode(), {"x": X}, ["y"])
    np.testing.assert_allclose(new, old, rtol=0, atol=2e-6 * np.max(np.abs(old)))
    assert graphs.apply(after, transforms).encode() == after.encode()


def shared(tf: Any, x: Any) -> Any:
    y = conv(tf, x)
    return y * draw(4) + y


REFUSALS: dict[str, tuple[str, Make, str]] = {
    "read elsewhere": ("fold_batch_norms", shared, "is read elsewhere too"),
    "by place": (
        "fold_batch_norms", lambda tf, x: conv(tf, x) * draw(1, 12, 12, 4),
        "not one value for each channel"),
    "training": (
        "fold_old_batch_norms",
        lambda tf, x: tensorflow().raw_ops.FusedBatchNormV3(
            x=conv(tf, x), scale=draw(4), offset=draw(4), mean=draw(4), variance=draw(4),
            is_training=True)[0],
        "in training mode"),
    "statistics are read": (
        "fold_old_batch_norms",
        lambda tf, x: tf.add_n(tensorflow().raw_ops.FusedBatchNormV3(
            x=conv(tf, x), scale=draw(4), offset=draw(4), mean=draw(4), variance=draw(4),
            is_training=False)[1:3]),
        "its statistics are read"),
    "other axis": (
        "fold_old_batch_norms",
        lambda tf, x: raw_norm(tf, tf.concat([conv(tf, x), conv(tf, x)], 1)),
        "not one value for each channel"),
    "added by place": (
        "fold_old_batch_norms", lambda tf, x: raw_norm(tf, conv(tf, x) + draw(12, 12, 4)),
        "constant added before it"),
    "neither same nor valid": (
        "flatten_atrous_conv", lambda tf, x: spread(tf, x, [[1, 1], [3, 3]], SAME[1]),
        "neither SAME nor VALID"),
    "half-pixel centres": (
        "fuse_resize_and_conv",
        lambda tf, x: conv(tf, tf.image.resize_bilinear(x, (9, 9), half_pixel_centers=True)),
        "half-pixel"),
    "offset before padding": (
        "fold_leading_batch_norms", lambda tf, x: conv(tf, x + draw(3)), "pads with zeros"),
    "joined along rows": (
        "fold_batch_norms",
        lambda tf, x: tf.concat([conv(tf, x), conv(tf, x)], 1) * draw(4),
        "not joined along their channels"),
    "training mode, decomposed": (
        "decompose_batch_norms",
        lambda tf, x: tensorflow().raw_ops.FusedBatchNormV3(
            x=x, scale=draw(3), offset=draw(3), mean=draw(3), variance=draw(3),
            is_training=True)[0], "in training mode"),
    "padded with something": (
        "fold_padding",
        lambda tf, x: conv(tf, tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1.0),
                           padding="VALID"), "is not zero"),
    "padded twice": (
        "fold_padding", lambda tf, x: conv(tf, tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])),
        "pads on its own"),
    "same with strides": (
        "split_padding",
        lambda tf, x: tf.nn.conv2d(x, tf.constant(draw(3, 3, 3, 4)), 2, "SAME"),
        "depends on the input's size"),
    "no hard swish": (
        "rewrite_hard_swish", lambda tf, x: x * tf.nn.relu6(x + 2.0) / 6.0, "constants"),
    "full rank": ("split_separable", conv, "would multiply no less"),
    "computed condition": (
        "fold_control_flow",
        lambda tf, x: tensorflow().cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x),
        "its condition is computed"),
    "two biases": (
        "fuse_bias_and_activation", lambda tf, x: tf.nn.bias_add(shared(tf, x), draw(4))
        + tf.nn.bias_add(conv(tf, x), draw(4)) * 0.0 + (lambda y: tf.nn.bias_add(y, draw(4)) + y)(
            conv(tf, x)), "read elsewhere"),
    "dilations": (
        "fuse_pad_and_conv", lambda tf, x: conv(tf, mirrored(tf, x), dilations=2), "no dilations"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_tell_why(case: str) -> None:
    """What does not fit stays as it is, with the reason."""
    transforms, make, reason = REFUSALS[case]
    graph = built(make)
    assert reason in " ".join(graphs.notes_of(graph, transforms))
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    (new,) = graphs.execute(graphs.apply(graph, transforms).encode(), {"x": X}, ["y"])
    np.testing.assert_array_equal(new, old)


def test_defaults_are_those_of_tensorflow() -> None:
    """Attributes left out come back as TensorFlow wrote them; the table is TensorFlow's."""
    import json
    import subprocess
    import sys

    import default_attributes

    from budget.transforms.tool.add_default_attributes import DEFAULTS

    graph = built(conv)
    gone = "remove_attribute(attribute_name=dilations) remove_attribute(attribute_name=data_format)"
    short = graphs.apply(graph, gone)
    after = graphs.apply(short, "add_default_attributes")
    assert graphs.parse(short.encode()) != graphs.parse(graph.encode())
    assert graphs.parse(after.encode()) == graphs.parse(graph.encode())
    assert graphs.apply(after, "add_default_attributes").encode() == after.encode()
    # in a process of its own: what other tests load registers more operators
    program = "import json, default_attributes; print(json.dumps(default_attributes.table()))"
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(default_attributes.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(DEFAULTS.read_text()) == json.loads(told.stdout.splitlines()[-1])


def test_tensor_arrays_are_older() -> None:
    """Version 2 computes what version 3 does, without the second output."""
    raw = tensorflow().raw_ops

    def make(tf: Any, x: Any) -> Any:
        handle, flow = raw.TensorArrayV3(size=2, dtype=tf.float32)
        for index in range(2):
            flow = raw.TensorArrayWriteV3(
                handle=handle, index=index, value=x * float(index + 1), flow_in=flow
            )
        return raw.TensorArrayReadV3(handle=handle, index=1, flow_in=flow, dtype=tf.float32)

    graph = built(make)
    after = graphs.apply(graph, "backport_tensor_array_v3")
    assert not any(op.startswith("TensorArray") and op.endswith("V3") for op in graphs.ops(after))
    assert any(name.endswith("/replacement_flow_node") for name in after.nodes)
    assert graphs.apply(after, "backport_tensor_array_v3").encode() == after.encode()
    known = {"TensorArrayV2", "TensorArrayWriteV2", "TensorArrayReadV2"}
    message = graphs.parse(after.encode())
    assert known <= {node.op for node in message.node}
    message.versions.producer = 25  # version 2 went away at 26; older files are still run
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    (new,) = graphs.execute(message.SerializeToString(), {"x": X}, ["y"])
    np.testing.assert_array_equal(old, X * 2)
    np.testing.assert_array_equal(new, old)


FUSED = [name for name, (transforms, _, _) in CASES.items() if transforms.startswith("fuse_")]


@pytest.mark.parametrize("case", FUSED)
def test_fused_operators_are_read_again(case: str) -> None:
    """Our own lowering takes operators that are several in one apart, and computes the same."""
    import budget

    transforms, make, _ = CASES[case]
    graph = built(make)
    after = budget.transform(graph_from(graph), transforms, price=False, tolerance=1e-4)
    assert not after.failure
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    (result,) = budget.run(after.graph, X).results
    (new,) = result.outputs.values()
    np.testing.assert_allclose(new, old, rtol=0, atol=2e-6 * np.max(np.abs(old)))


def graph_from(graph: NodeGraph) -> Any:
    from budget.readers.graphdef import read_graphdef

    return read_graphdef(graph.encode(), "test.pb", ["x"], ["y"])


EIGHT_BITS: dict[str, tuple[Make, float]] = {
    "Conv2D": (lambda tf, x: conv(tf, x), 0.02),
    "Conv2D, two": (lambda tf, x: tf.nn.relu(conv(tf, tf.nn.relu(conv(tf, x)))), 0.03),
    "MatMul": (lambda tf, x: tf.matmul(tf.reshape(x, (12, 36)), draw(36, 5)), 0.02),
    "Mul": (lambda tf, x: x * draw(3), 0.02),
    "Add": (lambda tf, x: tf.raw_ops.AddV2(x=x, y=draw(3)), 0.02),
    "BiasAdd": (lambda tf, x: tf.nn.bias_add(x, draw(3)), 0.02),
    "MaxPool": (lambda tf, x: tf.nn.max_pool2d(x, 2, 2, "SAME"), 0.01),
    "AvgPool": (lambda tf, x: tf.nn.avg_pool2d(x, 2, 2, "VALID"), 0.02),
    "Concat": (lambda tf, x: tensorflow().raw_ops.Concat(concat_dim=3, values=[x, x]), 0.01),
    "Relu6": (lambda tf, x: tf.nn.relu6(x), 0.01),
    "ResizeBilinear": (lambda tf, x: tf.image.resize_bilinear(x, (6, 24)), 0.01),
}


@pytest.mark.parametrize("case", EIGHT_BITS)
@pytest.mark.parametrize("options", ["", "(fallback_min=-30, fallback_max=30)"])
def test_operators_on_eight_bits(case: str, options: str) -> None:
    """Each operator on eight bits is within a few steps of the float one, and there is no other."""
    make, tolerance = EIGHT_BITS[case]
    if options and "two" in case:
        pytest.skip("what lies between the two is cut at the range as well")
    graph = built(make)
    after = graphs.apply(graph, f"quantize_nodes{options}")
    found = graphs.ops(after)
    assert f"Quantized{case.partition(',')[0]}" in found
    assert not {"Conv2D", "MatMul", "Mul", "AddV2", "MaxPool", "Relu6"} & set(found)
    if case == "Conv2D, two":  # eight bits flow from one operator to the next
        assert found.count("Dequantize") == 1
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    (new,) = graphs.execute(after.encode(), {"x": X}, ["y"])
    size = 30 if options else np.max(np.abs(old))
    if options:
        old = np.clip(old, -30, 30)
    assert np.max(np.abs(new - old)) <= 2 * tolerance * size
    assert graphs.ops(graphs.apply(after, f"quantize_nodes{options}")) == found


def test_trained_ranges_are_used() -> None:
    """The range of a FakeQuant, moved up to its operator, is what eight bits are spread over."""

    def make(tf: Any, x: Any) -> Any:
        y = tf.reshape(conv(tf, x), (1, -1, 4))
        return tf.quantization.fake_quant_with_min_max_vars(y, -8.0, 8.0)

    graph = built(make)
    after = graphs.apply(graph, "quantize_nodes")
    assert "Requantize" in graphs.ops(after)
    assert not {"RequantizationRange", "FakeQuantWithMinMaxVars"} & set(graphs.ops(after))
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    (new,) = graphs.execute(after.encode(), {"x": X}, ["y"])
    assert np.max(np.abs(new - old)) <= 0.04 * 8
    with pytest.raises(UsageError, match="needs both"):
        graphs.apply(graph, "quantize_nodes(input_min=1)")


def test_sparse_columns_are_looked_up() -> None:
    """A table of the rows that are not zero gives what the column gave."""
    column = np.zeros((50, 1), np.float32)
    column[[3, 7, 40], 0] = [1.5, -2, 1e-7]
    rows = np.array([3, 4, 7, 40])
    for kind in ("int32", "int64"):

        def make(tf: Any, kind: str = kind) -> None:
            x = tf.placeholder(kind, (4,), name="x")
            weights = tf.identity(tf.constant(column))
            axis = tf.constant(0)
            found = tensorflow().raw_ops.GatherV2(params=weights, indices=x, axis=axis)
            tf.identity(found, name="y")

        graph = graphs.graph_of(graphs.build(make), ["x"], ["y"])
        after = graphs.apply(graph, "sparsify_gather")
        assert "GatherV2" not in graphs.ops(after)
        held = next(node for name, node in after.nodes.items() if name.endswith("/keys"))
        assert held.value is not None
        assert held.value.array.tolist() == [3, 7]

        def work(data: bytes = after.encode(), kind: str = kind) -> Any:
            tf = tensorflow()
            with tf.Graph().as_default() as whole:
                tf.import_graph_def(graphs.parse(data), name="")
                with tf.compat.v1.Session(graph=whole) as session:
                    session.run(whole.get_operation_by_name("group_deps"))
                    return session.run("y:0", {"x:0": rows.astype(kind)})

        np.testing.assert_array_equal(quietly(work)[:, 0], [1.5, 0, -2, 0])
        assert graphs.apply(after, "sparsify_gather").encode() == after.encode()
    wide = graphs.graph_of(graphs.build(lambda tf: tf.identity(tf.gather(
        tf.constant(draw(5, 2)), tf.placeholder(tf.int32, (2,), name="x")), name="y")),
        ["x"], ["y"])  # fmt: skip
    assert "not one column" in graphs.notes_of(wide, "sparsify_gather")[0]


def test_weights_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    """Read back from the file they are the constants they were; TensorFlow maps them too."""
    import shutil
    import subprocess

    from budget.errors import CorruptModelError
    from budget.transforms.tool.map_weights import ALIGNMENT_BYTES, c_source, join, separate

    graph = built(lambda tf, x: tf.nn.bias_add(conv(tf, conv(tf, x, 16), 16), draw(16)))
    apart, blob = separate(graph, 128)
    assert graphs.apply(graph, "map_weights(minimum_size=128)").encode() == apart.encode()
    assert graphs.apply(apart, "map_weights(minimum_size=128)").encode() == apart.encode()
    held = [node for node in apart.nodes.values() if node.op == "ImmutableConst"]
    assert len(held) == 2
    assert len(apart.encode()) < len(graph.encode()) - 4 * 9 * 16 * (3 + 16) + 500
    back = join(apart, blob)
    assert {n: v.value.array.tolist() for n, v in back.nodes.items() if v.value} == {
        n: v.value.array.tolist() for n, v in graph.nodes.items() if v.value
    }
    for node in held:
        assert node.attributes["_budget_offset"] % ALIGNMENT_BYTES == 0
        assert node.attributes["memory_region_name"].startswith(b"memmapped_package://")
    # TensorFlow maps a file named as the region, so cut the file into one for each
    named = []
    for node in apart.nodes.values():
        if node in held:
            path = tmp_path / node.name.replace("/", "_")
            start = node.attributes["_budget_offset"]
            path.write_bytes(blob[start:])
            changed = {**node.attributes, "memory_region_name": str(path).encode()}
            node = node.changed(attributes=changed)
        named.append(node)
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    (new,) = graphs.execute(apart.with_nodes(named).encode(), {"x": X}, ["y"])
    np.testing.assert_array_equal(new, old)
    with pytest.raises(CorruptModelError, match="outside the file"):
        join(apart, blob[:-4])
    source = tmp_path / "weights.c"
    source.write_text(c_source("weights", blob))
    compiler = shutil.which("cc")
    if compiler:
        out = tmp_path / "weights.o"
        subprocess.run([compiler, "-c", "-Wall", "-Werror", str(source), "-o", str(out)],
                       check=True)  # fmt: skip
        assert blob in out.read_bytes()


def test_parameters_out_of_range() -> None:
    """A tolerance that is none, and a fused activation that nobody knows."""
    from budget.errors import UnsupportedModelError
    from budget.transforms.lower import lower

    with pytest.raises(UsageError, match="from 0 to 1"):
        graphs.apply(built(conv), "split_separable(tolerance=2)")
    fused = graphs.apply(built(lambda tf, x: tf.nn.relu(conv(tf, x) + draw(4))),
                         "fuse_bias_and_activation")  # fmt: skip
    node = next(node for node in fused.nodes.values() if node.op == "_FusedConv2D")
    odd = node.changed(attributes={**node.attributes, "fused_ops": (b"BiasAdd", b"Odd")})
    with pytest.raises(UnsupportedModelError, match="'Odd' is not known to be fused"):
        lower(graph_from(fused.with_nodes(odd if n is node else n for n in fused.nodes.values())))


def requantized(tf: Any, x: Any) -> Any:
    raw = tensorflow().raw_ops
    q = raw.QuantizeV2(input=x, min_range=-4.0, max_range=4.0, T=tensorflow().qint32)
    low, high = raw.RequantizationRange(input=q[0], input_min=q[1], input_max=q[2], name="range")
    return tf.stack([low, high])


def test_logged_ranges_are_frozen(tmp_path: Path) -> None:
    """Printing changes no output; the logged ends become constants of those values."""
    graph = built(requantized)
    (ends,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    text = ('insert_logging(op=RequantizationRange, show_name=true, show_op=true, '
            'message="__requant_min_max:")')  # fmt: skip
    logged = graphs.apply(graph, text)
    assert logged.nodes["range__print__"].attributes["message"] == (
        b";RequantizationRange;;range__print__;__requant_min_max:"
    )
    np.testing.assert_array_equal(graphs.execute(logged.encode(), {"x": X}, ["y"])[0], ends)
    assert graphs.apply(logged, text).encode() == logged.encode()
    log = tmp_path / "log.txt"
    lines = [f"x;range__print__;__requant_min_max:[{ends[0] + i}][{ends[1] - i}]" for i in range(3)]
    log.write_text("\n".join(["other", *lines]))
    freeze = f'freeze_requantization_ranges(min_max_log_file="{log}", max_percentile=0)'
    frozen = graphs.apply(graph, freeze)
    np.testing.assert_array_equal(graphs.execute(frozen.encode(), {"x": X}, ["y"])[0], ends)
    assert {"range/frozen_min", "range/frozen_max"} <= set(frozen.nodes)
    with pytest.raises(UsageError, match="does not exist"):
        graphs.apply(frozen, freeze)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no line"),
        (";x__print__;__requant_min_max:[0][1]", "is a Placeholder"),
        (";range__print__;__requant_min_max:[a][b]", "is no range"),
    ],
)
def test_logs_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    """A log of something else is refused."""
    log = tmp_path / "log.txt"
    log.write_text(text)
    graph = built(requantized)
    with pytest.raises(UsageError, match=message):
        graphs.apply(graph, f'freeze_requantization_ranges(min_max_log_file="{log}")')
    with pytest.raises(UsageError, match="cannot be read"):
        graphs.apply(graph, "freeze_requantization_ranges(min_max_log_file=no.such.file)")


def test_every_chosen_node_is_logged() -> None:
    """Without a choice every node that is read is logged; by prefix only those."""
    graph = built(lambda tf, x: tf.cast(tf.greater(conv(tf, x), 3.0), tf.float32))
    after = graphs.apply(graph, "insert_logging(summarize=1, first_n=1)")
    assert graphs.ops(after).count("Print") == len(graph.readers)
    (old,) = graphs.execute(graph.encode(), {"x": X}, ["y"])
    np.testing.assert_array_equal(graphs.execute(after.encode(), {"x": X}, ["y"])[0], old)
    one = graphs.apply(graph, "insert_logging(prefix=Conv)")
    assert graphs.ops(one).count("Print") == 1
    assert "nobody reads it" in graphs.notes_of(graph, "insert_logging(prefix=y)")[0]
