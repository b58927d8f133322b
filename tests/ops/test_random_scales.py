"""Integer kernels against LiteRT under drawn scales, from ordinary to extreme, on many values.

The contract test shows every attribute on a few numbers; here each operator sees thousands, and
where it takes one operand of 8 or 16 bits, every number there is.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from single_operator import interpreter, invoke, seeded

from budget.graph import DType, Graph, GraphBuilder, QuantParams, TensorType
from budget.ops import QuantizedCall, get
from budget.ops.activations import GeluAttributes, LeakyReluAttributes
from budget.ops.elementwise import AddAttributes
from budget.ops.fixed_point import quantize_multiplier, storage_range
from budget.ops.gemmlowp import leading_sign_bits, reciprocal
from budget.ops.joining import ConcatAttributes
from budget.ops.quantization import ConversionAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.resize import ResizeAttributes
from budget.ops.softmax import SoftmaxAttributes

INT8, INT16 = DType.INT8, DType.INT16
PROBABILITY = {INT8: QuantParams.per_tensor(1 / 256, -128), INT16: QuantParams.per_tensor(2**-15)}
SIGNED = {INT8: QuantParams.per_tensor(1 / 128), INT16: QuantParams.per_tensor(2**-15)}
LOGARITHM = {INT8: QuantParams.per_tensor(1 / 16, 127)}


def typed(shape: tuple[int, ...], dtype: DType, scale: float, zero_point: int = 0) -> TensorType:
    return TensorType(shape, dtype, QuantParams.per_tensor(scale, zero_point))


def graph_of(name: str, attributes, types, output: TensorType) -> Graph:
    builder = GraphBuilder(name)
    names = [builder.input(f"x{index}", type) for index, type in enumerate(types)]
    builder.node(name, names, [builder.tensor("y", output)], attributes)
    builder.output("y")
    return builder.build()


def both(name: str, attributes, types, output: TensorType, values):
    """Our result and LiteRT's."""
    if attributes is None:
        attributes = get(name).Attributes()
    ours = get(name).run_quantized(attributes, values, QuantizedCall(tuple(types), (output,)))[0]
    return ours, invoke(interpreter(graph_of(name, attributes, types, output)), values)[0]


def zero_point(random: np.random.Generator, dtype: DType) -> int:
    return 0 if dtype is INT16 else int(random.integers(-128, 128))


def numbers(random: np.random.Generator, type: TensorType) -> np.ndarray:
    low, high = storage_range(type.dtype)
    return random.integers(low, high + 1, type.shape).astype(type.dtype.numpy)


def spread(random: np.random.Generator, reach: float, center: float) -> float:
    """A scale up to a factor exp(reach) to either side of exp(center)."""
    return float(np.exp(center + random.uniform(-reach, reach)))


@pytest.mark.parametrize("reach", [0.5, 2.0, 5.0])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for name in ("add", "sub", "mul") for dtype in (INT8, INT16)]
    + [("squared_difference", INT8), ("prelu", INT8)],
)
def test_pairs(name: str, dtype: DType, reach: float) -> None:
    if name in ("add", "sub") and dtype is INT16:
        reach = min(reach, 2.0)  # LiteRT aborts where the output's scale is far below the operands'
    for seed in range(4):
        random = seeded(name, dtype, reach, seed)
        center = random.uniform(-9, -1)
        shape = (1, 1, 1, 3000)
        a, b = (
            typed(shape, dtype, spread(random, reach, center), zero_point(random, dtype))
            for _ in range(2)
        )
        scale = spread(random, reach, center)
        if name in ("mul", "squared_difference"):
            assert a.quant is not None and b.quant is not None
            scale = float(a.quant.scale[0] * b.quant.scale[0]) * spread(random, reach, 4)
        output = typed(shape, dtype, scale, zero_point(random, dtype))
        ours, theirs = both(name, None, [a, b], output, [numbers(random, a), numbers(random, b)])
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["add", "sub"])
@pytest.mark.parametrize("powers", [(-12, -12, -12), (-14, -11, -11), (-10, -12, -10)])
def test_sums_of_power_of_two_scales(name: str, powers: tuple[int, int, int]) -> None:
    a, b, y = (typed((1, 4000), INT16, 2.0**power) for power in powers)
    random = seeded(name, powers)
    values = [numbers(random, a), numbers(random, b)]
    ours, theirs = both(name, AddAttributes(pot_scale_int16=True), [a, b], y, values)
    np.testing.assert_array_equal(ours, theirs)


def test_quotients() -> None:
    """Every pair of 8-bit numbers, but for those where LiteRT shifts 32 bits by more than 31."""
    compared = 0
    for seed in range(6):
        random = seeded("div", seed)
        stored = np.arange(-128, 128)
        a_values = stored.repeat(256).reshape(1, -1).astype(np.int8)
        b_values = np.tile(stored, 256).reshape(1, -1).astype(np.int8)
        a, b, y = (
            typed(a_values.shape, INT8, spread(random, 1, -3), zero_point(random, INT8))
            for _ in range(3)
        )
        assert a.quant is not None and b.quant is not None and y.quant is not None
        b_zero = int(b.quant.zero_point[0])
        b_values[b_values == b_zero] = b_zero - 1 if b_zero > -128 else -127
        ours, theirs = both("div", None, [a, b], y, [a_values, b_values])
        dividend = a_values.astype(np.int64) - int(a.quant.zero_point[0])
        divisor = b_values.astype(np.int64) - b_zero
        _, over_unit = reciprocal(np.abs(divisor), 31)
        dividend = np.where(divisor < 0, -dividend, dividend)
        real = a.quant.scale[0] / (b.quant.scale[0] * y.quant.scale[0])
        shift = quantize_multiplier(float(real))[1] - over_unit - leading_sign_bits(dividend)
        defined = (shift >= -31) & (shift <= 0)
        np.testing.assert_array_equal(ours[defined], theirs[defined])
        tiny = shift < -31
        assert np.all(ours[tiny] == int(y.quant.zero_point[0]))
        compared += int(defined.sum())
    assert compared > 100_000


ALL_8 = np.arange(-128, 128).astype(np.int8).reshape(1, -1)
ALL_16 = np.arange(-32768, 32768).astype(np.int16).reshape(1, -1)


@pytest.mark.parametrize(
    ("name", "attributes", "outputs"),
    [
        ("relu", None, None),
        ("relu6", None, None),
        ("relu_n1_to_1", None, None),
        ("leaky_relu", LeakyReluAttributes(0.3), None),
        ("leaky_relu", LeakyReluAttributes(-0.7), None),
        ("leaky_relu", LeakyReluAttributes(1.7), None),
        ("hard_swish", None, None),
        ("exp", None, None),
        ("abs", None, None),
        ("gelu", GeluAttributes(approximate=False), None),
        ("gelu", GeluAttributes(approximate=True), None),
        ("logistic", None, PROBABILITY[INT8]),
        ("tanh", None, SIGNED[INT8]),
        ("requantize", ConversionAttributes(INT8), None),
    ],
)
def test_every_8_bit_number(name: str, attributes, outputs: QuantParams | None) -> None:
    for seed in range(20):
        random = seeded(name, attributes, seed)
        scale = spread(random, 5, -3)
        x = typed(ALL_8.shape, INT8, scale, zero_point(random, INT8))
        y = typed(ALL_8.shape, INT8, scale * spread(random, 3, 0), zero_point(random, INT8))
        if outputs is not None:
            y = TensorType(y.shape, INT8, outputs)
        np.testing.assert_array_equal(*both(name, attributes, [x], y, [ALL_8]))


@pytest.mark.parametrize(
    ("name", "attributes", "is_fixed"),
    [
        ("logistic", None, True),
        ("tanh", None, True),
        ("leaky_relu", LeakyReluAttributes(0.3), False),
        ("requantize", ConversionAttributes(INT16), False),
    ],
)
def test_every_16_bit_number(name: str, attributes, is_fixed: bool) -> None:
    for scale in (2.0**-12, 2.0**-11, 2.0**-15, 8.3e-5, 3.1e-4, 1e-3, 1e-5):
        x = typed(ALL_16.shape, INT16, scale)
        y = typed(ALL_16.shape, INT16, 2**-15 if is_fixed else scale * 1.37)
        np.testing.assert_array_equal(*both(name, attributes, [x], y, [ALL_16]))


@pytest.mark.parametrize(
    ("name", "source", "target", "beta"),
    [
        ("softmax", INT8, PROBABILITY[INT8], 1.0),
        ("softmax", INT8, PROBABILITY[INT8], 0.3),
        ("softmax", INT8, PROBABILITY[INT16], 1.0),
        ("softmax", INT16, PROBABILITY[INT16], 1.0),
        ("log_softmax", INT8, LOGARITHM[INT8], None),
    ],
)
def test_rows(name: str, source: DType, target: QuantParams, beta: float | None) -> None:
    # LiteRT aborts where the exponentials of a row add up to 256
    width = INT16 if target is PROBABILITY[INT16] else INT8
    attributes = None if beta is None else SoftmaxAttributes(beta)
    for seed, depth in enumerate((1, 2, 10, 100, 200)):
        for center in (-9, -5, -2, 1):
            random = seeded(name, source, target, depth, center)
            scale = spread(random, 1, center) / (200 if source is INT16 else 1)
            x = typed((2000 // depth, depth), source, scale, zero_point(random, source))
            y = TensorType(x.shape, width, target)
            values = numbers(random, x)
            if seed % 2:
                values = (values // 8).astype(values.dtype)  # rows where many elements count
            np.testing.assert_array_equal(*both(name, attributes, [x], y, [values]))


@pytest.mark.parametrize("name", ["greater", "greater_equal", "less", "less_equal", "equal"])
def test_comparisons(name: str) -> None:
    for seed in range(4):
        random = seeded(name, seed)
        a, b = (
            typed((1, 3000), INT8, spread(random, 2, -4), zero_point(random, INT8))
            for _ in range(2)
        )
        y = TensorType(a.shape, DType.BOOL)
        values = [numbers(random, a), numbers(random, b)]
        np.testing.assert_array_equal(*both(name, None, [a, b], y, values))


@pytest.mark.parametrize("name", ["mean", "sum"])
@pytest.mark.parametrize("dtype", [INT8, INT16])
def test_reductions(name: str, dtype: DType) -> None:
    """LiteRT's reference kernel for integer sums reads memory that nothing has written."""
    for seed in range(12):
        random = seeded(name, dtype, seed)
        shape, axes = [
            ((2, 5, 7, 3), (1, 2)),
            ((4, 6), (1,)),
            ((3, 9, 4), (0, 2)),
            ((64, 3), (0,)),
            ((1, 48, 48, 4), (1, 2)),
        ][seed % 5]
        scale = spread(random, 3, -3)
        x = typed(shape, dtype, scale, zero_point(random, dtype))
        attributes = ReduceAttributes(axes, keep_dims=seed % 2 == 0)
        reduced = get(name).infer(attributes, [x])[0].shape
        y = typed(reduced, dtype, scale * spread(random, 3, 0), zero_point(random, dtype))
        values = numbers(random, x)
        if name == "mean":
            np.testing.assert_array_equal(*both(name, attributes, [x], y, [values]))
            continue
        call = QuantizedCall((x,), (y,))
        ours = get(name).run_quantized(attributes, [values], call)[0]
        theirs = optimized(graph_of(name, attributes, [x], y), values)
        np.testing.assert_array_equal(ours, theirs)


def optimized(graph: Graph, values: np.ndarray) -> np.ndarray:
    """What LiteRT's optimised kernels make of it, without XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from budget.writers.tflite import write_tflite

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    made = Interpreter(model_content=write_tflite(graph), experimental_op_resolver_type=resolver)
    made.allocate_tensors()
    return invoke(made, [values])[0]


@pytest.mark.parametrize("dtype", [INT8, INT16])
@pytest.mark.parametrize("name", ["resize_bilinear", "resize_nearest"])
def test_resizing(name: str, dtype: DType) -> None:
    for seed in range(12):
        random = seeded(name, dtype, seed)
        height, width, new_height, new_width = (int(n) for n in random.integers(1, 12, 4))
        corners, centers = [(False, False), (True, False), (False, True)][seed % 3]
        x = typed((2, height, width, 3), dtype, 0.1)
        attributes = ResizeAttributes((new_height, new_width), corners, centers)
        y = typed((2, new_height, new_width, 3), dtype, 0.1)
        np.testing.assert_array_equal(*both(name, attributes, [x], y, [numbers(random, x)]))


@pytest.mark.parametrize("dtype", [INT8, INT16, DType.UINT8])
def test_quantize_at_halves(dtype: DType) -> None:
    """Half way between two steps, where rounding shows."""
    scale = 0.25
    values = np.arange(-300, 300, dtype=np.float32).reshape(1, -1) * np.float32(scale / 2)
    x = TensorType(values.shape, DType.FLOAT32)
    y = typed(values.shape, dtype, scale, 0 if dtype is INT16 else 100)
    attributes = ConversionAttributes(dtype)
    ours, theirs = both("quantize", attributes, [x], y, [values])
    np.testing.assert_array_equal(ours, theirs)
    back = TensorType(values.shape, DType.FLOAT32)
    np.testing.assert_array_equal(*both("dequantize", None, [y], back, [ours]))


def test_concat_of_different_scales() -> None:
    """Only TFLite's kernel for unsigned numbers rescales."""
    for seed in range(10):
        random = seeded("concat", seed)
        a, b, y = (
            typed((1, 256), DType.UINT8, spread(random, 1, -3), int(random.integers(0, 256)))
            for _ in range(3)
        )
        y = y.with_shape((2, 256))
        values = [np.arange(256).astype(np.uint8).reshape(1, -1)] * 2
        np.testing.assert_array_equal(*both("concat", ConcatAttributes(0), [a, b], y, values))


@cache
def table_steps() -> np.ndarray:
    from budget.ops.sigmoid import SIGMOID_TABLE

    return np.diff(SIGMOID_TABLE.values)


def test_the_sigmoid_table_only_rises() -> None:
    assert len(table_steps()) == 255 and np.all(table_steps() >= 0)
