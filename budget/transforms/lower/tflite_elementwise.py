"""Rules of the dialect ``tfl`` for operators that work element by element."""

from __future__ import annotations

from typing import Any

from budget.graph import DType, Node
from budget.ops.operator import Activation
from budget.transforms.lower.tflite import Lowering, Refused, Rule


def activation_of(node: Node) -> Activation:
    """The function fused behind an operator.

    Raises:
        Refused: it is one that canonical operators do not fuse.
    """
    name = node.attributes.get("fused_activation_function", "NONE")
    try:
        return Activation(str(name).lower())
    except ValueError:
        raise Refused(f"the activation {name} is fused into it") from None


def plain(op: str, operands: int) -> Rule:
    """Rule of an operator without attributes."""

    def rule(lowering: Lowering, node: Node) -> None:
        check_operands(node, operands)
        lowering.emit(op, node.inputs, node.outputs, node)

    return rule


def check_operands(node: Node, least: int, most: int | None = None, outputs: int = 1) -> None:
    """Makes sure that a node has its operands.

    Raises:
        Refused: it has too few or too many.
    """
    if not least <= len(node.inputs) <= (most or least) or len(node.outputs) != outputs:
        raise Refused(f"it has {len(node.inputs)} operands and {len(node.outputs)} results")
    if "" in node.inputs[:least]:
        raise Refused("an operand that it needs is left out")


def _arithmetic(op: str) -> Rule:
    def rule(lowering: Lowering, node: Node) -> None:
        check_operands(node, 2)
        attributes: dict[str, Any] = {"activation": activation_of(node)}
        if op in ("add", "sub"):
            is_16_bit = lowering.type(node.outputs[0]).dtype is DType.INT16
            pot = is_16_bit and bool(node.attributes.get("pot_scale_int16", True))
            attributes["pot_scale_int16"] = pot
        lowering.emit(op, node.inputs, node.outputs, node, **attributes)

    return rule


def _add_n(lowering: Lowering, node: Node) -> None:
    if len(node.inputs) < 2:
        raise Refused(f"it adds {len(node.inputs)} tensors")
    type = lowering.type(node.outputs[0])
    if type.is_quantized and len(node.inputs) > 2:
        raise Refused("quantised sums of three and more tensors have no canonical form")
    total = node.inputs[0]
    for index, term in enumerate(node.inputs[1:]):
        is_last = index == len(node.inputs) - 2
        out = node.outputs[0] if is_last else lowering.add_tensor(f"{node.outputs[0]}/sum", type)
        lowering.emit("add", (total, term), (out,), node)
        total = out


def _select(lowering: Lowering, node: Node) -> None:
    check_operands(node, 3)
    condition, chosen = (lowering.type(name) for name in node.inputs[:2])
    if node.op == "tfl.SELECT" and condition.shape not in ((), chosen.shape):
        raise Refused("its condition chooses whole rows")
    lowering.emit("select", node.inputs, node.outputs, node)


def _leaky_relu(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    alpha = float(node.attributes.get("alpha", 0.0))
    lowering.emit("leaky_relu", node.inputs, node.outputs, node, alpha=alpha)


def _gelu(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    approximate = bool(node.attributes.get("approximate", False))
    lowering.emit("gelu", node.inputs, node.outputs, node, approximate=approximate)


def _cast(lowering: Lowering, node: Node) -> None:
    check_operands(node, 1)
    dtype = lowering.type(node.outputs[0]).dtype
    lowering.emit("cast", node.inputs, node.outputs, node, dtype=dtype)


RULES: dict[str, Rule] = {
    **{op.upper(): _arithmetic(op) for op in ("add", "sub", "mul", "div")},
    **{
        op.upper(): plain(op, 2)
        for op in (
            "maximum", "minimum", "pow", "squared_difference", "greater", "greater_equal", "less",
            "less_equal", "equal", "not_equal", "prelu",
        )
    },
    **{
        op.upper(): plain(op, 1)
        for op in (
            "exp", "log", "sqrt", "rsqrt", "square", "abs", "neg", "floor", "relu", "relu6",
            "relu_n1_to_1", "logistic", "tanh", "hard_swish", "elu", "log_softmax",
        )
    },
    "ADD_N": _add_n,
    "SELECT": _select,
    "SELECT_V2": _select,
    "LEAKY_RELU": _leaky_relu,
    "GELU": _gelu,
    "CAST": _cast,
}  # fmt: skip
