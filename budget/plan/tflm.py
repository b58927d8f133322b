"""What TensorFlow Lite Micro puts into its arena.

The arena has two ends. From one grow the activations and the kernels' scratch, placed by a greedy
planner: largest first, each at the lowest place that is free during its life, aligned to 16 bytes,
nothing in place, reshapes copied. From the other grow structures that stay:

    base + 12 per tensor + 32 per node + 8 per output channel quantised on its own
         + the kernel's own data and parsed options, by operator

Sources: tflite-micro, micro/micro_allocator.cc (one `TfLiteEvalTensor` for every tensor, constants
too, and one `NodeAndRegistration` for every node; sizes with 4-byte pointers, a 64-bit host needs
24 and 64) and micro/memory_planner/greedy_memory_planner.cc; scratch from CMSIS-NN's
`*_get_buffer_size` functions for cores with DSP instructions. The base and the bytes per operator
are fitted to the arenas of MLPerf Tiny's four int8 models on a Cortex-M4, which the formula meets
within one part in a hundred.
"""

from __future__ import annotations

from collections.abc import Mapping

from budget.graph import Graph, Node, TensorType
from budget.plan.precision import multiplier_bytes

ALIGNMENT_BYTES = 16
BASE_BYTES = 360
TENSOR_BYTES = 12
NODE_BYTES = 32
CMSIS_NN_BYTES = 16
CMSIS_NN_FULLY_CONNECTED_BYTES = 32

_OPERATOR_BYTES = {
    "conv_2d": 88,
    "depthwise_conv_2d": 94,
    "transpose_conv_2d": 88,
    "fully_connected": 44,
    "add": 76,
    "sub": 76,
    "mul": 52,
    "average_pool_2d": 44,
    "max_pool_2d": 44,
    "mean": 52,
    "softmax": 52,
    "reshape": 12,
}
_OTHER_OPERATOR_BYTES = 48
_PER_CHANNEL = {"conv_2d", "depthwise_conv_2d", "transpose_conv_2d"}


def is_tflm(runtime: str) -> bool:
    """Whether a runtime's id names one of TFLM's variants."""
    return runtime.startswith("tflm")


def persistent_bytes(graph: Graph, types: Mapping[str, TensorType], runtime: str) -> int:
    """Structures that TFLM keeps in the arena for a canonical graph."""
    # a reshape's target shape is a tensor of the file which the canonical graph has no need of
    tensors = sum(node.op == "reshape" for node in graph.nodes) + len(graph.tensors)
    total = BASE_BYTES + TENSOR_BYTES * tensors + NODE_BYTES * len(graph.nodes)
    is_cmsis = _is_cmsis(runtime)
    for node in graph.nodes:
        total += _OPERATOR_BYTES.get(node.op, _OTHER_OPERATOR_BYTES)
        if node.op in _PER_CHANNEL:
            total += multiplier_bytes(node, graph, types)
        if is_cmsis and node.op == "fully_connected":
            total += CMSIS_NN_FULLY_CONNECTED_BYTES
    return total + CMSIS_NN_BYTES * is_cmsis


def scratch_bytes(node: Node, types: Mapping[str, TensorType], runtime: str) -> int:
    """Scratch that TFLM's kernel asks for while a node runs.

    Only CMSIS-NN's integer kernels ask: a convolution for two columns of its input as 16-bit
    numbers, a depthwise one for its window, an average pool for 32-bit sums.
    """
    if not _is_cmsis(runtime) or types[node.inputs[0]].dtype.is_float:
        return 0
    attributes = node.attributes
    if node.op == "conv_2d":
        _, height, width, depth = types[node.inputs[1]].shape
        padding = attributes.padding
        unpadded = not any((padding.top, padding.bottom, padding.left, padding.right))
        if (height, width) == (1, 1) and unpadded:
            return 0
        return 4 * (-(-height * width * depth // 4) * 4)
    if node.op == "depthwise_conv_2d":
        _, height, width, depth = types[node.inputs[1]].shape
        padding = attributes.padding
        if (height, width) == (3, 3) and max(padding.top, padding.left) <= 1:
            return 0
        return 2 * height * width * depth
    if node.op == "average_pool_2d":
        return 4 * types[node.outputs[0]].shape[-1]
    return 0


def _is_cmsis(runtime: str) -> bool:
    return "cmsis" in runtime
