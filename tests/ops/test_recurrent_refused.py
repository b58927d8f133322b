"""Quantisations that the integer kernels of recurrent layers cannot hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from budget.errors import ModelError
from budget.graph import DType, QuantParams, TensorType
from budget.ops import registry
from budget.ops.lstm_integer import plan_of, run_integer
from budget.ops.operator import QuantizedCall, Rounding
from budget.ops.recurrent import LstmAttributes
from budget.ops.svdf import SvdfAttributes

QUANT = QuantParams.per_tensor
X = TensorType((1, 2, 3), DType.INT8, QUANT(0.5, 1))
WEIGHTS = TensorType((16, 3), DType.INT8, QUANT(0.1, 0))
AGAIN = TensorType((16, 4), DType.INT8, QUANT(0.1, 0))
Y = TensorType((1, 2, 4), DType.INT8, QUANT(2.0**-7, 0))
STATE = TensorType((1, 4), DType.INT8, QUANT(2.0**-7, 0))
CELL = TensorType((1, 4), DType.INT16, QUANT(2.0**-11, 0))
INPUTS = (X, WEIGHTS, AGAIN, None, None, None)


@pytest.mark.parametrize(
    ("attributes", "outputs", "said"),
    [
        (LstmAttributes(function="relu"), (Y, STATE, CELL), "tanh and the logistic function"),
        (LstmAttributes(), (Y, STATE, replace(CELL, quant=QUANT(0.3, 0))), "no fit power of two"),
        (LstmAttributes(), (Y, replace(STATE, quant=QUANT(0.25, 0)), CELL), "differ in type"),
    ],
)
def test_what_an_integer_lstm_asks_of_its_tensors(attributes, outputs, said) -> None:
    plan_of(LstmAttributes(), INPUTS, (Y, STATE, CELL), Rounding.TFLITE)
    with pytest.raises(ModelError, match=said):
        plan_of(attributes, INPUTS, outputs, Rounding.TFLITE)


def test_hosts_have_no_kernel_of_16_bits() -> None:
    wide = [replace(each, dtype=DType.INT16) for each in (X, Y, STATE)]
    inputs = (wide[0], *INPUTS[1:])
    values = [None if t is None else np.zeros(t.shape, t.dtype.numpy) for t in inputs]
    call = QuantizedCall(inputs, (wide[1], wide[2], CELL), rounding=Rounding.TFLITE)
    with pytest.raises(ModelError, match="8-bit activations only"):
        run_integer(LstmAttributes(), values, call)


def real(*shape: int) -> TensorType:
    return TensorType(shape, DType.FLOAT32)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ((real(1, 2, 3), real(16, 3), real(16, 5)), "not square by gate"),
        ((real(1, 2, 3), real(16, 2), real(16, 4)), "do not fit inputs"),
        ((real(1, 2, 3), real(16, 3), real(16, 4), real(15)), "as many biases"),
        ((real(1, 2, 3), real(16, 3), real(16, 4), None, real(2, 4)), "a state is not"),
    ],
)
def test_shapes_of_recurrent_layers(inputs, said) -> None:
    with pytest.raises(ModelError, match=said):
        registry.get("lstm").infer(LstmAttributes(), inputs)


@pytest.mark.parametrize(
    ("inputs", "rank", "said"),
    [
        ((real(1, 3), real(4, 2), real(4, 5)), 1, "do not fit inputs"),
        ((real(1, 3), real(4, 3), real(3, 5)), 1, "do not fit 4 filters"),
        ((real(1, 3), real(4, 3), real(4, 5)), 3, "no whole number of ranks"),
        ((real(1, 3), real(4, 3), real(4, 5), real(4)), 2, "as many biases"),
        ((real(1, 3), real(4, 3), real(4, 5), None, real(1, 19)), 1, "the memory is not"),
    ],
)
def test_shapes_of_svdf(inputs, rank, said) -> None:
    with pytest.raises(ModelError, match=said):
        registry.get("svdf").infer(SvdfAttributes(rank), inputs)


def test_svdf_has_no_kernel_of_16_bits() -> None:
    wide = TensorType((1, 3), DType.INT16, QUANT(0.5, 0))
    weights = TensorType((4, 3), DType.INT8, QUANT(0.1, 0))
    times = TensorType((4, 5), DType.INT16, QUANT(0.1, 0))
    memory = TensorType((1, 20), DType.INT16, QUANT(0.1, 0))
    types = (wide, weights, times, None, memory)
    values = [None if t is None else np.zeros(t.shape, t.dtype.numpy) for t in types]
    call = QuantizedCall(types, (replace(wide, shape=(1, 4)), memory))
    with pytest.raises(ModelError, match="other than of 8 bits"):
        registry.get("svdf").run_quantized(SvdfAttributes(), values, call)
