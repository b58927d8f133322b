"""Transforms of forms that few graphs have, each against TensorFlow and a second run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tool_graphs as graphs
from tensorflow_models import tensorflow

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
    "all fusions": (
        "fuse_convolutions", lambda tf, x: conv(tf, mirrored(tf, resized(tf, x))), "MirrorPad"),
}  # fmt: skip


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
