"""Versions that TensorFlow Lite's runtimes ask of an operator before they run it.

Source: tensorflow/lite/tools/versioning/op_version.cc (TensorFlow 2.21): the lowest version that
knows the operand types and options used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from budget.graph.types import DType, TensorType

# (with 8-bit operands, with 16-bit operands); an operator that is not listed has version 1
_BY_WIDTH: dict[str, tuple[int, int]] = {
    "ABS": (2, 3), "ADD": (2, 3), "ARG_MAX": (2, 2), "ARG_MIN": (2, 2), "AVERAGE_POOL_2D": (2, 3),
    "BATCH_MATMUL": (2, 3), "CONCATENATION": (2, 3), "CONV_2D": (3, 4), "DEPTHWISE_CONV_2D": (3, 5),
    "DEQUANTIZE": (2, 3), "EQUAL": (2, 2), "EXP": (2, 2), "FULLY_CONNECTED": (4, 7),
    "GATHER": (2, 4), "GELU": (2, 2), "GREATER": (2, 2), "GREATER_EQUAL": (2, 2),
    "L2_NORMALIZATION": (2, 2), "LEAKY_RELU": (2, 2), "LESS": (2, 2), "LESS_EQUAL": (2, 2),
    "LOG": (2, 2), "LOGISTIC": (2, 3), "LOG_SOFTMAX": (2, 2), "MAXIMUM": (2, 4),
    "MAX_POOL_2D": (2, 3), "MEAN": (2, 3), "MINIMUM": (2, 4), "MIRROR_PAD": (2, 3), "MUL": (2, 4),
    "NOT_EQUAL": (2, 2), "PACK": (2, 3), "PAD": (2, 3), "PADV2": (2, 3), "QUANTIZE": (1, 2),
    "REDUCE_MAX": (2, 3), "REDUCE_MIN": (2, 3), "RELU": (2, 3), "RELU6": (2, 3),
    "RESIZE_BILINEAR": (2, 4), "RESIZE_NEAREST_NEIGHBOR": (2, 4), "RSQRT": (2, 3), "SLICE": (2, 4),
    "SOFTMAX": (2, 3), "SPLIT": (2, 4), "SPLIT_V": (2, 2), "SQUARED_DIFFERENCE": (2, 2),
    "STRIDED_SLICE": (2, 4), "SUB": (2, 5), "SUM": (2, 2), "TANH": (2, 3), "TRANSPOSE": (2, 5),
    "TRANSPOSE_CONV": (2, 2), "UNPACK": (2, 4),
}  # fmt: skip
_WITH_BIAS_TYPE = {"CONV_2D": 8, "FULLY_CONNECTED": 11, "TRANSPOSE_CONV": 5}
_RESIZES = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")


def version_of(
    builtin: str,
    inputs: Sequence[TensorType | None],
    outputs: Sequence[TensorType],
    options: Mapping[str, Any],
) -> int:
    """The version to write for an operator with these operands and options."""
    widths = {type.dtype for type in (*inputs, *outputs) if type is not None}
    eight, sixteen = _BY_WIDTH.get(builtin, (1, 1))
    version = 1
    if DType.INT16 in widths:
        version = sixteen
    elif DType.INT8 in widths:
        version = eight
    return max(version, _by_options(builtin, inputs, options, DType.INT16 in widths))


def _by_options(
    builtin: str, inputs: Sequence[TensorType | None], options: Mapping[str, Any], is_16_bit: bool
) -> int:
    first = inputs[0] if inputs else None
    if "quantized_bias_type" in options:
        return _WITH_BIAS_TYPE[builtin]
    if builtin == "CONV_2D":
        weights = inputs[1]
        assert first is not None and weights is not None
        return 6 if weights.shape[3] != first.shape[3] else 1
    if builtin == "DEPTHWISE_CONV_2D":
        dilated = options["dilation_h_factor"] != 1 or options["dilation_w_factor"] != 1
        return 2 if dilated else 1
    if builtin == "TRANSPOSE_CONV":
        if options["fused_activation_function"] != "NONE":
            return 4
        return 3 if len(inputs) > 3 else 1
    if builtin == "FULLY_CONNECTED":
        return _fully_connected(inputs, options, is_16_bit)
    if builtin in ("ADD", "SUB") and is_16_bit and options["pot_scale_int16"]:
        return 1
    if builtin in _RESIZES and (options["half_pixel_centers"] or options["align_corners"]):
        return 3
    if builtin == "GATHER" and options["batch_dims"]:
        return 5
    if builtin in ("SLICE", "TRANSPOSE") and first is not None and len(first.shape) > 4:
        return 5
    return 1


def _fully_connected(
    inputs: Sequence[TensorType | None], options: Mapping[str, Any], is_16_bit: bool
) -> int:
    weights = inputs[1]
    assert weights is not None
    if weights.quant is not None and weights.quant.axis is not None and not is_16_bit:
        return 12
    if len(inputs) < 3 or inputs[2] is None:
        return 6
    return 5 if options["keep_num_dims"] else 1
