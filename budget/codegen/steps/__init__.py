"""One writer for each canonical operator: from a step of the program to a call of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from budget.codegen.c import C_TYPES
from budget.codegen.context import StepCode, StepContext
from budget.codegen.variants import VARIANT_WRITERS
from budget.errors import ModelError, UnsupportedModelError

StepWriter = Callable[[StepContext], StepCode]

_FAMILIES: dict[str, dict[str, tuple[str, ...]]] = {
    # module under budget.codegen.steps: function in it: the canonical operators it writes
    "convolution": {
        "write_conv_2d": ("conv_2d",),
        "write_depthwise_conv_2d": ("depthwise_conv_2d",),
        "write_transpose_conv_2d": ("transpose_conv_2d",),
    },
    "fully_connected": {
        "write_fully_connected": ("fully_connected",),
        "write_batch_matmul": ("batch_matmul",),
    },
    "elementwise": {
        "write_arithmetic": (
            "add", "sub", "mul", "div", "pow", "squared_difference", "prelu",
        ),
        "write_extreme": ("maximum", "minimum"),
        "write_comparison": (
            "greater", "greater_equal", "less", "less_equal", "equal", "not_equal",
        ),
        "write_select": ("select",),
    },
    "unary": {
        "write_unary": (
            "exp", "log", "sqrt", "rsqrt", "square", "abs", "neg", "floor", "relu", "relu6",
            "relu_n1_to_1", "leaky_relu", "hard_swish", "elu", "gelu", "logistic", "tanh",
        ),
    },
    "softmax": {"write_softmax": ("softmax",), "write_log_softmax": ("log_softmax",)},
    "pooling": {"write_pool": ("average_pool_2d", "max_pool_2d", "l2_pool_2d")},
    "reduction": {
        "write_mean": ("mean", "sum"),
        "write_extreme": ("reduce_max", "reduce_min"),
        "write_arg": ("arg_max", "arg_min"),
    },
    "movement": {
        "write_reshape": ("reshape",),
        "write_transpose": ("transpose",),
        "write_slice": ("slice",),
        "write_strided_slice": ("strided_slice",),
        "write_pad": ("pad",),
        "write_mirror_pad": ("mirror_pad",),
        "write_concat": ("concat",),
        "write_split": ("split",),
        "write_pack": ("pack",),
        "write_unpack": ("unpack",),
    },
    "resize": {
        "write_resize_nearest": ("resize_nearest",),
        "write_resize_bilinear": ("resize_bilinear",),
    },
    "normalization": {
        "write_batch_norm": ("batch_norm",),
        "write_layer_norm": ("layer_norm",),
        "write_l2_norm": ("l2_norm",),
    },
    "indexing": {"write_gather": ("gather",)},
    "recurrent": {"write_recurrent": ("simple_rnn", "gru", "lstm")},
    "recurrent_integer": {"write_svdf": ("svdf",)},
    "quantization": {
        "write_quantize": ("quantize",),
        "write_dequantize": ("dequantize",),
        "write_requantize": ("requantize",),
        "write_cast": ("cast",),
    },
}  # fmt: skip
_WRITERS = {
    op: (module, function)
    for module, functions in _FAMILIES.items()
    for function, ops in functions.items()
    for op in ops
}


def can_write(op: str) -> bool:
    """Whether an operator has a writer at all (it may still refuse an element type)."""
    return op in _WRITERS


@cache
def writer(op: str, variant: str = "") -> StepWriter:
    """The writer of a canonical operator; it refuses element types that C has no name for here.

    Args:
        op: canonical operator.
        variant: of its kernel, as the program's step has it.
    """
    module, function = VARIANT_WRITERS[op, variant.partition("+")[0]] if variant else _WRITERS[op]
    write: StepWriter = getattr(import_module(f"{__name__}.{module}"), function)

    def checked(context: StepContext) -> StepCode:
        node = context.step.node
        for name in (*node.present_inputs, *node.outputs):
            dtype = context.program.types[name].dtype
            if dtype not in C_TYPES:
                raise context.refuse(f"{dtype.value} cannot be emitted")
        try:
            return write(context)
        except UnsupportedModelError:
            raise
        except ModelError as error:
            raise context.refuse(error.what) from error

    return checked
