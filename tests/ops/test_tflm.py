"""Integer meanings under TFLM rounding, against TensorFlow Lite Micro's own interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from single_operator import QUANTIZED, Single, build, inputs, seeded

from budget.graph import DType
from budget.ops import registry
from budget.ops.operator import Case, Rounding
from budget.writers.tflite import write_tflite

# (operator, element type, case) that TFLM has no kernel for; "" stands for every case
LACKING = {
    ("arg_max", "int8", "int64"),
    ("arg_min", "int8", "int64"),
    ("exp", "int8", ""),
    ("equal", "int16", ""),
    ("gather", "int16", ""),
    ("gelu", "int8", ""),
    ("greater_equal", "int16", ""),
    ("less", "int16", ""),
    ("less_equal", "int16", ""),
    ("mirror_pad", "int16", ""),
    ("not_equal", "int16", ""),
    ("reduce_max", "int16", ""),
    ("reduce_min", "int16", ""),
    ("relu_n1_to_1", "int8", ""),
    ("resize_bilinear", "int16", ""),
}
# TFLM's kernels of relu6 clamp stored values and leave the scale as it is, LiteRT rescales; its
# kernel of greater for 16 bits rescales, LiteRT's compares what is stored
OTHER_MEANING = {("relu6", "int8"), ("relu6", "int16"), ("greater", "int16")}
# TFLM's kernels differ from LiteRT's, whose results we give, by one step of the last place
ONE_STEP = {("leaky_relu", "int16"), ("softmax", "int16")}


def _cases() -> list[Any]:
    return [
        pytest.param(name, dtype, case, id=f"{name}-{dtype}-{case.label}")
        for name in registry.names()
        for case in registry.get(name).cases()
        for dtype in case.dtypes
        if dtype in QUANTIZED and (name, dtype.value) not in OTHER_MEANING
    ]


def _interpreter(made: Single) -> Any:
    runtime = pytest.importorskip("tflite_micro").runtime
    return runtime.Interpreter.from_bytes(write_tflite(made.graph), arena_size=1 << 20)


def _invoke(interpreter: Any, made: Single, x: list[np.ndarray | None]) -> list[np.ndarray]:
    given = [v for v, known in zip(x, made.constants) if v is not None and known is None]
    for index, value in enumerate(given):
        interpreter.set_input(value, index)
    interpreter.invoke()
    return [interpreter.get_output(index) for index in range(len(made.outputs))]


@pytest.mark.parametrize(("name", "dtype", "case"), _cases())
def test_equals_tflm(name: str, dtype: DType, case: Case) -> None:
    random = seeded("tflm", name, dtype, case.label)
    made = build(registry.get(name), case, dtype, random)
    if {(name, dtype.value, case.label), (name, dtype.value, "")} & LACKING:
        with pytest.raises(RuntimeError):
            _invoke(_interpreter(made), made, next(inputs(made, random)))
        return
    interpreter = _interpreter(made)
    for x in inputs(made, random, 2):
        for result, expected in zip(made.run(x, Rounding.TFLM), _invoke(interpreter, made, x)):
            step = int((name, dtype.value) in ONE_STEP)
            apart = np.abs(result.astype(np.int64) - expected.astype(np.int64))
            assert result.shape == expected.shape and apart.max(initial=0) <= step


def test_fully_connected_rounds_twice_on_microcontrollers() -> None:
    """The case that tells the two families apart, over enough outputs to meet a difference."""
    from budget.ops.fully_connected import FullyConnectedAttributes
    from budget.ops.operator import Operand

    case = Case(
        "large",
        FullyConnectedAttributes(),
        (
            Operand((64, 64)),
            Operand((256, 64), is_constant=True, role="weights"),
            Operand((256,), is_constant=True, role="bias"),
        ),
    )
    differing = 0
    for seed in range(4):
        random = seeded("rounding", seed)
        made = build(registry.get("fully_connected"), case, DType.INT8, random)
        interpreter = _interpreter(made)
        for x in inputs(made, random, 1):
            ours = made.run(x, Rounding.TFLM)[0]
            np.testing.assert_array_equal(ours, _invoke(interpreter, made, x)[0])
            host = made.run(x, Rounding.TFLITE)[0]
            np.testing.assert_array_equal(host, made.litert(x)[0])
            differing += int((ours != host).sum())
    assert differing > 0
