"""Counts of convolutions, matrix products and parameters against TensorFlow's own profiler.

Run ``python tests/benchmarks/profiler_agreement.py [NAME …] [--size 96]``; without names it takes
every architecture of `ARCHITECTURES`. Exit status 1 if any count differs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ARCHITECTURES = (
    "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "NASNetMobile",
    "EfficientNetB0", "EfficientNetB1", "EfficientNetV2B0", "EfficientNetV2B1", "DenseNet121",
    "DenseNet169", "ResNet50", "ResNet101", "ResNet50V2", "ResNet101V2", "InceptionV3",
    "InceptionResNetV2", "Xception", "VGG16", "VGG19", "DenseNet201", "EfficientNetB2",
)  # fmt: skip
"""Names in keras.applications.

ConvNeXt is left out: Keras puts its convolutions into functions, which the profiler counts as 0.
"""

MULTIPLIES = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul", "BatchMatMulV2")
"""TensorFlow's operators whose counts must agree one by one."""

CANONICAL = (
    "conv_2d", "depthwise_conv_2d", "transpose_conv_2d", "fully_connected", "batch_matmul",
)  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """What two programs counted for one model.

    Attributes:
        name: of the architecture.
        layers: how many operators were compared.
        macs: ours, of all of them.
        profiler_macs: TensorFlow's, two FLOPs each.
        parameters: ours, all elements of weights in the file.
        keras_parameters: Keras's ``count_params``.
        different: operators whose counts are not equal, as (name, ours, theirs).
        file_macs: ours, of the model saved as a .keras file and read without TensorFlow.
    """

    name: str
    layers: int
    macs: int
    profiler_macs: int
    parameters: int
    keras_parameters: int
    different: tuple[tuple[str, int, int], ...]
    file_macs: int

    @property
    def agrees(self) -> bool:
        """Whether every count is equal."""
        return (
            not self.different
            and self.macs == self.profiler_macs == self.file_macs
            and self.parameters == self.keras_parameters
        )


def build(name: str, size: int = 96) -> Any:
    """A keras.applications model without trained weights; the smallest input each allows."""
    import keras

    smallest = {"InceptionV3": 96, "InceptionResNetV2": 96, "Xception": 96, "NASNetMobile": 96}
    side = max(size, smallest.get(name, 32))
    builder: Callable[..., Any] = getattr(keras.applications, name)
    return builder(weights=None, input_shape=(side, side, 3))


def freeze(model: Any, batch: int | None = 1) -> tuple[bytes, Any]:
    """A frozen GraphDef of a Keras model with one input, and the function it came from."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    shape = (batch, *model.input_shape[1:])
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec(shape, tf.float32)
    )
    frozen = convert_variables_to_constants_v2(function)
    return frozen.graph.as_graph_def().SerializeToString(), frozen


def profile(graph_def: bytes) -> dict[str, int]:
    """MACs of each multiplying operator, by TensorFlow's profiler."""
    import tensorflow as tf

    message = tf.compat.v1.GraphDef.FromString(graph_def)
    kinds = {node.name: node.op for node in message.node}
    with tf.Graph().as_default() as graph:
        tf.compat.v1.import_graph_def(message, name="")
        options = (
            tf.compat.v1.profiler.ProfileOptionBuilder(
                tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
            )
            .with_empty_output()
            .build()
        )
        root = tf.compat.v1.profiler.profile(graph, options=options, cmd="scope")
    found: dict[str, int] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        stack += node.children
        if kinds.get(node.name) in MULTIPLIES:
            found[node.name] = node.float_ops // 2
    return found


def count(graph_def: bytes, name: str) -> tuple[dict[str, int], int]:
    """MACs of each multiplying operator by our count, and all elements of weights."""
    from budget.ops.registry import get
    from budget.readers.graphdef import read_graphdef
    from budget.transforms.lower.tensorflow import lower_tensorflow

    graph = read_graphdef(graph_def, name)
    # what freezing made of variables; other constants are shapes, axes, epsilons
    parameters = sum(
        tensor.type.element_count for tensor in graph.constants if tensor.name.endswith("/resource")
    )
    lowered = lower_tensorflow(graph, as_is=True)
    macs = {}
    for node in lowered.nodes:
        if node.op in CANONICAL:
            inputs = [lowered.type_of(item) if item else None for item in node.inputs]
            outputs = [lowered.type_of(item) for item in node.outputs]
            macs[node.origin[0]] = get(node.op).cost(node.attributes, inputs, outputs).macs
    # fusing must not change the sum
    fused = lower_tensorflow(graph)
    total = 0
    for node in fused.nodes:
        if node.op in CANONICAL:
            inputs = [fused.type_of(item) if item else None for item in node.inputs]
            outputs = [fused.type_of(item) for item in node.outputs]
            total += get(node.op).cost(node.attributes, inputs, outputs).macs
    if total != sum(macs.values()):
        raise SystemExit(f"{name}: {sum(macs.values())} MACs before fusing, {total} after")
    return macs, parameters


def compare(name: str, size: int = 96) -> Agreement:
    """Both counts of one architecture."""
    import keras

    keras.backend.clear_session()
    model = build(name, size)
    graph_def, _ = freeze(model)
    theirs = profile(graph_def)
    ours, parameters = count(graph_def, name)
    different = tuple(
        (item, ours.get(item, 0), theirs.get(item, 0))
        for item in sorted({*ours, *theirs})
        if ours.get(item, 0) != theirs.get(item, 0)
    )
    return Agreement(
        name,
        len(ours),
        sum(ours.values()),
        sum(theirs.values()),
        parameters,
        # the mean and variance of this layer are constants of the graph, not variables
        model.count_params()
        - sum(
            layer.count_params()
            for layer in model.layers
            if isinstance(layer, keras.layers.Normalization)
        ),
        different,
        count_file(model),
    )


def count_file(model: Any) -> int:
    """MACs of the same model by way of a .keras file."""
    import tempfile
    from pathlib import Path

    from budget.ops.registry import get
    from budget.readers.keras import read_keras
    from budget.transforms.lower.keras import lower_keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        lowered = lower_keras(read_keras(path))
    total = 0
    for node in lowered.nodes:
        if node.op in CANONICAL:
            inputs = [lowered.type_of(item) if item else None for item in node.inputs]
            outputs = [lowered.type_of(item) for item in node.outputs]
            total += get(node.op).cost(node.attributes, inputs, outputs).macs
    return total


def main() -> int:
    """Prints the table; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=ARCHITECTURES)
    parser.add_argument("--size", type=int, default=96, help="side of the input image")
    arguments = parser.parse_args()
    print(f"{'model':20}{'layers':>7}{'MACs':>16}{'profiler':>16}{'parameters':>13}{'Keras':>13}")
    bad = 0
    for name in arguments.names:
        result = compare(name, arguments.size)
        bad += not result.agrees
        print(
            f"{name:20}{result.layers:7}{result.macs:16,}{result.profiler_macs:16,}"
            f"{result.parameters:13,}{result.keras_parameters:13,}"
            f"  {'equal' if result.agrees else 'DIFFERS'}",
            flush=True,
        )
        if result.file_macs != result.macs:
            print(f"    read from a .keras file: {result.file_macs:,}")
        for item, ours, theirs in result.different[:5]:
            print(f"    {item}: ours {ours:,}, profiler {theirs:,}")
    print(f"{len(arguments.names) - bad} of {len(arguments.names)} models agree")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
