"""The rounding of TensorFlow Lite for Microcontrollers, against its own interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from single_operator import seeded
from test_random_scales import (
    ALL_8,
    INT8,
    INT16,
    PROBABILITY,
    SIGNED,
    graph_of,
    numbers,
    spread,
    typed,
    zero_point,
)

from budget.graph import QuantParams, TensorType
from budget.ops import QuantizedCall, Rounding, get
from budget.ops.activations import LeakyReluAttributes
from budget.ops.reduction import ReduceAttributes
from budget.ops.resize import ResizeAttributes
from budget.ops.softmax import SoftmaxAttributes
from budget.writers.tflite import write_tflite


def both(name: str, attributes, types, output: TensorType, values):
    """Our result and TFLM's."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    if attributes is None:
        attributes = get(name).Attributes()
    call = QuantizedCall(tuple(types), (output,), Rounding.TFLM)
    ours = get(name).run_quantized(attributes, values, call)[0]
    made = runtime.Interpreter.from_bytes(
        bytes(write_tflite(graph_of(name, attributes, types, output))), arena_size=200_000
    )
    for index, value in enumerate(values):
        made.set_input(value, index)
    made.invoke()
    return ours, made.get_output(0)


@pytest.mark.parametrize(
    ("name", "attributes", "outputs"),
    [
        ("logistic", None, PROBABILITY[INT8]),
        ("tanh", None, SIGNED[INT8]),
        ("relu", None, None),
        ("leaky_relu", LeakyReluAttributes(0.3), None),
        ("hard_swish", None, None),
    ],
)
def test_every_8_bit_number(name: str, attributes, outputs: QuantParams | None) -> None:
    for seed in range(10):
        random = seeded("tflm", name, seed)
        scale = spread(random, 4, -3)
        x = typed(ALL_8.shape, INT8, scale, zero_point(random, INT8))
        y = typed(ALL_8.shape, INT8, scale * spread(random, 1, 1), zero_point(random, INT8))
        if outputs is not None:
            y = TensorType(y.shape, INT8, outputs)
        np.testing.assert_array_equal(*both(name, attributes, [x], y, [ALL_8]))


@pytest.mark.parametrize("dtype", [INT8, INT16])
@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_pairs(name: str, dtype) -> None:
    for seed in range(4):
        random = seeded("tflm", name, dtype, seed)
        center = random.uniform(-9, -1)
        a, b = (
            typed((1, 2000), dtype, spread(random, 1, center), zero_point(random, dtype))
            for _ in range(2)
        )
        scale = spread(random, 1, center)
        if name == "mul":
            assert a.quant is not None and b.quant is not None
            scale = float(a.quant.scale[0] * b.quant.scale[0]) * spread(random, 1, 4)
        y = typed((1, 2000), dtype, scale, zero_point(random, dtype))
        values = [numbers(random, a), numbers(random, b)]
        np.testing.assert_array_equal(*both(name, None, [a, b], y, values))


@pytest.mark.parametrize("dtype", [INT8, INT16])
def test_softmax(dtype) -> None:
    for seed, depth in enumerate((1, 2, 10, 100)):
        random = seeded("tflm", dtype, seed)
        scale = spread(random, 2, -3) / (200 if dtype is INT16 else 1)
        x = typed((1000 // depth, depth), dtype, scale, zero_point(random, dtype))
        y = TensorType(x.shape, dtype, PROBABILITY[dtype])
        np.testing.assert_array_equal(
            *both("softmax", SoftmaxAttributes(), [x], y, [numbers(random, x)])
        )


@pytest.mark.parametrize("dtype", [INT8, INT16])
@pytest.mark.parametrize("name", ["mean", "sum"])
def test_reductions(name: str, dtype) -> None:
    for seed in range(8):
        random = seeded("tflm", name, dtype, seed)
        shape, axes = [((1, 5, 7, 3), (1, 2)), ((4, 6), (1,)), ((64, 3), (0,))][seed % 3]
        scale = spread(random, 2, -3)
        x = typed(shape, dtype, scale, zero_point(random, dtype))
        attributes = ReduceAttributes(axes, keep_dims=True)
        reduced = get(name).infer(attributes, [x])[0].shape
        y = typed(reduced, dtype, scale * spread(random, 2, 1), zero_point(random, dtype))
        np.testing.assert_array_equal(*both(name, attributes, [x], y, [numbers(random, x)]))


def test_resizing() -> None:
    for name in ("resize_bilinear", "resize_nearest"):
        for corners, centers in ((False, False), (True, False), (False, True)):
            random = seeded("tflm", name, corners, centers)
            x, y = typed((1, 4, 5, 3), INT8, 0.1), typed((1, 7, 3, 3), INT8, 0.1)
            attributes = ResizeAttributes((7, 3), corners, centers)
            np.testing.assert_array_equal(*both(name, attributes, [x], y, [numbers(random, x)]))
