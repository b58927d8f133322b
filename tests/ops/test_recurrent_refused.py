"""Quantisations that the integer kernels of recurrent layers cannot hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from budget.errors import ModelError
from budget.graph import DType, QuantParams, TensorType
from budget.ops.lstm_integer import plan_of, run_integer
from budget.ops.operator import QuantizedCall, Rounding
from budget.ops.recurrent import LstmAttributes

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
