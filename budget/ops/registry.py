"""Which canonical operators exist and where each is declared.

Families are imported when one of their operators is first asked for, so that reading a model
costs only what its operators cost.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from budget.errors import UnsupportedModelError
from budget.ops.operator import Operator

_FAMILIES: dict[str, tuple[str, ...]] = {
    # module under budget.ops: names of the operators it declares (class attribute `name`)
    "convolution": ("conv_2d", "depthwise_conv_2d"),
    "transpose_convolution": ("transpose_conv_2d",),
    "fully_connected": ("fully_connected",),
    "matmul": ("batch_matmul",),
    "recurrent": ("simple_rnn", "gru", "lstm"),
    "svdf": ("svdf",),
    "pooling": ("average_pool_2d", "max_pool_2d", "l2_pool_2d"),
    "normalization": ("batch_norm", "layer_norm", "l2_norm"),
    "indexing": ("arg_max", "arg_min", "gather"),
    "elementwise": (
        "add", "sub", "mul", "div", "maximum", "minimum", "pow", "squared_difference",
    ),
    "comparison": (
        "greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "select",
    ),
    "mathematics": ("exp", "log", "sqrt", "rsqrt", "square", "abs", "neg", "floor"),
    "activations": (
        "relu", "relu6", "relu_n1_to_1", "leaky_relu", "prelu", "hard_swish", "elu", "gelu",
    ),
    "sigmoid": ("logistic", "tanh"),
    "softmax": ("softmax", "log_softmax"),
    "reduction": ("mean", "sum", "reduce_max", "reduce_min"),
    "shaping": (
        "reshape", "transpose", "slice", "strided_slice", "pad", "mirror_pad",
    ),
    "joining": ("concat", "split", "pack", "unpack"),
    "resize": ("resize_nearest", "resize_bilinear"),
    "quantization": ("quantize", "dequantize", "requantize", "cast"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _FAMILIES.items() for name in names}


def names() -> tuple[str, ...]:
    """Every canonical operator, family by family."""
    return tuple(_MODULE_OF)


def is_canonical(name: str) -> bool:
    """Whether an operator of that name is registered."""
    return name in _MODULE_OF


@cache
def get(name: str) -> Operator:
    """The operator of that name.

    Raises:
        UnsupportedModelError: there is none.
    """
    if name not in _MODULE_OF:
        raise UnsupportedModelError(
            f"operator {name!r} is not one this program knows", hint="'budget ops' lists them all"
        )
    module = import_module(f"budget.ops.{_MODULE_OF[name]}")
    operators: tuple[Operator, ...] = module.OPERATORS
    return next(operator for operator in operators if operator.name == name)
