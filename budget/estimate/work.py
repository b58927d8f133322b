"""What a layer asks of a core: the quantities that a runtime's prices are multiplied with."""

from __future__ import annotations

from budget.plan.program import Program, Step
from budget.records import record

# A convolution over so few channels cannot fill a SIMD word with one tap: kernels treat it apart.
SHALLOW_DEPTH = 4

MAC_KINDS = ("conv", "shallow_conv", "pointwise", "depthwise", "fully_connected")


@record
class Layer:
    """The shape of one layer, without its values.

    Attributes:
        op: canonical operator.
        kernel_height: of the window; 1 for a fully connected layer, 0 without weights.
        kernel_width: of the window.
        depth: input channels that one output sums over (1 for a depthwise convolution).
        inputs: elements of the first input.
        outputs: elements of the first output.
    """

    op: str
    kernel_height: int
    kernel_width: int
    depth: int
    inputs: int
    outputs: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense formula."""
        return self.kernel_height * self.kernel_width * self.depth * self.outputs

    @property
    def kind(self) -> str:
        """Which price the layer falls under: one of `MAC_KINDS`, or ``other``."""
        if self.op == "depthwise_conv_2d":
            return "depthwise"
        if self.op in {"fully_connected", "batch_matmul"}:
            return "fully_connected"
        if self.op not in {"conv_2d", "transpose_conv_2d"}:
            return "other"
        if (self.kernel_height, self.kernel_width) == (1, 1):
            return "pointwise"
        return "shallow_conv" if self.depth <= SHALLOW_DEPTH else "conv"

    @property
    def elements(self) -> int:
        """Outputs to requantise where there are MACs; else elements read or written, the more."""
        return self.outputs if self.kind != "other" else max(self.inputs, self.outputs)


def layer_of(step: Step, program: Program) -> Layer:
    """The shape of a planned step, as its types say."""
    node = step.node
    inputs = program.types[node.inputs[0]].element_count if node.inputs else 0
    outputs = program.types[node.outputs[0]].element_count
    if node.op in {"conv_2d", "transpose_conv_2d", "depthwise_conv_2d"}:
        _, height, width, depth = program.types[node.inputs[1]].shape
        depth = 1 if node.op == "depthwise_conv_2d" else depth
        return Layer(node.op, height, width, depth, inputs, outputs)
    if node.op in {"fully_connected", "batch_matmul"}:
        depth = step.cost.macs // max(outputs, 1)
        return Layer(node.op, 1, 1, depth, inputs, outputs)
    return Layer(node.op, 0, 0, 0, inputs, outputs)


def operator_kind(step: Step, program: Program) -> str:
    """Which of a runtime's prices a step falls under: one of `MAC_KINDS`, or ``other``."""
    return layer_of(step, program).kind
