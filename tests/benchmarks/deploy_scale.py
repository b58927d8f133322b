"""How the time of `deploy` grows with a graph, beside TensorFlow's Grappler on the same graph.

    python tests/benchmarks/deploy_scale.py [NODES ...]

The graph is a chain of blocks as frozen graphs have them: a convolution, a batch norm that is
one operator or taken apart into arithmetic, an activation, an Identity. Prints a row of
processor time for each size and the exponent b of time ~ nodes^b between the first and the last.
"""

from __future__ import annotations

import math
import os
import sys
import time
from typing import Any

import numpy as np

SIZES = (25_000, 50_000, 100_000)
CHANNELS = 4

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def build(node_count: int) -> bytes:
    """A GraphDef of about ``node_count`` nodes."""
    from budget.formats.tensorflow_schema import DataType
    from budget.formats.tensorflow_values import Shape
    from budget.transforms.tool.nodes import NodeDef, NodeGraph, constant

    rng = np.random.default_rng(0)
    kind = {"T": DataType.FLOAT}
    shape = Shape((1, 4, 4, CHANNELS))
    nodes = [NodeDef("x", "Placeholder", attributes={"dtype": DataType.FLOAT, "shape": shape})]

    def held(name: str, *extents: int) -> str:
        values = (np.abs(rng.normal(size=extents)) + 0.1).astype(np.float32)
        nodes.append(constant(name, values))
        return name

    def add(name: str, op: str, *inputs: str, **more: Any) -> str:
        nodes.append(NodeDef(name, op, inputs, attributes={**kind, **more}))
        return name

    last, block = "x", 0
    steps = {"strides": (1, 1, 1, 1), "padding": b"SAME", "data_format": b"NHWC"}
    while len(nodes) < node_count - 14:
        n, c = f"block{block}/", CHANNELS
        conv = add(n + "conv", "Conv2D", last, held(n + "w", 1, 1, c, c), **steps)
        gamma, beta = held(n + "gamma", c), held(n + "beta", c)
        mean, variance = held(n + "mean", c), held(n + "variance", c)
        if block % 2:
            y = add(
                n + "norm", "FusedBatchNormV3", conv, gamma, beta, mean, variance,
                U=DataType.FLOAT, epsilon=1e-3, is_training=False, data_format=b"NHWC",
            )  # fmt: skip
        else:
            raised = add(n + "raised", "AddV2", variance, held(n + "epsilon"))
            factor = add(n + "factor", "Mul", add(n + "rsqrt", "Rsqrt", raised), gamma)
            moved = add(n + "moved", "Mul", mean, factor)
            offset = add(n + "offset", "Sub", beta, moved)
            y = add(n + "shifted", "AddV2", add(n + "scaled", "Mul", conv, factor), offset)
        last = add(n + "out", "Identity", add(n + "relu", "Relu6", y))
        block += 1
    add("y", "Identity", last)
    empty = NodeGraph.decode(b"", "chain.pb")
    return empty.with_nodes(nodes).encode()


def time_deploy(data: bytes) -> tuple[float, int]:
    """Processor seconds from file to file, and nodes of the result."""
    from budget.transforms.tool.nodes import NodeGraph
    from budget.transforms.tool.pipeline import plan_steps, run_nodes

    start = time.process_time()
    graph = NodeGraph.decode(data, "chain.pb", ["x"], ["y"])
    after = run_nodes(graph, plan_steps("deploy"))
    after.encode()
    return time.process_time() - start, len(after.nodes)


def time_grappler(data: bytes) -> tuple[float, int] | None:
    """The same of TensorFlow's optimiser; None where TensorFlow is not installed."""
    try:
        import tensorflow as tf
        from tensorflow.python.grappler import tf_optimizer
    except ImportError:
        return None
    start = time.process_time()
    message = tf.compat.v1.GraphDef.FromString(data)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(message, name="")
    meta = tf.compat.v1.train.export_meta_graph(graph_def=message, graph=graph)
    meta.collection_def["train_op"].node_list.value.append("y")
    config = tf.compat.v1.ConfigProto()
    options = config.graph_options.rewrite_options
    options.meta_optimizer_iterations = options.TWO
    options.meta_optimizer_timeout_ms = -1
    after = tf_optimizer.OptimizeGraph(config, meta)
    after.SerializeToString()
    return time.process_time() - start, len(after.node)


def main(sizes: tuple[int, ...]) -> None:
    """Prints the table."""
    # what is read once, whatever the size
    warm = build(200)
    time_deploy(warm)
    time_grappler(warm)
    print(f"{'nodes':>9}{'deploy':>12}{'left':>9}{'us/(n log2 n)':>16}{'Grappler':>12}{'left':>9}")
    rows = []
    for size in sizes:
        data = build(size)
        ours, left = time_deploy(data)
        theirs = time_grappler(data)
        rows.append((size, ours))
        other = f"{theirs[0]:>10.2f} s{theirs[1]:>9,}" if theirs else f"{'-':>12}"
        each = ours / (size * math.log2(size)) * 1e6
        print(f"{size:>9,}{ours:>10.2f} s{left:>9,}{each:>16.2f}{other}", flush=True)
    if len(rows) > 1:
        (small, first), (large, last) = rows[0], rows[-1]
        exponent = math.log(last / first) / math.log(large / small)
        allowed = math.log(large * math.log(large) / (small * math.log(small)))
        allowed /= math.log(large / small)
        print(f"deploy grows as n^{exponent:.2f}; n log n would be n^{allowed:.2f} here")


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SIZES)
